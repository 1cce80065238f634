//! How long and how often a request is tried.

use std::time::Duration;

use jiff::Timestamp;

use super::failure::Failure;

/// How long and how often one request is tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// Which failures are transient: another attempt may succeed.
    pub(super) is_transient: fn(Failure) -> bool,
    /// How long an attempt may take.
    pub(super) timeout: Duration,
    /// No attempt starts after this time or is waited for longer.
    pub(super) until: Timestamp,
}
