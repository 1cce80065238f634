//! Decides what a sweep does. Pure: it reads nothing and writes nothing.

use std::time::Duration;

use jiff::Timestamp;

use crate::domain::{
    AgentChange, Holds, Judged, Listening, Presence, ReportMark, Transition, max_schedule_pause,
};
use crate::store::{WatchState, WatchedAgent};

/// The shortest time between two messages. What happens in between is found again by later sweeps.
const BETWEEN_MESSAGES: Duration = Duration::from_secs(15 * 60);

/// The most transitions in one message: with them it takes about 90 KB of the table's item. Others are found again.
const MAX_TRANSITIONS: usize = 1_000;

/// What a sweep sees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    /// All agents that have sent a heartbeat.
    pub(super) agents: &'a [WatchedAgent],
    /// What earlier sweeps keep; `None` before the first one.
    pub(super) watch: Option<WatchState>,
    /// When the schedule's last heartbeat began; `None` if none is recorded.
    pub(super) last_run: Option<Timestamp>,
    /// The operator's holds.
    pub(super) holds: &'a Holds,
    /// The configuration.
    pub(super) rules: Rules,
    /// The time.
    pub(super) now: Timestamp,
}

/// What of the configuration matters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// `SCHEDULE_SECONDS`.
    pub(super) schedule: Duration,
    /// `HEARTBEAT_INTERVAL_SECONDS`.
    pub(super) suggested: Duration,
    /// `BEATS_PER_MINUTE`.
    pub(super) beats_per_minute: u64,
}

/// What a sweep does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Nothing.
    Nothing,
    /// Agents can be heard from now on: whoever was silent before is not to blame.
    Listen,
    /// First find out whether the service can be reached, because nobody was heard.
    Check {
        /// If it cannot: since when.
        blind_since: Timestamp,
        /// Whether an earlier sweep found that. If the service can be reached again, agents can be heard from now on.
        is_known: bool,
        /// If it can, and could before: what to report.
        transitions: Vec<Transition>,
    },
    /// Report these.
    Report(Vec<Transition>),
}

/// How many agents are up, late and down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) up: u64,
    pub(super) late: u64,
    pub(super) down: u64,
}

impl Counted {
    /// All that have promised a heartbeat and have not left.
    pub(super) fn watched(self) -> u64 {
        self.up + self.late + self.down
    }
}

impl Seen<'_> {
    fn listening(&self) -> Listening {
        self.watch.map(|watch| watch.listening()).unwrap_or_default()
    }

    /// Until when an agent was heard. One that has reached its rate limit is refused until the minute ends, so it counts
    /// as heard until then.
    fn heard_until(&self, agent: &WatchedAgent) -> Timestamp {
        let throttled = agent.rate.filter(|rate| rate.beats >= self.rules.beats_per_minute);
        let minute_end = throttled
            .and_then(|rate| Timestamp::from_second(rate.minute.0.checked_add(1)?.checked_mul(60)?).ok());
        minute_end.map_or(agent.last_beat_at, |end| end.max(agent.last_beat_at))
    }

    fn presence(&self, agent: &WatchedAgent) -> Presence {
        let heard = self.heard_until(agent);
        Judged::of(&agent.declaration, heard, self.listening(), self.rules.suggested, self.now).presence
    }

    /// The silence to report, or its end.
    fn silence(&self, agent: &WatchedAgent, presence: Presence) -> Option<Transition> {
        let (last, reported) = (agent.last_beat_at, agent.silence);
        let transition = |change, since| Transition { change, agent: agent.name.clone(), since };
        if presence == Presence::Down {
            let is_new = reported.is_none_or(|mark| mark < ReportMark::begun(last));
            return is_new.then(|| transition(AgentChange::Down, last));
        }
        let since = reported?.open_since().filter(|since| *since < last && is_settled(presence))?;
        Some(transition(AgentChange::Up, since))
    }

    /// The stall to report, or its end. A silent agent cannot report progress, so it is not stalled.
    fn stall(&self, agent: &WatchedAgent, presence: Presence) -> Option<Transition> {
        let declared = &agent.declaration;
        let transition = |change, since| Transition { change, agent: agent.name.clone(), since };
        let stalled = declared.progress_at.zip(declared.stalled_after());
        let stalled = stalled.filter(|_| presence == Presence::Up && !declared.active_issues.is_empty());
        if let Some((progress_at, after)) = stalled {
            let listening = self.listening().since;
            let from = listening.map_or(progress_at, |since| since.max(progress_at));
            let is_over = from.checked_add(after).is_ok_and(|end| self.now >= end);
            let is_new = agent.stall.is_none_or(|mark| mark < ReportMark::begun(progress_at));
            if is_over && is_new {
                return Some(transition(AgentChange::Stalled, progress_at));
            }
        }
        let since = agent.stall?.open_since().filter(|_| is_settled(presence))?;
        let has_moved = declared.progress_at != Some(since) || declared.stalled_after().is_none();
        has_moved.then(|| transition(AgentChange::Moving, since))
    }

    fn transitions(&self) -> Vec<Transition> {
        let free = self.agents.iter().filter(|agent| self.holds.of(&agent.name).is_none());
        let all = free.flat_map(|agent| {
            let presence = self.presence(agent);
            self.silence(agent, presence).into_iter().chain(self.stall(agent, presence))
        });
        all.take(MAX_TRANSITIONS).collect()
    }

    /// When the last of the agents that are newly down went down; `None` if none is.
    fn last_down_at(&self, transitions: &[Transition]) -> Option<Timestamp> {
        let is_down = |agent: &&WatchedAgent| {
            transitions.iter().any(|one| one.change == AgentChange::Down && one.agent == agent.name)
        };
        let since = self.listening().since.unwrap_or(Timestamp::MIN);
        let down_at = |agent: &WatchedAgent| {
            let promise = agent.declaration.promise()?;
            Some(promise.down_at(self.heard_until(agent).max(since)))
        };
        self.agents.iter().filter(is_down).filter_map(down_at).max()
    }

    /// Whether the schedule has not run for so long that nobody may have been heard.
    fn is_after_gap(&self, listening_since: Timestamp) -> bool {
        let ran = self.last_run.map_or(listening_since, |run| run.max(listening_since));
        let silent = Duration::try_from(self.now.duration_since(ran)).unwrap_or_default();
        silent > max_schedule_pause(self.rules.schedule)
    }
}

