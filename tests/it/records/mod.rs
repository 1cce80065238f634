//! What a heartbeat writes to the table, and its cost.

pub mod conflicts;
pub mod costs;
pub mod hours;
pub mod instants;
pub mod open_index;
pub mod runs;
pub mod writes;
