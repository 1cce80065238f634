//! How far the changes have been delivered to an agent.

use super::{IssueNumber, RepositoryId};

/// A point in the changes of one repository: after this issue under this fence, or after all issues under it.
pub type ChangePoint = (u64, Option<IssueNumber>);

/// An agent's delivery cursor. Changes are delivered in the order fence, repository, issue, each issue under the fence
/// of its last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryCursor {
    /// The fence that delivery has reached.
    pub fence: u64,
    /// The progress of a partial delivery: of the changes of that fence, or of a sweep after it. `None` if all changes
    /// up to and including the fence are delivered.
    pub within: Option<Within>,
    /// Up to and including this fence, every kind of change was delivered. An issue that is closed under a later fence,
    /// and edited by an even later pass before it is reported, is still reported as closed.
    pub kinds_after: u64,
    /// The number of delivered changes after [`DeliveryCursor::complete_fence`].
    pub reported: u64,
}

/// The progress of a partial delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    /// Within the fence: up to and including this issue of this repository.
    Fence(RepositoryId, IssueNumber),
    /// Within a backlog of too many repositories to merge: delivered repository by repository, in the order of their
    /// ids as text.
    Sweep(Sweep),
}

/// A backlog that is delivered repository by repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// The fence after which it starts.
    pub after: u64,
    /// Its last fence. Changes under later fences are delivered after the sweep is complete.
    pub upto: u64,
    /// The repository that delivery has reached.
    pub repository: RepositoryId,
    /// The last delivered change of that repository; `None` if all of them are delivered.
    pub last: Option<(u64, IssueNumber)>,
}

impl DeliveryCursor {
    /// The cursor after all changes up to and including `fence`.
    pub fn after(fence: u64) -> Self {
        Self { fence, within: None, kinds_after: fence, reported: 0 }
    }

    /// The last fence whose changes are all delivered.
    pub fn complete_fence(&self) -> u64 {
        match self.within {
            None => self.fence,
            Some(Within::Fence(..)) => self.fence.saturating_sub(1),
            Some(Within::Sweep(sweep)) => sweep.after,
        }
    }

    /// The point after which a repository's changes are still undelivered, in the order of all changes.
    pub fn start_in(&self, repository: RepositoryId) -> ChangePoint {
        match self.within {
            Some(Within::Fence(last, issue)) if repository == last => (self.fence, Some(issue)),
            Some(Within::Fence(last, _)) if repository < last => (self.fence, None),
            _ => (self.complete_fence(), None),
        }
    }
}

/// The text of a point in the changes. It sorts after the changes up to that point and before all others.
pub fn point_as_text((fence, issue): ChangePoint) -> String {
    match issue {
        None => format!("{fence:020}~"),
        Some(issue) => format!("{}~", order_as_text(fence, issue)),
    }
}

/// The sort key of a change in its repository: fence, then issue.
pub fn order_as_text(fence: u64, issue: IssueNumber) -> String {
    format!("{fence:020}#{:010}", issue.0)
}

/// The fence in a sort key from [`order_as_text`].
pub fn fence_of_order(text: &str) -> Option<u64> {
    text.split_once('#')?.0.parse().ok()
}
