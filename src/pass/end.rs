//! Ends a pass: stores its checkpoints, its record and the fleet's state, in that order. So whoever reads the state can
//! rely on the other two.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;

use crate::domain::{ChangeCounts, IssueNumber, Outcome, PassHours, Recount, Status};
use crate::store::{LastPass, LeaseError, PassRecord, RecentChanges};

use super::checkpoints::CHECKPOINTS_AT_ONCE;
use super::context::Pass;
use super::health;
use super::listed::{self, Digests};
use super::problems;
use super::report::PassReport;
use super::tally::{self, Tally};
use super::work::{Work, Worklist};

impl Pass<'_> {
    /// Ends the pass, unless another one has taken over.
    pub(super) async fn end(&self, mut worklist: Worklist) -> Result<PassReport, LeaseError> {
        let now = self.app.clock.now();
        for work in &mut worklist.work {
            work.note_health(now);
        }
        let is_all_stored = self.store_all(&mut worklist.work).await;
        let is_all_stored = self.store_all(&mut worklist.untracked).await && is_all_stored;
        if self.is_superseded() {
            let state = self.app.store.state().await?;
            return Err(LeaseError::Lost(Box::new(state)));
        }
        let tally = Tally::of(&worklist, self.fence());
        let freshness = self.freshness(&worklist);
        let outcome = self.outcome(&mut worklist, &tally, freshness, now);
        let last_change_fence = self.last_change_fence(&worklist, &tally);
        let counted_before = worklist.fleet.counts.take();
        let counts = (last_change_fence == self.fence())
            .then(|| self.counts(&worklist, counted_before, is_all_stored));
        let (is_recorded, ()) = futures_util::join!(
            self.record(&tally, &outcome).boxed(),
            self.store_counts(counts.as_ref()).boxed()
        );
        let has_problems = is_recorded && !outcome.problems().is_empty();
        let Digests { listed, named } = listed::digests(&self.app.config.repositories, &worklist);
        let at = self.app.clock.now();
        let ended = LastPass {
            pass_id: self.lease.pass_id(),
            fence: self.fence(),
            at,
            status: outcome.status(),
            fresh_at: self.fresh_at(&tally),
            freshness_seconds: freshness,
            last_change_fence,
            recent: self.recent(&worklist),
            search_all_fence: self.search_all_fence(is_all_stored && !worklist.is_search_incomplete),
            counts_lag: self.lease.takes_over() || !is_all_stored,
            retired_fence: self.retired_fence(worklist.has_retired),
            has_untracked: !worklist.untracked.is_empty(),
            listed,
            named,
            problems_from: has_problems.then_some(self.lease.pass_id()),
            hours: self.hours(at, outcome.status()),
            limits: self.github.limits(),
            probe: self.probe_memory.lock().expect("nothing panics while noting").clone(),
        };
        self.app.store.end_pass(self.lease, &ended).await?;
        health::record(&ended, &worklist, &tally);
        Ok(PassReport {
            ended,
            outcome,
            confirmation_error: worklist.confirmation_error.take(),
            summary: tally.summary(),
            may_go_on: self.may_go_on(&worklist, &tally),
            succeeded: tally.has_success(),
            changed: tally.changed,
            deferred: tally.deferred,
            asked: self.github.usage(),
        })
    }

    /// The pass's problems, in the order in which they are reported.
    fn outcome(&self, worklist: &mut Worklist, tally: &Tally, freshness: u64, now: Timestamp) -> Outcome {
        let mut outcome = std::mem::take(&mut worklist.outcome);
        for problem in self.budget_problems(worklist, now) {
            outcome.add(problem);
        }
        tally::add_failures(&mut outcome, worklist, tally, freshness, |names| self.whose(names));
        for work in &worklist.work {
            let numbers: Vec<IssueNumber> = work.tracked.unread.iter().map(|unread| unread.number).collect();
            if let Some(unread) = problems::unread_issues(&work.name, &numbers, work.has_unnumbered) {
                outcome.add(unread.retry_after(Some(freshness)));
            }
        }
        for on_hold in worklist.work.iter().filter_map(|work| self.on_hold_problem(work)) {
            outcome.add(on_hold);
        }
        if let Some(failure) = self.github.failure()
            && outcome.problems().is_empty()
            && !tally.deferred.is_empty()
        {
            outcome.add(problems::deferred_by_failure(failure, tally.deferred.len()));
        }
        outcome
    }

    /// Stores the checkpoints that are not in the table yet: those of repositories whose health changed, because the
    /// writes of a page include its checkpoint. Returns whether all are stored. After one failure it skips the rest, to
    /// leave time for the state.
    async fn store_all(&self, work: &mut [Work]) -> bool {
        let has_failed = &AtomicBool::new(false);
        futures_util::stream::iter(work.iter_mut())
            .for_each_concurrent(CHECKPOINTS_AT_ONCE, |work| {
                async move {
                    if has_failed.load(Ordering::Relaxed) {
                        return;
                    }
                    if let Err(error) = self.store_checkpoint(work).await {
                        let name = &work.name;
                        tracing::warn!(
                            repository.name = %name,
                            cause = %error,
                            "Failed to store the checkpoint of {name}."
                        );
                        has_failed.store(true, Ordering::Relaxed);
                    }
                }
                .boxed()
            })
            .await;
        !has_failed.load(Ordering::Relaxed)
    }

    /// Records the pass if it changed an issue, had a problem or deferred a repository. Returns whether there is a
    /// record. The pass counts without one too: the fleet's state has its status.
    async fn record(&self, tally: &Tally, outcome: &Outcome) -> bool {
        if !tally.may_have_changed && outcome.problems().is_empty() && tally.deferred.is_empty() {
            return false;
        }
        let record = PassRecord {
            pass_id: self.lease.pass_id(),
            fence: self.fence(),
            started_at: self.started_at,
            ended_at: self.app.clock.now(),
            status: outcome.status(),
            summary: tally.summary(),
            problems: outcome.problems().to_vec(),
            touched: tally.changed,
            deferred: tally.deferred.clone(),
            github_requests: self.github.usage().total().requests(),
        };
        let put = self.app.store.put_pass(&record, self.app.config.run_retention).await;
        if let Err(error) = &put {
            let id = record.pass_id;
            tracing::warn!(pass.id = %id, cause = %error, "Failed to store the record of pass {id}.");
        }
        put.is_ok()
    }

    /// How many issues last changed under which fences, this one included. Counting restarts after this pass if the
    /// pass does not know everything that was written.
    fn counts(&self, worklist: &Worklist, before: Option<ChangeCounts>, is_all_stored: bool) -> ChangeCounts {
        let excluded = &self.app.config.excluded_labels;
        let ended = self.lease.before().ended.as_ref().map_or(0, |ended| ended.last_change_fence);
        let has_uncounted = worklist.all_work().any(|work| work.has_uncounted);
        if self.lease.takes_over() || !is_all_stored || has_uncounted {
            return ChangeCounts::after(self.fence(), excluded);
        }
        let mut recount = Recount::default();
        worklist.all_work().for_each(|work| recount.add(&work.recount));
        before
            .filter(|before| before.upto == ended && before.excludes(excluded))
            .unwrap_or_else(|| ChangeCounts::after(ended, excluded))
            .with(self.fence(), &recount)
    }

    /// Stores the counts. Without them a heartbeat reports that there are at least as many changes as it read.
    async fn store_counts(&self, counts: Option<&ChangeCounts>) {
        let Some(counts) = counts else { return };
        let written = self.app.store.put_change_counts(self.lease, counts).await;
        if let Err(error) = self.is_written(written) {
            let pass = self.lease.pass_id();
            tracing::warn!(
                pass.id = %pass,
                cause = %error,
                "Failed to store the change counts of pass {pass}."
            );
        }
    }

    /// The repositories in which an issue changed recently, or may have changed.
    fn recent(&self, worklist: &Worklist) -> RecentChanges {
        let has_changed = |work: &&Work| work.tracked.last_change_fence == self.fence();
        let changed = worklist.all_work().filter(has_changed).map(Work::id);
        let changed = changed.chain(worklist.changed_by_dead.iter().copied());
        let before = self.lease.before().ended.as_ref().map(|ended| ended.recent.clone());
        before.unwrap_or_default().with(changed, self.fence(), self.app.timing.backlog.named)
    }

    /// The hours of earlier passes and of this one, which ends now.
    fn hours(&self, now: Timestamp, status: Status) -> PassHours {
        let before = self.lease.before().ended.as_ref();
        let fresh_at = before.and_then(|ended| ended.fresh_at);
        let age =
            fresh_at.map(|fresh_at| Duration::try_from(now.duration_since(fresh_at)).unwrap_or_default());
        before.map(|ended| ended.hours.clone()).unwrap_or_default().with(now, status, age)
    }

    fn fresh_at(&self, tally: &Tally) -> Option<Timestamp> {
        let before = self.lease.before().ended.as_ref().and_then(|ended| ended.fresh_at);
        if tally.backfilling > 0 {
            None
        } else if tally.configured > 0 && tally.synced == tally.configured {
            self.github.first_date().max(before)
        } else {
            before
        }
    }

    fn last_change_fence(&self, worklist: &Worklist, tally: &Tally) -> u64 {
        let changes_lists = worklist.all_work().any(|work| work.changes_lists);
        if tally.may_have_changed || changes_lists || self.lease.takes_over() {
            return self.fence();
        }
        self.lease.before().ended.as_ref().map_or(0, |ended| ended.last_change_fence)
    }

    fn search_all_fence(&self, all_is_found: bool) -> u64 {
        if !all_is_found {
            return self.fence();
        }
        self.lease.before().ended.as_ref().map_or(0, |ended| ended.search_all_fence)
    }

    fn retired_fence(&self, has_retired: bool) -> u64 {
        if self.lease.takes_over() || has_retired {
            return self.fence();
        }
        self.lease.before().ended.as_ref().map_or(0, |ended| ended.retired_fence)
    }

    fn may_go_on(&self, worklist: &Worklist, tally: &Tally) -> bool {
        let got_further = worklist.work.iter().any(|work| work.got_further);
        got_further && self.has_budget_for_another(&tally.deferred)
    }
}
