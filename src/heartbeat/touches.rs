//! What changed since an agent's last beat.

use std::collections::HashSet;

use futures_util::StreamExt as _;

use crate::domain::{Change, IssueNumber, Position, RepositoryId, Touch, TrackedRepository, has_label_in};
use crate::store::{ChangedIssue, Ended, StoreError};

use super::answer::Told;
use super::{Basis, Beat};

/// The most changes one answer tells. The rest follows with the next beat.
const MOST_TOLD: usize = 200;

/// How many repositories' changes are read at the same time.
const READS_AT_ONCE: usize = 16;

impl Beat<'_> {
    /// What is new to an agent at `position`. Costs nothing when nothing changed since.
    pub(super) async fn tell(&self, basis: &Basis, position: Position) -> Result<Told, StoreError> {
        let Some(ended) = &basis.ended else {
            return Ok(Told::nothing(position));
        };
        let is_up_to_date = position.within.is_none() && position.fence >= ended.last_change_fence;
        if is_up_to_date {
            return Ok(Told::nothing(Position::after(position.fence.max(ended.fence))));
        }
        let read_now;
        let fleet = match &basis.fleet {
            Some(fleet) => fleet,
            None => {
                read_now = self.app.store.fleet().await?;
                &read_now
            }
        };
        let from = if position.within.is_some() { position.fence } else { position.fence + 1 };
        // Also those that are not configured here: what changed while they were tracked is not lost, and another
        // function may track them still.
        let mut ids = with_news(fleet.repositories.values(), ended, from);
        if ended.retired_fence >= from {
            let untracked = self.app.store.all_untracked().await?;
            let gone = untracked.iter().filter(|gone| !fleet.repositories.contains_key(&gone.id));
            ids.extend(with_news(gone, ended, from));
        }
        let reads: Vec<_> = futures_util::stream::iter(ids)
            .map(|id| async move { Ok((id, self.app.store.changes(id, from).await?)) })
            .buffered(READS_AT_ONCE)
            .collect()
            .await;
        let changes = reads.into_iter().collect::<Result<Vec<_>, StoreError>>()?;
        Ok(select(changes, position, ended.fence, &self.app.config.excluded_labels))
    }
}

/// The repositories in which an issue may have changed under the fence `from` or a later one.
fn with_news<'r>(
    repositories: impl Iterator<Item = &'r TrackedRepository>,
    ended: &Ended,
    from: u64,
) -> Vec<RepositoryId> {
    repositories
        .filter(|repository| repository.last_change_fence >= from || ended.search_all_fence >= from)
        .map(|repository| repository.id)
        .collect()
}

/// Selects, from what the indexes hold, what an agent at `position` has not been told, the oldest first. What a
/// pass that still runs has changed waits for its end.
fn select(
    changes: Vec<(RepositoryId, Vec<ChangedIssue>)>,
    position: Position,
    ended: u64,
    excluded_labels: &HashSet<String>,
) -> Told {
    let mut news: Vec<(u64, (RepositoryId, IssueNumber), Touch)> = Vec::new();
    for (repository, changes) in changes {
        for changed in changes {
            let is_excluded = has_label_in(&changed.labels, excluded_labels);
            let issue = (repository, changed.number);
            if let Some((fence, change)) = untold(&changed, issue, position, ended).filter(|_| !is_excluded) {
                let moved_to = changed.moved_to.filter(|_| change == Change::Moved);
                news.push((fence, issue, Touch { url: changed.url, change, moved_to }));
            }
        }
    }
    news.sort_by_key(|(fence, issue, _)| (*fence, *issue));
    let count = news.len() as u64;
    let left = news.split_off(news.len().min(MOST_TOLD));
    let position = match news.last() {
        Some((fence, issue, _)) if !left.is_empty() => Position { fence: *fence, within: Some(*issue) },
        _ => Position::after(position.fence.max(ended)),
    };
    Told { touches: news.into_iter().map(|(_, _, touch)| touch).collect(), count, position }
}

/// The change of one issue that is to be told, and its fence; none when it was told or is not to be told yet.
fn untold(
    changed: &ChangedIssue,
    issue: (RepositoryId, IssueNumber),
    position: Position,
    ended: u64,
) -> Option<(u64, Change)> {
    let is_news = |fence: &u64| *fence <= ended && !position.covers(*fence, issue);
    let kind = changed.stamp.kind_fence.filter(is_news).zip(changed.stamp.kind);
    match changed.stamp.fence.filter(is_news) {
        Some(fence) => Some((fence, kind.map_or(Change::Edited, |(_, kind)| kind))),
        // A pass that still runs has edited the issue again; what happened before is told now.
        None => kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Stamp;

    fn changed(number: u64, stamp: Stamp) -> ChangedIssue {
        ChangedIssue {
            number: IssueNumber(number),
            url: format!("https://github.com/acme/api/issues/{number}"),
            labels: vec!["Spam".to_owned()],
            moved_to: None,
            stamp,
        }
    }

    fn told(changes: Vec<ChangedIssue>, position: Position, ended: u64) -> Told {
        select(vec![(RepositoryId(1), changes)], position, ended, &HashSet::new())
    }

    fn what(told: &Told) -> Vec<Change> {
        told.touches.iter().map(|touch| touch.change).collect()
    }

    #[test]
    fn an_edit_after_a_close_does_not_hide_the_close() {
        let stamp = Stamp::default().with(Change::Closed, 5).with(Change::Edited, 6);
        assert_eq!(what(&told(vec![changed(1, stamp)], Position::after(4), 6)), [Change::Closed]);
        assert_eq!(what(&told(vec![changed(1, stamp)], Position::after(5), 6)), [Change::Edited]);
        assert_eq!(what(&told(vec![changed(1, stamp)], Position::after(6), 6)), []);
    }

    #[test]
    fn a_change_that_a_running_pass_edits_again_is_told_for_what_it_was() {
        let stamp = Stamp::default().with(Change::Closed, 5).with(Change::Edited, 6);
        let first = told(vec![changed(1, stamp)], Position::after(4), 5);
        assert_eq!(what(&first), [Change::Closed]);
        assert_eq!(what(&told(vec![changed(1, stamp)], first.position, 6)), [Change::Edited]);
    }

    #[test]
    fn what_does_not_fit_into_one_answer_follows_in_the_next_ones() {
        let changes: Vec<_> =
            (1..=450).map(|n| changed(n, Stamp::default().with(Change::Opened, 3 + n % 2))).collect();
        let mut position = Position::after(2);
        let mut urls = HashSet::new();
        for (expected, left) in [(200, 450), (200, 250), (50, 50), (0, 0)] {
            let told = told(changes.clone(), position, 4);
            assert_eq!((told.touches.len(), told.count), (expected, left));
            urls.extend(told.touches.into_iter().map(|touch| touch.url));
            position = told.position;
        }
        assert_eq!((urls.len(), position), (450, Position::after(4)));
    }

    #[test]
    fn an_excluded_label_silences_whatever_its_case() {
        let changes = vec![changed(1, Stamp::default().with(Change::Opened, 1))];
        let excluded = HashSet::from(["spam".to_owned()]);
        let told = select(vec![(RepositoryId(1), changes)], Position::after(0), 1, &excluded);
        assert_eq!((told.count, told.position), (0, Position::after(1)));
    }
}
