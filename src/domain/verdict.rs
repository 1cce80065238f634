//! What an agent should do about an issue that it works on.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CachedIssue, IssueState, Removal};

/// What an agent should do about an issue that it works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Go on: the issue is open, and nothing is known against it.
    Go,
    /// Look for yourself: the service does not know.
    Check,
    /// Stop: the issue is not to be worked on any more.
    Stop,
}

/// Why an issue has its verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerdictReason {
    /// `go`: it is open.
    Open,
    /// `stop`: it is closed.
    Closed,
    /// `stop`: it was transferred to another repository.
    Moved,
    /// `stop`: it was deleted.
    Deleted,
    /// `stop`: GitHub no longer shows it, as two audits found, and does not say why.
    Hidden,
    /// `stop`: it was turned into a pull request.
    Converted,
    /// `stop`: it has one of the labels in `EXCLUDED_LABELS`.
    Excluded,
    /// `stop`: an operator holds this agent.
    Held,
    /// `check`: GitHub did not show it once. The next audit decides.
    Missing,
    /// `check`: no issue with this number has been read.
    NotSeen,
    /// `check`: the first listing of its repository is unfinished.
    NotReady,
    /// `check`: its repository is not in `REPOSITORIES`.
    Untracked,
    /// `check`: the address is not that of an issue on the configured web site.
    NotAnIssue,
    /// `check`: GitHub lists it in a form that cannot be read.
    Unreadable,
    /// `check`: only the first twelve issues of a declaration are judged.
    TooMany,
    /// `check`: it is assigned, and not to the agent's `login`.
    Reassigned,
    /// `check`: it was open, but its repository could not be read since.
    Stale,
}

/// A verdict, with what is known about its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueVerdict {
    /// Why.
    pub reason: VerdictReason,
    /// GitHub's reason for closing a closed issue.
    pub state_reason: Option<String>,
    /// The new page of a moved issue, if GitHub shows it.
    pub moved_to: Option<String>,
}

/// What is known about an issue's repository when the issue is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether passes still read it.
    pub is_tracked: bool,
    /// Whether its first listing is finished.
    pub is_ready: bool,
    /// Whether the last pass left it in sync, and is not too long ago.
    pub is_current: bool,
    /// Whether GitHub lists this very issue in a form that cannot be read.
    pub is_unreadable: bool,
}

impl VerdictReason {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Open,
        Self::Closed,
        Self::Moved,
        Self::Deleted,
        Self::Hidden,
        Self::Converted,
        Self::Excluded,
        Self::Held,
        Self::Missing,
        Self::NotSeen,
        Self::NotReady,
        Self::Untracked,
        Self::NotAnIssue,
        Self::Unreadable,
        Self::TooMany,
        Self::Reassigned,
        Self::Stale,
    ];

    /// The verdict that follows from it.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Open => Verdict::Go,
            Self::Closed
            | Self::Moved
            | Self::Deleted
            | Self::Hidden
            | Self::Converted
            | Self::Excluded
            | Self::Held => Verdict::Stop,
            Self::Missing
            | Self::NotSeen
            | Self::NotReady
            | Self::Untracked
            | Self::NotAnIssue
            | Self::Unreadable
            | Self::TooMany
            | Self::Reassigned
            | Self::Stale => Verdict::Check,
        }
    }
}

impl IssueVerdict {
    /// A verdict about which nothing more is known than its reason.
    pub fn of(reason: VerdictReason) -> Self {
        Self { reason, state_reason: None, moved_to: None }
    }

    /// The verdict about a tracked repository's issue with this row, for an agent with this login at GitHub. `excluded`
    /// are the labels, in lower case, of issues that agents must not work on.
    ///
    /// What ends the work on an issue counts before any doubt about the row.
    pub fn about(
        row: Option<&CachedIssue>,
        standing: Standing,
        login: Option<&str>,
        excluded: &HashSet<String>,
    ) -> Self {
        let Some(row) = row else {
            return Self::of(match standing {
                Standing { is_tracked: false, .. } => VerdictReason::Untracked,
                Standing { is_unreadable: true, .. } => VerdictReason::Unreadable,
                Standing { is_ready: false, .. } => VerdictReason::NotReady,
                _ => VerdictReason::NotSeen,
            });
        };
        let is_others = |login: &str| {
            !row.assignees.is_empty() && !row.assignees.iter().any(|of| of.eq_ignore_ascii_case(login))
        };
        if let Some(gone) = &row.gone {
            let moved_to = gone.removal.moved_to().map(str::to_owned);
            return Self { moved_to, ..Self::of(removed(&gone.removal)) };
        }
        Self::of(match row.state {
            IssueState::Closed => {
                return Self { state_reason: row.state_reason.clone(), ..Self::of(VerdictReason::Closed) };
            }
            IssueState::Open if row.has_label_in(excluded) => VerdictReason::Excluded,
            IssueState::Open if standing.is_tracked && row.missing_since.is_some() => VerdictReason::Missing,
            IssueState::Open => match Self::about_open(standing) {
                VerdictReason::Open if login.is_some_and(is_others) => VerdictReason::Reassigned,
                reason => reason,
            },
        })
    }

