//! What is reported of agents: silences, stalls and their ends, each once.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::AgentName;

/// A change of an agent that is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentChange {
    /// Its heartbeat has not come in time.
    Down,
    /// It was reported as down, and a heartbeat has come since.
    Up,
    /// It makes no progress.
    Stalled,
    /// It was reported as stalled, and is not any more.
    Moving,
}

/// A change of one agent. Its key is the episode: the agent, and since when it is silent or makes no progress.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Transition {
    /// What has changed.
    pub change: AgentChange,
    /// The agent.
    pub agent: AgentName,
    /// The last heartbeat before the silence, or the last progress before the stall.
    pub since: Timestamp,
}

/// Which episode of an agent was reported last: ten times its epoch milliseconds, and one more after its end was
/// reported, too. So a mark only ever grows, and a write that arrives late undoes nothing. As a number, it takes 8 bytes
/// of the agent's item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReportMark(i64);

impl ReportMark {
    /// The mark of an episode whose beginning is reported.
    pub fn begun(since: Timestamp) -> Self {
        Self(since.as_millisecond().saturating_mul(10))
    }

    /// The mark of an episode whose end is reported.
    pub fn ended(since: Timestamp) -> Self {
        Self(Self::begun(since).0.saturating_add(1))
    }

    /// Since when the episode lasts whose end is not reported yet; `None` if there is none.
    pub fn open_since(self) -> Option<Timestamp> {
        let since = Timestamp::from_millisecond(self.0.div_euclid(10)).ok()?;
        (self.0.rem_euclid(10) == 0).then_some(since)
    }

    /// The number that is stored.
    pub fn as_number(self) -> i64 {
        self.0
    }
}

impl AgentChange {
    /// Whether it belongs to a silence. Otherwise it belongs to a stall.
    pub fn is_of_silence(self) -> bool {
        matches!(self, Self::Down | Self::Up)
    }
}

impl Transition {
    /// The mark of the agent once this is reported.
    pub fn mark(&self) -> ReportMark {
        match self.change {
            AgentChange::Down | AgentChange::Stalled => ReportMark::begun(self.since),
            AgentChange::Up | AgentChange::Moving => ReportMark::ended(self.since),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).expect("a time")
    }

    proptest! {
        #[test]
        fn marks_sort_by_episode_and_the_end_follows_the_beginning(one in 0..4_000_000_000_000_i64, other in 0..4_000_000_000_000_i64) {
            prop_assert!(ReportMark::begun(at(one)) < ReportMark::ended(at(one)));
            prop_assert_eq!(ReportMark::begun(at(one)).open_since(), Some(at(one)));
            prop_assert_eq!(ReportMark::ended(at(one)).open_since(), None);
            if one < other {
                prop_assert!(ReportMark::ended(at(one)) < ReportMark::begun(at(other)));
            }
        }
    }
}
