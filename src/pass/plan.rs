//! Decides what becomes of the cached rows when GitHub shows something. Pure: no I/O, no clock.
//!
//! The rules are monotone, so a pass may die after any write, run twice or overlap a stale one: whatever order
//! the observations come in, the newest one wins. The newest is the one with the latest `updated_at`, except where an
//! audit reads a row's issue so long after the row that GitHub cannot be showing an older version late: after a restore
//! from a backup `updated_at` is an earlier one.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

use crate::domain::{
    CachedIssue, Change, Gone, IssueNumber, IssueState, LATEST_SHOWN, Observation, PullRequest,
};

use jiff::{SignedDuration, Timestamp};

/// Why rows are being written, which decides what agents are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The first listing: nothing is told.
    Backfill,
    /// A later listing, with the repository's marks as they were before it.
    Delta {
        /// The cursor.
        cursor: Option<Timestamp>,
        /// The newest `updated_at` after GitHub's `Date` that was read and written.
        ahead: Option<Timestamp>,
        /// The settled watermark.
        settled: Option<Timestamp>,
        /// What was updated then or earlier changed before the first listing began.
        tracked_since: Option<Timestamp>,
        /// The fence of the last pass, when agents have been told of all that it wrote here.
        told: Option<u64>,
    },
    /// The audit, with the stored cursor.
    Audit(Option<Timestamp>),
}

/// One row to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The row as it is to be. Its revision is one more than that of the row it replaces.
    pub row: CachedIssue,
    /// Whether the row it replaces counted as open.
    pub was_open: bool,
    /// Whether agents are told of it.
    pub touches: bool,
    /// The row it replaces, if that had changed before.
    pub before: Option<ChangedBefore>,
}

/// A row that agents were told of, or are to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedBefore {
    /// The fence of its last change.
    pub fence: u64,
    /// Its labels.
    pub labels: Vec<String>,
}

impl ChangedBefore {
    fn of(row: &CachedIssue) -> Option<Self> {
        row.change_marker.fence.map(|fence| Self { fence, labels: row.labels.clone() })
    }
}

impl Write {
    /// A first sight of which agents are not told.
    fn untold(row: CachedIssue) -> Self {
        Self { row, was_open: false, touches: false, before: None }
    }

    /// What the write does to the count of open issues.
    pub fn open_difference(&self) -> i64 {
        i64::from(self.row.is_open()) - i64::from(self.was_open)
    }
}

/// The writes that bring the cached rows in line with a page, at most one a row.
pub fn page(
    cached: &HashMap<IssueNumber, CachedIssue>,
    seen: &[Observation],
    reading: Source,
    fence: u64,
) -> Vec<Write> {
    let numbers: BTreeSet<IssueNumber> = seen.iter().map(|observation| observation.issue.number).collect();
    numbers
        .into_iter()
        .filter_map(|number| observed(cached.get(&number), newest(seen, number)?, reading, fence))
        .collect()
}

/// What a page shows of an issue. It can show it twice, when it changed while the page was made: the newer one
/// wins here too.
pub fn newest(seen: &[Observation], number: IssueNumber) -> Option<&Observation> {
    seen.iter()
        .filter(|observation| observation.issue.number == number)
        .max_by_key(|observation| (observation.issue.updated_at, observation.read_at))
}

/// The write that follows from GitHub showing one issue; none when the row already says so.
pub fn observed(row: Option<&CachedIssue>, seen: &Observation, reading: Source, fence: u64) -> Option<Write> {
    let Some(row) = row else {
        return Some(first_sight(seen, reading, fence));
    };
    if row.change_marker.fence.is_some_and(|stamped| stamped > fence) {
        // A later pass has been here: this one is stale, and the row is not its to change.
        return None;
    }
    if supersedes(row, seen, reading) {
        let mut next = CachedIssue::showing(seen, Some(row));
        // What was reported as hidden while it was not tracked, and was closed before it was tracked again, is no news.
        let is_before_tracking = matches!(reading, Source::Delta { tracked_since, .. }
            if row.gone.is_some() && !next.is_open() && Some(next.updated_at) <= tracked_since);
        let touches = reading != Source::Backfill && !is_before_tracking;
        if touches {
            next.change_marker = row.change_marker.with(change_between(row, &next), fence);
        }
        let before = ChangedBefore::of(row);
        return Some(Write { row: next, was_open: row.is_open(), touches, before });
    }
    let is_there_again = row.missing_since.is_some_and(|since| seen.read_at > since);
    let may_be_untold = row.digest == seen.issue.digest
        && row.updated_at == seen.issue.updated_at
        && may_be_untold(row, seen.issue.updated_at, reading, fence);
    if !is_there_again && !may_be_untold {
        return None;
    }
    let mut next = CachedIssue { revision: row.revision + 1, ..row.clone() };
    if is_there_again {
        next.missing_since = None;
    }
    if may_be_untold {
        next.change_marker = row.change_marker.renewed(fence);
    }
    let before = ChangedBefore::of(row);
    Some(Write { row: next, was_open: row.is_open(), touches: may_be_untold, before })
}

/// Whether a pass that did not end may have written this row, which a listing shows at `updated_at`, and nobody was told.
fn may_be_untold(row: &CachedIssue, updated_at: Timestamp, reading: Source, fence: u64) -> bool {
    // What was closed before its repository was tracked is no news.
    matches!(reading, Source::Delta { cursor, ahead, tracked_since, told, .. }
        if (row.is_open() || Some(updated_at) > tracked_since)
            && Some(updated_at) > (if is_from_the_future(row) { cursor.max(ahead) } else { cursor })
            && row.change_marker.fence.is_some_and(|stamped| stamped < fence && Some(stamped) != told))
}

