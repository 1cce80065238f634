//! Whether an agent is still there, and whether its work goes on. Nothing of this is stored: it follows from the last
//! heartbeat, from what the agent declared, and from the time. Responses, lists and alerts ask the same function.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::declaration::LEFT_AFTER;
use super::{Declaration, Promise, optional_millis};

/// Whether an agent is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// A token names the agent, and no heartbeat has come yet.
    New,
    /// The agent has not promised when its next heartbeat comes, so nobody is alerted if none does.
    Unwatched,
    /// The next heartbeat is not due yet.
    Up,
    /// The next heartbeat is due, and may still come within the agent's grace.
    Late,
    /// The next heartbeat has not come in time.
    Down,
    /// The agent's last heartbeat said that it leaves, or none has come for a week, or for ten times as long as it may
    /// take if that is longer.
    Left,
}

/// Whether an agent's work goes on, apart from whether it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// It has no active issues.
    Idle,
    /// It has active issues.
    Working,
    /// It has active issues, and neither its progress nor its issues have changed for `stalledAfterSeconds`.
    Stalled,
    /// A heartbeat said stop about one of its issues, and it still declares that issue two intervals later.
    IgnoresStop,
}

/// Since when the service could hear agents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listening {
    /// Since when, without a gap; `None` if that is not known, so that no agent counts as down.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Since when it cannot be reached, if so: nothing that happens from then on counts against an agent.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub blind_since: Option<Timestamp>,
}

/// An agent, judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Whether it is still there.
    pub presence: Presence,
    /// Whether its work goes on.
    pub work: Work,
    /// Whether it has missed two of the intervals that the service suggests, for an agent that promised nothing.
    pub is_quiet: bool,
}

/// A time in which an agent's judgement stays the same if no heartbeat comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steady {
    /// Its first instant, or a later one.
    pub since: Timestamp,
    /// The first instant after it.
    pub until: Timestamp,
}

impl Steady {
    /// That of a judgement that never changes.
    pub const ALWAYS: Self = Self { since: Timestamp::UNIX_EPOCH, until: Timestamp::MAX };

    /// The time in which both stay the same.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { since: self.since.max(other.since), until: self.until.min(other.until) }
    }
}

impl Presence {
    /// All of them, in the order of an agent's life.
    pub const ALL: [Self; 6] = [Self::New, Self::Unwatched, Self::Up, Self::Late, Self::Down, Self::Left];

    /// The word in queries and responses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Unwatched => "unwatched",
            Self::Up => "up",
            Self::Late => "late",
            Self::Down => "down",
            Self::Left => "left",
        }
    }
}

impl Work {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Idle, Self::Working, Self::Stalled, Self::IgnoresStop];

    /// The word in queries and responses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Working => "working",
            Self::Stalled => "stalled",
            Self::IgnoresStop => "ignores_stop",
        }
    }
}

impl Judged {
    /// An agent that a token names and that has never sent a heartbeat.
    pub const NEW: Self = Self { presence: Presence::New, work: Work::Idle, is_quiet: false };

    /// The agent with this declaration, whose last heartbeat was answered at `last`. `suggested` is the interval that the
    /// service suggests to all agents (`HEARTBEAT_INTERVAL_SECONDS`).
    ///
    /// All times are the service's own, and a clock that went back makes nobody late.
    pub fn of(
        declaration: &Declaration,
        last: Timestamp,
        listening: Listening,
        suggested: Duration,
        now: Timestamp,
    ) -> Self {
        let promise = declaration.promise();
        let presence = match promise {
            _ if declaration.is_leaving => Presence::Left,
            None if has_passed(last, LEFT_AFTER, now) => Presence::Left,
            None => Presence::Unwatched,
            Some(promise) if has_passed(last, promise.left_after(), now) => Presence::Left,
            Some(promise) if now < promise.due_at(last) => Presence::Up,
            Some(promise) => {
                let heard_until = listening.blind_since.map_or(now, |blind| blind.min(now));
                let is_down = |since: Timestamp| heard_until >= promise.down_at(last.max(since));
                if listening.since.is_some_and(is_down) { Presence::Down } else { Presence::Late }
            }
        };
        Self {
            presence,
            work: work(declaration, suggested, now),
            is_quiet: presence == Presence::Unwatched && has_passed(last, quiet_after(suggested), now),
        }
    }

