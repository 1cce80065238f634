//! GitHub's JSON, with only the fields that this service reads.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;

use crate::domain::{Issue, IssueNumber, IssueState, RepositoryName};

use super::GitHubError;
use super::web::Web;

/// A new token of an installation. It cannot be printed.
#[derive(Deserialize)]
pub(super) struct InstallationToken {
    pub(super) token: String,
    pub(super) expires_at: Timestamp,
}

#[derive(Debug, Deserialize)]
pub(super) struct Repository {
    pub(super) id: u64,
    pub(super) full_name: String,
    #[serde(default)]
    pub(super) disabled: bool,
    pub(super) has_issues: Option<bool>,
}

/// A repository as the probe selects it. A nullable field is null if that part of the query failed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Probed {
    pub(super) database_id: Option<u64>,
    pub(super) name_with_owner: String,
    pub(super) is_disabled: bool,
    pub(super) has_issues_enabled: bool,
    pub(super) newest: Newest,
    pub(super) open: Counted,
}

#[derive(Debug, Deserialize)]
pub(super) struct Newest {
    pub(super) nodes: Option<Vec<Option<Updated>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Updated {
    pub(super) updated_at: Timestamp,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counted {
    pub(super) total_count: u64,
}

/// A page of a repository's open issues.
#[derive(Debug, Deserialize)]
pub(super) struct OpenIssues {
    pub(super) repository: Option<OpenIssuesOf>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OpenIssuesOf {
    pub(super) database_id: Option<u64>,
    pub(super) issues: OpenIssuesPage,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OpenIssuesPage {
    pub(super) total_count: u64,
    pub(super) page_info: PageInfo,
    pub(super) nodes: Option<Vec<Option<OpenIssue>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageInfo {
    pub(super) has_next_page: bool,
    pub(super) end_cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OpenIssue {
    pub(super) number: u64,
    pub(super) updated_at: Timestamp,
    pub(super) labels: Option<LabelNames>,
}

#[derive(Debug, Deserialize)]
pub(super) struct LabelNames {
    pub(super) nodes: Option<Vec<Option<LabelName>>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct LabelName {
    pub(super) name: String,
}

/// One entry of a listing: an issue, or a pull request if it has `pull_request`.
#[derive(Debug, Deserialize)]
pub(super) struct Entry<'a> {
    number: u64,
    repository_url: Option<String>,
    title: String,
    #[serde(borrow)]
    body: Option<Cow<'a, str>>,
    html_url: String,
    state: State,
    state_reason: Option<String>,
    #[serde(default)]
    labels: Vec<Label>,
    #[serde(default)]
    assignees: Option<Vec<Account>>,
    user: Option<Account>,
    created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    closed_at: Option<Timestamp>,
    pull_request: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Open,
    Closed,
}

/// GitHub's schema allows a label to be its bare name.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Label {
    Object { name: Option<String> },
    Name(String),
}

#[derive(Debug, Deserialize)]
struct Account {
    login: String,
}

impl Entry<'_> {
    pub(super) fn number(&self) -> IssueNumber {
        IssueNumber(self.number)
    }

    /// Whether it may belong to the repository with this name. It may not name its repository.
    pub(super) fn may_be_of(&self, name: &RepositoryName) -> bool {
        let of = self.repository_url.as_deref().and_then(|url| url.rsplit_once("/repos/"));
        of.is_none_or(|(_, of)| of.eq_ignore_ascii_case(name.as_str()))
    }

    /// The issue. `None` for a pull request.
    pub(super) fn into_issue(self, web: &Web) -> Result<Option<Issue>, GitHubError> {
        if self.pull_request.is_some() {
            return Ok(None);
        }
        let number = IssueNumber(self.number);
        let url = web.page(number, &self.html_url).ok_or_else(|| {
            GitHubError::Unexpected(format!("html_url of issue {number} is not an issue page"))
        })?;
        let issue = Issue {
            number,
            title: self.title,
            url,
            state: match self.state {
                State::Open => IssueState::Open,
                State::Closed => IssueState::Closed,
            },
            state_reason: self.state_reason,
            labels: self
                .labels
                .into_iter()
                .filter_map(|label| match label {
                    Label::Object { name } => name,
                    Label::Name(name) => Some(name),
                })
                .collect(),
            assignees: self.assignees.into_iter().flatten().map(|account| account.login).collect(),
            author: self.user.map(|account| account.login),
            created_at: self.created_at,
            updated_at: self.updated_at,
            closed_at: self.closed_at,
            digest: String::new(),
        };
        let digest = issue.digest_with(self.body.as_deref().unwrap_or_default());
        Ok(Some(Issue { digest, ..issue }))
    }
}