/// The write that follows from a listing showing a pull request under the number of a cached issue, which was turned
/// into it; none when the row already says so, or is not open.
pub fn converted(row: &CachedIssue, seen: &PullRequest, reading: Source, fence: u64) -> Option<Write> {
    let gone = Gone { reason: Change::Converted, proved_at: seen.read_at, moved_to: None };
    let is_known = row.gone.as_ref().is_some_and(|gone| gone.reason == Change::Converted);
    if is_known && may_be_untold(row, seen.updated_at, reading, fence) {
        let before = ChangedBefore::of(row);
        let row = CachedIssue {
            change_marker: row.change_marker.renewed(fence),
            revision: row.revision + 1,
            ..row.clone()
        };
        return Some(Write { row, was_open: false, touches: true, before });
    }
    removed(row, &gone, fence)
}

/// The write that removes an issue from the open ones, given GitHub's word that it has gone; none when the row
/// has been read since, or is no longer open.
pub fn removed(row: &CachedIssue, gone: &Gone, fence: u64) -> Option<Write> {
    let is_newer =
        row.read_at > gone.proved_at || row.change_marker.fence.is_some_and(|stamped| stamped > fence);
    (row.is_open() && !is_newer).then(|| Write {
        row: CachedIssue {
            change_marker: row.change_marker.with(gone.reason, fence),
            moved_to: gone.moved_to.clone(),
            gone: Some(gone.clone()),
            missing_since: None,
            revision: row.revision + 1,
            ..row.clone()
        },
        was_open: true,
        touches: true,
        before: ChangedBefore::of(row),
    })
}

/// The write that notes the first 404 of an issue; none when one is noted, or the row is no longer open.
pub fn missing(row: &CachedIssue, at: Timestamp) -> Option<Write> {
    (row.is_open() && row.missing_since.is_none() && row.read_at <= at).then(|| Write {
        row: CachedIssue { missing_since: Some(at), revision: row.revision + 1, ..row.clone() },
        was_open: true,
        touches: false,
        before: None,
    })
}

/// Whether the row's `updated_at` lay after GitHub's own `Date`: it orders no versions then.
fn is_from_the_future(row: &CachedIssue) -> bool {
    row.updated_at > row.read_at
}

/// Whether what was seen replaces the row: a newer version does; the same version only with other content that
/// was read later; an older version when an audit reads it and no longer can it be a late answer; after a tombstone,
/// whatever was read after its proof; after a version from the future, any other that was read later.
fn supersedes(row: &CachedIssue, seen: &Observation, reading: Source) -> bool {
    match (&row.gone, seen.issue.updated_at.cmp(&row.updated_at)) {
        (Some(gone), _) => seen.read_at > gone.proved_at,
        (None, Ordering::Equal) => seen.read_at > row.read_at && seen.issue.digest != row.digest,
        (None, _) if is_from_the_future(row) => seen.read_at > row.read_at,
        (None, Ordering::Greater) => true,
        (None, Ordering::Less) => matches!(reading, Source::Audit(_)) && is_well_after(row, seen),
    }
}

/// Whether whatever GitHub showed when the row was read had to be shown by then.
fn is_well_after(row: &CachedIssue, seen: &Observation) -> bool {
    seen.read_at.duration_since(row.read_at) >= SignedDuration::try_from(LATEST_SHOWN).unwrap_or_default()
}

/// Whether an audit sees an older version of a row too soon to tell it from a late answer: another audit has to look
/// again.
pub fn is_too_soon(row: &CachedIssue, seen: &Observation) -> bool {
    row.gone.is_none() && seen.issue.updated_at < row.updated_at && !is_well_after(row, seen)
}

/// The row of an issue that was not cached. One that was closed before its repository was tracked is written and
/// not told: a backfill reads only open issues, and a listing that begins a second early shows the last closed ones.
fn first_sight(seen: &Observation, reading: Source, fence: u64) -> Write {
    let mut row = CachedIssue::showing(seen, None);
    let reported = match reading {
        Source::Backfill => return Write::untold(row),
        Source::Delta { settled, tracked_since, ahead, .. }
            if !row.is_open()
                && (Some(row.updated_at) <= settled.max(tracked_since)
                    || (is_from_the_future(&row) && Some(row.updated_at) <= ahead)) =>
        {
            return Write::untold(row);
        }
        // What was closed since is not reported yet, or the row would be there.
        Source::Delta { settled, tracked_since, .. } => settled.max(tracked_since),
        Source::Audit(cursor) => cursor,
    };
    let change = match row.state {
        IssueState::Open if was_reopened(&row) => Change::Reopened,
        IssueState::Open => Change::Opened,
        IssueState::Closed if row.closed_at.is_some_and(|at| Some(at) > reported) => Change::Closed,
        IssueState::Closed => Change::Edited,
    };
    row.change_marker = row.change_marker.with(change, fence);
    Write { row, was_open: false, touches: true, before: None }
}

/// What happened between two versions of an issue. Closing and reopening between two looks leaves the state as
/// it was: GitHub's reason and date of the state tell it all the same.
fn change_between(before: &CachedIssue, after: &CachedIssue) -> Change {
    match after.state {
        IssueState::Open if !before.is_open() => Change::Reopened,
        IssueState::Open if was_reopened(after) && !was_reopened(before) => Change::Reopened,
        IssueState::Closed if before.is_open() || before.gone.is_some() => Change::Closed,
        IssueState::Closed if after.closed_at > before.closed_at => Change::Closed,
        _ => Change::Edited,
    }
}

fn was_reopened(row: &CachedIssue) -> bool {
    row.state_reason.as_deref() == Some("reopened")
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
