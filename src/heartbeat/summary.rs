//! Sums up a heartbeat: in one sentence for the agent, in metrics and one log line for the operator.

use crate::domain::{Status, counted};
use crate::feed::ChangePage;
use crate::telemetry::{Count, Measure};

use super::contract::AgentHeartbeatResponse;
use super::request::Heartbeat;
use super::served::{PassFailure, ServeResult, Served};

/// The `summary` of a response. `passes` is the number of passes that the heartbeat ran; `has_cursor` says whether the
/// agent has received changes before.
pub(super) fn sentence(served: &Served, passes: u64, page: &ChangePage, has_cursor: bool) -> String {
    let last = match served {
        Served::Ran { summary, .. } => summary.clone(),
        Served::Joined { age, .. } => {
            let at_least = if page.is_exact { "" } else { "at least " };
            let changed = counted(page.count, "issue", "issues");
            let since = if has_cursor { " since this agent's previous heartbeat" } else { "" };
            let age = age.as_secs();
            format!("Answered from the pass that finished {age} s ago: {at_least}{changed} changed{since}.")
        }
        Served::FirstPassRunning { .. } => "The first pass is still running.".to_owned(),
        Served::Failed { failure: PassFailure::Table, .. } => {
            "The pass failed: DynamoDB table unavailable.".to_owned()
        }
        Served::Failed { failure: PassFailure::Panic, .. } => {
            "The pass failed: internal error (panic).".to_owned()
        }
        Served::TableUnavailable => "Synced nothing: DynamoDB table unavailable.".to_owned(),
    };
    if passes > 1 { format!("Ran {passes} passes. The last one: {last}") } else { last }
}

/// Emits the metrics of a heartbeat and the one summary line of its invocation.
pub(super) fn log(heartbeat: &Heartbeat<'_>, result: &ServeResult, response: &AgentHeartbeatResponse) {
    let took = response.finished_at.duration_since(response.started_at);
    Measure::BeatDuration.record(took.as_millis_f64());
    Count::BeatsCoalesced.add(u64::from(response.coalesced));
    Count::BeatsFresh.add(u64::from(result.served.is_fresh()));
    let of_status = match response.status {
        Status::Ok => Count::BeatsOk,
        Status::Warning => Count::BeatsWarning,
        Status::Error => Count::BeatsError,
    };
    of_status.add(1);
    let passes = &result.passes;
    let asked = passes.asked.total();
    tracing::info!(
        agent.name = response.agent_name,
        run.id = %response.run_id,
        run.type = heartbeat.origin.run_type().as_str(),
        run.status = response.status.as_str(),
        run.coalesced = response.coalesced,
        run.duration_ms = took.as_millis() as u64,
        // The last pass that it ran, or the one that it joined; absent if there was none.
        pass.id = result.served.pass_id().map(tracing::field::display),
        pass.count = passes.count,
        pass.duration_ms = passes.took.as_millis() as u64,
        pass.deferred = passes.deferred,
        issues.touched = passes.touched,
        issues.told = response.touched_count,
        github.requests = asked.requests(),
        github.points = asked.points,
        problems = response.problems.len(),
        "A beat was answered."
    );
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use crate::domain::DeliveryCursor;
    use crate::store::LastPass;

    use super::*;

    fn last_pass() -> LastPass {
        let stored = json!({
            "passId": "0199aa00-0000-7000-8000-000000000000",
            "fence": 1,
            "at": "2026-11-22T06:00:00.000Z",
            "status": "ok",
            "freshnessSeconds": 30,
            "lastChangeFence": 1,
            "recent": { "floor": 0, "repositories": [] },
            "searchAllFence": 0,
            "countsLag": false,
        });
        serde_json::from_value(stored).expect("a stored pass")
    }

    #[test]
    fn every_way_of_serving_a_heartbeat_has_its_summary() {
        let joined = || Served::Joined {
            last_pass: last_pass(),
            age: Duration::from_secs(12),
            is_fresh: true,
            lease_until: None,
        };
        let failed = |failure| Served::Failed { pass_id: None, last_pass: None, failure };
        let ran = Served::Ran {
            last_pass: last_pass(),
            summary: "Synced 2 repositories.".to_owned(),
            has_succeeded: true,
        };
        let page =
            |count, is_exact| ChangePage { count, is_exact, ..ChangePage::empty(DeliveryCursor::after(1)) };
        let summaries = [
            sentence(&ran, 1, &page(3, true), true),
            sentence(&ran, 2, &page(3, true), false),
            sentence(&joined(), 0, &page(3, true), false),
            sentence(&joined(), 0, &page(1, true), true),
            sentence(&joined(), 0, &page(10_000, false), true),
            sentence(&Served::FirstPassRunning { lease_until: None }, 0, &page(0, true), false),
            sentence(&failed(PassFailure::Table), 1, &page(0, true), true),
            sentence(&failed(PassFailure::Panic), 1, &page(0, true), true),
            sentence(&Served::TableUnavailable, 0, &page(0, true), true),
        ];
        insta::assert_snapshot!(summaries.join("\n"), @r"
        Synced 2 repositories.
        Ran 2 passes. The last one: Synced 2 repositories.
        Answered from the pass that finished 12 s ago: 3 issues changed.
        Answered from the pass that finished 12 s ago: 1 issue changed since this agent's previous heartbeat.
        Answered from the pass that finished 12 s ago: at least 10000 issues changed since this agent's previous heartbeat.
        The first pass is still running.
        The pass failed: DynamoDB table unavailable.
        The pass failed: internal error (panic).
        Synced nothing: DynamoDB table unavailable.
        ");
    }
}
