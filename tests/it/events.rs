//! Every file of the folder `events` is an event of Lambda's and is answered.
