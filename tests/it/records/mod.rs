//! What a heartbeat writes to the table, and what that costs.

pub mod conflicts;
pub mod costs;
pub mod instants;
pub mod runs;
pub mod writes;
