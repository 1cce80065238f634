//! Brings a repository's rows in line with GitHub: reads them, plans, writes, and plans a row again if another pass
//! changed it in between.

use crate::domain::{
    CachedIssue, IssueNumber, Observation, PullRequest, Recount, RepositoryId, has_label_in,
};
use crate::github::GitHubError;
use crate::store::{Lease, RowWrite, StoreError};

use super::context::Pass;
use super::plan::{self, Source, Write};
use super::step::StepError;

/// How often a row that keeps changing is planned.
const MAX_ROUNDS: u32 = 5;

/// The sum of the writes of one page, including a page with failed writes.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// The change of the open-issue count.
    pub(super) open_difference: i64,
    /// How many issues changed.
    pub(super) changed: u64,
    /// Those that are reported to agents: issues without an excluded label.
    pub(super) recount: Recount,
    /// Whether lists of issues or verdicts may show an unreported change, other than by the number of open issues.
    pub(super) changes_lists: bool,
    /// Whether the page brought a change to report, other than another version within the same second.
    pub(super) brings_newer: bool,
    /// Whether it is unknown if a write was carried out. Its row then has to be searched for.
    pub(super) is_unsure: bool,
    /// Whether a write found another row than it was planned on, so that the open issues have to be counted again.
    pub(super) was_refused: bool,
    /// Whether the page has an older version of a row, read too soon after it. Another audit has to check it.
    pub(super) is_too_soon: bool,
    /// The first failure, which may be that the time was up. The page then counts as unread, whatever was written.
    pub(super) failure: Option<StepError>,
}

impl Pass<'_> {
    /// Applies a page: its issues, and the pull requests among them that were issues.
    pub(super) async fn apply(
        &self,
        repository: RepositoryId,
        seen: &[Observation],
        pull_requests: &[PullRequest],
        source: Source,
    ) -> Applied {
        // A backfill needs no pull requests: the first delta shows the issues that were converted during it.
        let pull_requests = if source == Source::Backfill { &[] } else { pull_requests };
        let numbers: Vec<IssueNumber> = distinct(seen, pull_requests);
        // In a backfill hardly any row exists, and an eventually consistent read costs half. If it misses a row, the
        // write is rejected.
        let consistent = source != Source::Backfill;
        let cached = match self.app.store.issues(repository, &numbers, consistent).await {
            Ok(cached) => cached,
            Err(error) => {
                return Applied { failure: Some(error.into()), ..Applied::default() };
            }
        };
        let fence = self.fence();
        let converted = |row: &CachedIssue| {
            let pull_request = pull_requests.iter().find(|seen| seen.number == row.number)?;
            plan::converted(row, pull_request, source, fence)
        };
        let mut writes = plan::page(&cached, seen, source, fence);
        let shown_as_issue = |row: &&CachedIssue| plan::newest(seen, row.number).is_some();
        writes.extend(cached.values().filter(|row| !shown_as_issue(row)).filter_map(converted));
        let replan = |row: &CachedIssue| match plan::newest(seen, row.number) {
            Some(seen) => plan::observed(Some(row), seen, source, fence),
            None => converted(row),
        };
        let is_audit = matches!(source, Source::Audit(_));
        let is_too_soon = |row: &CachedIssue| {
            plan::newest(seen, row.number).is_some_and(|seen| plan::is_too_soon(row, seen))
        };
        let is_too_soon = is_audit && cached.values().any(is_too_soon);
        let is_same_second = |write: &Write| {
            let row = cached.get(&write.row.number);
            row.is_some_and(|row| row.updated_at == write.row.updated_at && row.digest != write.row.digest)
        };
        let brings_newer = writes.iter().any(|write| write.is_reported && !is_same_second(write));
        let applied = self.write(is_audit.then_some(self.lease), repository, writes, &replan).await;
        Applied { is_too_soon, brings_newer, ..applied }
    }

    /// Writes rows, those of an audit only while the pass holds the lease (`under`). `replan` plans a row again that
    /// has changed since it was planned.
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
                    Ok(RowWrite::Written) => {
                        applied.open_difference += write.open_difference();
                        self.count(&mut applied, &write);
                    }
                    Ok(RowWrite::Changed(row)) => {
                        applied.was_refused = true;
                        // A write whose response was lost finds its own row: it is done, and counts.
                        if *row == write.row {
                            self.count(&mut applied, &write);
                        } else {
                            again.extend(replan(&row));
                        }
                    }
                    Ok(RowWrite::LeaseLost) => {
                        self.mark_superseded();
                        applied.failure = applied.failure.or(Some(GitHubError::Deadline.into()));
                    }
                    Ok(outcome @ (RowWrite::NotStarted | RowWrite::Conflicted)) => {
                        // An earlier attempt of the SDK may have lost its response.
                        applied.is_unsure |= outcome == RowWrite::Conflicted;
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

    fn count(&self, applied: &mut Applied, write: &Write) {
        if !write.is_reported {
            // A backfill's new rows show in the number of open issues.
            applied.changes_lists |= write.is_shown && write.open_difference() <= 0;
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
