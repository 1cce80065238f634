//! How far the changes have been delivered to an agent, or to a program that follows them.

use super::{IssueNumber, RepositoryId};

/// A point in the changes of one repository: after this issue under this fence, or after all issues under it.
pub type ChangePoint = (u64, Option<IssueNumber>);

/// A delivery cursor. Changes are delivered in the order fence, repository, issue, each issue under the fence
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

    /// Its text, without `kinds_after` and `reported`. Texts sort as the cursors do, so that DynamoDB can compare them.
    ///
    /// `<fence>#<repository>#<issue>`, or `<fence>#~` if all changes of the fence were delivered (`~` sorts after
    /// digits). A sweep appends `#<after>#<upto>#<repository>` to the latter, with the repository's id without leading
    /// zeros, as in the key of its own item. To that it appends `#<fence>#<issue>`, or `#~` if all of the repository was
    /// delivered.
    pub fn to_text(self) -> String {
        let Self { fence, within, .. } = self;
        match within {
            None => format!("{fence:020}#~"),
            Some(Within::Fence(repository, issue)) => {
                format!("{fence:020}#{:020}#{:010}", repository.0, issue.0)
            }
            Some(Within::Sweep(Sweep { after, upto, repository, last })) => {
                let last =
                    last.map_or("~".to_owned(), |(fence, issue)| format!("{fence:020}#{:010}", issue.0));
                format!("{fence:020}#~#{after:020}#{upto:020}#{repository}#{last}")
            }
        }
    }

    /// Reads a text from [`DeliveryCursor::to_text`]: `kinds_after` is the last complete fence, and `reported` is 0.
    pub fn from_text(text: &str) -> Option<Self> {
        let number = |part: &str| part.parse::<u64>().ok();
        let parts: Vec<&str> = text.split('#').collect();
        let (fence, within) = match parts[..] {
            [fence, "~"] => (fence, None),
            [fence, repository, issue] => {
                let (repository, issue) = (number(repository)?, number(issue)?);
                (fence, Some(Within::Fence(RepositoryId(repository), IssueNumber(issue))))
            }
            [fence, "~", after, upto, repository, ref last @ ..] => {
                let last = match *last {
                    ["~"] => None,
                    [fence, issue] => Some((number(fence)?, IssueNumber(number(issue)?))),
                    _ => return None,
                };
                let (after, upto, repository) =
                    (number(after)?, number(upto)?, RepositoryId(number(repository)?));
                (fence, Some(Within::Sweep(Sweep { after, upto, repository, last })))
            }
            _ => return None,
        };
        let cursor = Self { fence: number(fence)?, within, kinds_after: 0, reported: 0 };
        Some(Self { kinds_after: cursor.complete_fence(), ..cursor })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_texts_sort_like_the_cursors() {
        let at = |fence, within: Option<Within>| {
            let cursor = DeliveryCursor { fence, within, kinds_after: 0, reported: 0 };
            DeliveryCursor { kinds_after: cursor.complete_fence(), ..cursor }
        };
        let issue = |repository, issue| Some(Within::Fence(RepositoryId(repository), IssueNumber(issue)));
        let sweep = |repository, last: Option<(u64, u64)>| {
            let last = last.map(|(fence, issue)| (fence, IssueNumber(issue)));
            Some(Within::Sweep(Sweep { after: 8, upto: 30, repository: RepositoryId(repository), last }))
        };
        let ascending = [
            at(0, None),
            at(9, issue(2, 10)),
            at(9, issue(10, 2)),
            at(9, None),
            at(9, sweep(10, Some((11, 7)))),
            at(9, sweep(10, Some((12, 3)))),
            at(9, sweep(10, None)),
            at(9, sweep(101, Some((10, 1)))),
            at(9, sweep(2, None)),
            at(10, issue(1, 1)),
            at(30, None),
        ];
        let texts = ascending.map(DeliveryCursor::to_text);
        assert!(texts.is_sorted(), "{texts:?}");
        assert_eq!(texts.map(|text| DeliveryCursor::from_text(&text)), ascending.map(Some));
    }
}
