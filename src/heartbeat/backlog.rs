//! Reads what an agent has not been told, in order and only as far as one answer needs: neither its time nor its
//! memory nor what DynamoDB bills for it grows with what there is.
//!
//! The changes of a few repositories are merged in the order of [`Position`]. Those of many are read one repository
//! after another, since to merge them all would take a read of each before the first could be told.

use std::collections::VecDeque;

use futures_util::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;

use crate::app::{App, BacklogLimits};
use crate::domain::{
    Change, CountedAfter, MAX_COUNTED, Position, RepositoryId, Sweep, Touch, Within, has_label_in,
};
use crate::store::{ChangedIssue, LastPass, StoreError};

use super::answer::ChangePage;
use super::sources::{Place, Repositories, Source};

/// How many changes one read brings: one more than a page of GitHub's, so that one page of changes is read at once.
const MAX_CHUNK: usize = 101;

/// So many changes are less than DynamoDB's read unit of 4 KB: to read fewer saves nothing.
const MIN_CHUNK: usize = 12;

/// How many tracked repositories one read brings.
const REPOSITORIES_CHUNK: u16 = 50;

/// What an agent has not been told, while it is read.
pub(super) struct Backlog<'a> {
    app: &'a App,
    limits: BacklogLimits,
    position: Position,
    ended: &'a LastPass,
    /// No read begins later, but for the first.
    stop_at: Timestamp,
    read_units: f64,
    /// What is to be told.
    news: Vec<(Place, Touch)>,
    /// The fences of all changes that were read and are to be told, now or later.
    read: Vec<u64>,
    /// How many changes the passes have counted since those that are told completely; `None` while nothing is known.
    counted: Option<CountedAfter>,
    /// How many there are besides those that were read.
    not_read: u64,
}

impl<'a> Backlog<'a> {
    pub(super) fn new(app: &'a App, position: Position, ended: &'a LastPass) -> Self {
        let now = app.clock.now();
        let limits = app.timing.backlog;
        let stop_at = now.checked_add(limits.time).unwrap_or(now);
        Self {
            app,
            limits,
            position,
            ended,
            stop_at,
            read_units: 0.0,
            news: Vec::new(),
            read: Vec::new(),
            counted: None,
            not_read: 0,
        }
    }

    /// Reads as far as one answer needs.
    pub(super) async fn read(mut self, mut repositories: Repositories) -> Result<ChangePage, StoreError> {
        if let Some(Within::Sweep(sweep)) = self.position.within {
            return self.sweep(repositories.from(sweep), Some(sweep)).await;
        }
        while !repositories.is_end && self.are_few(&repositories) && !self.is_over() {
            self.look_at_more(&mut repositories).await?;
        }
        if repositories.is_end && self.are_few(&repositories) {
            self.merge(repositories.next.into()).await
        } else {
            self.sweep(repositories, None).await
        }
    }

    /// Whether no further read may begin. The first one always may, so that every beat gets further.
    fn is_over(&self) -> bool {
        self.read_units > 0.0
            && (self.read_units >= self.limits.read_units || self.app.clock.now() >= self.stop_at)
    }

    fn is_full(&self) -> bool {
        self.news.len() >= self.limits.told
    }

    fn are_few(&self, repositories: &Repositories) -> bool {
        repositories.next.len() <= self.limits.merged
    }

    /// Looks through the next tracked repositories for those that may hold news.
    async fn look_at_more(&mut self, repositories: &mut Repositories) -> Result<(), StoreError> {
        let from = self.position.complete_fence() + 1;
        let with_untracked = self.ended.retired_fence >= from;
        let store = &self.app.store;
        let read = store.repositories(repositories.looked_at, REPOSITORIES_CHUNK, with_untracked).await?;
        self.read_units += read.read_units;
        let is_any = self.ended.search_all_fence >= from;
        let changed = read.repositories.iter().filter(|(_, last_change)| is_any || *last_change >= from);
        repositories.next.extend(changed.map(|(id, _)| *id));
        repositories.looked_at = read.repositories.last().map(|(id, _)| *id).or(repositories.looked_at);
        repositories.is_end = read.is_end;
        Ok(())
    }

