//! Reads the changes after a cursor, in order and only as far as one response needs: time, memory and DynamoDB's bill
//! do not grow with the size of the backlog.
//!
//! The changes of a few repositories are merged in the order of [`DeliveryCursor`]. Those of many are read one
//! repository after another: merging them all would take a read of each before the first change could be reported.

use std::collections::VecDeque;

use futures_util::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;

use crate::app::{App, BacklogLimits};
use crate::domain::{
    Change, CountedAfter, DeliveryCursor, IssueChange, MAX_COUNTED, RepositoryId, Sweep, Within, has_label_in,
};
use crate::store::{ChangedIssue, LastPass, StoreError};

use super::change_page::{ChangePage, ReportedChange};
use super::sources::{Place, Repositories, Source};

/// The most changes per read: one more than a page of GitHub's, so that the changes of one page take one read.
const MAX_CHUNK: usize = 101;

/// The fewest changes per read. They take less than DynamoDB's read unit of 4 KB, so reading fewer saves nothing.
const MIN_CHUNK: usize = 12;

/// The most tracked repositories per read.
const REPOSITORIES_CHUNK: u16 = 50;

/// How much one page has.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageSize {
    /// The most changes; at least 1.
    pub(super) changes: usize,
    /// Whether to find out how many changes there are beyond the page. That can cost more reads than the page.
    pub(super) counts_rest: bool,
}

/// The changes after a cursor, while they are read.
pub(super) struct Backlog<'a> {
    app: &'a App,
    limits: BacklogLimits,
    size: PageSize,
    cursor: DeliveryCursor,
    last_pass: &'a LastPass,
    /// No read starts later, except the first.
    stop_at: Timestamp,
    read_units: f64,
    /// The changes that this response reports.
    changes: Vec<ReportedChange>,
    /// The fences of all changes read so far, including those that a later response reports.
    fences_read: Vec<u64>,
    /// How many changes passes have counted since the last fence that is delivered completely; `None` if unknown.
    counted: Option<CountedAfter>,
    /// The number of changes beyond those that were read.
    unread: u64,
}

impl<'a> Backlog<'a> {
    pub(super) fn new(app: &'a App, cursor: DeliveryCursor, last_pass: &'a LastPass, size: PageSize) -> Self {
        let now = app.clock.now();
        let limits = app.timing.backlog;
        let stop_at = now.checked_add(limits.time).unwrap_or(now);
        Self {
            app,
            limits,
            size,
            cursor,
            last_pass,
            stop_at,
            read_units: 0.0,
            changes: Vec::new(),
            fences_read: Vec::new(),
            counted: None,
            unread: 0,
        }
    }

    /// Reads as far as one response needs.
    pub(super) async fn read(mut self, mut repositories: Repositories) -> Result<ChangePage, StoreError> {
        if let Some(Within::Sweep(sweep)) = self.cursor.within {
            return self.sweep(repositories.from(sweep), Some(sweep)).await;
        }
        while !repositories.is_end && self.are_few(&repositories) && !self.is_over() {
            self.find_more(&mut repositories).await?;
        }
        if repositories.is_end && self.are_few(&repositories) {
            self.merge(repositories.next.into()).await
        } else {
            self.sweep(repositories, None).await
        }
    }

    /// Whether no further read may start. The first one always may, so that every response makes progress.
    fn is_over(&self) -> bool {
        self.read_units > 0.0
            && (self.read_units >= self.limits.read_units || self.app.clock.now() >= self.stop_at)
    }

    fn is_full(&self) -> bool {
        self.changes.len() >= self.size.changes
    }

    fn are_few(&self, repositories: &Repositories) -> bool {
        repositories.next.len() <= self.limits.merged
    }

