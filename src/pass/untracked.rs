//! Repositories that are no longer configured.
//!
//! For an hour they are remembered as they are: functions that are deployed one after the other disagree for a while, and
//! what changed meanwhile is read once they are back. Then, or at once when their name stands for another repository, their
//! open issues are reported as hidden, so many a pass, and the repository leaves the fleet's partition.

use std::collections::HashSet;

use crate::domain::{CachedIssue, Change, Gone, Phase};
use crate::store::{ConfiguredName, StoreError};

use super::context::Pass;
use super::plan;
use super::step::{StepError, guard_step};
use super::work::{Work, Worklist};

/// How many open issues a pass reports as hidden, over all repositories.
const MAX_HIDDEN: usize = 100;

/// How many names that are no longer configured a pass removes.
const MAX_NAMES: usize = 25;

impl Pass<'_> {
    /// Reports the open issues of the repositories that are not expected back as hidden, and retires those that have
    /// none left.
    pub(super) async fn hide_untracked(&self, worklist: &mut Worklist) {
        let now = self.app.clock.now();
        let mut left = MAX_HIDDEN;
        let mut has_retired = false;
        let configured: HashSet<String> = worklist.names().map(|name| name.key()).collect();
        for work in self.in_turn(&mut worklist.untracked) {
            let is_for_good = work.tracked.untracked.is_some_and(|untracked| untracked.is_for_good(now));
            // One that could not be fenced off must not be worked on.
            if !is_for_good || !work.is_under_way() || left == 0 || self.is_over() {
                continue;
            }
            let names = worklist
                .fleet
                .names
                .iter()
                .filter(|(name, known)| known.id == Some(work.id()) && !configured.contains(*name));
            let names: Vec<String> = names.map(|(name, _)| name.clone()).collect();
            let met = guard_step(async {
                self.hide_open(work, &mut left).await?;
                // From here on it may be gone from where agents look first.
                has_retired |= left > 0;
                if left > 0 { self.remove(work, &names).await } else { Ok(()) }
            });
            let met = met.await;
            if let Err(error @ (StepError::GitHub(_) | StepError::Store(_) | StepError::PutOff)) = &met {
                tracing::warn!(repository.name = %work.name, cause = ?error, "Untracking a repository was not finished.");
            }
            work.take(Phase::Reconcile, met, self.fence(), self.app.clock.now());
        }
        worklist.has_retired = has_retired;
        if let Err(error) = self.remove_names(worklist, &configured).await {
            tracing::warn!(cause = %error, "Names that are not configured any more were not removed.");
        }
    }

    /// Reports at most `left` open issues as hidden, and takes them off that number. Some of it is left when no issue is
    /// open any more.
    async fn hide_open(&self, work: &mut Work, left: &mut usize) -> Result<(), StepError> {
        let numbers = self.app.store.some_open_issues(work.id(), *left).await?;
        *left -= numbers.len();
        if numbers.is_empty() {
            return Ok(());
        }
        let fence = self.fence();
        let cached = self.app.store.issues(work.id(), &numbers, true).await?;
        let hidden = |row: &CachedIssue| {
            // Nobody reads it any more: what was read last proves nothing against it.
            let proved_at = self.date().max(row.read_at);
            plan::removed(row, &Gone { reason: Change::Hidden, proved_at, moved_to: None }, fence)
        };
        let writes = numbers.iter().filter_map(|number| hidden(cached.get(number)?)).collect();
        let applied = self.write(Some(self.lease), work.id(), writes, &hidden).await;
        work.count(&applied, fence);
        applied.failure.map_or(Ok(()), Err)?;
        self.store_checkpoint(work).await?;
        Ok(())
    }

    async fn remove(&self, work: &mut Work, names: &[String]) -> Result<(), StepError> {
        let retention = self.app.config.run_retention;
        if self.is_written(self.app.store.retire(self.lease, &work.tracked, names, retention).await?) {
            // The end of the pass has nothing more to store of it.
            work.stored = Some(work.tracked.clone());
        }
        Ok(())
    }

    /// Removes names that are no longer configured and stand for nothing, or for what is read under another name.
    async fn remove_names(
        &self,
        worklist: &Worklist,
        configured: &HashSet<String>,
    ) -> Result<(), StoreError> {
        let read: HashSet<_> = worklist.work.iter().map(Work::id).collect();
        let is_useless = |known: &ConfiguredName| known.id.is_none_or(|id| read.contains(&id));
        let names = worklist
            .fleet
            .names
            .iter()
            .filter(|(name, known)| !configured.contains(*name) && is_useless(known));
        for (name, _) in names.take(MAX_NAMES) {
            if self.is_over() {
                break;
            }
            self.is_written(self.app.store.remove_name(self.lease, name).await?);
        }
        Ok(())
    }
}
