//! The feed of changes, for programs that follow all of them.

use serde::Serialize;
use url::Url;
use utoipa::ToSchema;

use crate::app::App;
use crate::domain::{Change, IssueNumber, RepositoryName};
use crate::feed::{self, FollowError, ReportedChange};

use super::read_error::ReadError;

/// A page of changes.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangePage {
    /// The issues that changed, each once with its last change, in the order of their last changes. Changes of very many
    /// repositories come one repository after another.
    pub changes: Vec<ChangeView>,
    /// The `after` of the next request; null before the first pass has ended. It equals the given one if nothing has
    /// changed.
    #[schema(required)]
    pub next_cursor: Option<String>,
    /// Whether there are more changes now.
    pub has_more: bool,
    /// After how many seconds new changes may be there.
    #[serde(skip)]
    pub poll_seconds: u64,
}

/// An issue that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = IssueChange)]
pub struct ChangeView {
    /// `owner/name` of its repository.
    #[schema(required, value_type = Option<String>)]
    pub repository: Option<RepositoryName>,
    /// Its number.
    #[schema(value_type = u64)]
    pub number: IssueNumber,
    /// Its page on GitHub.
    #[schema(format = "uri")]
    pub url: String,
    /// Its last change.
    pub change: Change,
    /// The URL of a moved issue's new page, if GitHub shows it.
    #[schema(required, format = "uri")]
    pub moved_to: Option<String>,
}

/// Lists the changes after a cursor, or none and the present cursor.
///
/// # Errors
/// [`ReadError::Parameter`] if the text is no cursor, [`ReadError::Gone`] if it is one of another table, or
/// [`ReadError::Store`] if DynamoDB fails.
pub async fn changes(app: &App, after: Option<&str>, limit: u16) -> Result<ChangePage, ReadError> {
    let page = feed::follow(app, after, limit.into()).await.map_err(|error| match error {
        FollowError::InvalidCursor => ReadError::Parameter {
            name: "after",
            detail: "is not a cursor of the changes; pass on the nextCursor of a response unchanged",
        },
        FollowError::OtherTable => ReadError::Gone(
            "this cursor is of a table that was replaced or restored since; start again: request the changes without \
             `after`, list the issues, then follow from that response's nextCursor",
        ),
        FollowError::Store(error) => ReadError::Store(error),
    })?;
    let server = &app.config.github_server_url;
    Ok(ChangePage {
        changes: page.changes.into_iter().map(|change| ChangeView::of(change, server)).collect(),
        next_cursor: page.next_cursor,
        has_more: page.has_more,
        poll_seconds: page.poll_seconds,
    })
}

/// The repository of an issue's page.
pub(super) fn repository_of(url: &str, server: &Url) -> Option<RepositoryName> {
    let path = url.strip_prefix(server.as_str().trim_end_matches('/'))?.trim_start_matches('/');
    RepositoryName::parse(path.split_once("/issues/")?.0).ok()
}

impl ChangeView {
    fn of(change: ReportedChange, server: &Url) -> Self {
        Self {
            repository: repository_of(&change.issue.url, server),
            number: change.number,
            url: change.issue.url,
            change: change.issue.change,
            moved_to: change.issue.moved_to,
        }
    }
}