    /// Searches the next tracked repositories for those that may have changes.
    async fn find_more(&mut self, repositories: &mut Repositories) -> Result<(), StoreError> {
        let from = self.cursor.complete_fence() + 1;
        let with_untracked = self.last_pass.retired_fence >= from;
        let store = &self.app.store;
        let read = store.repositories(repositories.searched_upto, REPOSITORIES_CHUNK, with_untracked).await?;
        self.read_units += read.read_units;
        let is_any = self.last_pass.search_all_fence >= from;
        let changed = read.repositories.iter().filter(|(_, last_change)| is_any || *last_change >= from);
        repositories.next.extend(changed.map(|(id, _)| *id));
        repositories.searched_upto =
            read.repositories.last().map(|(id, _)| *id).or(repositories.searched_upto);
        repositories.is_end = read.is_end;
        Ok(())
    }

    /// Reports the changes of a few repositories, oldest first, and counts those that do not fit as far as they are
    /// read. Issues that a running pass has changed come last; only their earlier changes are reported.
    async fn merge(mut self, ids: Vec<RepositoryId>) -> Result<ChangePage, StoreError> {
        let chunk = (self.size.changes / ids.len().max(1)).clamp(MIN_CHUNK, MAX_CHUNK) as u16;
        let store = &self.app.store;
        let cursor = self.cursor;
        let mut sources: Vec<Source> = futures_util::stream::iter(ids)
            .map(|id| async move {
                let after = cursor.start_in(id);
                Ok::<_, StoreError>((id, after, store.changes(id, after, None, chunk).await?))
            })
            .buffered(self.limits.merged.max(1))
            .map_ok(|(id, after, read)| {
                self.read_units += read.read_units;
                let mut source = Source { id, after, read: VecDeque::new(), is_end: false };
                source.append(read.changes, read.is_end);
                source
            })
            .try_collect()
            .await?;
        let (mut reached, mut full_at) = (None, None);
        // The next change that was not read, if known; `Some(None)` if there is none.
        let next = loop {
            let places = sources.iter().enumerate().filter_map(|(at, source)| Some((source.place()?, at)));
            let Some((place, at)) = places.min() else { break Some(None) };
            if full_at.is_some() && self.has_counted_up_to(place) {
                break Some(Some(place));
            }
            let source = &mut sources[at];
            if let Some(changed) = source.read.pop_front() {
                self.add(source.id, changed, self.last_pass.fence);
            }
            reached = Some(place);
            if source.read.is_empty() && !source.is_end {
                if self.is_over() {
                    break None;
                }
                let read = self.app.store.changes(source.id, source.after, None, chunk).await?;
                self.read_units += read.read_units;
                source.append(read.changes, read.is_end);
            }
            if full_at.is_none() && self.is_full() && sources.iter().any(|source| source.place().is_some()) {
                full_at = reached;
                self.count().await?;
            }
        };
        let has_reported_all = self.fences_read.len() == self.changes.len();
        if next == Some(None) && has_reported_all {
            let cursor = DeliveryCursor::after(self.cursor.fence.max(self.last_pass.fence));
            return Ok(self.page(cursor, false, true));
        }
        let has_ended = |(fence, _): &Place| *fence <= self.last_pass.fence;
        let has_more = match next {
            Some(next) => !has_reported_all || next.as_ref().is_some_and(has_ended),
            None => true,
        };
        let kinds_after = self.cursor.kinds_after;
        let stopped_at = full_at.or(reached).filter(has_ended).filter(|_| has_more);
        let Some((fence, (repository, issue))) = stopped_at else {
            let cursor = DeliveryCursor::after(self.cursor.fence.max(self.last_pass.fence));
            return Ok(self.page(DeliveryCursor { kinds_after, ..cursor }, false, true));
        };
        if self.counted.is_none() {
            self.count().await?;
        }
        let of_fence = self.changes.iter().filter(|change| change.fence == fence).count() as u64;
        let goes_on = self.cursor.complete_fence() + 1 == fence;
        let reported = of_fence + if goes_on { self.cursor.reported } else { 0 };
        let is_exact = match next {
            Some(None) => true,
            Some(Some(next)) => self.has_counted_up_to(next),
            None => self.counted.is_some_and(|counted| counted.unknown_upto.is_none()),
        };
        if next != Some(None) {
            let is_known = self.counted.is_some_and(|counted| counted.unknown_upto.is_none());
            self.add_counted(if is_known { self.cursor.reported } else { 0 });
        }
        let within = Some(Within::Fence(repository, issue));
        Ok(self.page(DeliveryCursor { fence, within, kinds_after, reported }, true, is_exact))
    }

