//! Serves a heartbeat: runs a pass if none is fresh or running, else joins the last one.

use std::time::Duration;

use crate::app::App;
use crate::domain::{DeliveryCursor, Status};
use crate::pass::PassReport;
use crate::store::{FleetState, Lease, LeaseError, StoreError};

use super::passes::{self, FailureCause, PassResult};
use super::request::Heartbeat;
use super::served::{PassFailure, ServeResult, Served};
use super::{problems, record};

/// Runs a pass, or joins the last one. Every failure becomes a problem in the result's outcome.
pub(super) async fn serve(
    app: &App,
    heartbeat: &Heartbeat<'_>,
    state: Result<FleetState, StoreError>,
) -> ServeResult {
    let state = match state {
        Ok(state) => state,
        Err(error) => {
            let result = ServeResult::new(Served::TableUnavailable, DeliveryCursor::after(0));
            return result.with(problems::table_unavailable(&error));
        }
    };
    let now = app.clock.now();
    let confirmed = heartbeat.origin.confirmed();
    let is_served = state.is_fresh(now) && confirmed.is_none();
    let result = if is_served || state.is_leased(now) {
        join(app, state).await
    } else {
        run_or_join(app, heartbeat, state).await
    };
    match confirmed {
        // The pass that ran has processed the confirmation.
        Some(repository) if !matches!(result.served, Served::Ran { .. }) => {
            result.with(problems::no_pass_for_confirmation(repository))
        }
        _ => result,
    }
}

async fn run_or_join(app: &App, heartbeat: &Heartbeat<'_>, state: FleetState) -> ServeResult {
    let first_cursor = DeliveryCursor::after(state.ended_fence());
    let last_pass = state.ended.clone();
    match passes::acquire_lease(app, state).await {
        Ok(lease) => {
            record::record_start(app, heartbeat, lease.pass_id()).await;
            run(app, heartbeat, lease).await
        }
        Err(LeaseError::Lost(state)) => join(app, *state).await,
        Err(LeaseError::Store(error)) => {
            let served = Served::Failed { pass_id: None, last_pass, failure: PassFailure::Table };
            ServeResult::new(served, first_cursor).with(problems::table_unavailable(&error))
        }
    }
}

async fn run(app: &App, heartbeat: &Heartbeat<'_>, lease: Lease) -> ServeResult {
    let first_cursor = DeliveryCursor::after(lease.before().ended_fence());
    let (result, passes) = passes::run_passes(app, heartbeat, lease).await;
    let result = match result {
        PassResult::Finished(report) => finished(*report, first_cursor),
        PassResult::LeaseLost(state) => join(app, *state).await,
        PassResult::Failed { pass_id, last_pass, cause } => {
            let (failure, problem) = match cause {
                FailureCause::Store(error) => (PassFailure::Table, problems::table_unavailable(&error)),
                FailureCause::Panic(panicked) => (PassFailure::Panic, problems::pass_panicked(panicked)),
            };
            let served =
                Served::Failed { pass_id: Some(pass_id), last_pass: last_pass.map(|pass| *pass), failure };
            ServeResult::new(served, first_cursor).with(problem)
        }
    };
    ServeResult { first_cursor, passes, ..result }
}

fn finished(report: PassReport, first_cursor: DeliveryCursor) -> ServeResult {
    let served =
        Served::Ran { last_pass: report.ended, summary: report.summary, has_succeeded: report.succeeded };
    let result = ServeResult { outcome: report.outcome, ..ServeResult::new(served, first_cursor) };
    report.confirmation_error.into_iter().fold(result, ServeResult::with)
}

/// Joins the last pass that finished, without waiting for one that is running.
async fn join(app: &App, state: FleetState) -> ServeResult {
    let now = app.clock.now();
    let lease_until = state.leased_until(now);
    let Some(last_pass) = state.ended else {
        let result = ServeResult::new(Served::FirstPassRunning { lease_until }, DeliveryCursor::after(0));
        return result.with(problems::first_pass_running());
    };
    let age = Duration::try_from(now.duration_since(last_pass.at)).unwrap_or_default();
    let problems_from = last_pass.problems_from;
    let first_cursor = DeliveryCursor::after(last_pass.fence.saturating_sub(1));
    let is_fresh = now < last_pass.fresh_until() && last_pass.status != Status::Error;
    let served = Served::Joined { last_pass, age, is_fresh, lease_until };
    let is_stale = served.is_stale();
    let mut result = ServeResult::new(served, first_cursor);
    if is_stale {
        result = result.with(problems::stale(age));
    }
    let Some(pass_id) = problems_from else { return result };
    match app.store.pass(pass_id).await {
        Ok(record) => {
            let problems = record.into_iter().flat_map(|record| record.problems);
            problems.map(|problem| problems::aged(problem, age)).fold(result, ServeResult::with)
        }
        Err(error) => result.with(problems::table_unavailable(&error)),
    }
}
