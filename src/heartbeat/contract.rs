//! The response to a heartbeat: the contract with agents.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{IssueChange, Problem, Status, millis, optional_millis};

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

/// What a watched agent has promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Watch {
    /// The seconds to the next heartbeat.
    pub interval_seconds: u64,
    /// How many seconds late it may be.
    pub grace_seconds: u64,
    /// When the next heartbeat is due.
    #[serde(with = "millis")]
    pub due_at: Timestamp,
    /// When the agent counts as down if none comes.
    #[serde(with = "millis")]
    pub down_at: Timestamp,
}
