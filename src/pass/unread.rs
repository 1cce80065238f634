//! Issues that a listing showed in a form that cannot be read. The checkpoints pass them, so that they hold up nothing,
//! and each is kept by its number and asked for by itself until it is read.

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

/// How many unread issues of a repository a pass asks for.
const MAX_ASKED: usize = 5;

/// One that cannot be read by itself either is asked for again after this time.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(3_600);

impl Pass<'_> {
    /// Keeps what a page of a listing showed and cannot be read, and forgets what it showed whole. With too many of
    /// them the page counts as not read.
    pub(super) async fn note_odd(&self, work: &mut Work, page: &Page) -> Result<(), StepError> {
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

    /// Keeps what an audit met and cannot be read, as far as there is room: the next audit meets the rest again.
    pub(super) async fn note_odd_in_audit(
        &self,
        work: &mut Work,
        odd: &[OddRecord],
    ) -> Result<(), StepError> {
        let odd = self.not_read_yet(work, odd).await?;
        add(&mut work.tracked.unread, &odd, self.date(), false);
        work.tracked.unread.truncate(MAX_UNREAD);
        Ok(())
    }

    /// Without those that were read by themselves in just this version.
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

    /// Asks for the unread issues that are due, each by itself.
    pub(super) async fn ask_unread(&self, work: &mut [Work]) {
        let date = self.date();
        let is_due =
            |work: &&mut Work| work.is_read() && work.tracked.unread.iter().any(|one| one.ask_at <= date);
        futures_util::stream::iter(self.in_turn(work).filter(is_due))
            .for_each_concurrent(REPOSITORIES_AT_ONCE, |work| {
                async move {
                    let met = guard_step(self.ask_unread_of(work, date)).await;
                    work.take(Phase::Reconcile, met, self.fence(), self.app.clock.now());
                }
                .boxed()
            })
            .await;
    }

    async fn ask_unread_of(&self, work: &mut Work, date: Timestamp) -> Result<(), StepError> {
        let due = work.tracked.unread.iter().filter(|one| one.ask_at <= date);
        let due: Vec<UnreadIssue> = due.take(MAX_ASKED).copied().collect();
        for one in due {
            if self.is_over() {
                return Err(GitHubError::Deadline.into());
            }
            let is_missing = match self.github.issue(work.id(), work.target(), one.number).await {
                Ok(IssueAnswer::Here(seen)) => {
                    let reading = match one.in_backfill {
                        true => Source::Backfill,
                        false => Source::Audit(work.tracked.cursor),
                    };
                    let applied = self.apply(work.id(), &[*seen], &[], reading).await;
                    work.count(&applied, self.fence());
                    applied.failure.map_or(Ok(()), Err)?;
                    None
                }
                Ok(IssueAnswer::NotVisible(_)) => Some(true).filter(|_| !one.is_missing),
                // What is cached of it is for the audit.
                Ok(_) => None,
                // The next pass asks again.
                Err(GitHubError::Unavailable { .. }) => continue,
                Err(error) if error.is_odd() => Some(false),
                Err(error) => return Err(error.into()),
            };
            let unread = &mut work.tracked.unread;
            unread.retain(|other| other.number != one.number);
            if let Some(is_missing) = is_missing {
                let ask_at = date.checked_add(ASK_AGAIN_AFTER).unwrap_or(date);
                unread.push(UnreadIssue { ask_at, is_missing, ..one });
            }
        }
        self.store_checkpoint(work).await?;
        Ok(())
    }
}

/// Adds those with a number, from the next pass on to be asked for.
fn add(unread: &mut Vec<UnreadIssue>, odd: &[&OddRecord], date: Timestamp, in_backfill: bool) {
    let ask_at = date.checked_add(Duration::from_secs(1)).unwrap_or(date);
    for number in odd.iter().filter_map(|odd| odd.number) {
        if unread.iter().all(|known| known.number != number) {
            unread.push(UnreadIssue { number, ask_at, in_backfill, is_missing: false });
        }
    }
}