/// Whether an agent with this presence has been heard, and is not about to be missed again.
fn is_settled(presence: Presence) -> bool {
    matches!(presence, Presence::Up | Presence::Unwatched | Presence::Left)
}

/// What a sweep does.
pub(super) fn decide(seen: &Seen<'_>) -> Decision {
    let Listening { since, blind_since } = seen.listening();
    let Some(since) = since.filter(|since| !seen.is_after_gap(*since)) else { return Decision::Listen };
    let heard = seen.agents.iter().map(|agent| agent.last_beat_at).max();
    if let Some(blind_since) = blind_since {
        return match heard.is_some_and(|heard| heard > blind_since) {
            true => Decision::Listen,
            false => Decision::Check { blind_since, is_known: true, transitions: Vec::new() },
        };
    }
    let transitions = seen.transitions();
    let sent_at = seen.watch.and_then(|watch| watch.sent_at);
    let is_too_soon = sent_at.is_some_and(|sent_at| {
        let passed = Duration::try_from(seen.now.duration_since(sent_at));
        passed.is_ok_and(|passed| passed < BETWEEN_MESSAGES)
    });
    if transitions.is_empty() || is_too_soon {
        return Decision::Nothing;
    }
    match seen.last_down_at(&transitions) {
        Some(down_at) if heard.is_none_or(|heard| heard < down_at) => Decision::Check {
            blind_since: heard.map_or(since, |heard| heard.max(since)),
            is_known: false,
            transitions,
        },
        _ => Decision::Report(transitions),
    }
}

/// How many agents are up, late and down.
pub(super) fn count(seen: &Seen<'_>) -> Counted {
    let mut counted = Counted::default();
    for agent in seen.agents {
        match seen.presence(agent) {
            Presence::Up => counted.up += 1,
            Presence::Late => counted.late += 1,
            Presence::Down => counted.down += 1,
            Presence::New | Presence::Unwatched | Presence::Left => {}
        }
    }
    counted
}

/// Of the transitions of a message, in the agents' state just before it is published: which to report, and which are
/// outdated. Those that are already marked are in neither.
pub(super) fn recheck(
    transitions: Vec<Transition>,
    agents: &[WatchedAgent],
) -> (Vec<Transition>, Vec<Transition>) {
    let agent_of = |transition: &Transition| agents.iter().find(|agent| agent.name == transition.agent);
    let is_unmarked = |transition: &Transition| {
        let mark = |agent: &WatchedAgent| {
            if transition.change.is_of_silence() { agent.silence } else { agent.stall }
        };
        agent_of(transition).is_some_and(|agent| mark(agent).is_none_or(|mark| mark < transition.mark()))
    };
    let still_holds = |transition: &Transition| {
        agent_of(transition).is_some_and(|agent| match transition.change {
            AgentChange::Down => agent.last_beat_at == transition.since,
            AgentChange::Stalled => agent.declaration.progress_at == Some(transition.since),
            AgentChange::Up | AgentChange::Moving => true,
        })
    };
    transitions.into_iter().filter(is_unmarked).partition(still_holds)
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