    /// When [`Self::of`] next judges the agent differently if no heartbeat comes; `None` if it stays as it is. Before that
    /// instant nothing changes, and at it something does.
    pub fn next_change(
        declaration: &Declaration,
        last: Timestamp,
        listening: Listening,
        suggested: Duration,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let judged_at = |now| Self::of(declaration, last, listening, suggested, now);
        let boundaries = boundaries(declaration, last, listening, suggested);
        let mut later: Vec<Timestamp> = boundaries.filter(|at| *at > now).collect();
        later.sort_unstable();
        let judged = judged_at(now);
        // A service that is blind, for example, finds nobody down.
        later.into_iter().find(|at| judged_at(*at) != judged)
    }

    /// The time around `now` in which [`Self::of`] judges the agent as it does now.
    pub fn steady(
        declaration: &Declaration,
        last: Timestamp,
        listening: Listening,
        suggested: Duration,
        now: Timestamp,
    ) -> Steady {
        let boundaries = boundaries(declaration, last, listening, suggested);
        let next = Self::next_change(declaration, last, listening, suggested, now);
        let Steady { since, until } = Steady::ALWAYS;
        Steady {
            since: boundaries.filter(|at| *at <= now).fold(since, Timestamp::max),
            until: next.unwrap_or(until),
        }
    }
}

/// Every instant at which a comparison in [`Judged::of`] can change. Not all of them matter to the judgement.
fn boundaries(
    declaration: &Declaration,
    last: Timestamp,
    listening: Listening,
    suggested: Duration,
) -> impl Iterator<Item = Timestamp> {
    let promise = declaration.promise();
    let after = |from: Timestamp, time: Duration| from.checked_add(time).ok();
    let boundaries = [
        promise.map(|promise| promise.due_at(last)),
        promise.zip(listening.since).map(|(promise, since)| promise.down_at(last.max(since))),
        after(last, promise.map_or(LEFT_AFTER, Promise::left_after)),
        after(last, quiet_after(suggested)),
        declaration.progress_at.zip(declaration.stalled_after()).and_then(|(at, time)| after(at, time)),
        declaration.stop_at.and_then(|at| after(at, stop_ignored_after(declaration, suggested))),
    ];
    boundaries.into_iter().flatten()
}

/// After how long a silence an agent without a promise is quiet.
fn quiet_after(suggested: Duration) -> Duration {
    suggested.saturating_mul(2)
}

/// How long an agent may still declare an issue after a heartbeat has said stop about it.
fn stop_ignored_after(declaration: &Declaration, suggested: Duration) -> Duration {
    declaration.promise().map_or(suggested, |promise| promise.interval).saturating_mul(2)
}

fn work(declaration: &Declaration, suggested: Duration, now: Timestamp) -> Work {
    let stalled_after = declaration.stalled_after();
    let is_stalled = |progress_at| stalled_after.is_some_and(|time| has_passed(progress_at, time, now));
    let stop_ignored_after = stop_ignored_after(declaration, suggested);
    if declaration.active_issues.is_empty() {
        Work::Idle
    } else if declaration.stop_at.is_some_and(|stop_at| has_passed(stop_at, stop_ignored_after, now)) {
        Work::IgnoresStop
    } else if declaration.progress_at.is_some_and(is_stalled) {
        Work::Stalled
    } else {
        Work::Working
    }
}

/// Whether at least this time has passed since then.
fn has_passed(from: Timestamp, time: Duration, now: Timestamp) -> bool {
    Duration::try_from(now.duration_since(from)).is_ok_and(|passed| passed >= time)
}

#[cfg(test)]
#[path = "presence_tests.rs"]
mod tests;
