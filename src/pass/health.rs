//! What alarms watch: the metrics of a pass that ended.

use std::time::Duration;

use jiff::Timestamp;

use crate::store::LastPass;
use crate::telemetry::{Count, Measure};

use super::tally::Tally;
use super::work::Worklist;

/// Tells of a pass once its end is in the table.
pub(super) fn tell(ended: &LastPass, worklist: &Worklist, tally: &Tally) {
    Count::PassesSucceeded.add(u64::from(tally.has_success()));
    Count::IssuesTouched.add(tally.touched);
    Measure::RepositoriesFailing.record(tally.failed as f64);
    let held = worklist.work.iter().filter(|work| work.tracked.held.is_some());
    Measure::AuditsHeld.record(held.count() as f64);
    if let Some(since) = behind_since(ended, worklist) {
        let age = Duration::try_from(ended.at.duration_since(since)).unwrap_or_default();
        Measure::OldestRepositoryAge.record(age.as_secs_f64());
    }
}

/// Since when a repository may lack changes: the last time at which all agreed with GitHub, or an older failure, as
/// there is when they never did, or when an audit fails. None in a first backfill in which nothing fails.
fn behind_since(ended: &LastPass, worklist: &Worklist) -> Option<Timestamp> {
    let failures = worklist.work.iter().filter_map(|work| Some(work.tracked.failure?.since));
    // What GitHub never showed has no marks.
    let unknown =
        worklist.unknown.iter().filter_map(|unknown| worklist.fleet.names.get(&unknown.name.key())?.since);
    failures.chain(unknown).chain(ended.fresh_at).min()
}
