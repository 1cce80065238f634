//! Stores what a heartbeat leaves: the AgentRun, the response to a request with a key, and the agent's delivery cursor.

use uuid::Uuid;

use crate::app::App;
use crate::domain::{AgentRun, DeliveryCursor, JudgedIssues, Minute, kept_until};
use crate::store::{AnsweredHeartbeat, StoreError, WriteError};

use super::contract::AgentHeartbeatResponse;
use super::request::{Heartbeat, Recording};
use super::served::Served;

/// What a heartbeat leaves beside its response: in its AgentRun, and in its agent's item.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept<'a> {
    pub(super) cursor: DeliveryCursor,
    /// The pages of the issues with the verdict stop, for the AgentRun.
    pub(super) stop_pages: &'a [String],
    /// The agent's active issues; `None` if they stay as they are.
    pub(super) judged: Option<&'a JudgedIssues>,
}

/// Why a heartbeat is not fully recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotRecorded {
    pub(super) cause: Cause,
    /// Whether the AgentRun is stored nevertheless.
    pub(super) is_run_stored: bool,
}

/// What prevented a write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Cause {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a later attempt at the same request has taken over")]
    TakenOver,
    #[error("the stored state of its Idempotency-Key could not be read or written")]
    KeyUnknown,
}

impl From<WriteError> for Cause {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Superseded => Self::TakenOver,
            WriteError::Store(error) => Self::Store(error),
        }
    }
}

/// Records that a heartbeat starts a pass, so that a run that dies leaves a trace. A failure is only logged: the pass
/// is worth more than its trace.
pub(super) async fn record_start(app: &App, heartbeat: &Heartbeat<'_>, pass_id: Uuid) {
    let run = AgentRun {
        run_id: heartbeat.run_id,
        agent_name: heartbeat.agent.to_string(),
        run_type: heartbeat.origin.run_type(),
        status: None,
        started_at: heartbeat.started_at,
        finished_at: None,
        summary: "Running a pass.".to_owned(),
        warnings: Vec::new(),
        errors: Vec::new(),
        touched_issue_urls: Vec::new(),
        stop_issue_urls: Vec::new(),
        touched_count: 0,
        pass_id: Some(pass_id),
        coalesced: false,
    };
    if let Err(error) = put_run(app, heartbeat, &run).await {
        let run_id = run.run_id;
        tracing::warn!(run.id = %run_id, cause = %error, "Failed to record the start of run {run_id}.");
    }
}

/// Stores the run, then the response under the request's key, then the agent's delivery cursor. The cursor moves last,
/// so that changes in a lost response are replayed or reported again. It does not move if it is unknown because the
/// table could not be read, nor for scheduled heartbeats, which have none.
pub(super) async fn record(
    app: &App,
    heartbeat: &Heartbeat<'_>,
    served: &Served,
    response: &AgentHeartbeatResponse,
    kept: Kept<'_>,
) -> Result<(), NotRecorded> {
    let failed = |is_run_stored| move |cause| NotRecorded { cause, is_run_stored };
    put_run(app, heartbeat, &finished_run(heartbeat, served, response, kept)).await.map_err(failed(false))?;
    keep_response(app, heartbeat, response).await.map_err(failed(true))?;
    let sender = heartbeat.origin.sender().filter(|_| !matches!(served, Served::TableUnavailable));
    if let Some(sender) = sender {
        let answered = AnsweredHeartbeat {
            minute: Minute::of(heartbeat.started_at),
            delivery_cursor: kept.cursor,
            at: response.finished_at,
            token: sender.token,
            run_id: heartbeat.run_id,
            status: response.status,
            body: sender.body,
            judged: kept.judged,
            retention: app.config.run_retention,
        };
        let put = app.store.put_agent(heartbeat.agent, heartbeat.known.clone(), answered).await;
        put.map_err(Cause::from).map_err(failed(true))?;
    }
    Ok(())
}

/// Stores the corrected response over the one that said nothing of a failed write. If this fails too, the failure is in
/// the log alone.
pub(super) async fn correct(
    app: &App,
    heartbeat: &Heartbeat<'_>,
    served: &Served,
    response: &AgentHeartbeatResponse,
    kept: Kept<'_>,
) {
    let _ = put_run(app, heartbeat, &finished_run(heartbeat, served, response, kept)).await;
    let _ = keep_response(app, heartbeat, response).await;
}

async fn keep_response(
    app: &App,
    heartbeat: &Heartbeat<'_>,
    response: &AgentHeartbeatResponse,
) -> Result<(), Cause> {
    let Recording::Attempt(key, attempt) = &heartbeat.recording else { return Ok(()) };
    let text = serde_json::to_string(response).expect("a response serializes to JSON");
    let expires_at = kept_until(response.finished_at);
    Ok(app.store.keep_answer(heartbeat.agent, key, attempt, &text, expires_at).await?)
}

async fn put_run(app: &App, heartbeat: &Heartbeat<'_>, run: &AgentRun) -> Result<(), Cause> {
    let attempt = match &heartbeat.recording {
        Recording::Plain => None,
        Recording::Attempt(_, attempt) => Some(attempt),
        Recording::Off => return Err(Cause::KeyUnknown),
    };
    Ok(app.store.put_run(heartbeat.agent, run, attempt, app.config.run_retention).await?)
}

fn finished_run(
    heartbeat: &Heartbeat<'_>,
    served: &Served,
    response: &AgentHeartbeatResponse,
    kept: Kept<'_>,
) -> AgentRun {
    AgentRun {
        run_id: heartbeat.run_id,
        agent_name: heartbeat.agent.to_string(),
        run_type: heartbeat.origin.run_type(),
        status: Some(response.status),
        started_at: heartbeat.started_at,
        finished_at: Some(response.finished_at),
        summary: response.summary.clone(),
        warnings: response.warnings.clone(),
        errors: response.errors.clone(),
        touched_issue_urls: response.touched_issue_urls.clone(),
        stop_issue_urls: kept.stop_pages.to_vec(),
        touched_count: response.touched_count,
        pass_id: served.pass_id(),
        coalesced: served.is_coalesced(),
    }
}
