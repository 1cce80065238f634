//! The retry rule: which failures are worth another attempt, how often, and how long to wait in between.

use std::time::Duration;

use backon::ExponentialBuilder;

use super::failure::Failure;
use super::unreachable::unreachable;

/// How often one request is tried, and how long each attempt may take.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Attempts at one request, the first included.
    pub attempts: u32,
    /// How long one attempt may take, the whole answer included. GitHub itself gives up after 10 s.
    pub attempt_timeout: Duration,
    /// The wait before the second attempt; it doubles each time. A random share of it is added, so that many clients
    /// do not come back together.
    pub first_wait: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 3, attempt_timeout: Duration::from_secs(10), first_wait: Duration::from_millis(200) }
    }
}

impl RetryPolicy {
    /// The waits between the attempts.
    pub(super) fn waits(&self, random: u64) -> ExponentialBuilder {
        ExponentialBuilder::new()
            .with_min_delay(self.first_wait)
            .with_max_times(self.attempts.saturating_sub(1) as usize)
            .with_jitter()
            .with_jitter_seed(random)
    }

    /// The waits before a new token that GitHub refused is used again: 1, 2 and 4 s by default.
    pub(super) fn new_token_waits(&self) -> [Duration; 3] {
        [5, 10, 20].map(|times| self.first_wait * times)
    }
}

/// The transient failure of a 5xx answer. Any other answer would stay the same at another attempt.
pub(super) fn transient_status(status: u16) -> Option<Failure> {
    (500..=599).contains(&status).then_some(Failure::Status(status))
}

/// The failure of a request without a complete answer.
pub(super) fn transient_error(error: &reqwest::Error) -> Failure {
    if error.is_timeout() {
        Failure::TimedOut
    } else if error.is_connect() {
        unreachable(error)
    } else {
        Failure::BrokeOff
    }
}
