//! The passes that a beat runs itself, and how long they may take.

use std::time::Duration;

use jiff::Timestamp;

use crate::domain::{Outcome, Phase, Position, Problem, ProblemCode, RunType};
use crate::pass::{self, Panicked, PassEnd, PassOptions, PassReport, guard};
use crate::store::{FleetState, Lease, LeaseLost, StoreError};
use crate::telemetry::{Count, Measure};

use super::{Beat, Served};

impl Beat<'_> {
    pub(super) async fn claim(&self, state: FleetState) -> Result<Result<Lease, LeaseLost>, StoreError> {
        let now = self.app.clock.now();
        let until = now.checked_add(self.app.timing.claim).unwrap_or(now);
        self.app.store.claim(state, self.app.clock.new_id(), now, until).await
    }

    /// An agent's beat runs one pass. A scheduled one, for which nobody waits, runs one after another while
    /// something is left to the next pass, the last one got further, and a fifth of its time stays free.
    pub(super) async fn run_passes(&mut self, claim: Lease, deadline: Option<Timestamp>) -> Served {
        let first_position = Position::after(claim.before().ended_fence());
        // What a pass said of an operator's word is not to be lost to the next one's answer.
        let may_go_on = self.run_type == RunType::Scheduled && self.confirmed.is_none();
        let (mut basis, mut goes_on) = self.run_pass(&claim, deadline).await;
        while goes_on && may_go_on && self.has_time_for_another(deadline) {
            let claimed = match self.app.store.state().await {
                Ok(state) => self.claim(state).await,
                Err(error) => Err(error),
            };
            // Another beat has the claim, or the table does not answer: what was done stands.
            let Ok(Ok(claim)) = claimed else { break };
            (basis, goes_on) = self.run_pass(&claim, deadline).await;
        }
        if self.passes.count > 1 {
            basis.summary = format!("Ran {} passes, the last of which: {}", self.passes.count, basis.summary);
        }
        Served { first_position, ..basis }
    }

    /// Runs one pass; tells also whether another one at once would get further.
    async fn run_pass(&mut self, claim: &Lease, deadline: Option<Timestamp>) -> (Served, bool) {
        // What an earlier pass of this invocation met is that pass's.
        self.outcome = Outcome::default();
        let terms = PassOptions {
            deadline: self.pass_deadline(claim, deadline),
            asked_before: &self.passes.asked,
            confirmed: self.confirmed,
        };
        let begun = self.app.clock.now();
        self.passes.count += 1;
        Count::Passes.add(1);
        let end = guard(pass::run(self.app, claim, terms)).await;
        let took = self.app.clock.now().duration_since(begun);
        Measure::PassDuration.record(took.as_millis_f64());
        self.passes.took += Duration::try_from(took).unwrap_or_default();
        let basis = match end {
            Ok(Ok(report)) => {
                self.passes.add(&report);
                let goes_on = report.may_go_on;
                return (self.ran(report), goes_on);
            }
            Ok(Err(PassEnd::LeaseLost(overtaken))) => self.join(overtaken.0).await,
            Ok(Err(PassEnd::Store(error))) => {
                self.give_back(claim).await;
                Served { pass_id: Some(claim.pass_id()), ..self.failed(claim.before().clone(), &error) }
            }
            Err(Panicked) => {
                self.give_back(claim).await;
                let problem = Problem::error(ProblemCode::PhaseCrashed, Phase::Sync, Panicked.to_string());
                self.outcome.add(problem);
                let basis = Served::without_pass(claim.before().clone(), "The pass crashed.");
                Served { pass_id: Some(claim.pass_id()), ..basis }
            }
        };
        (basis, false)
    }

    /// Nobody is to wait for a pass that failed. Should this fail too, the claim runs out.
    async fn give_back(&self, claim: &Lease) {
        if let Err(error) = self.app.store.release(claim).await {
            tracing::warn!(pass.id = %claim.pass_id(), cause = %error, "A claim was not given back.");
        }
    }

    /// Whether another pass would end, whatever it meets, within four fifths of the invocation's time: an alarm
    /// tells of one that takes longer, and much to read is no cause for it. A deadline in the past leaves no time.
    fn has_time_for_another(&self, deadline: Option<Timestamp>) -> bool {
        let Some(deadline) = deadline else { return false };
        let since_start = |at: Timestamp| Duration::try_from(at.duration_since(self.started_at));
        let (all, spent) = (since_start(deadline), since_start(self.app.clock.now()));
        let end = spent.unwrap_or_default() + self.app.timing.pass_budget;
        all.is_ok_and(|all| end <= all * 4 / 5)
    }

    /// When the pass must stop working: its own budget, or what the invocation leaves of it. A deadline that
    /// has passed already is a stand-in's: the budget is whole then.
    fn pass_deadline(&self, claim: &Lease, deadline: Option<Timestamp>) -> Timestamp {
        let timing = &self.app.timing;
        let taken_at = claim.taken_at();
        let budget = taken_at.checked_add(timing.pass_budget).unwrap_or(taken_at);
        let end = deadline
            .filter(|deadline| *deadline > self.started_at)
            .and_then(|deadline| deadline.checked_sub(timing.answering).ok())
            .map_or(budget, |deadline| deadline.min(budget));
        end.checked_sub(timing.pass_ending).unwrap_or(end)
    }

    fn ran(&mut self, report: PassReport) -> Served {
        self.outcome = report.outcome;
        report.confirmation_error.into_iter().for_each(|problem| self.outcome.add(problem));
        self.confirmed = None;
        Served {
            summary: report.summary,
            coalesced: false,
            first_position: Position::after(report.ended.fence.saturating_sub(1)),
            pass_id: Some(report.ended.pass_id),
            ended: Some(report.ended),
            claimed_until: None,
            is_fresh: report.succeeded,
        }
    }
}
