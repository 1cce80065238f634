//! How often an agent beats, and when that is too often.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A whole minute, counted from 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Minute(pub i64);

impl Minute {
    /// The minute that this instant is in.
    pub fn of(at: Timestamp) -> Self {
        Self(at.as_second().div_euclid(60))
    }
}

/// How many beats of an agent that came in one minute have been answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeatRate {
    /// The minute.
    pub minute: Minute,
    /// The beats.
    pub beats: u64,
}

/// Why an agent is not answered: it beats too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this agent has beaten {most} times in this minute; beat again in {retry_after_seconds} s")]
pub struct TooOften {
    /// How often it may in a minute.
    pub most: u64,
    /// When the minute ends: at least 1.
    pub retry_after_seconds: u64,
}

impl BeatRate {
    /// Refuses one more beat that comes at `now`, when `most` of its minute have been answered.
    pub fn check(&self, most: u64, now: Timestamp) -> Result<(), TooOften> {
        if self.minute != Minute::of(now) || self.beats < most {
            return Ok(());
        }
        let gone = now.as_second().rem_euclid(60).unsigned_abs();
        Err(TooOften { most, retry_after_seconds: 60 - gone })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_never_shorter_than_the_minute_is_and_at_least_a_second() {
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