    /// Tells the changes of a few repositories, the oldest first, and counts those that do not fit as far as they are
    /// read. What a pass that still runs has changed comes last; of that is told what happened before.
    async fn merge(mut self, ids: Vec<RepositoryId>) -> Result<ChangePage, StoreError> {
        let chunk = (self.limits.told / ids.len().max(1)).clamp(MIN_CHUNK, MAX_CHUNK) as u16;
        let store = &self.app.store;
        let position = self.position;
        let mut sources: Vec<Source> = futures_util::stream::iter(ids)
            .map(|id| async move {
                let after = position.start_in(id);
                Ok::<_, StoreError>((id, after, store.changes(id, after, None, chunk).await?))
            })
            .buffered(self.limits.merged.max(1))
            .map_ok(|(id, after, read)| {
                self.read_units += read.read_units;
                let mut source = Source { id, after, read: VecDeque::new(), is_end: false };
                source.take_in(read.changes, read.is_end);
                source
            })
            .try_collect()
            .await?;
        let (mut reached, mut full_at) = (None, None);
        // The next change that is not read, where that is known; `None` when there is none.
        let next = loop {
            let places = sources.iter().enumerate().filter_map(|(at, source)| Some((source.place()?, at)));
            let Some((place, at)) = places.min() else { break Some(None) };
            if full_at.is_some() && self.has_counted_up_to(place) {
                break Some(Some(place));
            }
            let source = &mut sources[at];
            if let Some(changed) = source.read.pop_front() {
                self.take(source.id, changed, self.ended.fence);
            }
            reached = Some(place);
            if source.read.is_empty() && !source.is_end {
                if self.is_over() {
                    break None;
                }
                let read = self.app.store.changes(source.id, source.after, None, chunk).await?;
                self.read_units += read.read_units;
                source.take_in(read.changes, read.is_end);
            }
            if full_at.is_none() && self.is_full() && sources.iter().any(|source| source.place().is_some()) {
                full_at = reached;
                self.count().await?;
            }
        };
        let has_told_all = self.read.len() == self.news.len();
        if next == Some(None) && has_told_all {
            let position = Position::after(self.position.fence.max(self.ended.fence));
            return Ok(self.told(position, false, true));
        }
        let has_ended = |(fence, _): &Place| *fence <= self.ended.fence;
        let has_more = match next {
            Some(next) => !has_told_all || next.as_ref().is_some_and(has_ended),
            None => true,
        };
        let kinds_after = self.position.kinds_after;
        let stopped_at = full_at.or(reached).filter(has_ended).filter(|_| has_more);
        let Some((fence, (repository, issue))) = stopped_at else {
            let position = Position::after(self.position.fence.max(self.ended.fence));
            return Ok(self.told(Position { kinds_after, ..position }, false, true));
        };
        if self.counted.is_none() {
            self.count().await?;
        }
        let of_fence = self.news.iter().filter(|((of, _), _)| *of == fence).count() as u64;
        let goes_on = self.position.complete_fence() + 1 == fence;
        let reported = of_fence + if goes_on { self.position.reported } else { 0 };
        let is_exact = match next {
            Some(None) => true,
            Some(Some(next)) => self.has_counted_up_to(next),
            None => self.counted.is_some_and(|counted| counted.unknown_upto.is_none()),
        };
        if next != Some(None) {
            let is_known = self.counted.is_some_and(|counted| counted.unknown_upto.is_none());
            self.add_counted(if is_known { self.position.reported } else { 0 });
        }
        let within = Some(Within::Fence(repository, issue));
        Ok(self.told(Position { fence, within, kinds_after, reported }, true, is_exact))
    }

    /// Tells the changes of many repositories, one repository after another.
    async fn sweep(
        mut self,
        mut repositories: Repositories,
        begun: Option<Sweep>,
    ) -> Result<ChangePage, StoreError> {
        let complete = self.position.complete_fence();
        let (after, upto) = begun.map_or((complete, self.ended.fence), |sweep| (sweep.after, sweep.upto));
        // Nothing may have changed in those that were looked at.
        let passed = repositories.looked_at.filter(|_| repositories.next.is_empty()).map(|id| (id, None));
        let mut reached = begun.map_or(passed, |sweep| Some((sweep.repository, sweep.last)));
        let mut under_way = begun.filter(|sweep| sweep.last.is_some()).map(|sweep| sweep.repository);
        while !self.is_full() && !self.is_over() {
            let Some(id) = under_way.take().or_else(|| repositories.next.pop_front()) else {
                if repositories.is_end {
                    let is_left = self.ended.last_change_fence > upto;
                    let kinds_after = self.position.kinds_after;
                    return Ok(self.told(
                        Position { kinds_after, ..Position::after(upto) },
                        is_left,
                        !is_left,
                    ));
                }
                self.look_at_more(&mut repositories).await?;
                if repositories.next.is_empty() {
                    reached = repositories.looked_at.map(|id| (id, None));
                }
                continue;
            };
            let point = match reached {
                Some((reached, Some((fence, issue)))) if reached == id => (fence, Some(issue)),
                _ => (after, None),
            };
            let room = (self.limits.told - self.news.len()).min(MAX_CHUNK) as u16;
            let read = self.app.store.changes(id, point, Some(upto), room).await?;
            self.read_units += read.read_units;
            let last = read.changes.last().map(|last| (last.fence, last.number));
            for changed in read.changes {
                self.take(id, changed, upto);
            }
            if read.is_end {
                reached = Some((id, None));
            } else {
                reached = Some((id, last));
                under_way = Some(id);
            }
        }
        self.count().await?;
        let is_exact = self.counted.is_some_and(|counted| counted.unknown_upto.is_none());
        let told_before = if begun.is_some() { self.position.reported } else { 0 };
        let reported = told_before + self.news.len() as u64;
        self.add_counted(told_before);
        let position = match reached {
            Some((repository, last)) => {
                let within = Within::Sweep(Sweep { after, upto, repository, last });
                Position { within: Some(within), reported, ..self.position }
            }
            None => self.position,
        };
        Ok(self.told(position, true, is_exact))
    }