    /// Reports the changes of many repositories, one repository after another.
    async fn sweep(
        mut self,
        mut repositories: Repositories,
        sweep: Option<Sweep>,
    ) -> Result<ChangePage, StoreError> {
        let complete = self.cursor.complete_fence();
        let (after, upto) = sweep.map_or((complete, self.last_pass.fence), |sweep| (sweep.after, sweep.upto));
        // The repositories searched so far have no changes.
        let passed = repositories.searched_upto.filter(|_| repositories.next.is_empty()).map(|id| (id, None));
        let mut reached = sweep.map_or(passed, |sweep| Some((sweep.repository, sweep.last)));
        let mut in_progress = sweep.filter(|sweep| sweep.last.is_some()).map(|sweep| sweep.repository);
        // The search may have cost everything already. Without one read of changes the cursor would stay where it is.
        let begin = reached;
        while !self.is_full() && (reached == begin || !self.is_over()) {
            let Some(id) = in_progress.take().or_else(|| repositories.next.pop_front()) else {
                if repositories.is_end {
                    let has_more = self.last_pass.last_change_fence > upto;
                    let kinds_after = self.cursor.kinds_after;
                    return Ok(self.page(
                        DeliveryCursor { kinds_after, ..DeliveryCursor::after(upto) },
                        has_more,
                        !has_more,
                    ));
                }
                self.find_more(&mut repositories).await?;
                if repositories.next.is_empty() {
                    reached = repositories.searched_upto.map(|id| (id, None));
                }
                continue;
            };
            let point = match reached {
                Some((reached, Some((fence, issue)))) if reached == id => (fence, Some(issue)),
                _ => (after, None),
            };
            let room = (self.size.changes - self.changes.len()).min(MAX_CHUNK) as u16;
            let read = self.app.store.changes(id, point, Some(upto), room).await?;
            self.read_units += read.read_units;
            let last = read.changes.last().map(|last| (last.fence, last.number));
            for changed in read.changes {
                self.add(id, changed, upto);
            }
            if read.is_end {
                reached = Some((id, None));
            } else {
                reached = Some((id, last));
                in_progress = Some(id);
            }
        }
        self.count().await?;
        let is_exact = self.counted.is_some_and(|counted| counted.unknown_upto.is_none());
        let reported_before = if sweep.is_some() { self.cursor.reported } else { 0 };
        let reported = reported_before + self.changes.len() as u64;
        self.add_counted(reported_before);
        let cursor = match reached {
            Some((repository, last)) => {
                let within = Within::Sweep(Sweep { after, upto, repository, last });
                DeliveryCursor { within: Some(within), reported, ..self.cursor }
            }
            None => self.cursor,
        };
        Ok(self.page(cursor, true, is_exact))
    }

    /// Reads how many changes passes have counted, if that is wanted.
    async fn count(&mut self) -> Result<(), StoreError> {
        if !self.size.counts_rest {
            return Ok(());
        }
        let counts = self.app.store.change_counts().await?;
        self.read_units += 1.0;
        let excluded = &self.app.config.excluded_labels;
        let counts = counts
            .filter(|counts| counts.upto >= self.last_pass.last_change_fence && counts.excludes(excluded));
        let after = self.cursor.complete_fence();
        self.counted = counts.map(|counts| counts.between(after, self.last_pass.fence));
        Ok(())
    }

