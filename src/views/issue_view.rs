//! An issue as lists show it, and alone.

use jiff::Timestamp;
use serde::Serialize;
use url::Url;
use utoipa::ToSchema;

use crate::domain::{
    CachedIssue, Change, Gone, IssueNumber, IssueState, RepositoryName, WorkStatus, millis, optional_millis,
};
use crate::store::ListedIssue;

/// An issue in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Issue)]
pub struct IssueView {
    /// `owner/name` of its repository on GitHub.
    #[schema(value_type = String)]
    pub repository: RepositoryName,
    /// Its number.
    #[schema(value_type = u64)]
    pub number: IssueNumber,
    /// Its page on GitHub.
    #[schema(format = "uri")]
    pub url: String,
    /// Its title.
    pub title: String,
    /// Open or closed.
    pub state: IssueState,
    /// The status of the work on it, from GitHub's state and `status/*` labels; null if they say nothing.
    #[schema(required)]
    pub status: Option<WorkStatus>,
    /// Its labels.
    pub labels: Vec<String>,
    /// The logins of its assignees.
    pub assignees: Vec<String>,
    /// The login of the account that opened it; null if the account is deleted.
    #[schema(required)]
    pub author: Option<String>,
    /// When it was opened.
    #[serde(with = "millis")]
    pub created_at: Timestamp,
    /// When it last changed, to the second.
    #[serde(with = "millis")]
    pub updated_at: Timestamp,
}

/// An issue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssueDetail {
    /// `owner/name` of its repository when it was last read.
    #[schema(value_type = String)]
    pub repository: RepositoryName,
    /// Its number.
    #[schema(value_type = u64)]
    pub number: IssueNumber,
    /// Its page on GitHub.
    #[schema(format = "uri")]
    pub url: String,
    /// Its title.
    pub title: String,
    /// Open or closed. What is `gone` has the state that it had before.
    pub state: IssueState,
    /// GitHub's reason for that state, for example `completed` or `not_planned`; null if there is none.
    #[schema(required)]
    pub state_reason: Option<String>,
    /// The status of the work on it, from GitHub's state and `status/*` labels; null if they say nothing.
    #[schema(required)]
    pub status: Option<WorkStatus>,
    /// Its labels.
    pub labels: Vec<String>,
    /// The logins of its assignees.
    pub assignees: Vec<String>,
    /// The login of the account that opened it; null if the account is deleted.
    #[schema(required)]
    pub author: Option<String>,
    /// When it was opened.
    #[serde(with = "millis")]
    pub created_at: Timestamp,
    /// When it last changed, to the second.
    #[serde(with = "millis")]
    pub updated_at: Timestamp,
    /// When it was closed; null while it is open.
    #[serde(with = "optional_millis")]
    #[schema(required)]
    pub closed_at: Option<Timestamp>,
    /// GitHub's `Date` when it was last read.
    #[serde(with = "millis")]
    pub read_at: Timestamp,
    /// What became of it, if GitHub no longer has it in this repository.
    #[schema(required)]
    pub gone: Option<GoneView>,
}

/// What became of an issue that GitHub no longer has in its repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Gone)]
pub struct GoneView {
    /// `moved`, `deleted`, `converted`, or `hidden`.
    pub reason: Change,
    /// The URL of a moved issue's new page, if GitHub shows it.
    #[schema(required, format = "uri")]
    pub moved_to: Option<String>,
    /// GitHub's `Date` when it confirmed that.
    #[serde(with = "millis")]
    pub proved_at: Timestamp,
}

impl IssueView {
    /// An issue of the repository that has this name on GitHub.
    pub(super) fn of(
        issue: ListedIssue,
        state: IssueState,
        repository: &RepositoryName,
        server: &Url,
    ) -> Self {
        Self {
            url: format!("{}/{repository}/issues/{}", server.as_str().trim_end_matches('/'), issue.number),
            repository: repository.clone(),
            number: issue.number,
            title: issue.title,
            state,
            status: issue.status,
            labels: issue.labels,
            assignees: issue.assignees,
            author: issue.author,
            created_at: issue.created_at,
            updated_at: issue.updated_at,
        }
    }
}

impl IssueDetail {
    pub(super) fn of(issue: CachedIssue, repository: RepositoryName) -> Self {
        Self {
            repository,
            number: issue.number,
            url: issue.url,
            title: issue.title,
            state: issue.state,
            state_reason: issue.state_reason,
            status: issue.status,
            labels: issue.labels,
            assignees: issue.assignees,
            author: issue.author,
            created_at: issue.created_at,
            updated_at: issue.updated_at,
            closed_at: issue.closed_at,
            read_at: issue.read_at,
            gone: issue.gone.map(GoneView::from),
        }
    }
}

impl From<Gone> for GoneView {
    fn from(Gone { removal, proved_at }: Gone) -> Self {
        Self { reason: removal.change(), moved_to: removal.moved_to().map(str::to_owned), proved_at }
    }
}
