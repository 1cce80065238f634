//! The response to a heartbeat: the contract with agents.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{
    Hold, IssueChange, IssueVerdict, Problem, Status, Verdict, VerdictReason, Watch, millis, optional_millis,
};

/// The response to a heartbeat. The first eight fields never change; later versions only add fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentHeartbeatResponse {
    /// `error` if there is any error, else `warning` if there is any warning, else `ok`.
    pub status: Status,
    /// The agent that sent the heartbeat.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    pub agent_name: String,
    /// When the heartbeat arrived: RFC 3339, UTC, milliseconds.
    #[serde(with = "millis")]
    pub started_at: Timestamp,
    /// When it was answered: RFC 3339, UTC, milliseconds.
    #[serde(with = "millis")]
    pub finished_at: Timestamp,
    /// What the heartbeat did, with counts.
    pub summary: String,
    /// One line per problem of severity `warning`, prefixed with its phase.
    pub warnings: Vec<String>,
    /// One line per problem of severity `error`, prefixed with its phase.
    pub errors: Vec<String>,
    /// The issues that changed since this agent's previous heartbeat, oldest change first, at most 200.
    #[schema(max_items = 200)]
    pub touched_issue_urls: Vec<String>,

    /// The id of the AgentRun that records this heartbeat.
    pub run_id: Uuid,
    /// Whether another heartbeat ran the pass that this response is based on.
    pub coalesced: bool,
    /// The cached copy of every repository is at least as new as GitHub was at this time. Null until the first sync
    /// of every repository is complete.
    #[serde(with = "optional_millis")]
    #[schema(required = true)]
    pub fresh_at: Option<Timestamp>,
    /// The change of each issue in `touchedIssueUrls`, in the same order.
    #[schema(max_items = 200)]
    pub touched: Vec<IssueChange>,
    /// The number of changes to report, counted up to 10,000. If it exceeds 200, the next heartbeats report the rest.
    #[schema(maximum = 10_000)]
    pub touched_count: u64,
    /// All problems, in machine-readable form.
    pub problems: Vec<Problem>,
    /// Seconds until another heartbeat can report anything new: until then the last pass is fresh, a pass is running,
    /// or a rate limit of GitHub blocks all repositories. If none of these applies, the configured heartbeat interval.
    /// 0 if there are more changes to report.
    pub next_heartbeat_in_seconds: u64,

    /// What to do about each issue that the agent works on: all that this heartbeat declares, or else those that earlier
    /// ones declared. Empty if the table could not be read, which is a problem then.
    #[schema(max_items = 50)]
    pub active_issues: Vec<ActiveIssueVerdict>,
    /// The addresses of those to stop, which are all of them while the agent is on hold.
    #[schema(max_items = 50)]
    pub stop_issue_urls: Vec<String>,
    /// The operator's hold on this agent: it must not work on anything. Null if there is none.
    #[schema(required = true)]
    pub hold: Option<Hold>,
    /// What the agent has promised with `intervalSeconds`; null if nothing, or if it leaves.
    #[schema(required = true)]
    pub watch: Option<Watch>,
    /// The names of the body's members that this version does not know, at most 20, each cut to 64 characters.
    #[schema(max_items = 20)]
    pub ignored_members: Vec<String>,
    /// When the token of this heartbeat expires, within seven days before that; null earlier, and if it does not expire.
    #[serde(with = "optional_millis")]
    #[schema(required = true)]
    pub token_expires_at: Option<Timestamp>,
}

/// What to do about an issue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ActiveIssue)]
pub struct ActiveIssueVerdict {
    /// Its address as the agent declared it, or that of its page.
    pub url: String,
    /// `go`: go on. `check`: the service does not know, so look for yourself. `stop`: stop.
    pub verdict: Verdict,
    /// Why, for programs.
    pub reason: VerdictReason,
    /// Why, in words.
    pub detail: String,
    /// GitHub's reason for closing a closed issue.
    #[schema(required = true)]
    pub state_reason: Option<String>,
    /// The page of a transferred issue in its new repository, if GitHub shows it.
    #[schema(required = true, format = "uri")]
    pub moved_to: Option<String>,
    /// The verdict holds as of then, by GitHub's clock; null if the issue was never seen.
    #[serde(with = "optional_millis")]
    #[schema(required = true)]
    pub seen_at: Option<Timestamp>,
}

impl ActiveIssueVerdict {
    /// The verdict about the issue at this address, as of `seen_at`.
    pub(super) fn of(url: String, verdict: IssueVerdict, seen_at: Option<Timestamp>) -> Self {
        Self {
            url,
            verdict: verdict.verdict(),
            reason: verdict.reason,
            detail: verdict.to_string(),
            state_reason: verdict.state_reason,
            moved_to: verdict.moved_to,
            seen_at,
        }
    }
}
