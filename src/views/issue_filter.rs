//! Which issues a list shows.

use crate::domain::{IssueState, RepositoryName, WorkStatus};
use crate::store::ListedIssue;

/// Which issues a list shows: those that meet every condition.
#[derive(Clone, Debug, Default)]
pub struct IssueFilter {
    /// Only issues of this repository.
    pub repository: Option<RepositoryName>,
    /// Only issues with all of these labels. GitHub's labels are case-insensitive.
    pub labels: Vec<String>,
    /// Only issues with this status of the work; `Some(None)` is without one.
    pub status: Option<Option<WorkStatus>>,
    /// Only issues with such assignees.
    pub assignee: Option<Assignee>,
    /// Only issues in this state.
    pub state: StateFilter,
}

/// Which assignees an issue has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assignee {
    /// Nobody.
    Nobody,
    /// Anybody.
    Anybody,
    /// The account with this login. GitHub's logins are case-insensitive.
    Login(String),
}

/// The states of the issues that a list shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StateFilter {
    /// Open issues, read from their index.
    #[default]
    Open,
    /// Closed issues, read from the rows.
    Closed,
    /// Both, read from the rows.
    All,
}

impl Assignee {
    /// Reads GitHub's own words for this filter: `none`, `*`, or a login.
    ///
    /// # Errors
    /// A sentence about what is allowed.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let is_login = |login: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_[]".contains(&byte);
            login.len() <= 100 && login.bytes().all(allowed)
        };
        match text {
            "none" => Ok(Self::Nobody),
            "*" => Ok(Self::Anybody),
            login if is_login(login) => Ok(Self::Login(login.to_ascii_lowercase())),
            _ => Err("must be a login, `none` for issues without assignee, or `*` for those with one"),
        }
    }
}

impl IssueFilter {
    /// Whether a list shows the issue in this state.
    pub(super) fn shows(&self, state: IssueState, issue: &ListedIssue) -> bool {
        let has_label = |label: &String| {
            let label = label.to_lowercase();
            issue.labels.iter().any(|given| given.to_lowercase() == label)
        };
        let is_assigned = match &self.assignee {
            None => true,
            Some(Assignee::Nobody) => issue.assignees.is_empty(),
            Some(Assignee::Anybody) => !issue.assignees.is_empty(),
            Some(Assignee::Login(login)) => issue.assignees.iter().any(|it| it.eq_ignore_ascii_case(login)),
        };
        let is_in_state = match self.state {
            StateFilter::Open => state == IssueState::Open,
            StateFilter::Closed => state == IssueState::Closed,
            StateFilter::All => true,
        };
        let has_status = self.status.is_none_or(|status| issue.status == status);
        is_in_state && has_status && is_assigned && self.labels.iter().all(has_label)
    }

    /// Whether the list shows every open issue of its repositories.
    pub(super) fn shows_all_open(&self) -> bool {
        self.labels.is_empty()
            && self.status.is_none()
            && self.assignee.is_none()
            && self.state == StateFilter::Open
    }
}
