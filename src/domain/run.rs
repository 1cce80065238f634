//! The record of one beat.

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Change, millis, optional_millis};

/// How a beat came out, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Nothing went wrong.
    Ok,
    /// Part of the work was not done.
    Warning,
    /// The beat cannot be relied on.
    Error,
}

impl Status {
    /// The word for it, in answers, records and logs alike.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What set the beat off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunType {
    /// An agent called the endpoint.
    Heartbeat,
    /// The schedule did.
    Scheduled,
}

impl RunType {
    /// The word for it, in records and logs alike.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Heartbeat => "heartbeat",
            Self::Scheduled => "scheduled",
        }
    }
}

/// One issue that changed, as agents are told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Touch {
    /// The issue's page on GitHub.
    #[schema(format = "uri")]
    pub url: String,
    /// What happened last.
    pub change: Change,
    /// Where a moved issue is now, when GitHub shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uri", nullable = false)]
    pub moved_to: Option<String>,
}

/// The record of one beat, kept for `RUN_RETENTION_DAYS`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentRun {
    /// A UUID of version 7: runs sort by their start.
    pub run_id: Uuid,
    /// Who beat.
    pub agent_name: String,
    /// What set the beat off.
    #[serde(rename = "type")]
    pub run_type: RunType,
    /// How it came out; none while it runs, which is stored as `running` and is what a beat that died leaves.
    #[serde(serialize_with = "or_running")]
    pub status: Option<Status>,
    /// When it began.
    #[serde(with = "millis")]
    pub started_at: Timestamp,
    /// When it was answered; absent while it runs.
    #[serde(with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// What was done, in one sentence with counts.
    pub summary: String,
    /// The problems that are warnings, a line each.
    pub warnings: Vec<String>,
    /// The problems that are errors, a line each.
    pub errors: Vec<String>,
    /// The issues the agent was told of, at most 200.
    pub touched_issue_urls: Vec<String>,
    /// How many there were to report, at most 10,000.
    pub touched_count: u64,
    /// The pass that the beat ran or joined; absent when none has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass_id: Option<Uuid>,
    /// Whether another beat ran that pass.
    pub coalesced: bool,
}

fn or_running<S: Serializer>(status: &Option<Status>, serializer: S) -> Result<S::Ok, S::Error> {
    match status {
        Some(status) => status.serialize(serializer),
        None => serializer.serialize_str("running"),
    }
}