    /// Whether the change at this place, and all later ones, need not be read to be counted.
    fn has_counted_up_to(&self, (fence, _): Place) -> bool {
        let is_counted = self.counted.is_some_and(|counted| {
            counted.issues >= MAX_COUNTED || counted.unknown_upto.is_none_or(|upto| fence > upto)
        });
        is_counted || !self.size.counts_rest
    }

    /// Counts the changes that were not read. `before` of them were delivered already.
    fn add_counted(&mut self, before: u64) {
        let read = self.fences_read.len() as u64;
        let Some(counted) = self.counted else { return };
        // Changes that passes have not counted count as far as they were read.
        let is_uncounted = |fence: &&u64| counted.unknown_upto.is_some_and(|upto| **fence <= upto);
        let uncounted = self.fences_read.iter().filter(is_uncounted).count() as u64;
        let all = (counted.issues + uncounted).saturating_sub(before);
        self.unread = all.saturating_sub(read);
    }

    /// Adds an issue, unless it has no change to report up to the fence `upto`.
    fn add(&mut self, repository: RepositoryId, changed: ChangedIssue, upto: u64) {
        let kinds_after = self.cursor.kinds_after;
        let Some((fence, change)) = change_to_report(&changed, kinds_after, upto) else { return };
        if has_label_in(&changed.labels, &self.app.config.excluded_labels) {
            return;
        }
        self.fences_read.push(fence);
        if !self.is_full() {
            let moved_to = changed.moved_to.filter(|_| change == Change::Moved);
            let issue = IssueChange { url: changed.url, change, moved_to };
            self.changes.push(ReportedChange { fence, repository, number: changed.number, issue });
        }
    }

    fn page(mut self, cursor: DeliveryCursor, has_more: bool, is_exact: bool) -> ChangePage {
        self.changes.sort_by_key(|change| (change.fence, change.repository, change.number));
        let count = self.fences_read.len() as u64 + self.unread;
        ChangePage {
            changes: self.changes,
            count: count.min(MAX_COUNTED),
            is_exact: is_exact && count <= MAX_COUNTED,
            has_more,
            cursor,
        }
    }
}

/// The change of an issue to report, with its fence. `None` if the pass that changed it has not finished and there is
/// no earlier change to report.
fn change_to_report(changed: &ChangedIssue, kinds_after: u64, ended: u64) -> Option<(u64, Change)> {
    let is_unreported = |fence: &u64| *fence > kinds_after && *fence <= ended;
    let kind = changed.change_marker.kind_fence.filter(is_unreported).zip(changed.change_marker.kind);
    if changed.fence <= ended {
        return Some((changed.fence, kind.map_or(Change::Edited, |(_, kind)| kind)));
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ChangeMarker, IssueNumber};

    fn changed(change_marker: ChangeMarker) -> ChangedIssue {
        ChangedIssue {
            number: IssueNumber(1),
            url: "https://github.com/acme/api/issues/1".to_owned(),
            labels: Vec::new(),
            moved_to: None,
            fence: change_marker.fence.expect("a change has a fence"),
            change_marker,
        }
    }

    #[test]
    fn edit_after_a_close_does_not_hide_the_close() {
        let closed = changed(ChangeMarker::default().with(Change::Closed, 5).with(Change::Edited, 6));
        assert_eq!(change_to_report(&closed, 4, 6), Some((6, Change::Closed)));
        assert_eq!(change_to_report(&closed, 5, 6), Some((6, Change::Edited)));
    }

    #[test]
    fn change_edited_by_a_running_pass_is_reported_as_it_was() {
        let closed = changed(ChangeMarker::default().with(Change::Closed, 5).with(Change::Edited, 6));
        assert_eq!(change_to_report(&closed, 4, 5), Some((5, Change::Closed)));
        assert_eq!(change_to_report(&closed, 5, 5), None);
    }
}
