//! The feed of changes, for programs that keep their cursor themselves.

pub mod costs;
pub mod cursors;
pub mod follow;
pub mod generations;
