//! The metrics of a pass that ended, which alarms watch.

use std::time::Duration;

use jiff::Timestamp;

use crate::store::LastPass;
use crate::telemetry::{Count, Measure};

use super::tally::Tally;
use super::work::Worklist;

/// Records the metrics of a pass, once the table holds its end.
pub(super) fn record(ended: &LastPass, worklist: &Worklist, tally: &Tally) {
    Count::PassesSucceeded.add(u64::from(tally.has_success()));
    Count::IssuesTouched.add(tally.changed);
    Measure::RepositoriesFailing.record(tally.failed as f64);
    let on_hold = worklist.work.iter().filter(|work| work.tracked.held.is_some());
    Measure::AuditsHeld.record(on_hold.count() as f64);
    if let Some(since) = behind_since(ended, worklist) {
        let age = Duration::try_from(ended.at.duration_since(since)).unwrap_or_default();
        Measure::OldestRepositoryAge.record(age.as_secs_f64());
    }
}

/// The time since when a repository may lack changes: when all repositories last agreed with GitHub, or the start of an
/// older failure, which exists if they never agreed or if an audit fails. `None` during a first backfill without
/// failures.
fn behind_since(ended: &LastPass, worklist: &Worklist) -> Option<Timestamp> {
    let failures = worklist.work.iter().filter_map(|work| Some(work.tracked.failure?.since));
    // A repository that GitHub never showed has no checkpoints: its failure is noted with its name.
    let unknown = worklist
        .unknown
        .iter()
        .filter_map(|unknown| worklist.fleet.names.get(&unknown.name.key())?.missing_since());
    failures.chain(unknown).chain(ended.fresh_at).min()
}
