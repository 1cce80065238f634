//! The record of one heartbeat.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Change, millis, optional_millis};

/// The result of a heartbeat, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// No problems.
    Ok,
    /// Part of the work was not done.
    Warning,
    /// The heartbeat's result is not reliable.
    Error,
}

impl Status {
    /// The word in responses, records and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What started the heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunType {
    /// A request of an agent.
    Heartbeat,
    /// The schedule.
    Scheduled,
}

impl RunType {
    /// The word in records and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Heartbeat => "heartbeat",
            Self::Scheduled => "scheduled",
        }
    }
}

/// A changed issue, as reported to agents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Touch)]
pub struct IssueChange {
    /// The issue's page on GitHub.
    #[schema(format = "uri")]
    pub url: String,
    /// The last change.
    pub change: Change,
    /// The new URL of a moved issue, if GitHub shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uri", nullable = false)]
    pub moved_to: Option<String>,
}

/// The record of one heartbeat, kept for `RUN_RETENTION_DAYS`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentRun {
    /// A UUID of version 7: runs sort by their start.
    pub run_id: Uuid,
    /// The agent that sent the heartbeat.
    pub agent_name: String,
    /// What started the heartbeat.
    #[serde(rename = "type")]
    pub run_type: RunType,
    /// Its result; `None` while it runs, stored as `running`. The record of a crashed heartbeat stays `running`.
    #[serde(serialize_with = "or_running", deserialize_with = "unless_running")]
    pub status: Option<Status>,
    /// When it started.
    #[serde(with = "millis")]
    pub started_at: Timestamp,
    /// When it was answered; absent while it runs.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// What the heartbeat did, in one sentence with counts.
    pub summary: String,
    /// The warnings, one line each.
    pub warnings: Vec<String>,
    /// The errors, one line each.
    pub errors: Vec<String>,
    /// The URLs of the reported issues, at most 200.
    pub touched_issue_urls: Vec<String>,
    /// The pages of the active issues with the verdict stop, at most 12.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop_issue_urls: Vec<String>,
    /// The number of issues that were to be reported, at most 10,000.
    pub touched_count: u64,
    /// The pass that the heartbeat ran or joined; absent if none has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass_id: Option<Uuid>,
    /// Whether another heartbeat ran that pass.
    pub coalesced: bool,
}

/// The stored status of a run that is not finished.
const RUNNING: &str = "running";

fn or_running<S: Serializer>(status: &Option<Status>, serializer: S) -> Result<S::Ok, S::Error> {
    match status {
        Some(status) => status.serialize(serializer),
        None => serializer.serialize_str(RUNNING),
    }
}

fn unless_running<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Status>, D::Error> {
    let word = String::deserialize(deserializer)?;
    if word == RUNNING {
        return Ok(None);
    }
    Status::deserialize(serde::de::value::StringDeserializer::new(word)).map(Some)
}
