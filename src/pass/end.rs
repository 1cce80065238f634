//! Ends a pass: its marks, its record and the fleet's state are written, in that order. Who reads the state can
//! rely on the rest.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;

use crate::domain::Outcome;
use crate::store::{Ended, Fleet, Overtaken, PassRecord};

use super::health;
use super::tally::{self, Tally};
use super::unread::unread_problem;
use super::work::{Roster, Work};
use super::{MARKS_AT_ONCE, Pass, PassEnd, PassReport};

impl Pass<'_> {
    pub(super) async fn end(
        &self,
        mut roster: Roster,
        mut fleet: Fleet,
        mut outcome: Outcome,
    ) -> Result<PassReport, PassEnd> {
        let now = self.app.clock.now();
        for work in &mut roster.work {
            work.note_health(now);
        }
        let marks_are_stored = self.store_all(&mut roster.work).await;
        if self.is_stale.load(Ordering::Relaxed) {
            let state = self.app.store.state().await?;
            return Err(Overtaken(state).into());
        }
        for work in &roster.work {
            fleet.repositories.insert(work.id(), work.tracked.clone());
        }
        let tally = Tally::of(&roster, self.fence());
        let freshness = self.freshness(&roster);
        for problem in self.budget_problems(&roster, now) {
            outcome.add(problem);
        }
        tally::add_failures(&mut outcome, &roster, &tally, freshness, |names| self.whose(names));
        for unread in roster.work.iter().filter_map(unread_problem) {
            outcome.add(unread.retry_after(Some(freshness)));
        }
        for work in &roster.work {
            if let Some(held) = self.held_problem(work) {
                outcome.add(held);
            }
        }
        let is_recorded = self.record(&tally, &outcome).await;
        let has_problems = is_recorded && !outcome.problems().is_empty();
        let ended = Ended {
            pass_id: self.claim.pass_id(),
            fence: self.fence(),
            at: self.app.clock.now(),
            status: outcome.status(),
            fresh_at: self.fresh_at(&tally),
            freshness_seconds: freshness,
            last_change_fence: self.last_change_fence(&tally),
            search_all_fence: self.search_all_fence(marks_are_stored),
            problems_from: has_problems.then_some(self.claim.pass_id()),
            limits: self.github.limits(),
        };
        if let Err(overtaken) = self.app.store.end_pass(self.claim, &ended).await? {
            return Err(overtaken.into());
        }
        health::tell(&ended, &roster, &tally, &fleet);
        Ok(PassReport {
            ended,
            outcome,
            unheeded: None,
            summary: tally.summary(),
            fleet,
            may_go_on: self.may_go_on(&roster, &tally),
            succeeded: tally.has_success(),
            touched: tally.touched,
            deferred: tally.deferred,
            asked: self.github.usage(),
        })
    }

    /// Writes the marks that are not in the table yet: those of the repositories whose health changed, since a
    /// page's own writes include its marks. Returns whether all are. A table that fails once is not asked for the
    /// rest: the time is kept for the state.
    async fn store_all(&self, work: &mut [Work]) -> bool {
        let has_failed = &AtomicBool::new(false);
        futures_util::stream::iter(work.iter_mut())
            .for_each_concurrent(MARKS_AT_ONCE, |work| {
                async move {
                    if has_failed.load(Ordering::Relaxed) {
                        return;
                    }
                    if let Err(error) = self.store_marks(work).await {
                        tracing::warn!(repository.name = %work.name, cause = %error, "Marks were not stored.");
                        has_failed.store(true, Ordering::Relaxed);
                    }
                }
                .boxed()
            })
            .await;
        !has_failed.load(Ordering::Relaxed)
    }

    /// Records the pass when it changed something, met a problem or left something. Returns whether a record is
    /// there; without one the work is done all the same, and its status stands in the fleet's state.
    async fn record(&self, tally: &Tally, outcome: &Outcome) -> bool {
        if !tally.may_have_changed && outcome.problems().is_empty() && tally.deferred.is_empty() {
            return false;
        }
        let record = PassRecord {
            pass_id: self.claim.pass_id(),
            fence: self.fence(),
            started_at: self.started_at,
            ended_at: self.app.clock.now(),
            status: outcome.status(),
            summary: tally.summary(),
            problems: outcome.problems().to_vec(),
            touched: tally.touched,
            deferred: tally.deferred.clone(),
            github_requests: self.github.usage().total().requests(),
        };
        let put = self.app.store.put_pass(&record, self.app.config.run_retention).await;
        if let Err(error) = &put {
            tracing::warn!(pass.id = %record.pass_id, cause = %error, "A pass was not recorded.");
        }
        put.is_ok()
    }

    fn fresh_at(&self, tally: &Tally) -> Option<Timestamp> {
        let before = self.claim.before().ended.as_ref().and_then(|ended| ended.fresh_at);
        if tally.backfilling > 0 {
            None
        } else if tally.configured > 0 && tally.synced == tally.configured {
            self.github.first_date().max(before)
        } else {
            before
        }
    }

    fn last_change_fence(&self, tally: &Tally) -> u64 {
        if tally.may_have_changed || self.claim.takes_over() {
            return self.fence();
        }
        self.claim.before().ended.as_ref().map_or(0, |ended| ended.last_change_fence)
    }

    fn search_all_fence(&self, marks_are_stored: bool) -> u64 {
        if self.claim.takes_over() || !marks_are_stored {
            return self.fence();
        }
        self.claim.before().ended.as_ref().map_or(0, |ended| ended.search_all_fence)
    }

    fn may_go_on(&self, roster: &Roster, tally: &Tally) -> bool {
        let got_further = roster.work.iter().any(|work| work.got_further);
        got_further && self.has_budget_to_go_on(&tally.deferred)
    }
}
