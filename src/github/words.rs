//! GitHub's own message in an unsuccessful answer. The status alone proves nothing: proxies, gateways and a
//! discontinued API version answer 404, 410 and 301 too.

use reqwest::StatusCode;
use serde_json::{Map, Value};

use super::answer::Answer;
use super::closing_down::API_VERSION;
use super::{GitHubError, foreign};

/// The messages that this service understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Words {
    /// 404: not there, or not for this token.
    NotFound,
    /// 410: the requested issue was deleted.
    IssueDeleted,
    /// 410: the repository's issues are disabled. GitHub answers so to requests for a listing or a single issue.
    IssuesOff,
    /// 301: it is at another address, which is in `Location`.
    Moved,
}

impl Answer {
    /// GitHub's message. `None` if the body is not an error of GitHub's, or has another message.
    pub(super) fn words(&self) -> Option<Words> {
        if self.status.is_success() {
            return None;
        }
        let message = self.message()?;
        let message = message.trim().trim_end_matches('.').to_ascii_lowercase();
        match (self.status, message.as_str()) {
            (StatusCode::NOT_FOUND, "not found") => Some(Words::NotFound),
            (StatusCode::GONE, "this issue was deleted") => Some(Words::IssueDeleted),
            // Today's message, and that of older Enterprise Servers.
            (
                StatusCode::GONE,
                "issues has been disabled in this repository" | "issues are disabled for this repo",
            ) => Some(Words::IssuesOff),
            (StatusCode::MOVED_PERMANENTLY, "moved permanently") => Some(Words::Moved),
            _ => None,
        }
    }

    /// Whether the body is an error in GitHub's form, with any message.
    pub(super) fn is_githubs_error(&self) -> bool {
        self.message().is_some()
    }

    /// The error of an unsuccessful answer.
    pub(super) fn refusal(&self) -> GitHubError {
        match self.words() {
            Some(Words::NotFound) => self.received.logged(GitHubError::NotFound),
            Some(Words::IssuesOff) => self.received.logged(GitHubError::IssuesDisabled),
            Some(Words::IssueDeleted | Words::Moved) | None => self.unexpected(),
        }
    }

    /// The error of an answer that proves nothing. It gives the status and never the body.
    pub(super) fn unexpected(&self) -> GitHubError {
        let foreign = foreign::description(self.status, self.bytes());
        self.received.logged(GitHubError::Unexpected(foreign.unwrap_or_else(|| match self.status {
            StatusCode::GONE => format!(
                "status 410 without GitHub's message for a deleted issue or disabled issues; GitHub answers 410 to \
                 every request once it discontinues the REST API version {API_VERSION}, and a newer release of \
                 this service is needed then"
            ),
            status => format!("status {}", status.as_u16()),
        })))
    }

    /// An error of GitHub's REST API is an object with a message.
    fn message(&self) -> Option<String> {
        let error: Map<String, Value> = serde_json::from_slice(self.bytes()).ok()?;
        error.get("message")?.as_str().map(str::to_owned)
    }
}
