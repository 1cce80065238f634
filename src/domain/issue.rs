//! An issue as GitHub returns it, and as the cache stores it.

use std::collections::HashSet;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::digest::hex;
use super::{millis, optional_millis};

/// An issue's number within its repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IssueNumber(pub u64);

impl fmt::Display for IssueNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// GitHub's state of an issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum IssueState {
    /// Open.
    Open,
    /// Closed: done, or not planned.
    Closed,
}

/// The status of the work on an issue, derived from GitHub's state and `status/*` labels, never written back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WorkStatus {
    /// Somebody works on it.
    InProgress,
    /// It waits for a review.
    InReview,
    /// It is ready to be worked on.
    Ready,
    /// It is not planned yet.
    Backlog,
    /// The issue is closed, whatever its labels say.
    Done,
}

impl WorkStatus {
    /// `Done` if closed, otherwise the first of in-progress, in-review, ready and backlog with a label `status/<word>`,
    /// otherwise `None`. An open issue is never done.
    pub fn of(state: IssueState, labels: &[String]) -> Option<Self> {
        if state == IssueState::Closed {
            return Some(Self::Done);
        }
        [
            (Self::InProgress, "status/in-progress"),
            (Self::InReview, "status/in-review"),
            (Self::Ready, "status/ready"),
            (Self::Backlog, "status/backlog"),
        ]
        .into_iter()
        .find(|(_, label)| labels.iter().any(|given| given.eq_ignore_ascii_case(label)))
        .map(|(status, _)| status)
    }
}

/// An issue as GitHub returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Its number.
    pub number: IssueNumber,
    /// Its title.
    pub title: String,
    /// The URL of its page on GitHub.
    pub url: String,
    /// Open or closed.
    pub state: IssueState,
    /// Why it is in that state: `completed`, `not_planned`, `duplicate`, `reopened`, or `None`.
    pub state_reason: Option<String>,
    /// Its labels' names, in GitHub's order.
    pub labels: Vec<String>,
    /// Its assignees' logins, in GitHub's order.
    pub assignees: Vec<String>,
    /// The login of the account that opened it; `None` if the account is deleted.
    pub author: Option<String>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it last changed, to the second.
    pub updated_at: Timestamp,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// The digest of all fields that are shown or compared, and of the body, which is not stored. Two versions of an
    /// issue with the same digest count as equal.
    pub digest: String,
}

impl Issue {
    /// The digest of an issue with this body.
    pub fn digest_with(&self, body: &str) -> String {
        let mut digest = Sha256::new();
        let mut part = |text: &str| {
            // The length separates neighbouring parts.
            digest.update((text.len() as u64).to_be_bytes());
            digest.update(text);
        };
        part(&self.title);
        part(body);
        part(match self.state {
            IssueState::Open => "open",
            IssueState::Closed => "closed",
        });
        part(self.state_reason.as_deref().unwrap_or_default());
        part(&labels_digest(&self.labels));
        part(&sorted(&self.assignees).join(","));
        hex(&digest.finalize()[..16])
    }
}

/// A short digest of the labels in any order. Audits compare it.
pub fn labels_digest(labels: &[String]) -> String {
    let mut digest = Sha256::new();
    for label in sorted(labels) {
        digest.update((label.len() as u64).to_be_bytes());
        digest.update(label);
    }
    hex(&digest.finalize()[..8])
}

/// Whether one of the `given` labels is in the set `labels` of lower-case ones. GitHub's labels are case-insensitive.
pub fn has_label_in(given: &[String], labels: &HashSet<String>) -> bool {
    !labels.is_empty() && given.iter().any(|label| labels.contains(&label.to_lowercase()))
}

fn sorted(words: &[String]) -> Vec<&str> {
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    words.sort_unstable();
    words
}

/// An issue together with the `Date` of the response that contained it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The issue.
    pub issue: Issue,
    /// The `Date` of the response.
    pub read_at: Timestamp,
}

/// A pull request in a listing. Its number may be that of a cached issue: an issue that is converted keeps its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PullRequest {
    /// Its number.
    pub number: IssueNumber,
    /// When it last changed, to the second.
    pub updated_at: Timestamp,
    /// The `Date` of the response.
    pub read_at: Timestamp,
}

/// GitHub's confirmation that an issue is gone. Only a response about that very issue creates one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gone {
    /// What became of it.
    #[serde(flatten)]
    pub removal: Removal,
    /// The `Date` of the response that confirmed it.
    #[serde(with = "millis")]
    pub proved_at: Timestamp,
}

/// How an issue left its repository's open issues without being closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "lowercase")]
pub enum Removal {
    /// It was transferred to another repository.
    Moved {
        /// The URL of its new page, if GitHub shows it.
        #[serde(rename = "movedTo", default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
    },
    /// It was deleted.
    Deleted,
    /// It was turned into a pull request, which has the same number.
    Converted,
    /// GitHub no longer shows it and does not say why.
    Hidden,
}

impl Removal {
    /// The change that is reported to agents.
    pub fn change(&self) -> Change {
        match self {
            Self::Moved { .. } => Change::Moved,
            Self::Deleted => Change::Deleted,
            Self::Converted => Change::Converted,
            Self::Hidden => Change::Hidden,
        }
    }

