//! Compares the open issues on GitHub with the cached ones, and asks for those that are absent.
//!
//! Absence is not deletion. An issue is removed from the open ones only after a listing that was read to its
//! end *and* GitHub's own answer about that issue; and when too many are absent at once, nothing is believed.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;

use crate::domain::{
    AuditProgress, CachedIssue, Change, Gone, IssueNumber, Observation, Phase, Problem, ProblemCode,
    labels_digest,
};
use crate::github::{Complete, GitHubError, IssueAnswer, Listing, Repository, Scope};
use crate::store::OpenIssue;

use super::plan::{self, Reading};
use super::rows::Applied;
use super::work::{StepError, Work};
use super::{Pass, guard};

/// How many absent issues a pass asks for, over all repositories.
const MOST_ASKED: usize = 100;

/// How many audits run at the same time.
const AUDITS_AT_ONCE: usize = 4;

/// So many absent issues are believed in any case.
const ALWAYS_PLAUSIBLE: usize = 20;

impl Pass<'_> {
    /// Audits the repositories that are due. One that fails to be audited was synced all the same, but does not
    /// count as agreeing with GitHub.
    pub(super) async fn audit(&self, work: &mut [Work]) {
        let now = self.github.first_date().unwrap_or(self.started_at);
        let due = work.iter_mut().filter(|work| self.is_due(work, now));
        futures_util::stream::iter(due)
            .for_each_concurrent(AUDITS_AT_ONCE, |work| {
                async move {
                    let met = guard(self.audit_one(work)).await;
                    work.take(Phase::Reconcile, met, self.app.clock.now());
                }
                .boxed()
            })
            .await;
    }

    /// An audit is due when the interval has passed. A busy repository, whose listings bring something new each
    /// time, is left alone for one interval more; then it is audited all the same, since every step of an audit
    /// is as careful with new changes as a listing is.
    fn is_due(&self, work: &Work, now: Timestamp) -> bool {
        if !work.is_synced() || work.tracked.backfill.is_some() {
            return false;
        }
        if work.tracked.audit_under_way {
            return true;
        }
        let age = work
            .tracked
            .audited_at
            .map(|at| Duration::try_from(now.duration_since(at)));
        let age = age.map_or(Duration::MAX, Result::unwrap_or_default);
        let interval = self.app.config.audit_interval;
        let is_quiet = work.tracked.is_settled() && !work.got_further;
        age >= interval && (is_quiet || age >= 2 * interval)
    }

    async fn audit_one(&self, work: &mut Work) -> Result<(), StepError> {
        let mut progress = if work.tracked.audit_under_way {
            self.app
                .store
                .audit_progress(work.id())
                .await?
                .unwrap_or_default()
        } else {
            AuditProgress::default()
        };
        let step = self.go_on(work, &mut progress).await;
        match step {
            Ok(date) => {
                if work.tracked.audit_under_way {
                    self.app.store.delete_audit_progress(work.id()).await?;
                }
                work.tracked.audit_under_way = false;
                work.tracked.audited_at = Some(date);
                self.store(work).await?;
                Ok(())
            }
            Err(error) => {
                // What was compared and asked need not be done again. Losing this only repeats it.
                let is_begun = progress != AuditProgress::default();
                if is_begun
                    && self
                        .app
                        .store
                        .put_audit_progress(work.id(), &progress)
                        .await
                        .is_ok()
                {
                    work.tracked.audit_under_way = true;
                }
                Err(error)
            }
        }
    }

    /// Goes on with an audit; returns GitHub's `Date` at its end.
    async fn go_on(&self, work: &mut Work, progress: &mut AuditProgress) -> Result<Timestamp, StepError> {
        let mut date = self.github.first_date().unwrap_or(self.started_at);
        if !progress.compared {
            date = self.compare(work, progress).await?;
        }
        if work.tracked.held_absent.is_some() {
            // Nothing was asked for: the interval begins anew, and the repository stays held until then.
            return Ok(date);
        }
        let candidates = std::mem::take(&mut progress.candidates);
        let mut rest = candidates.into_iter();
        while let Some(number) = rest.next() {
            let answer = if self.is_over() || self.asked.fetch_add(1, Ordering::Relaxed) >= MOST_ASKED {
                Err(GitHubError::Deadline.into())
            } else {
                self.ask(work, number).await
            };
            match answer {
                Ok(answered_at) => date = answered_at,
                Err(error) => {
                    progress.candidates = std::iter::once(number).chain(rest).collect();
                    return Err(error);
                }
            }
            work.got_further = true;
        }
        if work.tracked.recount {
            work.tracked.open_count = self.app.store.count_open(work.id()).await?;
            work.tracked.recount = false;
        }
        Ok(date)
    }

    /// Compares page by page, and writes what differs. At the end the absent issues are the candidates, or, if
    /// they are too many, the audit is held.
    async fn compare(&self, work: &mut Work, progress: &mut AuditProgress) -> Result<Timestamp, StepError> {
        let from = progress
            .position
            .and_then(|at| at.checked_sub(Duration::from_secs(1)).ok());
        let mut unseen: HashMap<IssueNumber, OpenIssue> = self
            .app
            .store
            .open_issues(work.id(), from)
            .await?
            .into_iter()
            .map(|open| (open.number, open))
            .collect();
        if from.is_none() {
            // The whole index is at hand: a count that has drifted is put right for nothing.
            work.tracked.open_count = unseen.len() as u64;
        }
        let mut pages = Listing::new(&work.tracked.name, Scope::Open, progress.position);
        loop {
            let Some(page) = pages.next_page(&self.github).await? else {
                return Err(GitHubError::Unexpected("a listing without an end".to_owned()).into());
            };
            if self.is_over() {
                return Err(GitHubError::Deadline.into());
            }
            let different: Vec<Observation> = page
                .issues
                .into_iter()
                .filter(|seen| {
                    let cached = unseen.remove(&seen.issue.number);
                    progress.candidates.retain(|number| *number != seen.issue.number);
                    !cached.is_some_and(|cached| {
                        cached.missing_since.is_none()
                            && cached.updated_at == seen.issue.updated_at
                            && cached.labels_digest == labels_digest(&seen.issue.labels)
                    })
                })
                .collect();
            if !different.is_empty() {
                let applied = self
                    .apply(work.id(), &different, Reading::Audit(work.tracked.cursor), None)
                    .await;
                count(self.fence(), work, applied)?;
            }
            // What lies before the page's end and was not on it is absent; what shares its last second may
            // stand on the next page.
            progress.candidates.extend(take_before(&mut unseen, page.newest));
            work.got_further |= page.newest > progress.position;
            progress.position = progress.position.max(page.newest);
            if let Some(complete) = page.complete {
                progress.candidates.extend(unseen.into_keys());
                progress.candidates.sort_unstable();
                // What was compared in the last second before a pause was compared again after it.
                progress.candidates.dedup();
                self.judge(work, progress, complete);
                return Ok(page.date);
            }
        }
    }

    /// Decides whether the absence can be believed enough to ask. `_complete` proves that the listing was read
    /// to its end.
    fn judge(&self, work: &mut Work, progress: &mut AuditProgress, _complete: Complete) {
        let absent = progress.candidates.len();
        let plausible =
            ALWAYS_PLAUSIBLE.max(usize::try_from(work.tracked.open_count / 10).unwrap_or(usize::MAX));
        progress.compared = true;
        if absent > plausible {
            tracing::error!(
                repository.name = %work.name,
                issues.absent = absent,
                issues.open = work.tracked.open_count,
                "An audit is held."
            );
            *progress = AuditProgress::default();
            work.tracked.held_absent = Some(absent as u64);
        } else {
            work.tracked.held_absent = None;
        }
    }

    /// Asks for one absent issue and writes what GitHub says. Returns the answer's `Date`.
    async fn ask(&self, work: &mut Work, number: IssueNumber) -> Result<Timestamp, StepError> {
        let fence = self.fence();
        let cached = self.app.store.issues(work.id(), &[number], true).await?;
        let Some(row) = cached.get(&number).filter(|row| row.is_open()) else {
            return Ok(self.started_at);
        };
        let repository = Repository {
            id: work.id(),
            name: work.tracked.name.clone(),
            disabled: false,
        };
        let answer = self.github.issue(&repository, number).await?;
        if self.is_over() {
            return Err(GitHubError::Deadline.into());
        }
        let (applied, date) = match answer {
            IssueAnswer::Here(seen) => {
                let date = seen.read_at;
                let reading = Reading::Audit(work.tracked.cursor);
                (self.apply(work.id(), &[*seen], reading, None).await, date)
            }
            IssueAnswer::Gone(gone) => {
                let replan = |row: &CachedIssue| plan::removed(row, &gone, fence);
                (
                    self.write(work.id(), replan(row).into_iter().collect(), &replan)
                        .await,
                    gone.proved_at,
                )
            }
            IssueAnswer::NotVisible(at) => {
                let replan = |row: &CachedIssue| match self.hidden_for_good(row.missing_since, at) {
                    Some(gone) => plan::removed(row, &gone, fence),
                    None => plan::missing(row, at),
                };
                (
                    self.write(work.id(), replan(row).into_iter().collect(), &replan)
                        .await,
                    at,
                )
            }
        };
        count(fence, work, applied)?;
        Ok(date)
    }

    /// A 404 may pass: an issue counts as hidden when an audit at least one interval later meets it again.
    fn hidden_for_good(&self, missing_since: Option<Timestamp>, at: Timestamp) -> Option<Gone> {
        let missing_for = Duration::try_from(at.duration_since(missing_since?)).unwrap_or_default();
        (missing_for >= self.app.config.audit_interval).then_some(Gone {
            reason: Change::Hidden,
            proved_at: at,
            moved_to: None,
        })
    }
}

