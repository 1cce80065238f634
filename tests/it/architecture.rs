//! The modules and the arrows between them.
