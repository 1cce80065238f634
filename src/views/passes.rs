//! The passes that changed something, had a problem, or deferred a repository. Others leave no record.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::domain::{Problem, RepositoryName, Status, millis};
use crate::store::PassRecord;

use super::page::{self, PageRequest};
use super::read_error::ReadError;

/// The record of a pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Pass)]
pub struct PassView {
    /// A UUID of version 7: passes sort by their start.
    pub pass_id: Uuid,
    /// When it began.
    #[serde(with = "millis")]
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(with = "millis")]
    pub ended_at: Timestamp,
    /// Its status.
    pub status: Status,
    /// What it did, in one sentence with counts.
    pub summary: String,
    /// Its problems.
    pub problems: Vec<Problem>,
    /// The number of issues that it changed, without those that have an excluded label.
    pub touched_count: u64,
    /// The repositories that it deferred to the next pass.
    #[schema(value_type = Vec<String>)]
    pub deferred: Vec<RepositoryName>,
    /// The number of its requests to GitHub.
    pub github_requests: u64,
}

/// A page of passes.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PassPage {
    /// The passes, the newest first.
    pub passes: Vec<PassView>,
    /// The `cursor` of the next page; null on the last page. Long or expired items may leave a page short, or empty,
    /// although there is a next one.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// Lists the recorded passes, the newest first.
///
/// # Errors
/// [`ReadError`] if the cursor is not one of this list, or if DynamoDB fails.
pub async fn passes(app: &App, request: &PageRequest) -> Result<PassPage, ReadError> {
    let before: Option<Uuid> = request.after("passes")?;
    let read = app.store.passes(before, request.limit, app.clock.now()).await?;
    let show = |pass: &PassRecord| Some(PassView::from(pass.clone()));
    let (passes, next_cursor) =
        page::cut(read.records, read.reached, request.limit, "passes", |pass| pass.pass_id, show);
    Ok(PassPage { passes, next_cursor })
}

/// One recorded pass.
///
/// # Errors
/// [`ReadError::NotFound`] if there is no record with this id; [`ReadError::Store`] if DynamoDB fails.
pub async fn pass(app: &App, id: Uuid) -> Result<PassView, ReadError> {
    let record = app.store.pass(id).await?;
    let none =
        "no pass with this id has a record: passes that changed nothing leave none, and old ones are deleted";
    record.map(PassView::from).ok_or(ReadError::NotFound(none))
}

impl From<PassRecord> for PassView {
    fn from(record: PassRecord) -> Self {
        Self {
            pass_id: record.pass_id,
            started_at: record.started_at,
            ended_at: record.ended_at,
            status: record.status,
            summary: record.summary,
            problems: record.problems,
            touched_count: record.touched,
            deferred: record.deferred,
            github_requests: record.github_requests,
        }
    }
}
