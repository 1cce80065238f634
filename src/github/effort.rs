//! How hard a request is tried.

use std::time::Duration;

use jiff::Timestamp;

use super::failure::Failure;

/// How hard a question is tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// Which failures another attempt may heal.
    pub(super) is_transient: fn(Failure) -> bool,
    /// How long an attempt may take.
    pub(super) patience: Duration,
    /// When no attempt begins or is waited for any more.
    pub(super) until: Timestamp,
}
