//! Handles heartbeats that no agent sends: EventBridge Scheduler keeps the cached issues fresh, and an operator
//! confirms an audit on hold.

use jiff::Timestamp;
use serde_json::Value;

use crate::app::App;
use crate::domain::{InvalidRepositoryName, RepositoryName, Status};
use crate::heartbeat::{self, AgentHeartbeatResponse, ScheduledRequest};

/// Why an invocation fails, so that alarms and retries see it.
#[derive(Debug, thiserror::Error)]
pub enum ScheduledBeatFailed {
    /// The heartbeat's status is `error`.
    #[error("the scheduled beat failed: {}", [&.0.errors[..], &.0.warnings].concat().join("; "))]
    Beat(Box<AgentHeartbeatResponse>),
    /// An operator's event does not name a repository.
    #[error("confirmation rejected: confirmAudit must be the name of one repository: {0}")]
    Name(#[from] InvalidRepositoryName),
}

/// Handles any event of the schedule, or an operator's `{"confirmAudit": "owner/name"}`. `deadline` is when the
/// invocation ends.
///
/// # Errors
///
/// If the heartbeat's status is `error`, or `confirmAudit` is not the name of a repository.
pub async fn handle(
    app: &App,
    event: Value,
    deadline: Option<Timestamp>,
) -> Result<AgentHeartbeatResponse, ScheduledBeatFailed> {
    let confirmed = event.get("confirmAudit").map(|name| match name {
        Value::String(name) => RepositoryName::parse(name),
        other => Err(InvalidRepositoryName(other.to_string())),
    });
    let confirmed = confirmed.transpose()?;
    let request = ScheduledRequest { deadline, confirmed: confirmed.as_ref() };
    let response = heartbeat::handle_scheduled(app, request).await;
    if response.status == Status::Error {
        return Err(ScheduledBeatFailed::Beat(Box::new(response)));
    }
    Ok(response)
}
