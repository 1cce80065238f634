//! Audits repositories: compares GitHub's open issues with the cached ones, then requests each absent issue.
//!
//! Absence is not deletion. An issue leaves the open ones only after a listing that was read to its end *and* a
//! response about that very issue. If too many issues are absent at once, the audit is put on hold and removes nothing.

use std::sync::atomic::Ordering;

use futures_util::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;

use crate::domain::{AuditOnHold, AuditProgress, CachedIssue, Gone, IssueNumber, Phase, Removal};
use crate::github::{Complete, GitHubError, IssueAnswer};

use super::context::{Pass, elapsed};
use super::plan::{self, Source};
use super::step::{StepError, guard_step};
use super::work::{AuditUnderWay, Work, WorkResult};

/// How many absent issues a pass requests, over all repositories.
const MAX_REQUESTED: usize = 100;

/// How many audits run concurrently.
const AUDITS_AT_ONCE: usize = 4;

/// After this many consecutive failures about single issues, an audit defers the others to the next pass: the cause is
/// then GitHub or the token, and not the issues.
const MAX_ODD_IN_A_ROW: usize = 20;

/// Up to this many absent issues are always plausible.
const ALWAYS_PLAUSIBLE: usize = 20;

impl Pass<'_> {
    /// Audits the repositories that are due. A failed audit does not undo the sync of its repository.
    pub(super) async fn audit(&self, work: &mut [Work]) {
        let due = self.in_turn(work).filter(|work| self.is_due(work));
        futures_util::stream::iter(due)
            .for_each_concurrent(AUDITS_AT_ONCE, |work| {
                async move {
                    let ended = guard_step(self.audit_one(work)).await;
                    work.note(Phase::Reconcile, ended, self.fence(), self.app.clock.now());
                }
                .boxed()
            })
            .await;
    }

    /// An audit is due when the interval has passed. A busy repository, whose every listing brings changes, waits for
    /// one interval more. Then it is audited too, because an audit is as careful with new changes as a listing.
    fn is_due(&self, work: &Work) -> bool {
        if !work.is_read() || work.tracked.backfill.is_some() {
            return false;
        }
        if work.tracked.audit_under_way || work.has_drifted || work.is_confirmed {
            return true;
        }
        let interval = self.app.config.audit_interval;
        let is_settled = match work.probe {
            Some(probe) => work.tracked.has_settled(probe.newest),
            None => work.tracked.is_settled(),
        };
        let is_quiet = is_settled && !work.got_further;
        let patience = if is_quiet { interval } else { 2 * interval };
        work.tracked.audited_at.is_none_or(|at| elapsed(at, self.date()) >= patience)
    }

    async fn audit_one(&self, work: &mut Work) -> Result<(), StepError> {
        let left = match work.tracked.audit_under_way {
            true => self.app.store.audit_progress(work.id()).await?,
            false => None,
        };
        // After an interval the audit starts again. Otherwise an issue whose request always fails would end all audits.
        let is_current = |left: &AuditProgress| {
            left.began_at.is_some_and(|at| elapsed(at, self.date()) < self.app.config.audit_interval)
        };
        // A listing in this pass is newer than the probe's count.
        work.open_on_github = work.probe.filter(|_| work.listing.is_none()).map(|probe| probe.open);
        let is_confirmed = work.is_confirmed || left.as_ref().is_some_and(|left| left.confirmed);
        let mut progress = left.filter(|left| is_current(left) && !work.is_confirmed).unwrap_or_default();
        progress.began_at.get_or_insert(self.date());
        progress.confirmed = is_confirmed;
        work.is_confirmed = is_confirmed;
        let mut audit = AuditUnderWay { work, progress };
        let odd = match self.resume(&mut audit).await {
            Ok(odd) => odd,
            Err(error) => {
                self.keep_progress(audit).await;
                return Err(error);
            }
        };
        if work.tracked.audit_under_way
            && self.is_written(self.app.store.delete_audit_progress(self.lease, work.id()).await)?
        {
            work.tracked.audit_under_way = false;
        }
        work.tracked.audited_at = Some(self.date());
        self.note_unexplained(work);
        self.store_checkpoint(work).await?;
        odd.map_or(Ok(()), |odd| Err(odd.into()))
    }

    /// Stores the progress, so that the next pass need not compare and request again. If this fails, it does.
    async fn keep_progress(&self, audit: AuditUnderWay<'_>) {
        let AuditUnderWay { work, progress } = audit;
        if progress.compared || progress.position.is_some() || progress.confirmed {
            let kept = self.app.store.put_audit_progress(self.lease, work.id(), &progress).await;
            work.tracked.audit_under_way |= kept.is_ok();
        }
    }

    /// A difference of the open-issue counts that this audit did not explain causes no other audit, unless this one saw
    /// an issue too soon.
    fn note_unexplained(&self, work: &mut Work) {
        match work.open_on_github.filter(|_| !work.is_too_soon) {
            Some(open) => work.tracked.note_unexplained(open),
            None => work.tracked.drift = None,
        }
        if work.needs_audit() {
            work.result = WorkResult::Synced;
        }
    }

    /// Continues an audit where it stopped, to its end. Returns the first failure about a single issue, which must not
    /// stop the requests for the others; the next audit requests it again.
    async fn resume(&self, audit: &mut AuditUnderWay<'_>) -> Result<Option<GitHubError>, StepError> {
        // Not earlier: so an audit that waits for the budget keeps its progress and its confirmation, as one that runs
        // out of time does.
        self.has_budget_to_spare(audit.work.name.owner())?;
        if !audit.progress.compared {
            let complete = self.compare(audit).await?;
            hold_if_implausible(audit, complete);
        }
        let odd = self.request_absent(audit).await?;
        if audit.work.tracked.recount {
            self.recount(audit.work).await?;
        }
        Ok(odd)
    }

    /// Requests the absent issues, one by one. An audit on hold has none: it requests nothing until the next interval.
    async fn request_absent(&self, audit: &mut AuditUnderWay<'_>) -> Result<Option<GitHubError>, StepError> {
        let AuditUnderWay { work, progress } = audit;
        let mut odd: Vec<GitHubError> = Vec::new();
        let (mut odd_in_a_row, mut is_unavailable) = (0, false);
        for _ in 0..progress.candidates.len() {
            if odd_in_a_row >= MAX_ODD_IN_A_ROW {
                return Err(odd.swap_remove(0).into());
            }
            if self.is_over() || self.absent_requested.fetch_add(1, Ordering::Relaxed) >= MAX_REQUESTED {
                return Err(GitHubError::Deadline.into());
            }
            // If this one fails, the next pass starts with the others.
            progress.candidates.rotate_left(1);
            let Some(number) = progress.candidates.last().copied() else { break };
            match self.request(work, number).await {
                Ok(true) => {
                    progress.candidates.pop();
                    work.got_further = true;
                    odd_in_a_row = 0;
                }
                Ok(false) => {
                    progress.candidates.rotate_right(1);
                    return Err(GitHubError::Deadline.into());
                }
                Err(StepError::GitHub(error)) if error.is_odd() => {
                    // If GitHub is unavailable the issue stays: the next pass requests it again. Otherwise the next
                    // audit does.
                    match error {
                        GitHubError::Unavailable { .. } => is_unavailable = true,
                        _ => drop(progress.candidates.pop()),
                    }
                    odd.push(error);
                    odd_in_a_row += 1;
                }
                Err(error) => return Err(error),
            }
        }
        if is_unavailable {
            return Err(odd.swap_remove(0).into());
        }
        Ok(odd.into_iter().next())
    }

    /// Requests one absent issue and writes what GitHub answers. Returns whether there was time to write it.
    async fn request(&self, work: &mut Work, number: IssueNumber) -> Result<bool, StepError> {
        let fence = self.fence();
        let cached = self.app.store.issues(work.id(), &[number], true).await?;
        let Some(row) = cached.get(&number).filter(|row| row.is_open()) else {
            return Ok(true);
        };
        let answer = self.github.issue(work.id(), work.target(), number).await?;
        if self.is_over() {
            return Ok(false);
        }
        let applied = match answer {
            IssueAnswer::Here(seen) => {
                self.apply(work.id(), &[*seen], &[], Source::Audit(work.tracked.cursor)).await
            }
            IssueAnswer::Gone(gone) => {
                let replan = |row: &CachedIssue| plan::removed(row, &gone, fence);
                self.write(Some(self.lease), work.id(), replan(row).into_iter().collect(), &replan).await
            }
            IssueAnswer::NotVisible(at) => {
                let replan = |row: &CachedIssue| match self.hidden_for_good(row.missing_since, at) {
                    Some(gone) => plan::removed(row, &gone, fence),
                    None => plan::missing(row, at),
                };
                self.write(Some(self.lease), work.id(), replan(row).into_iter().collect(), &replan).await
            }
        };
        work.count(&applied, fence);
        applied.failure.map_or(Ok(true), Err)
    }

    /// A 404 may be transient: an issue counts as hidden when another audit, at least one interval later, gets it
    /// again.
    fn hidden_for_good(&self, missing_since: Option<Timestamp>, at: Timestamp) -> Option<Gone> {
        (elapsed(missing_since?, at) >= self.app.config.audit_interval)
            .then_some(Gone { removal: Removal::Hidden, proved_at: at })
    }
}

/// Puts the audit on hold if too many issues are absent, unless an operator has confirmed it. `_complete` proves that
/// the listing was read to its end.
fn hold_if_implausible(audit: &mut AuditUnderWay<'_>, _complete: Complete) {
    let AuditUnderWay { work, progress } = audit;
    let absent = progress.candidates.len();
    let plausible = ALWAYS_PLAUSIBLE.max(usize::try_from(work.tracked.open_count / 10).unwrap_or(usize::MAX));
    progress.compared = true;
    if absent > plausible && !progress.confirmed {
        tracing::error!(
            repository.name = %work.name,
            issues.absent = absent,
            issues.open = work.tracked.open_count,
            "The audit of {} is on hold: {absent} of {} cached open issues are missing from GitHub's listing.",
            work.name,
            work.tracked.open_count
        );
        progress.candidates.clear();
        work.tracked.held = Some(AuditOnHold { absent: absent as u64, of: work.tracked.open_count });
    } else {
        work.tracked.held = None;
    }
}
