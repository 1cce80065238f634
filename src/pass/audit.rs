//! Compares the open issues on GitHub with the cached ones, and asks for those that are absent.
//!
//! Absence is not deletion. An issue is removed from the open ones only after a listing that was read to its
//! end *and* GitHub's own answer about that issue; and when too many are absent at once, nothing is believed.

use std::sync::atomic::Ordering;

use futures_util::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;

use crate::domain::{AuditProgress, CachedIssue, Change, Gone, HeldAudit, IssueNumber, Phase};
use crate::github::{Complete, GitHubError, IssueAnswer};

use super::context::{Pass, elapsed};
use super::plan::{self, Source};
use super::step::{StepError, guard_step};
use super::work::{AuditUnderWay, Work, WorkResult};

/// How many absent issues a pass asks for, over all repositories.
const MAX_ASKED: usize = 100;

/// How many audits run at the same time.
const AUDITS_AT_ONCE: usize = 4;

/// After so many odd answers about single issues in a row, an audit leaves the others to the next pass: it is GitHub
/// that is in trouble then, or the token.
const MAX_ODD_IN_A_ROW: usize = 20;

/// So many absent issues are believed in any case.
const ALWAYS_PLAUSIBLE: usize = 20;

impl Pass<'_> {
    /// Audits the repositories that are due. One that fails to be audited was synced all the same.
    pub(super) async fn audit(&self, work: &mut [Work]) {
        let due = self.in_turn(work).filter(|work| self.is_due(work));
        futures_util::stream::iter(due)
            .for_each_concurrent(AUDITS_AT_ONCE, |work| {
                async move {
                    let met = guard_step(self.audit_one(work)).await;
                    work.take(Phase::Reconcile, met, self.fence(), self.app.clock.now());
                }
                .boxed()
            })
            .await;
    }

    /// An audit is due when the interval has passed. A busy repository, whose listings bring something new each
    /// time, is left alone for one interval more; then it is audited all the same, since every step of an audit
    /// is as careful with new changes as a listing is.
    fn is_due(&self, work: &Work) -> bool {
        if !work.is_read() || work.tracked.backfill.is_some() {
            return false;
        }
        if work.tracked.audit_under_way || work.has_drifted || work.is_believed {
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
        // What was found an interval ago is found anew, or an issue that never answers would end all audits.
        let is_current = |left: &AuditProgress| {
            left.began_at.is_some_and(|at| elapsed(at, self.date()) < self.app.config.audit_interval)
        };
        // What was listed in this pass is younger than what the probe counted.
        work.open_on_github = work.probe.filter(|_| work.listing.is_none()).map(|probe| probe.open);
        let is_believed = work.is_believed || left.as_ref().is_some_and(|left| left.believed);
        let mut progress = left.filter(|left| is_current(left) && !work.is_believed).unwrap_or_default();
        progress.began_at.get_or_insert(self.date());
        progress.believed = is_believed;
        work.is_believed = is_believed;
        let mut audit = AuditUnderWay { work, progress };
        let odd = match self.go_on(&mut audit).await {
            Ok(odd) => odd,
            Err(error) => {
                self.keep_progress(audit).await;
                return Err(error);
            }
        };
        if work.tracked.audit_under_way
            && self.is_written(self.app.store.delete_audit_progress(self.lease, work.id()).await?)
        {
            work.tracked.audit_under_way = false;
        }
        work.tracked.audited_at = Some(self.date());
        self.note_what_is_left(work);
        self.store_checkpoint(work).await?;
        odd.map_or(Ok(()), |odd| Err(odd.into()))
    }

    /// What was compared and asked need not be done again. Losing this only repeats it.
    async fn keep_progress(&self, audit: AuditUnderWay<'_>) {
        let AuditUnderWay { work, progress } = audit;
        if progress.compared || progress.position.is_some() || progress.believed {
            let kept = self.app.store.put_audit_progress(self.lease, work.id(), &progress).await;
            work.tracked.audit_under_way |= matches!(kept, Ok(Ok(())));
        }
    }

    /// What this audit did not explain of the numbers of open issues causes no other one, unless it has to look again.
    fn note_what_is_left(&self, work: &mut Work) {
        match work.open_on_github.filter(|_| !work.is_too_soon) {
            Some(open) => work.tracked.note_unexplained(open),
            None => work.tracked.drift = None,
        }
        if work.is_to_be_audited() {
            work.result = WorkResult::Synced;
        }
    }

    /// Goes on with an audit where it was left, to its end. Returns the first odd answer about a single issue, which
    /// must not keep the others from being asked for; the next audit asks again.
    async fn go_on(&self, audit: &mut AuditUnderWay<'_>) -> Result<Option<GitHubError>, StepError> {
        // Not earlier: what is put off is kept like what time cuts off, an operator's word included.
        self.has_budget_to_spare(audit.work.name.owner())?;
        if !audit.progress.compared {
            let complete = self.compare(audit).await?;
            judge(audit, complete);
        }
        let odd = self.ask_for_absent(audit).await?;
        if audit.work.tracked.recount {
            self.recount(audit.work).await?;
        }
        Ok(odd)
    }

    /// Asks for the absent issues, one by one. A held audit has none: nothing is asked for until the next interval.
    async fn ask_for_absent(&self, audit: &mut AuditUnderWay<'_>) -> Result<Option<GitHubError>, StepError> {
        let AuditUnderWay { work, progress } = audit;
        let mut odd: Vec<GitHubError> = Vec::new();
        let (mut odd_in_a_row, mut is_unanswered) = (0, false);
        for _ in 0..progress.candidates.len() {
            if odd_in_a_row >= MAX_ODD_IN_A_ROW {
                return Err(odd.swap_remove(0).into());
            }
            if self.is_over() || self.absent_asked.fetch_add(1, Ordering::Relaxed) >= MAX_ASKED {
                return Err(GitHubError::Deadline.into());
            }
            // Whatever keeps this one from being dealt with, the next pass deals with the others first.
            progress.candidates.rotate_left(1);
            let Some(number) = progress.candidates.last().copied() else { break };
            match self.ask(work, number).await {
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
                    // One that does not answer stays: the next pass asks again. What is refused, the next audit asks.
                    match error {
                        GitHubError::Unavailable { .. } => is_unanswered = true,
                        _ => drop(progress.candidates.pop()),
                    }
                    odd.push(error);
                    odd_in_a_row += 1;
                }
                Err(error) => return Err(error),
            }
        }
        if is_unanswered {
            return Err(odd.swap_remove(0).into());
        }
        Ok(odd.into_iter().next())
    }

    /// Asks for one absent issue and writes what GitHub says. Returns whether there was the time to write it.
    async fn ask(&self, work: &mut Work, number: IssueNumber) -> Result<bool, StepError> {
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

    /// A 404 may pass: an issue counts as hidden when an audit at least one interval later meets it again.
    fn hidden_for_good(&self, missing_since: Option<Timestamp>, at: Timestamp) -> Option<Gone> {
        (elapsed(missing_since?, at) >= self.app.config.audit_interval).then_some(Gone {
            reason: Change::Hidden,
            proved_at: at,
            moved_to: None,
        })
    }
}

/// Decides whether the absence can be believed enough to ask: when it is plausible, or an operator said so.
/// `_complete` proves that the listing was read to its end.
fn judge(audit: &mut AuditUnderWay<'_>, _complete: Complete) {
    let AuditUnderWay { work, progress } = audit;
    let absent = progress.candidates.len();
    let plausible = ALWAYS_PLAUSIBLE.max(usize::try_from(work.tracked.open_count / 10).unwrap_or(usize::MAX));
    progress.compared = true;
    if absent > plausible && !progress.believed {
        tracing::error!(
            repository.name = %work.name,
            issues.absent = absent,
            issues.open = work.tracked.open_count,
            "An audit is held."
        );
        progress.candidates.clear();
        work.tracked.held = Some(HeldAudit { absent: absent as u64, of: work.tracked.open_count });
    } else {
        work.tracked.held = None;
    }
}