    /// Why an issue whose row is open, and has nothing against it, has its verdict.
    pub fn about_open(standing: Standing) -> VerdictReason {
        match standing {
            Standing { is_tracked: false, .. } => VerdictReason::Untracked,
            Standing { is_unreadable: true, .. } => VerdictReason::Unreadable,
            Standing { is_current: false, .. } => VerdictReason::Stale,
            _ => VerdictReason::Open,
        }
    }

    /// What the agent should do.
    pub fn verdict(&self) -> Verdict {
        self.reason.verdict()
    }
}

fn removed(removal: &Removal) -> VerdictReason {
    match removal {
        Removal::Moved { .. } => VerdictReason::Moved,
        Removal::Deleted => VerdictReason::Deleted,
        Removal::Converted => VerdictReason::Converted,
        Removal::Hidden => VerdictReason::Hidden,
    }
}

/// One sentence without a full stop, for a person or a model that has to act on it.
impl fmt::Display for IssueVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.reason {
            VerdictReason::Open => "the issue is open",
            VerdictReason::Closed => match self.state_reason.as_deref() {
                Some("completed") => "the issue was closed as completed",
                Some("not_planned") => "the issue was closed as not planned",
                Some("duplicate") => "the issue was closed as a duplicate",
                _ => "the issue was closed",
            },
            VerdictReason::Moved => match &self.moved_to {
                Some(to) => return write!(f, "the issue was transferred to {to}"),
                None => "the issue was transferred to a repository that GitHub does not show",
            },
            VerdictReason::Deleted => "the issue was deleted",
            VerdictReason::Hidden => "GitHub no longer shows the issue and does not say why",
            VerdictReason::Converted => "the issue was turned into a pull request",
            VerdictReason::Excluded => "the issue has a label that keeps agents away (EXCLUDED_LABELS)",
            VerdictReason::Held => "an operator holds this agent",
            VerdictReason::Missing => "GitHub did not show the issue once; the next audit decides",
            VerdictReason::NotSeen => "no issue with this number has been read in the repository",
            VerdictReason::NotReady => "the first listing of the repository is unfinished",
            VerdictReason::Untracked => {
                "the repository is not tracked; an operator can add it to REPOSITORIES"
            }
            VerdictReason::NotAnIssue => {
                "this is not the address of an issue's page on the configured GitHub"
            }
            VerdictReason::Unreadable => "GitHub lists the issue in a form that cannot be read",
            VerdictReason::TooMany => "only the first twelve active issues are judged; declare fewer",
            VerdictReason::Reassigned => "the issue is assigned to somebody else than this agent's login",
            VerdictReason::Stale => "the issue was open, but its repository could not be read since",
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::domain::{Gone, Removal};

    const GOOD: Standing =
        Standing { is_tracked: true, is_ready: true, is_current: true, is_unreadable: false };

    fn row() -> CachedIssue {
        let row = json!({
            "number": 7, "title": "t", "url": "https://github.com/acme/api/issues/7", "state": "open",
            "labels": [], "assignees": [], "createdAt": "2026-01-01T00:00:00Z",
            "updatedAt": "2026-01-01T00:00:00Z", "digest": "d", "readAt": "2026-01-01T00:00:00Z", "revision": 1,
        });
        serde_json::from_value(row).expect("a row")
    }

    fn judged(row: Option<&CachedIssue>, standing: Standing, login: Option<&str>) -> VerdictReason {
        let excluded = HashSet::from(["epic".to_owned()]);
        IssueVerdict::about(row, standing, login, &excluded).reason
    }

