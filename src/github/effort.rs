//! How hard a question is tried, and how GitHub failed meanwhile.

use std::time::Duration;

use jiff::Timestamp;

use super::{Failure, NOTHING_PANICS, Session};

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

impl Session<'_> {
    /// As hard as the retry rule says, within the pass's time.
    pub(super) fn effort(&self, is_transient: fn(Failure) -> bool) -> Effort {
        Effort { is_transient, patience: self.github.retry.attempt_timeout, until: self.deadline }
    }

    /// How GitHub failed last, even if another attempt healed it; `None` if it never did.
    pub fn failure(&self) -> Option<Failure> {
        *self.failure.lock().expect(NOTHING_PANICS)
    }

    pub(super) fn note_failure(&self, failure: Failure) {
        *self.failure.lock().expect(NOTHING_PANICS) = Some(failure);
    }

    /// Whether there is time for another request after this wait.
    pub(super) fn has_time_for(&self, wait: Duration) -> bool {
        wait < self.left_until(self.deadline)
    }

    /// How long it is until then.
    pub(super) fn left_until(&self, then: Timestamp) -> Duration {
        Duration::try_from(then.duration_since(self.now())).unwrap_or_default()
    }
}