    /// Looks up how many changes the passes have counted.
    async fn count(&mut self) -> Result<(), StoreError> {
        let counts = self.app.store.change_counts().await?;
        self.read_units += 1.0;
        let excluded = &self.app.config.excluded_labels;
        let counts =
            counts.filter(|counts| counts.upto >= self.ended.last_change_fence && counts.excludes(excluded));
        let after = self.position.complete_fence();
        self.counted = counts.map(|counts| counts.between(after, self.ended.fence));
        Ok(())
    }

    /// Whether nothing has to be read to count the change at this place, and those that follow.
    fn has_counted_up_to(&self, (fence, _): Place) -> bool {
        self.counted.is_some_and(|counted| {
            counted.issues >= MAX_COUNTED || counted.unknown_upto.is_none_or(|upto| fence > upto)
        })
    }

    /// Counts the changes that were not read, `before` so many of which this agent has been told.
    fn add_counted(&mut self, before: u64) {
        let read = self.read.len() as u64;
        let Some(counted) = self.counted else { return };
        // What the passes have not counted was read, as far as that went.
        let is_uncounted = |fence: &&u64| counted.unknown_upto.is_some_and(|upto| **fence <= upto);
        let uncounted = self.read.iter().filter(is_uncounted).count() as u64;
        let all = (counted.issues + uncounted).saturating_sub(before);
        self.not_read = all.saturating_sub(read);
    }

    /// Takes in one change, unless nothing about it is to be told by the pass with the fence `upto`.
    fn take(&mut self, repository: RepositoryId, changed: ChangedIssue, upto: u64) {
        let kinds_after = self.position.kinds_after;
        let Some((fence, change)) = to_tell(&changed, kinds_after, upto) else { return };
        if has_label_in(&changed.labels, &self.app.config.excluded_labels) {
            return;
        }
        self.read.push(fence);
        if !self.is_full() {
            let moved_to = changed.moved_to.filter(|_| change == Change::Moved);
            let place = (fence, (repository, changed.number));
            self.news.push((place, Touch { url: changed.url, change, moved_to }));
        }
    }

    fn told(mut self, position: Position, is_left: bool, is_exact: bool) -> ChangePage {
        self.news.sort_by_key(|(place, _)| *place);
        let touches = self.news.into_iter().map(|(_, touch)| touch).collect();
        let count = self.read.len() as u64 + self.not_read;
        ChangePage {
            touches,
            count: count.min(MAX_COUNTED),
            is_exact: is_exact && count <= MAX_COUNTED,
            is_left,
            position,
        }
    }
}

/// What is to be told of an issue that has not been told, and the fence it happened under; `None` when the pass that
/// changed it has not ended, and nothing happened before that either.
fn to_tell(changed: &ChangedIssue, kinds_after: u64, ended: u64) -> Option<(u64, Change)> {
    let is_news = |fence: &u64| *fence > kinds_after && *fence <= ended;
    let kind = changed.stamp.kind_fence.filter(is_news).zip(changed.stamp.kind);
    if changed.fence <= ended {
        return Some((changed.fence, kind.map_or(Change::Edited, |(_, kind)| kind)));
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ChangeMarker, IssueNumber};

    fn changed(stamp: ChangeMarker) -> ChangedIssue {
        ChangedIssue {
            number: IssueNumber(1),
            url: "https://github.com/acme/api/issues/1".to_owned(),
            labels: Vec::new(),
            moved_to: None,
            fence: stamp.fence.expect("it changed"),
            stamp,
        }
    }

    #[test]
    fn an_edit_after_a_close_does_not_hide_the_close() {
        let closed = changed(ChangeMarker::default().with(Change::Closed, 5).with(Change::Edited, 6));
        assert_eq!(to_tell(&closed, 4, 6), Some((6, Change::Closed)));
        assert_eq!(to_tell(&closed, 5, 6), Some((6, Change::Edited)));
    }

    #[test]
    fn a_change_that_a_running_pass_edits_again_is_told_for_what_it_was() {
        let closed = changed(ChangeMarker::default().with(Change::Closed, 5).with(Change::Edited, 6));
        assert_eq!(to_tell(&closed, 4, 5), Some((5, Change::Closed)));
        assert_eq!(to_tell(&closed, 5, 5), None);
    }
}
