//! What goes wrong, and what the answer says of it.
