//! How audits compare the cache with GitHub, and what proves that an issue is gone.

pub mod audit_pages;
pub mod audits;
pub mod confirmations;
pub mod drift;
pub mod held_audits;
pub mod proofs;
pub mod removals;
