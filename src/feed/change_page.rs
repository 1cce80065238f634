//! The changes that one response reports.

use crate::domain::{DeliveryCursor, IssueChange, IssueNumber, RepositoryId};

/// One change in a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedChange {
    /// The fence of the pass that found the change. A page is in the order fence, repository, issue.
    pub fence: u64,
    /// The issue's repository.
    pub repository: RepositoryId,
    /// The issue.
    pub number: IssueNumber,
    /// Its page on GitHub, and what changed.
    pub issue: IssueChange,
}

/// The changes that one response reports, and the cursor after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChangePage {
    pub(crate) changes: Vec<ReportedChange>,
    /// How many changes there are to report, counted up to 10,000.
    pub(crate) count: u64,
    /// Whether `count` is exact; otherwise there are at least as many.
    pub(crate) is_exact: bool,
    /// Whether the next response has more to report.
    pub(crate) has_more: bool,
    pub(crate) cursor: DeliveryCursor,
}

impl ChangePage {
    /// No changes.
    pub(crate) fn empty(cursor: DeliveryCursor) -> Self {
        Self { changes: Vec::new(), count: 0, is_exact: true, has_more: false, cursor }
    }
}