/// Takes over what the writes came to.
fn count(fence: u64, work: &mut Work, applied: Applied) -> Result<(), StepError> {
    work.tracked.open_count = work
        .tracked
        .open_count
        .saturating_add_signed(applied.open_difference);
    work.tracked.recount |= applied.was_refused;
    work.touched += applied.touched;
    if applied.touched > 0 {
        work.tracked.last_change_fence = fence;
    }
    applied.failure.map_or(Ok(()), |failure| Err(failure.into()))
}

/// Takes out the issues whose cached `updated_at` lies before `newest`.
fn take_before(unseen: &mut HashMap<IssueNumber, OpenIssue>, newest: Option<Timestamp>) -> Vec<IssueNumber> {
    let Some(newest) = newest else { return Vec::new() };
    let before: Vec<IssueNumber> = unseen
        .values()
        .filter(|open| open.updated_at < newest)
        .map(|open| open.number)
        .collect();
    for number in &before {
        unseen.remove(number);
    }
    before
}

/// What is told of a repository whose audit is held.
pub(super) fn held_problem(work: &Work, absent: u64) -> Problem {
    Problem::error(
        ProblemCode::AuditHeld,
        Phase::Reconcile,
        format!(
            "GitHub lists {absent} of the {} cached open issues no more, too many to be believed: nothing was \
             removed; the next audit looks again",
            work.tracked.open_count
        ),
    )
    .of(&work.name)
}
