//! Handles what no agent sends: EventBridge Scheduler keeps the cached issues fresh and finds silent agents, and an
//! operator confirms an audit on hold, or holds agents.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::app::App;
use crate::domain::{Hold, Holds, InvalidHold, InvalidRepositoryName, RepositoryName, Status};
use crate::heartbeat::{self, AgentHeartbeatResponse, ScheduledRequest};
use crate::store::HoldError;
use crate::sweep::{SweepFailed, Topic, sweep};

/// The answer to an invocation.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum ScheduleAnswer {
    /// Of the schedule's heartbeat, or of one that confirms an audit.
    Heartbeat(Box<AgentHeartbeatResponse>),
    /// Of a change to the holds.
    Holds {
        /// Those in force from now on.
        holds: Holds,
    },
}

/// Why an invocation fails, so that alarms and retries see it.
#[derive(Debug, thiserror::Error)]
pub enum ScheduledBeatFailed {
    /// The heartbeat's status is `error`.
    #[error("the scheduled beat failed: {}", [&.0.errors[..], &.0.warnings].concat().join("; "))]
    Beat(Box<AgentHeartbeatResponse>),
    /// The heartbeat succeeded, and the sweep for silent agents before it failed.
    #[error("the sweep for silent agents failed: {0}")]
    Sweep(#[from] SweepFailed),
    /// An operator's event does not name a repository.
    #[error("confirmation rejected: confirmAudit must be the name of one repository: {0}")]
    Name(#[from] InvalidRepositoryName),
    /// A hold could not be set or released.
    #[error("the holds are unchanged: {0}")]
    Holds(#[from] HoldError),
}

/// What an operator asks for.
enum Order {
    ConfirmAudit(RepositoryName),
    Hold(Hold),
    Release(String),
}

/// Handles any event of the schedule, or an operator's: `{"confirmAudit": "owner/name"}`,
/// `{"hold": "ci-*", "why": "a freeze"}`, or `{"release": "ci-*"}`. `deadline` is when the invocation ends.
///
/// A scheduled event first sweeps for silent agents, so that trouble with GitHub does not delay that. Messages go to
/// `topic`. A sweep that fails does not keep the pass from running.
///
/// # Errors
///
/// If the heartbeat's status is `error`, if the sweep failed, if `confirmAudit` is not the name of a repository, or if the
/// holds could not be changed.
pub async fn handle(
    app: &App,
    topic: Option<&Topic>,
    event: Value,
    deadline: Option<Timestamp>,
) -> Result<ScheduleAnswer, ScheduledBeatFailed> {
    let confirmed = match Order::read(&event, app.clock.now())? {
        Some(Order::Hold(hold)) => return change_holds(app, |holds| holds.with(hold.clone())).await,
        Some(Order::Release(pattern)) => return change_holds(app, |holds| holds.without(&pattern)).await,
        Some(Order::ConfirmAudit(repository)) => Some(repository),
        None => None,
    };
    let swept = match confirmed {
        Some(_) => Ok(()),
        None => sweep(app, topic).await,
    };
    let request = ScheduledRequest { deadline, confirmed: confirmed.as_ref() };
    let response = Box::new(heartbeat::handle_scheduled(app, request).await);
    if response.status == Status::Error {
        return Err(ScheduledBeatFailed::Beat(response));
    }
    swept?;
    Ok(ScheduleAnswer::Heartbeat(response))
}

async fn change_holds(
    app: &App,
    change: impl Fn(Holds) -> Result<Holds, InvalidHold>,
) -> Result<ScheduleAnswer, ScheduledBeatFailed> {
    let holds = app.store.change_holds(change).await?;
    let patterns: Vec<&str> = holds.as_slice().iter().map(|hold| hold.pattern.as_str()).collect();
    tracing::info!(holds = patterns.join(", "), "An operator changed the holds.");
    Ok(ScheduleAnswer::Holds { holds })
}

impl Order {
    /// The order in an event; `None` in one of the schedule's.
    fn read(event: &Value, now: Timestamp) -> Result<Option<Self>, ScheduledBeatFailed> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if let Some(name) = event.get("confirmAudit") {
            return Ok(Some(Self::ConfirmAudit(RepositoryName::parse(&text(name))?)));
        }
        if let Some(pattern) = event.get("hold") {
            let why = event.get("why").map(text).unwrap_or_default();
            let hold = Hold::new(&text(pattern), &why, now).map_err(HoldError::from)?;
            return Ok(Some(Self::Hold(hold)));
        }
        Ok(event.get("release").map(|pattern| Self::Release(text(pattern))))
    }
}
