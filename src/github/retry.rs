//! The retry rule: which failures are worth another attempt, how often, and how long to wait in between.

use std::time::Duration;

use super::Failure;

/// How often and how patiently one request is tried.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Attempts at one request, the first included.
    pub attempts: u32,
    /// How long one attempt may take, the whole answer included. GitHub itself gives up after 10 s.
    pub attempt_timeout: Duration,
    /// The wait before the second attempt; it doubles each time. A random share of up to half is taken off, so
    /// that many clients do not come back together.
    pub first_wait: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 3, attempt_timeout: Duration::from_secs(10), first_wait: Duration::from_millis(250) }
    }
}

impl RetryPolicy {
    /// The wait after the `attempt`th failed attempt (from 1); none when it was the last one. `random` is from
    /// 0 to 1.
    pub(super) fn wait_after(&self, attempt: u32, random: f64) -> Option<Duration> {
        let doubled = self.first_wait * 2_u32.pow(attempt.saturating_sub(1).min(8));
        (attempt < self.attempts).then(|| doubled.mul_f64(1.0 - random.clamp(0.0, 1.0) / 2.0))
    }
}

/// What another attempt may heal in an answer: GitHub's own failures. Everything else stays as it is, however
/// often it is asked.
pub(super) fn healable_status(status: u16) -> Option<Failure> {
    (500..=599).contains(&status).then_some(Failure::Status(status))
}

/// What another attempt may heal where there was no whole answer: all of it.
pub(super) fn healable_error(error: &reqwest::Error) -> Failure {
    if error.is_timeout() {
        Failure::TimedOut
    } else if error.is_connect() {
        Failure::Unreachable
    } else {
        Failure::BrokeOff
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end_with_the_last_attempt() {
        let policy = RetryPolicy { first_wait: Duration::from_millis(100), ..RetryPolicy::default() };
        assert_eq!(policy.wait_after(1, 0.0), Some(Duration::from_millis(100)));
        assert_eq!(policy.wait_after(2, 1.0), Some(Duration::from_millis(100)));
        assert_eq!(policy.wait_after(3, 0.0), None);
    }
}
