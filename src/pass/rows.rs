//! Brings a repository's rows in line with what GitHub showed: reads them, plans, writes, and plans again what
//! another pass changed in between.

use crate::domain::{
    CachedIssue, IssueNumber, Observation, PullRequest, Recount, RepositoryId, has_label_in,
};
use crate::github::GitHubError;
use crate::store::{Lease, Put, StoreError};

use super::context::Pass;
use super::plan::{self, Source, Write};
use super::step::StepError;

/// How often a row that changes under our hands is planned again.
const MAX_ROUNDS: u32 = 5;

/// What the writes of one page came to, also when some of them failed.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// What they did to the number of open issues.
    pub(super) open_difference: i64,
    /// How many issues changed.
    pub(super) changed: u64,
    /// Those of them that agents may be told of: without the excluded ones.
    pub(super) recount: Recount,
    /// Whether a page brought what has to be reported, other than another version of one second.
    pub(super) brings_newer: bool,
    /// Whether the table left open if a write was carried out: what it wrote is then to be looked for.
    pub(super) is_unsure: bool,
    /// Whether a write met another row than it was planned on, so that the open issues are to be counted anew.
    pub(super) was_refused: bool,
    /// Whether an older version of a row was seen too soon after it: it is to be looked at again.
    pub(super) is_too_soon: bool,
    /// The first failure, or that the time was up. The page is not read then, whatever else was written.
    pub(super) failure: Option<StepError>,
}

impl Pass<'_> {
    /// Applies a page: its issues, and the pull requests among them that were issues.
    pub(super) async fn apply(
        &self,
        repository: RepositoryId,
        seen: &[Observation],
        pull_requests: &[PullRequest],
        reading: Source,
    ) -> Applied {
        // What a backfill has read and what was converted since, the first listing after it shows.
        let pull_requests = if reading == Source::Backfill { &[] } else { pull_requests };
        let numbers: Vec<IssueNumber> = distinct(seen, pull_requests);
        // In a backfill hardly any row exists, and half the price matters; a row that is missed shows itself
        // when its write is refused.
        let consistent = reading != Source::Backfill;
        let cached = match self.app.store.issues(repository, &numbers, consistent).await {
            Ok(cached) => cached,
            Err(error) => {
                return Applied { failure: Some(error.into()), ..Applied::default() };
            }
        };
        let fence = self.fence();
        let converted = |row: &CachedIssue| {
            let pull_request = pull_requests.iter().find(|seen| seen.number == row.number)?;
            plan::converted(row, pull_request, reading, fence)
        };
        let mut writes = plan::page(&cached, seen, reading, fence);
        let shown_as_issue = |row: &&CachedIssue| plan::newest(seen, row.number).is_some();
        writes.extend(cached.values().filter(|row| !shown_as_issue(row)).filter_map(converted));
        let replan = |row: &CachedIssue| match plan::newest(seen, row.number) {
            Some(seen) => plan::observed(Some(row), seen, reading, fence),
            None => converted(row),
        };
        let is_audit = matches!(reading, Source::Audit(_));
        let is_too_soon = |row: &CachedIssue| {
            plan::newest(seen, row.number).is_some_and(|seen| plan::is_too_soon(row, seen))
        };
        let is_too_soon = is_audit && cached.values().any(is_too_soon);
        let is_same_second = |write: &Write| {
            let row = cached.get(&write.row.number);
            row.is_some_and(|row| row.updated_at == write.row.updated_at && row.digest != write.row.digest)
        };
        let brings_newer = writes.iter().any(|write| write.touches && !is_same_second(write));
        let applied = self.write(is_audit.then_some(self.lease), repository, writes, &replan).await;
        Applied { is_too_soon, brings_newer, ..applied }
    }

    /// Writes rows, an audit's `under` the claim; `replan` decides anew about one that is not what it was
    /// planned on.
    pub(super) async fn write(
        &self,
        under: Option<&Lease>,
        repository: RepositoryId,
        mut writes: Vec<Write>,
        replan: &(dyn Fn(&CachedIssue) -> Option<Write> + Sync),
    ) -> Applied {
        let mut applied = Applied::default();
        for _ in 0..MAX_ROUNDS {
            if writes.is_empty() {
                return applied;
            }
            let rows: Vec<CachedIssue> = writes.iter().map(|write| write.row.clone()).collect();
            let results = self.app.store.put_issues(under, repository, rows, &|| !self.is_over()).await;
            let mut again = Vec::new();
            for (write, result) in writes.into_iter().zip(results) {
                match result {
                    Ok(Put::Written) => {
                        applied.open_difference += write.open_difference();
                        self.tally(&mut applied, &write);
                    }
                    Ok(Put::Changed(row)) => {
                        applied.was_refused = true;
                        // A write whose answer was lost meets itself: it is done, and it is to be told.
                        if *row == write.row {
                            self.tally(&mut applied, &write);
                        } else {
                            again.extend(replan(&row));
                        }
                    }
                    Ok(Put::Stale) => {
                        self.mark_superseded();
                        applied.failure = applied.failure.or(Some(GitHubError::Deadline.into()));
                    }
                    Ok(outcome @ (Put::NotBegun | Put::Conflicted)) => {
                        // An attempt before the conflicts may have had no answer.
                        applied.is_unsure |= outcome == Put::Conflicted;
                        applied.failure = applied.failure.or(Some(GitHubError::Deadline.into()));
                    }
                    Err(error) => {
                        applied.is_unsure = true;
                        applied.failure = applied.failure.or(Some(error.into()));
                    }
                }
            }
            writes = again;
        }
        if !writes.is_empty() {
            applied.failure = applied.failure.or(Some(StoreError::contended().into()));
        }
        applied
    }

    fn tally(&self, applied: &mut Applied, write: &Write) {
        if !write.touches {
            return;
        }
        let excluded = &self.app.config.excluded_labels;
        applied.changed += 1;
        applied.recount.changed += u64::from(!write.row.has_label_in(excluded));
        let before = write.before.as_ref().filter(|before| !has_label_in(&before.labels, excluded));
        if let Some(before) = before {
            *applied.recount.before.entry(before.fence).or_default() += 1;
        }
    }
}

fn distinct(seen: &[Observation], pull_requests: &[PullRequest]) -> Vec<IssueNumber> {
    let issues = seen.iter().map(|observation| observation.issue.number);
    let mut numbers: Vec<IssueNumber> = issues.chain(pull_requests.iter().map(|seen| seen.number)).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}
