//! Runs the passes of one heartbeat, and limits how long they may take.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use crate::app::App;
use crate::pass::{self, Panicked, PassOptions, PassReport, guard};
use crate::store::{FleetState, LastPass, Lease, LeaseError, StoreError};
use crate::telemetry::{Count, Measure};

use super::request::{Heartbeat, Origin};
use super::served::PassTotals;

/// Acquires the pass lease.
pub(super) async fn acquire_lease(app: &App, state: FleetState) -> Result<Lease, LeaseError> {
    let now = app.clock.now();
    let until = now.checked_add(app.timing.lease).unwrap_or(now);
    app.store.acquire_lease(state, app.clock.new_id(), now, until).await
}

/// How a pass came out.
pub(super) enum PassResult {
    Finished(Box<PassReport>),
    /// Another pass took over; this is the state now.
    LeaseLost(Box<FleetState>),
    Failed {
        pass_id: Uuid,
        /// The last pass that finished before.
        last_pass: Option<Box<LastPass>>,
        cause: FailureCause,
    },
}

/// What made a pass fail as a whole.
pub(super) enum FailureCause {
    Store(StoreError),
    Panic(Panicked),
}

impl PassResult {
    /// Whether another pass right now can finish what this one deferred.
    fn can_continue(&self) -> bool {
        matches!(self, Self::Finished(report) if report.may_go_on)
    }
}

/// Runs the passes of one heartbeat. An agent's heartbeat runs one. A scheduled one, which nobody waits for, runs
/// further passes while repositories are deferred, the last pass made progress, and a fifth of the invocation's time
/// stays free.
pub(super) async fn run_passes(
    app: &App,
    heartbeat: &Heartbeat<'_>,
    lease: Lease,
) -> (PassResult, PassTotals) {
    let mut passes = Passes { app, heartbeat, totals: PassTotals::default() };
    // The response to a confirmation comes from the one pass that processes it: a further pass would replace it.
    let can_repeat = matches!(heartbeat.origin, Origin::Schedule { confirmed: None });
    let mut result = passes.run_pass(&lease).await;
    while can_repeat && result.can_continue() && passes.has_time_for_another() {
        // If another heartbeat has the lease, or the table does not answer, the last result counts.
        let Some(lease) = passes.next_lease().await else { break };
        result = passes.run_pass(&lease).await;
    }
    (result, passes.totals)
}

struct Passes<'a, 'r> {
    app: &'a App,
    heartbeat: &'a Heartbeat<'r>,
    totals: PassTotals,
}

impl Passes<'_, '_> {
    async fn next_lease(&self) -> Option<Lease> {
        let state = self.app.store.state().await.ok()?;
        acquire_lease(self.app, state).await.ok()
    }

    async fn run_pass(&mut self, lease: &Lease) -> PassResult {
        let options = PassOptions {
            deadline: self.pass_deadline(lease),
            asked_before: &self.totals.asked,
            confirmed: self.heartbeat.origin.confirmed(),
        };
        let started_at = self.app.clock.now();
        Count::Passes.add(1);
        let end = guard(pass::run(self.app, lease, options)).await;
        let took = self.app.clock.now().duration_since(started_at);
        Measure::PassDuration.record(took.as_millis_f64());
        self.totals.count += 1;
        self.totals.took += Duration::try_from(took).unwrap_or_default();
        let cause = match end {
            Ok(Ok(report)) => {
                self.totals.add(&report);
                return PassResult::Finished(Box::new(report));
            }
            Ok(Err(LeaseError::Lost(state))) => return PassResult::LeaseLost(state),
            Ok(Err(LeaseError::Store(error))) => FailureCause::Store(error),
            Err(panicked) => FailureCause::Panic(panicked),
        };
        self.release(lease).await;
        PassResult::Failed {
            pass_id: lease.pass_id(),
            last_pass: lease.before().ended.clone().map(Box::new),
            cause,
        }
    }

    /// Releases the lease of a failed pass, so that nobody waits for it. If this fails too, the lease expires.
    async fn release(&self, lease: &Lease) {
        if let Err(error) = self.app.store.release(lease).await {
            tracing::warn!(pass.id = %lease.pass_id(), cause = %error, "Failed to release the pass lease.");
        }
    }

    /// Whether another pass would finish, even at its maximum duration, within four fifths of the invocation's time: an
    /// alarm reports invocations that take longer, and a backlog alone must not raise it. A deadline in the past leaves
    /// no time.
    fn has_time_for_another(&self) -> bool {
        let Some(deadline) = self.heartbeat.deadline else { return false };
        let since_start = |at: Timestamp| Duration::try_from(at.duration_since(self.heartbeat.started_at));
        let (all, spent) = (since_start(deadline), since_start(self.app.clock.now()));
        let end = spent.unwrap_or_default() + self.app.timing.pass_budget;
        all.is_ok_and(|all| end <= all * 4 / 5)
    }

    /// When the pass must stop working: after its budget, or when only the time to answer is left of the invocation. A
    /// deadline in the past comes from a test environment and is ignored.
    fn pass_deadline(&self, lease: &Lease) -> Timestamp {
        let timing = &self.app.timing;
        let acquired_at = lease.taken_at();
        let budget = acquired_at.checked_add(timing.pass_budget).unwrap_or(acquired_at);
        let deadline = self.heartbeat.deadline.filter(|deadline| *deadline > self.heartbeat.started_at);
        let end = deadline
            .and_then(|deadline| deadline.checked_sub(timing.answering).ok())
            .map_or(budget, |deadline| deadline.min(budget));
        end.checked_sub(timing.pass_ending).unwrap_or(end)
    }
}
