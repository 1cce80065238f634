//! The changes that one response reports.

use crate::domain::{DeliveryCursor, IssueChange};

/// The changes that one response reports, and where the agent's delivery cursor is afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChangePage {
    pub(super) changes: Vec<IssueChange>,
    /// How many changes there are to report, counted up to 10,000.
    pub(super) count: u64,
    /// Whether `count` is exact; otherwise there are at least as many.
    pub(super) is_exact: bool,
    /// Whether the next heartbeat has more to report.
    pub(super) has_more: bool,
    pub(super) cursor: DeliveryCursor,
}

impl ChangePage {
    /// No changes.
    pub(super) fn empty(cursor: DeliveryCursor) -> Self {
        Self { changes: Vec::new(), count: 0, is_exact: true, has_more: false, cursor }
    }
}
