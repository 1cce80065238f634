//! The AgentRuns of an agent.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::domain::{AgentName, AgentRun, RunType, Status, millis, optional_millis};

use super::page::{self, MAX_LIMIT, PageRequest, Position};
use super::read_error::ReadError;

/// After this time a run that is still `running` has died: no invocation of a function lasts longer than 180 s.
const LONGEST_RUN: Duration = Duration::from_secs(200);

/// The result of a run, or why it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// No problems.
    Ok,
    /// Part of the work was not done.
    Warning,
    /// The result is not reliable.
    Error,
    /// It is not answered yet.
    Running,
    /// It began more than 200 s ago and was never answered.
    Died,
}

/// The record of one heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AgentRun)]
pub struct RunView {
    /// A UUID of version 7: runs sort by their start.
    pub run_id: Uuid,
    /// The agent that sent the heartbeat.
    pub agent_name: String,
    /// What started it.
    pub r#type: RunType,
    /// Its result.
    pub status: RunStatus,
    /// When it started.
    #[serde(with = "millis")]
    pub started_at: Timestamp,
    /// When it was answered; null if it was not.
    #[serde(with = "optional_millis")]
    #[schema(required)]
    pub finished_at: Option<Timestamp>,
    /// What it did, in one sentence with counts.
    pub summary: String,
    /// The warnings, one line each.
    pub warnings: Vec<String>,
    /// The errors, one line each.
    pub errors: Vec<String>,
    /// The URLs of the reported issues, at most 200.
    pub touched_issue_urls: Vec<String>,
    /// The pages of the active issues with the verdict stop, at most 12.
    pub stop_issue_urls: Vec<String>,
    /// The number of issues that were to be reported, at most 10,000.
    pub touched_count: u64,
    /// The pass that it ran or joined; null if none has ended.
    #[schema(required)]
    pub pass_id: Option<Uuid>,
    /// Whether another heartbeat ran that pass.
    pub coalesced: bool,
}

/// A page of AgentRuns.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunPage {
    /// The runs, the newest first.
    pub runs: Vec<RunView>,
    /// The `cursor` of the next page; null on the last page. A filter may leave a page short, or empty, although there
    /// is a next one.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

impl RunStatus {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Ok, Self::Warning, Self::Error, Self::Running, Self::Died];

    /// The word in queries and responses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Running => "running",
            Self::Died => "died",
        }
    }

    fn of(run: &AgentRun, now: Timestamp) -> Self {
        match run.status {
            Some(Status::Ok) => Self::Ok,
            Some(Status::Warning) => Self::Warning,
            Some(Status::Error) => Self::Error,
            None => {
                let lasts = Duration::try_from(now.duration_since(run.started_at)).unwrap_or_default();
                if lasts > LONGEST_RUN { Self::Died } else { Self::Running }
            }
        }
    }
}

impl Position for Uuid {
    fn to_text(&self) -> String {
        self.to_string()
    }

    fn from_text(text: &str) -> Option<Self> {
        Self::try_parse(text).ok().filter(|id| id.to_string() == text)
    }
}

/// Lists the runs of an agent, the newest first.
///
/// # Errors
/// [`ReadError`] if the cursor is not one of this list, or if DynamoDB fails.
pub async fn runs(
    app: &App,
    agent: &AgentName,
    status: Option<RunStatus>,
    request: &PageRequest,
) -> Result<RunPage, ReadError> {
    let list = format!("runs {agent} {}", status.map_or("", RunStatus::as_str));
    let before = request.after(&list)?;
    let now = app.clock.now();
    let limit = if status.is_some() { MAX_LIMIT } else { request.limit };
    let read = app.store.runs(agent, before, limit, now).await?;
    let show = |run: &AgentRun| {
        let view = RunView::of(run.clone(), now);
        status.is_none_or(|status| status == view.status).then_some(view)
    };
    let (runs, next_cursor) =
        page::cut(read.records, read.reached, request.limit, &list, |run| run.run_id, show);
    Ok(RunPage { runs, next_cursor })
}

/// One run of an agent.
///
/// # Errors
/// [`ReadError::NotFound`] if there is none with this id; [`ReadError::Store`] if DynamoDB fails.
pub async fn run(app: &App, agent: &AgentName, id: Uuid) -> Result<RunView, ReadError> {
    let run = app.store.run(agent, id).await?;
    let run = run.ok_or(ReadError::NotFound("this agent has no run with this id; old runs are deleted"))?;
    Ok(RunView::of(run, app.clock.now()))
}

impl RunView {
    fn of(run: AgentRun, now: Timestamp) -> Self {
        Self {
            status: RunStatus::of(&run, now),
            run_id: run.run_id,
            agent_name: run.agent_name,
            r#type: run.run_type,
            started_at: run.started_at,
            finished_at: run.finished_at,
            summary: run.summary,
            warnings: run.warnings,
            errors: run.errors,
            touched_issue_urls: run.touched_issue_urls,
            stop_issue_urls: run.stop_issue_urls,
            touched_count: run.touched_count,
            pass_id: run.pass_id,
            coalesced: run.coalesced,
        }
    }
}
