//! What the operator is told of a beat: its metrics, and the one summary line of the invocation.

use std::time::Duration;

use crate::domain::Status;
use crate::pass::{PassReport, Usage};
use crate::telemetry::{Count, Measure};

use super::{AgentHeartbeatResponse, Beat, Served};

/// The passes that a beat ran, together.
#[derive(Debug, Default)]
pub(super) struct Passes {
    /// All that were begun.
    pub(super) count: u64,
    /// How long they took.
    pub(super) took: Duration,
    /// What those that ended asked of GitHub.
    pub(super) asked: Usage,
    /// How many issues they changed.
    touched: u64,
    /// How many repositories the last one left: those before it left the same ones.
    deferred: usize,
}

impl Passes {
    /// Counts in a pass that ended.
    pub(super) fn add(&mut self, report: &PassReport) {
        self.asked.add(&report.asked);
        self.touched += report.changed;
        self.deferred = report.deferred.len();
    }
}

impl Beat<'_> {
    pub(super) fn summarize(&self, basis: &Served, answer: &AgentHeartbeatResponse) {
        let took = answer.finished_at.duration_since(answer.started_at);
        Measure::BeatDuration.record(took.as_millis_f64());
        Count::BeatsCoalesced.add(u64::from(answer.coalesced));
        Count::BeatsFresh.add(u64::from(basis.is_fresh));
        let of_status = match answer.status {
            Status::Ok => Count::BeatsOk,
            Status::Warning => Count::BeatsWarning,
            Status::Error => Count::BeatsError,
        };
        of_status.add(1);
        let passes = &self.passes;
        let asked = passes.asked.total();
        tracing::info!(
            agent.name = answer.agent_name,
            run.id = %answer.run_id,
            run.type = self.run_type.as_str(),
            run.status = answer.status.as_str(),
            run.coalesced = answer.coalesced,
            run.duration_ms = took.as_millis() as u64,
            // The last one, or the one that was joined; absent when there was none.
            pass.id = basis.pass_id.map(tracing::field::display),
            pass.count = passes.count,
            pass.duration_ms = passes.took.as_millis() as u64,
            pass.deferred = passes.deferred,
            issues.touched = passes.touched,
            issues.told = answer.touched_count,
            github.requests = asked.requests(),
            github.points = asked.points,
            problems = answer.problems.len(),
            "A beat was answered."
        );
    }
}
