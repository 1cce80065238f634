//! Unreadable issues: a listing contained them, but their record could not be parsed. The checkpoints pass them, so
//! that they delay nothing. Each is kept by its number and requested by itself until it is read.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;

use crate::domain::{IssueNumber, MAX_UNREAD, Phase, UnreadIssue};
use crate::github::{GitHubError, IssueAnswer, OddRecord, Page};

use super::context::{Pass, REPOSITORIES_AT_ONCE};
use super::plan::Source;
use super::problems;
use super::step::{StepError, guard_step};
use super::work::Work;

/// How many unread issues of a repository a pass requests.
const MAX_REQUESTED: usize = 5;

/// An issue that is unreadable by itself too is requested again after this time.
const RETRY_AFTER: Duration = Duration::from_secs(3_600);

impl Pass<'_> {
    /// Keeps the unreadable issues of a listing's page, and drops those that the page shows in full.
    ///
    /// # Errors
    /// If there are too many of them, the page counts as unread.
    pub(super) async fn note_unread(&self, work: &mut Work, page: &Page) -> Result<(), StepError> {
        let is_shown = |number: IssueNumber| page.issues.iter().any(|seen| seen.issue.number == number);
        let mut unread = work.tracked.unread.clone();
        unread.retain(|known| !is_shown(known.number));
        let odd = self.not_read_yet(work, &page.odd).await?;
        work.has_unnumbered |= odd.iter().any(|odd| odd.number.is_none());
        add(&mut unread, &odd, page.date, work.tracked.backfill.is_some());
        if unread.len() > MAX_UNREAD {
            return Err(problems::too_many_unread().into());
        }
        work.tracked.unread = unread;
        Ok(())
    }

    /// Keeps the unreadable issues that an audit found, up to the limit: the next audit finds the others again.
    pub(super) async fn note_unread_in_audit(
        &self,
        work: &mut Work,
        odd: &[OddRecord],
    ) -> Result<(), StepError> {
        let odd = self.not_read_yet(work, odd).await?;
        add(&mut work.tracked.unread, &odd, self.date(), false);
        work.tracked.unread.truncate(MAX_UNREAD);
        Ok(())
    }

    /// These records without the issues that were read by themselves in this very version.
    async fn not_read_yet<'o>(
        &self,
        work: &Work,
        odd: &'o [OddRecord],
    ) -> Result<Vec<&'o OddRecord>, StepError> {
        let numbers: Vec<IssueNumber> = odd.iter().filter_map(|odd| odd.number).collect();
        if numbers.is_empty() {
            return Ok(odd.iter().collect());
        }
        let cached = self.app.store.issues(work.id(), &numbers, true).await?;
        let is_read = |odd: &&OddRecord| {
            let row = odd.number.and_then(|number| cached.get(&number));
            row.is_some_and(|row| {
                Some(row.updated_at) == odd.updated_at && Some(&row.digest) == odd.digest.as_ref()
            })
        };
        Ok(odd.iter().filter(|odd| !is_read(odd)).collect())
    }

    /// Requests the unread issues that are due, each by itself.
    pub(super) async fn request_unread(&self, work: &mut [Work]) {
        let date = self.date();
        let is_due =
            |work: &&mut Work| work.is_read() && work.tracked.unread.iter().any(|one| one.ask_at <= date);
        futures_util::stream::iter(self.in_turn(work).filter(is_due))
            .for_each_concurrent(REPOSITORIES_AT_ONCE, |work| {
                async move {
                    let ended = guard_step(self.request_unread_of(work, date)).await;
                    work.note(Phase::Reconcile, ended, self.fence(), self.app.clock.now());
                }
                .boxed()
            })
            .await;
    }

    async fn request_unread_of(&self, work: &mut Work, date: Timestamp) -> Result<(), StepError> {
        let due = work.tracked.unread.iter().filter(|one| one.ask_at <= date);
        let due: Vec<UnreadIssue> = due.take(MAX_REQUESTED).copied().collect();
        for one in due {
            if self.is_over() {
                return Err(GitHubError::Deadline.into());
            }
            let is_missing = match self.github.issue(work.id(), work.target(), one.number).await {
                Ok(IssueAnswer::Here(seen)) => {
                    let source = match one.in_backfill {
                        true => Source::Backfill,
                        false => Source::Audit(work.tracked.cursor),
                    };
                    let applied = self.apply(work.id(), &[*seen], &[], source).await;
                    work.count(&applied, self.fence());
                    applied.failure.map_or(Ok(()), Err)?;
                    None
                }
                Ok(IssueAnswer::NotVisible(_)) => Some(true).filter(|_| !one.is_missing),
                // The audit deals with its cached row.
                Ok(_) => None,
                // The next pass requests it again.
                Err(GitHubError::Unavailable { .. }) => continue,
                Err(error) if error.is_odd() => Some(false),
                Err(error) => return Err(error.into()),
            };
            let unread = &mut work.tracked.unread;
            unread.retain(|other| other.number != one.number);
            if let Some(is_missing) = is_missing {
                let ask_at = date.checked_add(RETRY_AFTER).unwrap_or(date);
                unread.push(UnreadIssue { ask_at, is_missing, ..one });
            }
        }
        self.store_checkpoint(work).await?;
        Ok(())
    }
}

/// Adds the records with a number. The next pass is the first to request them.
fn add(unread: &mut Vec<UnreadIssue>, odd: &[&OddRecord], date: Timestamp, in_backfill: bool) {
    let ask_at = date.checked_add(Duration::from_secs(1)).unwrap_or(date);
    for number in odd.iter().filter_map(|odd| odd.number) {
        if unread.iter().all(|known| known.number != number) {
            unread.push(UnreadIssue { number, ask_at, in_backfill, is_missing: false });
        }
    }
}
