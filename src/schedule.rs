//! A beat that no agent asked for: EventBridge Scheduler, or an EventBridge rule, keeps the copy fresh.

use jiff::Timestamp;

use crate::app::App;
use crate::domain::{RunType, Status};
use crate::heartbeat::{self, AgentHeartbeatResponse};

/// A scheduled beat whose status is `error`: the invocation fails, so that alarms and retries see it.
#[derive(Debug, thiserror::Error)]
#[error("the scheduled beat failed: {}", .0.errors.join("; "))]
pub struct ScheduledBeatFailed(pub Box<AgentHeartbeatResponse>);

/// Answers a schedule's event, whatever it holds. `deadline` is when the invocation ends.
pub async fn beat(
    app: &App,
    deadline: Option<Timestamp>,
) -> Result<AgentHeartbeatResponse, ScheduledBeatFailed> {
    let answer = heartbeat::beat(app, &app.config.schedule_agent_name, RunType::Scheduled, deadline).await;
    if answer.status == Status::Error {
        return Err(ScheduledBeatFailed(Box::new(answer)));
    }
    Ok(answer)
}
