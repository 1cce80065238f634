//! The answer to a beat: the contract with agents.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{
    Position, Problem, ProblemCode, Severity, Status, Touch, counted, millis, optional_millis, seconds_until,
};
use crate::store::LastPass;

use super::{Beat, Served};

/// The answer to a beat. The first eight fields never change; the rest only adds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentHeartbeatResponse {
    /// `error` if any error, else `warning` if any warning, else `ok`.
    pub status: Status,
    /// Who beat.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    pub agent_name: String,
    /// When the beat came in: RFC 3339, UTC, milliseconds.
    #[serde(with = "millis")]
    pub started_at: Timestamp,
    /// When it was answered.
    #[serde(with = "millis")]
    pub finished_at: Timestamp,
    /// What was done, with counts.
    pub summary: String,
    /// The problems that are warnings, a line each, prefixed by their phase.
    pub warnings: Vec<String>,
    /// The problems that are errors, likewise.
    pub errors: Vec<String>,
    /// The issues touched since this agent's previous beat, at most 200, the oldest change first.
    #[schema(max_items = 200)]
    pub touched_issue_urls: Vec<String>,

    /// The AgentRun's id.
    pub run_id: Uuid,
    /// Whether another beat ran the pass that this answer speaks of.
    pub coalesced: bool,
    /// What GitHub showed at this time is in the store, for every repository; null while any of them is read for
    /// the first time.
    #[serde(with = "optional_millis")]
    #[schema(required = true)]
    pub fresh_at: Option<Timestamp>,
    /// What happened to each of `touchedIssueUrls`.
    #[schema(max_items = 200)]
    pub touched: Vec<Touch>,
    /// How many there were to report, at most 10,000. More than 200: the next heartbeats report the rest.
    #[schema(maximum = 10_000)]
    pub touched_count: u64,
    /// The problems, for programs.
    pub problems: Vec<Problem>,
    /// For so many seconds another beat would tell nothing new: the last pass is fresh, one is running, or GitHub's
    /// limit is in force for everybody's repositories. Where nothing is known of that, the interval that agents are to
    /// beat at. 0 while there are changes left to report.
    pub next_heartbeat_in_seconds: u64,
}

/// What an agent is told in one beat, and the position that follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChangePage {
    pub(super) touches: Vec<Touch>,
    /// How many there were to tell; at most 10,000.
    pub(super) count: u64,
    /// Whether there were no more than that.
    pub(super) is_exact: bool,
    /// Whether the next beat has the rest to tell.
    pub(super) is_left: bool,
    pub(super) position: Position,
}

impl ChangePage {
    pub(super) fn nothing(position: Position) -> Self {
        Self { touches: Vec::new(), count: 0, is_exact: true, is_left: false, position }
    }
}

impl Beat<'_> {
    pub(super) fn answer(&self, basis: &Served, told: &ChangePage) -> AgentHeartbeatResponse {
        let worst_of_pass = basis.ended.as_ref().filter(|_| basis.coalesced).map(|ended| ended.status);
        // Before the first pass has ended nothing is known of changes.
        let summary = if basis.coalesced && basis.ended.is_some() {
            let at_least = if told.is_exact { "" } else { "at least " };
            let changed = at_least.to_owned() + &counted(told.count, "issue", "issues");
            let since = if self.known.is_none() { "in it" } else { "since this agent's last beat" };
            format!("{} {changed} changed {since}.", basis.summary)
        } else {
            basis.summary.clone()
        };
        let finished_at = self.app.clock.now();
        AgentHeartbeatResponse {
            status: self.outcome.status().max(worst_of_pass.unwrap_or(Status::Ok)),
            agent_name: self.agent.to_string(),
            started_at: self.started_at,
            finished_at,
            summary,
            warnings: self.outcome.lines(Severity::Warning),
            errors: self.outcome.lines(Severity::Error),
            touched_issue_urls: told.touches.iter().map(|touch| touch.url.clone()).collect(),
            run_id: self.run_id,
            coalesced: basis.coalesced,
            fresh_at: basis.ended.as_ref().and_then(|ended| ended.fresh_at),
            touched: told.touches.clone(),
            touched_count: told.count,
            problems: self.outcome.problems().to_vec(),
            next_heartbeat_in_seconds: if told.is_left {
                0
            } else {
                self.next_heartbeat_in(basis, finished_at)
            },
        }
    }

    fn next_heartbeat_in(&self, basis: &Served, now: Timestamp) -> u64 {
        let fresh_until = basis.ended.as_ref().map(LastPass::fresh_until);
        let until =
            fresh_until.into_iter().chain(basis.claimed_until).filter_map(|until| seconds_until(until, now));
        let is_everybodys =
            |problem: &&Problem| problem.code == ProblemCode::GithubRateLimited && problem.owners.is_empty();
        let limits = self.outcome.problems().iter().filter(is_everybodys);
        let lifts = limits.filter_map(|problem| problem.retry_after_seconds);
        until.chain(lifts).max().unwrap_or(self.app.config.heartbeat_interval.as_secs())
    }
}

/// How a coalesced beat's summary begins.
pub(super) fn coalesced_summary(age: Duration) -> String {
    format!("Joined the pass that ended {} s ago:", age.as_secs())
}
