//! What is counted per minute, and the limit of an agent's heartbeats.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A whole minute: the number of minutes since 1970-01-01T00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Minute(pub i64);

impl Minute {
    /// The minute that contains this instant.
    pub fn of(at: Timestamp) -> Self {
        Self(at.as_second().div_euclid(60))
    }

    /// Checks whether one more request, arriving at `now`, stays within `limit` requests per minute if `counted` were
    /// answered in this minute.
    ///
    /// # Errors
    /// [`RateLimitExceeded`] if the minute is not over and `limit` requests of it have been answered.
    pub fn check(self, counted: u64, limit: u64, now: Timestamp) -> Result<(), RateLimitExceeded> {
        if self != Self::of(now) || counted < limit {
            return Ok(());
        }
        let elapsed = now.as_second().rem_euclid(60).unsigned_abs();
        Err(RateLimitExceeded { limit, retry_after_seconds: 60 - elapsed })
    }
}

/// The number of an agent's heartbeats that arrived in one minute and were answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeatRate {
    /// The minute.
    pub minute: Minute,
    /// The number of heartbeats.
    pub beats: u64,
}

/// A rate limit is reached. The refusal of a request has the sentence about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimitExceeded {
    /// The limit: requests per minute.
    pub limit: u64,
    /// Seconds until the minute ends: at least 1.
    pub retry_after_seconds: u64,
}

impl BeatRate {
    /// Checks whether one more heartbeat, arriving at `now`, stays within `limit` heartbeats per minute.
    ///
    /// # Errors
    /// [`RateLimitExceeded`] if `limit` heartbeats of this minute have been answered.
    pub fn check(&self, limit: u64, now: Timestamp) -> Result<(), RateLimitExceeded> {
        self.minute.check(self.beats, limit, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_lasts_until_the_minute_ends_and_at_least_a_second() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let pace = BeatRate { minute: Minute::of(at("2026-11-22T06:00:30Z")), beats: 2 };
        let wait = |now| pace.check(2, at(now)).map_err(|why| why.retry_after_seconds);
        assert_eq!(wait("2026-11-22T06:00:00Z"), Err(60));
        assert_eq!(wait("2026-11-22T06:00:00.001Z"), Err(60));
        assert_eq!(wait("2026-11-22T06:00:59.999Z"), Err(1));
        assert_eq!(wait("2026-11-22T06:01:00Z"), Ok(()));
        assert_eq!(wait("2026-11-22T05:59:59.999Z"), Ok(()));
        assert_eq!(pace.check(3, at("2026-11-22T06:00:30Z")), Ok(()));
    }
}
