//! Plans the writes that follow from what GitHub shows. Pure: no I/O, no clock.
//!
//! The rules are monotone, so a pass may die after any write, run twice or overlap a stale one. The newest observation
//! wins, in whatever order they arrive. The newest is the one with the latest `updated_at`, with one exception: a
//! restore from a backup sets `updated_at` back. So an audit may replace a row by an older version, if it reads that
//! long enough after the row that it cannot be a late response.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

use crate::domain::{
    CachedIssue, Change, Gone, IssueNumber, IssueState, MAX_LISTING_DELAY, Observation, PullRequest, Removal,
};

use jiff::{SignedDuration, Timestamp};

/// Where an observation comes from, which decides what is reported to agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The first listing: it reports nothing.
    Backfill,
    /// A later listing, with the repository's checkpoints from before it.
    Delta {
        /// The cursor.
        cursor: Option<Timestamp>,
        /// The newest `updated_at` later than GitHub's `Date` that was read and written.
        ahead: Option<Timestamp>,
        /// The settled watermark.
        settled: Option<Timestamp>,
        /// Updates up to this time were made before the first listing started.
        tracked_since: Option<Timestamp>,
        /// The fence of the last pass, if everything that it wrote here is reported to agents.
        reported_fence: Option<u64>,
    },
    /// The audit, with the stored cursor.
    Audit(Option<Timestamp>),
}

/// One row to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The new row. Its revision is one more than that of the row it replaces.
    pub row: CachedIssue,
    /// Whether the row it replaces counted as open.
    pub was_open: bool,
    /// Whether the change is reported to agents.
    pub is_reported: bool,
    /// Whether lists of issues, or verdicts about them, may show what it changes.
    pub is_shown: bool,
    /// The last change of the row it replaces, if there was one.
    pub before: Option<ChangedBefore>,
}

/// An earlier change of a row, which is or was reported to agents.
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
    /// A new row that is not reported to agents.
    fn unreported(row: CachedIssue) -> Self {
        Self { row, was_open: false, is_reported: false, is_shown: true, before: None }
    }

    /// By how much the write changes the open-issue count.
    pub fn open_difference(&self) -> i64 {
        i64::from(self.row.is_open()) - i64::from(self.was_open)
    }
}

/// The writes that bring the cached rows in line with a page, at most one per row.
pub fn page(
    cached: &HashMap<IssueNumber, CachedIssue>,
    seen: &[Observation],
    source: Source,
    fence: u64,
) -> Vec<Write> {
    let numbers: BTreeSet<IssueNumber> = seen.iter().map(|observation| observation.issue.number).collect();
    numbers
        .into_iter()
        .filter_map(|number| observed(cached.get(&number), newest(seen, number)?, source, fence))
        .collect()
}

/// The newest version of an issue on a page. A page can have two, if the issue changed while GitHub made the page.
pub fn newest(seen: &[Observation], number: IssueNumber) -> Option<&Observation> {
    seen.iter()
        .filter(|observation| observation.issue.number == number)
        .max_by_key(|observation| (observation.issue.updated_at, observation.read_at))
}

/// The write that follows when GitHub shows an issue; `None` if the row is up to date.
pub fn observed(row: Option<&CachedIssue>, seen: &Observation, source: Source, fence: u64) -> Option<Write> {
    let Some(row) = row else {
        return Some(first_seen(seen, source, fence));
    };
    if row.change_marker.fence.is_some_and(|stamped| stamped > fence) {
        // A later pass has written the row: this one is stale and must not change it.
        return None;
    }
    if supersedes(row, seen, source) {
        let mut next = CachedIssue::showing(seen, Some(row));
        // An issue that was reported as hidden while untracked, and closed before it was tracked again, is not
        // reported.
        let is_before_tracking = matches!(source, Source::Delta { tracked_since, .. }
            if row.gone.is_some() && !next.is_open() && Some(next.updated_at) <= tracked_since);
        let is_reported = source != Source::Backfill && !is_before_tracking;
        if is_reported {
            next.change_marker = row.change_marker.with(change_between(row, &next), fence);
        }
        let before = ChangedBefore::of(row);
        return Some(Write { row: next, was_open: row.is_open(), is_reported, is_shown: true, before });
    }
    let is_there_again = row.missing_since.is_some_and(|since| seen.read_at > since);
    let may_be_unreported = row.digest == seen.issue.digest
        && row.updated_at == seen.issue.updated_at
        && may_be_unreported(row, seen.issue.updated_at, source, fence);
    if !is_there_again && !may_be_unreported {
        return None;
    }
    let mut next = CachedIssue { revision: row.revision + 1, ..row.clone() };
    if is_there_again {
        next.missing_since = None;
    }
    if may_be_unreported {
        next.change_marker = row.change_marker.renewed(fence);
    }
    let before = ChangedBefore::of(row);
    let is_reported = may_be_unreported;
    Some(Write { row: next, was_open: row.is_open(), is_reported, is_shown: false, before })
}