    /// The URL of a moved issue's new page, if GitHub shows it.
    pub fn moved_to(&self) -> Option<&str> {
        match self {
            Self::Moved { to } => to.as_deref(),
            Self::Deleted | Self::Converted | Self::Hidden => None,
        }
    }
}

/// What happened to an issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It is new to the cache and open.
    Opened,
    /// Something about it changed, and nothing else in this list happened.
    Edited,
    /// It was closed.
    Closed,
    /// It was opened again, or is back after it had gone.
    Reopened,
    /// It was transferred to another repository.
    Moved,
    /// It was deleted.
    Deleted,
    /// It was turned into a pull request, which has the same number.
    Converted,
    /// GitHub does not show it any more and does not say why.
    Hidden,
}

/// When a row last changed, as fences. The change is delivered to agents whose cursor is behind the fence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeMarker {
    /// The fence of the last pass that changed the row; `None` for a row that only a backfill has written.
    #[serde(rename = "changeFence", default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<u64>,
    /// The last change that was more than an edit.
    #[serde(rename = "change", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Change>,
    /// The fence of that change.
    #[serde(rename = "changeKindFence", default, skip_serializing_if = "Option::is_none")]
    pub kind_fence: Option<u64>,
}

impl ChangeMarker {
    /// The marker after a change under `fence`. An edit keeps the last change that was more than an edit.
    pub fn with(self, change: Change, fence: u64) -> Self {
        match change {
            Change::Edited => Self { fence: Some(fence), ..self },
            kind => Self { fence: Some(fence), kind: Some(kind), kind_fence: Some(fence) },
        }
    }

    /// The same change, to be delivered again under a newer fence.
    pub fn renewed(self, fence: u64) -> Self {
        let kind_fence = if self.kind_fence == self.fence { Some(fence) } else { self.kind_fence };
        Self { fence: Some(fence), kind_fence, ..self }
    }
}

/// An issue as the cache stores it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CachedIssue {
    /// Its number.
    pub number: IssueNumber,
    /// Its title.
    pub title: String,
    /// The URL of its page on GitHub.
    pub url: String,
    /// Open or closed.
    pub state: IssueState,
    /// GitHub's reason for that state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_reason: Option<String>,
    /// The derived status of the work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<WorkStatus>,
    /// GitHub's labels as they are.
    pub labels: Vec<String>,
    /// The assignees' logins.
    pub assignees: Vec<String>,
    /// The login of the account that opened it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// When it was opened.
    #[serde(with = "millis")]
    pub created_at: Timestamp,
    /// GitHub's `updated_at`.
    #[serde(with = "millis")]
    pub updated_at: Timestamp,
    /// When it was closed.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Timestamp>,
    /// [`Issue::digest`] of the read issue.
    pub digest: String,
    /// The `Date` of the response that it was read from.
    #[serde(with = "millis")]
    pub read_at: Timestamp,
    /// The tombstone: set if GitHub no longer has the issue in this repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<Gone>,
    /// The new URL of a moved issue: a copy that the index of changes can project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<String>,
    /// The `Date` at which GitHub first answered 404 for the issue in an audit.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<Timestamp>,
    /// When it last changed, for delivery to agents.
    #[serde(flatten)]
    pub change_marker: ChangeMarker,
    /// The number of writes of this row. Each write is conditional on the revision that it was planned on.
    pub revision: u64,
}

impl CachedIssue {
    /// Whether it counts as open: open on GitHub and not gone.
    pub fn is_open(&self) -> bool {
        self.state == IssueState::Open && self.gone.is_none()
    }

    /// Whether it has one of these labels, given in lower case.
    pub fn has_label_in(&self, labels: &HashSet<String>) -> bool {
        has_label_in(&self.labels, labels)
    }

    /// The row that replaces `previous` after GitHub returned `seen`. Its change marker is still the previous one.
    pub fn showing(seen: &Observation, previous: Option<&Self>) -> Self {
        let Issue { number, title, url, state, state_reason, labels, assignees, author, digest, .. } =
            seen.issue.clone();
        Self {
            number,
            title,
            url,
            state,
            state_reason,
            status: WorkStatus::of(state, &labels),
            labels,
            assignees,
            author,
            created_at: seen.issue.created_at,
            updated_at: seen.issue.updated_at,
            closed_at: seen.issue.closed_at,
            digest,
            read_at: seen.read_at,
            gone: None,
            moved_to: None,
            missing_since: None,
            change_marker: previous.map(|row| row.change_marker).unwrap_or_default(),
            revision: previous.map_or(0, |row| row.revision) + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{IssueState, WorkStatus};

    #[test]
    fn work_status_follows_the_state_then_the_first_status_label() {
        let status = |state, labels: &[&str]| {
            WorkStatus::of(state, &labels.iter().map(|label| (*label).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(status(IssueState::Closed, &["status/ready"]), Some(WorkStatus::Done));
        assert_eq!(status(IssueState::Open, &["status/done"]), None);
        assert_eq!(status(IssueState::Open, &["bug"]), None);
        assert_eq!(
            status(IssueState::Open, &["status/backlog", "Status/In-Progress"]),
            Some(WorkStatus::InProgress)
        );
    }
}
