//! What can be read, and by whom.

mod agents;
mod conventions;
mod description;
mod fleet;
mod runs;
