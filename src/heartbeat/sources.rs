//! Where a backlog is read from: the repositories that may hold news, and what was read of one of them.

use std::collections::VecDeque;

use crate::domain::{ChangePoint, IssueNumber, RepositoryId, Sweep};
use crate::store::ChangedIssue;

/// A change's place in the order of all changes.
pub(super) type Place = (u64, (RepositoryId, IssueNumber));

/// The repositories that may hold news, in the order of their ids as text.
pub(super) struct Repositories {
    pub(super) next: VecDeque<RepositoryId>,
    /// The last tracked repository that was looked at.
    pub(super) looked_at: Option<RepositoryId>,
    /// Whether no more are to be looked at.
    pub(super) is_end: bool,
}

impl Repositories {
    /// These, which are all.
    pub(super) fn known(mut ids: Vec<RepositoryId>) -> Self {
        ids.sort_by_cached_key(RepositoryId::to_string);
        Self { next: ids.into(), looked_at: None, is_end: true }
    }

    /// Those among all tracked ones.
    pub(super) fn all() -> Self {
        Self { next: VecDeque::new(), looked_at: None, is_end: false }
    }

    /// Without those that a sweep has passed.
    pub(super) fn from(mut self, sweep: Sweep) -> Self {
        let reached = sweep.repository.to_string();
        self.next.retain(|id| id.to_string() > reached);
        self.looked_at = Some(sweep.repository);
        self
    }
}

/// A repository whose changes are merged with those of others.
pub(super) struct Source {
    pub(super) id: RepositoryId,
    pub(super) after: ChangePoint,
    pub(super) read: VecDeque<ChangedIssue>,
    /// Whether there is no more to read.
    pub(super) is_end: bool,
}

impl Source {
    pub(super) fn take_in(&mut self, read: Vec<ChangedIssue>, is_end: bool) {
        self.after = read.last().map_or(self.after, |last| (last.fence, Some(last.number)));
        self.is_end = is_end;
        self.read.extend(read);
    }

    pub(super) fn place(&self) -> Option<Place> {
        self.read.front().map(|first| (first.fence, (self.id, first.number)))
    }
}
