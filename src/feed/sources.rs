//! What a backlog is read from: the repositories that may have changes, and the changes read from one of them.

use std::collections::VecDeque;

use crate::domain::{ChangePoint, IssueNumber, RepositoryId, Sweep};
use crate::store::ChangedIssue;

/// A change's place in the order of all changes.
pub(super) type Place = (u64, (RepositoryId, IssueNumber));

/// The repositories that may have changes, in the order of their ids as text.
pub(super) struct Repositories {
    pub(super) next: VecDeque<RepositoryId>,
    /// The last tracked repository that was searched.
    pub(super) searched_upto: Option<RepositoryId>,
    /// Whether all of them have been searched.
    pub(super) is_end: bool,
}

impl Repositories {
    /// Exactly these.
    pub(super) fn known(mut ids: Vec<RepositoryId>) -> Self {
        ids.sort_by_cached_key(RepositoryId::to_string);
        Self { next: ids.into(), searched_upto: None, is_end: true }
    }

    /// Still unknown: all tracked repositories have to be searched.
    pub(super) fn all() -> Self {
        Self { next: VecDeque::new(), searched_upto: None, is_end: false }
    }

    /// Without those that a sweep has completed.
    pub(super) fn from(mut self, sweep: Sweep) -> Self {
        let reached = sweep.repository.to_string();
        self.next.retain(|id| id.to_string() > reached);
        self.searched_upto = Some(sweep.repository);
        self
    }
}

/// A repository whose changes are merged with those of others.
pub(super) struct Source {
    pub(super) id: RepositoryId,
    pub(super) after: ChangePoint,
    pub(super) read: VecDeque<ChangedIssue>,
    /// Whether there are no more changes to read.
    pub(super) is_end: bool,
}

impl Source {
    pub(super) fn append(&mut self, read: Vec<ChangedIssue>, is_end: bool) {
        self.after = read.last().map_or(self.after, |last| (last.fence, Some(last.number)));
        self.is_end = is_end;
        self.read.extend(read);
    }

    pub(super) fn place(&self) -> Option<Place> {
        self.read.front().map(|first| (first.fence, (self.id, first.number)))
    }
}
