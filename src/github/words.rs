//! GitHub's own words in an answer that is no success. A status alone proves nothing: proxies, gateways and an API
//! version that has ended answer 404, 410 and 301 too.

use reqwest::StatusCode;
use serde_json::{Map, Value};

use super::answer::Answer;
use super::closing_down::API_VERSION;
use super::{GitHubError, foreign};

/// What GitHub says in words that are known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Words {
    /// 404: not there, or not for this token.
    NotFound,
    /// 410: the issue that was asked for was deleted.
    IssueDeleted,
    /// 410: the repository's issues are switched off. A listing and a single issue are answered so.
    IssuesOff,
    /// 301: it is at another address, which `Location` gives.
    Moved,
}

impl Answer {
    /// What GitHub says; `None` where the body is no error of GitHub's, or has other words.
    pub(super) fn words(&self) -> Option<Words> {
        if self.status.is_success() {
            return None;
        }
        let message = self.message()?;
        let message = message.trim().trim_end_matches('.').to_ascii_lowercase();
        match (self.status, message.as_str()) {
            (StatusCode::NOT_FOUND, "not found") => Some(Words::NotFound),
            (StatusCode::GONE, "this issue was deleted") => Some(Words::IssueDeleted),
            // The words of today, and those of older Enterprise Servers.
            (
                StatusCode::GONE,
                "issues has been disabled in this repository" | "issues are disabled for this repo",
            ) => Some(Words::IssuesOff),
            (StatusCode::MOVED_PERMANENTLY, "moved permanently") => Some(Words::Moved),
            _ => None,
        }
    }

    /// Whether the body is an error as GitHub writes it, whatever it says.
    pub(super) fn is_githubs_error(&self) -> bool {
        self.message().is_some()
    }

    /// What an answer means that is not the one asked for.
    pub(super) fn refusal(&self) -> GitHubError {
        match self.words() {
            Some(Words::NotFound) => self.received.failed(GitHubError::NotFound),
            Some(Words::IssuesOff) => self.received.failed(GitHubError::IssuesDisabled),
            Some(Words::IssueDeleted | Words::Moved) | None => self.unexpected(),
        }
    }

    /// An answer that nothing follows from. The message gives its status and never its body.
    pub(super) fn unexpected(&self) -> GitHubError {
        let foreign = foreign::what_it_is(self.status, self.bytes());
        self.received.failed(GitHubError::Unexpected(foreign.unwrap_or_else(|| match self.status {
            StatusCode::GONE => format!(
                "status 410 without GitHub's words for a deleted issue or switched-off issues; GitHub answers 410 to \
                 everything once it has ended the REST API version {API_VERSION}, and a newer release of this \
                 service is needed then"
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
