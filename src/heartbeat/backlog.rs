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
    Change, ChangePoint, IssueNumber, Position, RepositoryId, Sweep, Touch, Within, has_label_in,
};
use crate::store::{ChangedIssue, Ended, StoreError};

use super::answer::Told;

/// The most changes that are counted.
const MAX_COUNTED: u64 = 10_000;

/// How many changes one read brings: one more than a page of GitHub's, so that one page of changes is read at once.
const MAX_CHUNK: usize = 101;

/// So many changes are less than DynamoDB's read unit of 4 KB: to read fewer saves nothing.
const MIN_CHUNK: usize = 12;

/// How many tracked repositories one read brings.
const REPOSITORIES_CHUNK: u16 = 50;

/// A change's place in the order of all changes.
type Place = (u64, (RepositoryId, IssueNumber));

/// What an agent has not been told, while it is read.
pub(super) struct Backlog<'a> {
    app: &'a App,
    limits: BacklogLimits,
    position: Position,
    ended: &'a Ended,
    /// No read begins later, but for the first.
    stop_at: Timestamp,
    read_units: f64,
    /// What is to be told.
    news: Vec<(Place, Touch)>,
    count: u64,
}

/// The repositories that may hold news, in the order of their ids as text.
pub(super) struct Repositories {
    next: VecDeque<RepositoryId>,
    /// The last tracked repository that was looked at.
    looked_at: Option<RepositoryId>,
    /// Whether no more are to be looked at.
    is_end: bool,
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
    fn from(mut self, sweep: Sweep) -> Self {
        let reached = sweep.repository.to_string();
        self.next.retain(|id| id.to_string() > reached);
        self.looked_at = Some(sweep.repository);
        self
    }
}

/// A repository whose changes are merged with those of others.
struct Source {
    id: RepositoryId,
    after: ChangePoint,
    read: VecDeque<ChangedIssue>,
    is_end: bool,
}

impl Source {
    fn take_in(&mut self, read: Vec<ChangedIssue>, is_end: bool) {
        self.after = read.last().map_or(self.after, |last| (last.fence, Some(last.number)));
        self.is_end = is_end;
        self.read.extend(read);
    }

    fn place(&self) -> Option<Place> {
        self.read.front().map(|first| (first.fence, (self.id, first.number)))
    }
}

impl<'a> Backlog<'a> {
    pub(super) fn new(app: &'a App, position: Position, ended: &'a Ended) -> Self {
        let now = app.clock.now();
        let limits = app.timing.backlog;
        let stop_at = now.checked_add(limits.time).unwrap_or(now);
        Self { app, limits, position, ended, stop_at, read_units: 0.0, news: Vec::new(), count: 0 }
    }

    /// Reads as far as one answer needs.
    pub(super) async fn read(mut self, mut repositories: Repositories) -> Result<Told, StoreError> {
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
        let read = self.app.store.repositories(repositories.looked_at, REPOSITORIES_CHUNK).await?;
        self.read_units += read.read_units;
        let from = self.position.complete_fence() + 1;
        let is_any = self.ended.search_all_fence >= from;
        let changed = read.repositories.iter().filter(|(_, last_change)| is_any || *last_change >= from);
        repositories.next.extend(changed.map(|(id, _)| *id));
        repositories.looked_at = read.repositories.last().map(|(id, _)| *id).or(repositories.looked_at);
        repositories.is_end = read.is_end;
        Ok(())
    }

    /// Tells the changes of a few repositories, the oldest first, and counts those that do not fit as far as they are
    /// read. What a pass that still runs has changed comes last; of that is told what happened before.
    async fn merge(mut self, ids: Vec<RepositoryId>) -> Result<Told, StoreError> {
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
        let is_complete = loop {
            let places = sources.iter().enumerate().filter_map(|(at, source)| Some((source.place()?, at)));
            let Some((place, at)) = places.min() else { break true };
            let source = &mut sources[at];
            if let Some(changed) = source.read.pop_front() {
                self.take(source.id, changed, self.ended.fence);
            }
            reached = Some(place);
            if full_at.is_none() && self.is_full() {
                full_at = reached;
            }
            if source.read.is_empty() && !source.is_end {
                if self.is_over() {
                    break false;
                }
                let read = self.app.store.changes(source.id, source.after, None, chunk).await?;
                self.read_units += read.read_units;
                source.take_in(read.changes, read.is_end);
            }
        };
        let has_told_all = self.count == self.news.len() as u64;
        if is_complete && has_told_all {
            let position = Position::after(self.position.fence.max(self.ended.fence));
            return Ok(self.told(position, false, true));
        }
        let kinds_after = self.position.kinds_after;
        let (position, is_left) = match full_at.or(reached) {
            Some((fence, (repository, issue))) if fence <= self.ended.fence => {
                (Position { fence, within: Some(Within::Fence(repository, issue)), kinds_after }, true)
            }
            _ => (
                Position { kinds_after, ..Position::after(self.position.fence.max(self.ended.fence)) },
                false,
            ),
        };
        Ok(self.told(position, is_left, is_complete))
    }

    /// Tells the changes of many repositories, one repository after another.
    async fn sweep(
        mut self,
        mut repositories: Repositories,
        begun: Option<Sweep>,
    ) -> Result<Told, StoreError> {
        let complete = self.position.complete_fence();
        let (after, upto) = begun.map_or((complete, self.ended.fence), |sweep| (sweep.after, sweep.upto));
        let mut reached = begun.map(|sweep| (sweep.repository, sweep.last));
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
        let position = match reached {
            Some((repository, last)) => {
                let within = Within::Sweep(Sweep { after, upto, repository, last });
                Position { within: Some(within), ..self.position }
            }
            None => self.position,
        };
        Ok(self.told(position, true, false))
    }

    /// Takes in one change, unless nothing about it is to be told by the pass with the fence `upto`.
    fn take(&mut self, repository: RepositoryId, changed: ChangedIssue, upto: u64) {
        let kinds_after = self.position.kinds_after;
        let Some((fence, change)) = to_tell(&changed, kinds_after, upto) else { return };
        if has_label_in(&changed.labels, &self.app.config.excluded_labels) {
            return;
        }
        self.count += 1;
        if !self.is_full() {
            let moved_to = changed.moved_to.filter(|_| change == Change::Moved);
            let place = (fence, (repository, changed.number));
            self.news.push((place, Touch { url: changed.url, change, moved_to }));
        }
    }

    fn told(mut self, position: Position, is_left: bool, is_exact: bool) -> Told {
        self.news.sort_by_key(|(place, _)| *place);
        let touches = self.news.into_iter().map(|(_, touch)| touch).collect();
        let count = self.count.min(MAX_COUNTED);
        Told { touches, count, is_exact: is_exact && self.count <= MAX_COUNTED, is_left, position }
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
    use crate::domain::Stamp;

    fn changed(stamp: Stamp) -> ChangedIssue {
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
        let closed = changed(Stamp::default().with(Change::Closed, 5).with(Change::Edited, 6));
        assert_eq!(to_tell(&closed, 4, 6), Some((6, Change::Closed)));
        assert_eq!(to_tell(&closed, 5, 6), Some((6, Change::Edited)));
    }

    #[test]
    fn a_change_that_a_running_pass_edits_again_is_told_for_what_it_was() {
        let closed = changed(Stamp::default().with(Change::Closed, 5).with(Change::Edited, 6));
        assert_eq!(to_tell(&closed, 4, 5), Some((5, Change::Closed)));
        assert_eq!(to_tell(&closed, 5, 5), None);
    }
}
