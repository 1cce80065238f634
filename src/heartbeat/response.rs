//! Builds the response to a heartbeat from what its steps found. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::domain::{Hold, Problem, ProblemCode, Severity, Status, Verdict, seconds_until};
use crate::feed::ChangePage;
use crate::store::LastPass;

use super::contract::{ActiveIssueVerdict, AgentHeartbeatResponse};
use super::request::Heartbeat;
use super::served::{ServeResult, Served};
use super::summary;
use super::verdicts::Verdicts;

/// How long before a token expires its agent learns that.
const TOKEN_NOTICE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What a response says about the agent itself.
pub(super) struct ForAgent<'a> {
    pub(super) page: &'a ChangePage,
    pub(super) verdicts: &'a Verdicts,
    /// The hold that covers the agent.
    pub(super) hold: Option<&'a Hold>,
}

/// Builds the response. `heartbeat_interval` is the configured one.
pub(super) fn build(
    heartbeat: &Heartbeat<'_>,
    result: &ServeResult,
    ForAgent { page, verdicts, hold }: &ForAgent<'_>,
    finished_at: Timestamp,
    heartbeat_interval: Duration,
) -> AgentHeartbeatResponse {
    let ServeResult { served, outcome, .. } = result;
    let is_stop = |issue: &&ActiveIssueVerdict| issue.verdict == Verdict::Stop;
    let sender = heartbeat.origin.sender();
    // Without the table nothing is known of earlier heartbeats, and nothing is kept of this one.
    let declaration =
        heartbeat.declaration(finished_at).filter(|_| !matches!(served, Served::TableUnavailable));
    let is_soon = |expires_at: &Timestamp| expires_at.duration_since(finished_at) <= TOKEN_NOTICE;
    AgentHeartbeatResponse {
        status: outcome.status().max(served.joined_status().unwrap_or(Status::Ok)),
        agent_name: heartbeat.agent.to_string(),
        started_at: heartbeat.started_at,
        finished_at,
        summary: summary::sentence(served, result.passes.count, page, heartbeat.known.is_some()),
        warnings: outcome.lines(Severity::Warning),
        errors: outcome.lines(Severity::Error),
        touched_issue_urls: page.changes.iter().map(|change| change.issue.url.clone()).collect(),
        run_id: heartbeat.run_id,
        coalesced: served.is_coalesced(),
        fresh_at: served.last_pass().and_then(|last_pass| last_pass.fresh_at),
        touched: page.changes.iter().map(|change| change.issue.clone()).collect(),
        touched_count: page.count,
        problems: outcome.problems().to_vec(),
        next_heartbeat_in_seconds: if page.has_more {
            0
        } else {
            next_heartbeat_in(result, finished_at, heartbeat_interval)
        },
        active_issues: verdicts.issues.clone(),
        stop_issue_urls: verdicts.issues.iter().filter(is_stop).map(|issue| issue.url.clone()).collect(),
        hold: hold.cloned(),
        watch: declaration.and_then(|declaration| declaration.watch(finished_at, None)),
        ignored_members: sender.map(|sender| sender.body.ignored.clone()).unwrap_or_default(),
        token_expires_at: sender.and_then(|sender| sender.token_expires_at).filter(is_soon),
    }
}

/// Seconds until another heartbeat can report anything new.
fn next_heartbeat_in(result: &ServeResult, now: Timestamp, heartbeat_interval: Duration) -> u64 {
    let fresh_until = result.served.last_pass().map(LastPass::fresh_until);
    let instants = fresh_until.into_iter().chain(result.served.lease_until());
    let waits = instants.filter_map(|until| seconds_until(until, now));
    let blocks_everybody =
        |problem: &&Problem| problem.code == ProblemCode::GithubRateLimited && problem.owners.is_empty();
    let limits = result.outcome.problems().iter().filter(blocks_everybody);
    let resets = limits.filter_map(|problem| problem.retry_after_seconds);
    waits.chain(resets).max().unwrap_or(heartbeat_interval.as_secs())
}
