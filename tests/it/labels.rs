//! Labels: the derived status, and the excluded ones.
