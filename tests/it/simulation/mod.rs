//! Heartbeats that are disturbed at each of their requests, and random histories of a world with many agents.

pub mod copies;
pub mod deaths;
pub mod histories;
pub mod histories_edits;
pub mod histories_reports;
pub mod histories_verdicts;
pub mod overlaps;
