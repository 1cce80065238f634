//! Repositories that are no longer configured.
//!
//! For an hour they stay as they are: functions that are deployed one after the other disagree for a while, and a
//! repository that is configured again catches up on what changed in between. After that hour, or immediately if their
//! name belongs to another repository, their open issues are reported as hidden, a limited number per pass. Then the
//! repository leaves the fleet's partition.

use std::collections::HashSet;

use crate::domain::{CachedIssue, Gone, Phase, Removal};
use crate::store::{ConfiguredName, StoreError};

use super::context::Pass;
use super::plan;
use super::step::{StepError, guard_step};
use super::work::{Work, Worklist};

/// How many open issues a pass reports as hidden, over all repositories.
const MAX_HIDDEN: usize = 100;

/// How many names that are no longer configured a pass deletes.
const MAX_NAMES: usize = 25;

impl Pass<'_> {
    /// Reports the open issues of the repositories that are not expected back as hidden, and retires those without any
    /// left.
    pub(super) async fn hide_untracked(&self, worklist: &mut Worklist) {
        let now = self.app.clock.now();
        let mut left = MAX_HIDDEN;
        let mut has_retired = false;
        let configured: HashSet<String> = worklist.names().map(|name| name.key()).collect();
        for work in self.in_turn(&mut worklist.untracked) {
            let is_for_good = work.tracked.untracked.is_some_and(|untracked| untracked.is_for_good(now));
            // A repository that was not fenced off must not be changed.
            if !is_for_good || !work.is_under_way() || left == 0 || self.is_over() {
                continue;
            }
            let names = worklist
                .fleet
                .names
                .iter()
                .filter(|(name, known)| known.id() == Some(work.id()) && !configured.contains(*name));
            let names: Vec<String> = names.map(|(name, _)| name.clone()).collect();
            let retirement = guard_step(async {
                self.hide_open(work, &mut left).await?;
                // From here on heartbeats may no longer find it in the fleet.
                has_retired |= left > 0;
                if left > 0 { self.retire(work, &names).await } else { Ok(()) }
            });
            let ended = retirement.await;
            if let Err(error @ (StepError::GitHub(_) | StepError::Store(_) | StepError::BudgetLow)) = &ended {
                let name = &work.name;
                tracing::warn!(repository.name = %name, cause = ?error, "Failed to retire {name}; a later pass retries.");
            }
            work.note(Phase::Reconcile, ended, self.fence(), self.app.clock.now());
        }
        worklist.has_retired = has_retired;
        if let Err(error) = self.delete_names(worklist, &configured).await {
            tracing::warn!(cause = %error, "Failed to delete names that are no longer configured; a later pass retries.");
        }
    }

    /// Reports at most `left` open issues as hidden, and reduces `left` by their number. `left` stays above 0 only if
    /// no issue is open any more.
    async fn hide_open(&self, work: &mut Work, left: &mut usize) -> Result<(), StepError> {
        let numbers = self.app.store.some_open_issues(work.id(), *left).await?;
        *left -= numbers.len();
        if numbers.is_empty() {
            return Ok(());
        }
        let fence = self.fence();
        let cached = self.app.store.issues(work.id(), &numbers, true).await?;
        let hidden = |row: &CachedIssue| {
            // No pass reads the repository any more, so the last reading does not contradict this.
            let proved_at = self.date().max(row.read_at);
            plan::removed(row, &Gone { removal: Removal::Hidden, proved_at }, fence)
        };
        let writes = numbers.iter().filter_map(|number| hidden(cached.get(number)?)).collect();
        let applied = self.write(Some(self.lease), work.id(), writes, &hidden).await;
        work.count(&applied, fence);
        applied.failure.map_or(Ok(()), Err)?;
        self.store_checkpoint(work).await?;
        Ok(())
    }

    async fn retire(&self, work: &mut Work, names: &[String]) -> Result<(), StepError> {
        let retention = self.app.config.run_retention;
        if self.is_written(self.app.store.retire(self.lease, &work.tracked, names, retention).await)? {
            // The end of the pass has nothing more to store of it.
            work.stored = Some(work.tracked.clone());
        }
        Ok(())
    }

    /// Deletes names that are no longer configured and that have no repository, or one that is read under another name.
    async fn delete_names(
        &self,
        worklist: &Worklist,
        configured: &HashSet<String>,
    ) -> Result<(), StoreError> {
        let read: HashSet<_> = worklist.work.iter().map(Work::id).collect();
        let is_useless = |known: &ConfiguredName| known.id().is_none_or(|id| read.contains(&id));
        let names = worklist
            .fleet
            .names
            .iter()
            .filter(|(name, known)| !configured.contains(*name) && is_useless(known));
        for (name, _) in names.take(MAX_NAMES) {
            if self.is_over() {
                break;
            }
            self.is_written(self.app.store.remove_name(self.lease, name).await)?;
        }
        Ok(())
    }
}
