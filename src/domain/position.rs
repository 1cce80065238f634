//! How far the changes have been delivered to an agent.

use super::{IssueNumber, RepositoryId};

/// A place in the changes of one repository: after this issue under this fence, or after all issues under it.
pub type ChangePoint = (u64, Option<IssueNumber>);

/// An agent's delivery cursor. Changes are delivered in the order fence, repository, issue, each issue under the fence
/// of its last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The fence it has reached.
    pub fence: u64,
    /// How far, when the changes up to and with that fence, or what follows it, are only partly delivered.
    pub within: Option<Within>,
    /// Changes of a kind under a later fence than this may not have been delivered as that kind: an issue that was
    /// closed, and edited by a later pass before this agent read of it, is still to be reported as closed.
    pub kinds_after: u64,
    /// How many changes beyond [`Position::complete_fence`] have been delivered.
    pub reported: u64,
}

/// How far a partly delivered backlog has been delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    /// Of the fence itself: up to and with this issue of this repository.
    Fence(RepositoryId, IssueNumber),
    /// Of a backlog in too many repositories to merge: one repository after another, in the order of their ids as text.
    Sweep(Sweep),
}

/// A backlog that is delivered repository by repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// It begins after this fence.
    pub after: u64,
    /// It ends with this one. What changes under later fences is delivered when the sweep is complete.
    pub upto: u64,
    /// The repository that it has reached.
    pub repository: RepositoryId,
    /// The last change delivered of that repository; `None` when all of them are.
    pub last: Option<(u64, IssueNumber)>,
}

impl Position {
    /// All changes up to and with `fence` have been delivered.
    pub fn after(fence: u64) -> Self {
        Self { fence, within: None, kinds_after: fence, reported: 0 }
    }

    /// The last fence of which all changes have been delivered.
    pub fn complete_fence(&self) -> u64 {
        match self.within {
            None => self.fence,
            Some(Within::Fence(..)) => self.fence.saturating_sub(1),
            Some(Within::Sweep(sweep)) => sweep.after,
        }
    }

    /// From where a repository's changes are still to be delivered in the order of all changes.
    pub fn start_in(&self, repository: RepositoryId) -> ChangePoint {
        match self.within {
            Some(Within::Fence(last, issue)) if repository == last => (self.fence, Some(issue)),
            Some(Within::Fence(last, _)) if repository < last => (self.fence, None),
            _ => (self.complete_fence(), None),
        }
    }
}

/// The text of a place in the changes: it sorts after the changes up to there and before all others.
pub fn point_as_text((fence, issue): ChangePoint) -> String {
    match issue {
        None => format!("{fence:020}~"),
        Some(issue) => format!("{}~", order_as_text(fence, issue)),
    }
}

/// The text by which a repository's changes are sorted: by fence, then by issue.
pub fn order_as_text(fence: u64, issue: IssueNumber) -> String {
    format!("{fence:020}#{:010}", issue.0)
}

/// The fence in the text of [`order_as_text`].
pub fn fence_of_order(text: &str) -> Option<u64> {
    text.split_once('#')?.0.parse().ok()
}