    #[test]
    fn every_reason_has_its_verdict_and_its_sentence() {
        let sentences = VerdictReason::ALL.map(|reason| {
            let word = serde_json::to_value((reason.verdict(), reason)).expect("words");
            format!("{} {}: {}", word[0], word[1], IssueVerdict::of(reason)).replace('"', "")
        });
        insta::assert_snapshot!(sentences.join("\n"), @"
        go open: the issue is open
        stop closed: the issue was closed
        stop moved: the issue was transferred to a repository that GitHub does not show
        stop deleted: the issue was deleted
        stop hidden: GitHub no longer shows the issue and does not say why
        stop converted: the issue was turned into a pull request
        stop excluded: the issue has a label that keeps agents away (EXCLUDED_LABELS)
        stop held: an operator holds this agent
        check missing: GitHub did not show the issue once; the next audit decides
        check not_seen: no issue with this number has been read in the repository
        check not_ready: the first listing of the repository is unfinished
        check untracked: the repository is not tracked; an operator can add it to REPOSITORIES
        check not_an_issue: this is not the address of an issue's page on the configured GitHub
        check unreadable: GitHub lists the issue in a form that cannot be read
        check too_many: only the first twelve active issues are judged; declare fewer
        check reassigned: the issue is assigned to somebody else than this agent's login
        check stale: the issue was open, but its repository could not be read since
        ");
        let closed = |why: &str| IssueVerdict {
            state_reason: Some(why.to_owned()),
            ..IssueVerdict::of(VerdictReason::Closed)
        };
        let closed = ["completed", "not_planned", "duplicate", "else"].map(|why| closed(why).to_string());
        insta::assert_snapshot!(closed.join("\n"), @"
        the issue was closed as completed
        the issue was closed as not planned
        the issue was closed as a duplicate
        the issue was closed
        ");
        let moved = IssueVerdict {
            moved_to: Some("https://github.com/a/b/issues/1".to_owned()),
            ..IssueVerdict::of(VerdictReason::Moved)
        };
        insta::assert_snapshot!(moved, @"the issue was transferred to https://github.com/a/b/issues/1");
    }

    #[test]
    fn verdict_follows_the_row() {
        let changed = |change: fn(&mut CachedIssue)| {
            let mut row = row();
            change(&mut row);
            judged(Some(&row), GOOD, Some("me"))
        };
        let gone = |removal| Gone { removal, proved_at: Timestamp::UNIX_EPOCH };
        let removed = |removal| judged(Some(&CachedIssue { gone: Some(gone(removal)), ..row() }), GOOD, None);
        assert_eq!(changed(|_| ()), VerdictReason::Open);
        assert_eq!(changed(|row| row.state = IssueState::Closed), VerdictReason::Closed);
        assert_eq!(changed(|row| row.labels = vec!["Epic".to_owned()]), VerdictReason::Excluded);
        assert_eq!(changed(|row| row.missing_since = Some(Timestamp::UNIX_EPOCH)), VerdictReason::Missing);
        assert_eq!(changed(|row| row.assignees = vec!["you".to_owned()]), VerdictReason::Reassigned);
        assert_eq!(
            changed(|row| row.assignees = vec!["you".to_owned(), "Me".to_owned()]),
            VerdictReason::Open
        );
        assert_eq!(removed(Removal::Deleted), VerdictReason::Deleted);
        assert_eq!(removed(Removal::Hidden), VerdictReason::Hidden);
        assert_eq!(removed(Removal::Converted), VerdictReason::Converted);
        assert_eq!(removed(Removal::Moved { to: None }), VerdictReason::Moved);
    }

    #[test]
    fn assignees_count_only_for_an_agent_with_a_login() {
        let assigned = CachedIssue { assignees: vec!["you".to_owned()], ..row() };
        assert_eq!(judged(Some(&assigned), GOOD, None), VerdictReason::Open);
        assert_eq!(judged(Some(&row()), GOOD, Some("me")), VerdictReason::Open);
    }

    #[test]
    fn doubt_about_the_copy_never_hides_that_the_work_is_over() {
        let bad = Standing { is_tracked: true, is_ready: false, is_current: false, is_unreadable: true };
        let closed = CachedIssue { state: IssueState::Closed, ..row() };
        assert_eq!(judged(Some(&closed), bad, None), VerdictReason::Closed);
        assert_eq!(judged(Some(&row()), bad, None), VerdictReason::Unreadable);
        assert_eq!(judged(Some(&row()), Standing { is_current: false, ..GOOD }, None), VerdictReason::Stale);
        assert_eq!(judged(None, bad, None), VerdictReason::Unreadable);
        assert_eq!(judged(None, Standing { is_ready: false, ..GOOD }, None), VerdictReason::NotReady);
        assert_eq!(judged(None, Standing { is_current: false, ..GOOD }, None), VerdictReason::NotSeen);
    }
}