/// Whether a pass that did not end may have written this row, so that its change is unreported. `updated_at` is the
/// listing's.
fn may_be_unreported(row: &CachedIssue, updated_at: Timestamp, source: Source, fence: u64) -> bool {
    // An issue that was closed before its repository was tracked is not reported.
    matches!(source, Source::Delta { cursor, ahead, tracked_since, reported_fence, .. }
        if (row.is_open() || Some(updated_at) > tracked_since)
            && Some(updated_at) > (if is_from_the_future(row) { cursor.max(ahead) } else { cursor })
            && row.change_marker.fence.is_some_and(|stamped| stamped < fence && Some(stamped) != reported_fence))
}

/// The write that follows when a listing shows a pull request under the number of a cached issue: the issue was
/// converted. `None` if the row is up to date, or not open.
pub fn converted(row: &CachedIssue, seen: &PullRequest, source: Source, fence: u64) -> Option<Write> {
    let gone = Gone { removal: Removal::Converted, proved_at: seen.read_at };
    let is_known = row.gone.as_ref().is_some_and(|gone| gone.removal == Removal::Converted);
    if is_known && may_be_unreported(row, seen.updated_at, source, fence) {
        let before = ChangedBefore::of(row);
        let row = CachedIssue {
            change_marker: row.change_marker.renewed(fence),
            revision: row.revision + 1,
            ..row.clone()
        };
        return Some(Write { row, was_open: false, is_reported: true, is_shown: false, before });
    }
    removed(row, &gone, fence)
}

/// The write that removes an issue from the open ones, given GitHub's response that it is gone; `None` if the row was
/// read after that response, or is no longer open.
pub fn removed(row: &CachedIssue, gone: &Gone, fence: u64) -> Option<Write> {
    let is_newer =
        row.read_at > gone.proved_at || row.change_marker.fence.is_some_and(|stamped| stamped > fence);
    (row.is_open() && !is_newer).then(|| Write {
        row: CachedIssue {
            change_marker: row.change_marker.with(gone.removal.change(), fence),
            moved_to: gone.removal.moved_to().map(str::to_owned),
            gone: Some(gone.clone()),
            missing_since: None,
            revision: row.revision + 1,
            ..row.clone()
        },
        was_open: true,
        is_reported: true,
        is_shown: true,
        before: ChangedBefore::of(row),
    })
}

/// The write that notes the first 404 of an issue; `None` if one is noted already, or the row is no longer open.
pub fn missing(row: &CachedIssue, at: Timestamp) -> Option<Write> {
    (row.is_open() && row.missing_since.is_none() && row.read_at <= at).then(|| Write {
        row: CachedIssue { missing_since: Some(at), revision: row.revision + 1, ..row.clone() },
        was_open: true,
        is_reported: false,
        // To the agents that work on it.
        is_shown: true,
        before: None,
    })
}

/// Whether the row's `updated_at` is later than GitHub's own `Date`, so that it does not order versions.
fn is_from_the_future(row: &CachedIssue) -> bool {
    row.updated_at > row.read_at
}

/// Whether an observation replaces the row:
/// - a newer version does;
/// - the same `updated_at` does if it was read later and its content differs;
/// - an older version does if an audit reads it, long enough after the row that it is no late response;
/// - a tombstone yields to anything read after its proof;
/// - a version from the future yields to any other version read later.
fn supersedes(row: &CachedIssue, seen: &Observation, source: Source) -> bool {
    match (&row.gone, seen.issue.updated_at.cmp(&row.updated_at)) {
        (Some(gone), _) => seen.read_at > gone.proved_at,
        (None, Ordering::Equal) => seen.read_at > row.read_at && seen.issue.digest != row.digest,
        (None, _) if is_from_the_future(row) => seen.read_at > row.read_at,
        (None, Ordering::Greater) => true,
        (None, Ordering::Less) => matches!(source, Source::Audit(_)) && is_well_after(row, seen),
    }
}

/// Whether the observation is so much later than the row that it cannot be older than what the row was read from.
fn is_well_after(row: &CachedIssue, seen: &Observation) -> bool {
    seen.read_at.duration_since(row.read_at)
        >= SignedDuration::try_from(MAX_LISTING_DELAY).unwrap_or_default()
}

/// Whether an audit sees an older version of a row too soon to distinguish it from a late response. Another audit has
/// to check it.
pub fn is_too_soon(row: &CachedIssue, seen: &Observation) -> bool {
    row.gone.is_none() && seen.issue.updated_at < row.updated_at && !is_well_after(row, seen)
}

/// The row of an issue that was not cached. An issue that was closed before its repository was tracked is written and
/// not reported: a backfill reads only open issues, and a delta that starts a second early shows the last closed ones.
fn first_seen(seen: &Observation, source: Source, fence: u64) -> Write {
    let mut row = CachedIssue::showing(seen, None);
    let reported = match source {
        Source::Backfill => return Write::unreported(row),
        Source::Delta { settled, tracked_since, ahead, .. }
            if !row.is_open()
                && (Some(row.updated_at) <= settled.max(tracked_since)
                    || (is_from_the_future(&row) && Some(row.updated_at) <= ahead)) =>
        {
            return Write::unreported(row);
        }
        // A later close is unreported, because the issue has no row.
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
    Write { row, was_open: false, is_reported: true, is_shown: true, before: None }
}

/// What happened between two versions of an issue. If it was closed and reopened in between, the state is the same, but
/// GitHub's reason and date of the state differ.
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
