//! How the cache is compared with GitHub, and what it takes to remove an issue.

pub mod audit_pages;
pub mod audits;
pub mod confirmations;
pub mod drift;
pub mod held_audits;
pub mod proofs;
pub mod removals;
