//! Heartbeats that are disturbed at each of their requests, and random histories.

pub mod copies;
pub mod deaths;
pub mod histories;
pub mod histories_edits;
pub mod histories_told;
pub mod overlaps;
