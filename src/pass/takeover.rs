//! The first step of a pass that takes over from a dead one: it finds what the dead pass changed and fences it off.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{FutureExt as _, StreamExt as _};

use crate::domain::{Phase, RepositoryId, TrackedRepository};
use crate::github::GitHubError;
use crate::store::StoreError;

use super::checkpoints::CHECKPOINTS_AT_ONCE;
use super::context::Pass;
use super::step::StepError;
use super::work::{Work, Worklist};

impl Pass<'_> {
    /// After a dead pass, or one that failed to store its checkpoints, the stored counts may lack rows that it wrote:
    /// all open issues are counted again. A dead pass is also fenced off.
    pub(super) async fn take_over(&self, worklist: &mut Worklist) {
        let before = self.lease.before().ended.as_ref();
        if self.lease.takes_over() || before.is_some_and(|ended| ended.counts_lag) {
            worklist.all_work_mut().for_each(|work| work.tracked.recount = true);
        }
        if self.lease.takes_over() {
            self.fence_off(worklist).await;
        }
    }

    /// Finds what the dead pass changed, and writes the checkpoint of every repository in the worklist again, under
    /// this pass's fence. If the dead pass resumes, its checkpoints are now rejected. It may still write rows, but
    /// without checkpoints the next pass reads and reports these again.
    async fn fence_off(&self, worklist: &mut Worklist) {
        let is_search_incomplete = &AtomicBool::new(false);
        futures_util::stream::iter(worklist.all_work_mut().filter(|work| work.stored.is_some()))
            .for_each_concurrent(CHECKPOINTS_AT_ONCE, |work| {
                async move {
                    // A repository that was not fenced off must not be synced.
                    let fenced_off = match self.is_over() {
                        true => Err(GitHubError::Deadline.into()),
                        false => self.fence_off_work(work).await.map_err(StepError::from),
                    };
                    is_search_incomplete.fetch_or(fenced_off.is_err(), Ordering::Relaxed);
                    work.note(Phase::Sync, fenced_off, self.fence(), self.app.clock.now());
                }
                .boxed()
            })
            .await;
        // Repositories whose configured name GitHub does not show are not in the worklist.
        let listed: HashSet<_> = worklist.all_work().map(Work::id).collect();
        let is_listed = |id| listed.contains(&id);
        let others = worklist.fleet.repositories.values_mut().filter(|other| !is_listed(other.id));
        futures_util::stream::iter(others)
            .for_each_concurrent(CHECKPOINTS_AT_ONCE, |other| {
                async move {
                    let is_searched = !self.is_over() && self.fence_off_other(other).await.is_ok();
                    is_search_incomplete.fetch_or(!is_searched, Ordering::Relaxed);
                }
                .boxed()
            })
            .await;
        let changed = worklist
            .fleet
            .repositories
            .values()
            .filter(|other| !is_listed(other.id) && other.last_change_fence == self.fence());
        worklist.changed_by_dead = changed.map(|other| other.id).collect();
        // The dead pass may have retired a repository after it reported the repository's issues as hidden.
        let retired = match self.is_over() {
            true => Err(()),
            false => self.retired_by_dead().await.map_err(drop),
        };
        is_search_incomplete.fetch_or(retired.is_err(), Ordering::Relaxed);
        worklist.changed_by_dead.extend(retired.unwrap_or_default());
        worklist.is_search_incomplete = is_search_incomplete.load(Ordering::Relaxed);
    }

    /// The untracked repositories in which an issue changed after the last pass that ended.
    async fn retired_by_dead(&self) -> Result<Vec<RepositoryId>, StoreError> {
        let mut changed = Vec::new();
        for retired in self.app.store.all_untracked().await? {
            if self.has_unended_changes(&retired).await? {
                changed.push(retired.id);
            }
        }
        Ok(changed)
    }

    async fn fence_off_work(&self, work: &mut Work) -> Result<(), StoreError> {
        if self.has_unended_changes(&work.tracked).await? {
            work.tracked.last_change_fence = self.fence();
        }
        self.overwrite_checkpoint(work).await
    }

    async fn fence_off_other(&self, other: &mut TrackedRepository) -> Result<(), StoreError> {
        if self.has_unended_changes(other).await? {
            other.last_change_fence = self.fence();
            other.recount = true;
            self.is_written(self.app.store.put_repository(self.lease, other).await)?;
        }
        Ok(())
    }

    /// Whether an issue changed under a fence that is later than that of the last pass that ended.
    async fn has_unended_changes(&self, repository: &TrackedRepository) -> Result<bool, StoreError> {
        let after = (self.lease.before().ended_fence(), None);
        Ok(!self.app.store.changes(repository.id, after, None, 1).await?.changes.is_empty())
    }
}
