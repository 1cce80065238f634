//! One issue (or pull request) as GitHub keeps it, with what it shows of it.
//!
//! GitHub shows some changes late: for a while a reader is given the version before, or nothing. That is
//! why an issue here keeps its previous version. Which numbers exist in a repository, and what a reader is
//! shown of a deleted or transferred one, is the repository's matter.

use jiff::Timestamp;

/// Everything of an issue that tests arrange and GitHub renders. Times are whole seconds.
#[derive(Clone, Debug)]
pub struct Issue {
    /// GitHub's id, unique among all repositories. A transferred issue gets a new one.
    pub id: u64,
    /// The number within its repository.
    pub number: u64,
    /// The title.
    pub title: String,
    /// The text; `None` renders as `null`.
    pub body: Option<String>,
    /// The author's login; `None` for a ghost, whose account is gone.
    pub user: Option<String>,
    /// Label names, in the order they were added.
    pub labels: Vec<String>,
    /// Logins of the assignees.
    pub assignees: Vec<String>,
    /// Open or closed.
    pub state: State,
    /// Why it is in this state: `completed`, `not_planned`, `duplicate`, `reopened`.
    pub state_reason: Option<String>,
    /// Whether its conversation is locked.
    pub locked: bool,
    /// How many comments it has.
    pub comments: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was closed, if it is.
    pub closed_at: Option<Timestamp>,
    /// Whether it is a pull request: GitHub lists those among the issues.
    pub is_pull_request: bool,
}

/// The two states of an issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is open.
    Open,
    /// It is closed.
    Closed,
}

impl Issue {
    pub(super) fn close(&mut self, now: Timestamp, reason: &str) {
        self.state = State::Closed;
        self.closed_at = Some(now);
        // Pull requests have no reason.
        self.state_reason = (!self.is_pull_request).then(|| reason.to_owned());
    }

    pub(super) fn reopen(&mut self) {
        self.state = State::Open;
        self.closed_at = None;
        self.state_reason = (!self.is_pull_request).then(|| "reopened".to_owned());
    }
}

/// An issue's current version, and what hides it from its readers.
#[derive(Clone, Debug)]
pub(super) struct Versions {
    pub(super) current: Issue,
    previous: Option<Issue>,
    late: Option<Late>,
    /// Readers get 404 and listings leave it out.
    pub(super) hidden: bool,
}

#[derive(Clone, Debug)]
struct Late {
    until: Timestamp,
    shown: Option<Issue>,
}

impl Versions {
    pub(super) fn new(issue: Issue) -> Self {
        Self { current: issue, previous: None, late: None, hidden: false }
    }

    /// Makes a version of its own of what `change` does.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Issue)) {
        self.previous = Some(self.current.clone());
        change(&mut self.current);
    }

    /// Makes the version before the current one the current one again. Nothing is shown late any more.
    pub(super) fn restore(&mut self) -> bool {
        let Some(before) = self.previous.take() else { return false };
        (self.current, self.late) = (before, None);
        true
    }

    /// Shows the version before the current one, or nothing, until `until`.
    pub(super) fn show_late(&mut self, until: Timestamp) {
        self.late = Some(Late { until, shown: self.previous.clone() });
    }

    /// What a reader sees at `now`. While a version is late, later ones are too.
    pub(super) fn visible(&self, now: Timestamp) -> Option<&Issue> {
        if self.hidden {
            return None;
        }
        match &self.late {
            Some(late) if now < late.until => late.shown.as_ref(),
            _ => Some(&self.current),
        }
    }

    /// Every version that could be shown again, for what concerns them all: a renamed label.
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Issue> {
        let shown = self.late.as_mut().and_then(|late| late.shown.as_mut());
        std::iter::once(&mut self.current).chain(self.previous.as_mut()).chain(shown)
    }
}
