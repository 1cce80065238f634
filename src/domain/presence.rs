//! Whether an agent is still there, judged by its heartbeats alone.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether an agent is still there. Nothing of it is stored: it follows from the last heartbeat and the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// A token names the agent, and no heartbeat has come yet.
    New,
    /// The agent has sent heartbeats. It has not promised when the next one comes, so nobody is alerted if none does.
    Unwatched,
    /// No heartbeat has come for a week or longer.
    Left,
}

impl Presence {
    /// All of them, in the order of an agent's life.
    pub const ALL: [Self; 3] = [Self::New, Self::Unwatched, Self::Left];

    /// How long an agent without a promise may be silent before it counts as left.
    const AWAY: Duration = Duration::from_secs(7 * 86_400);

    /// The presence of an agent whose last heartbeat was answered at `last_heartbeat`. A clock that went back changes
    /// nothing.
    pub fn of(last_heartbeat: Option<Timestamp>, now: Timestamp) -> Self {
        match last_heartbeat {
            None => Self::New,
            Some(last) if has_passed(last, Self::AWAY, now) => Self::Left,
            Some(_) => Self::Unwatched,
        }
    }

    /// The word in queries and responses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Unwatched => "unwatched",
            Self::Left => "left",
        }
    }
}

/// Whether an agent that promised nothing has missed two of the intervals that the service suggests.
pub fn is_quiet(last_heartbeat: Timestamp, interval: Duration, now: Timestamp) -> bool {
    has_passed(last_heartbeat, interval.saturating_mul(2), now)
}

fn has_passed(from: Timestamp, time: Duration, now: Timestamp) -> bool {
    Duration::try_from(now.duration_since(from)).is_ok_and(|passed| passed >= time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(1_000_000 + seconds)
    }

    #[test]
    fn silent_agent_has_left_after_a_week_to_the_second() {
        let week = 7 * 86_400;
        assert_eq!(Presence::of(None, after(0)), Presence::New);
        assert_eq!(Presence::of(Some(after(0)), after(-5)), Presence::Unwatched);
        assert_eq!(Presence::of(Some(after(0)), after(week - 1)), Presence::Unwatched);
        assert_eq!(Presence::of(Some(after(0)), after(week)), Presence::Left);
    }

    #[test]
    fn agent_is_quiet_from_two_intervals_on() {
        let interval = Duration::from_secs(900);
        assert!(!is_quiet(after(0), interval, after(-1)));
        assert!(!is_quiet(after(0), interval, after(1_799)));
        assert!(is_quiet(after(0), interval, after(1_800)));
    }
}
