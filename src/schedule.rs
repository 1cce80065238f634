//! Beats that no agent asked for: EventBridge keeps the copy fresh, and an operator confirms a held audit.

use jiff::Timestamp;
use serde_json::Value;

use crate::app::App;
use crate::domain::{InvalidRepositoryName, RepositoryName, RunType, Status};
use crate::heartbeat::{self, AgentHeartbeatResponse, BeatRequest};

/// Why an invocation fails, so that alarms and retries see it.
#[derive(Debug, thiserror::Error)]
pub enum ScheduledBeatFailed {
    /// The beat's status is `error`.
    #[error("the scheduled beat failed: {}", [&.0.errors[..], &.0.warnings].concat().join("; "))]
    Beat(Box<AgentHeartbeatResponse>),
    /// An operator's event names no repository.
    #[error("nothing was confirmed: confirmAudit takes the name of one repository: {0}")]
    Name(#[from] InvalidRepositoryName),
}

/// Answers a schedule's event, whatever it holds, or an operator's: `{"confirmAudit": "owner/name"}`.
/// `deadline` is when the invocation ends.
pub async fn beat(
    app: &App,
    event: Value,
    deadline: Option<Timestamp>,
) -> Result<AgentHeartbeatResponse, ScheduledBeatFailed> {
    let confirmed = event.get("confirmAudit").map(|name| match name {
        Value::String(name) => RepositoryName::parse(name),
        other => Err(InvalidRepositoryName(other.to_string())),
    });
    let confirmed = confirmed.transpose()?;
    let request = BeatRequest {
        agent: &app.config.schedule_agent_name,
        token: None,
        run_type: RunType::Scheduled,
        deadline,
        keyed: None,
        confirmed: confirmed.as_ref(),
    };
    let answer = heartbeat::beat(app, request).await;
    if answer.status == Status::Error {
        return Err(ScheduledBeatFailed::Beat(Box::new(answer)));
    }
    Ok(answer)
}
