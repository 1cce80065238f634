//! Reads what changed, repository by repository. The first page of each repository starts before the second page of
//! any, and no repository waits for another's page.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use jiff::{SignedDuration, Timestamp};

use crate::domain::{PageLength, PageRead, Phase};
use crate::github::{GitHubError, Listing, Page, Probe, Scope, Target};

use super::context::{Pass, REPOSITORIES_AT_ONCE};
use super::plan::Source;
use super::step::{StepError, guard_step};
use super::work::{ListingUnderWay, Work, WorkResult};

/// GitHub rarely takes longer for a page.
const SLOW_PAGE: Duration = Duration::from_secs(2);

/// Within this time only few pull requests are opened.
const FEW_PULL_REQUESTS: SignedDuration = SignedDuration::from_hours(24);

impl Pass<'_> {
    /// Lists all repositories that GitHub showed, until each is read to its end or the time is up.
    pub(super) async fn list(&self, work: &mut [Work]) {
        let mut firsts: VecDeque<&mut Work> = self.in_turn(work).filter(|work| work.is_under_way()).collect();
        let mut rests: VecDeque<&mut Work> = VecDeque::new();
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < REPOSITORIES_AT_ONCE
                && let Some(work) = firsts.pop_front().or_else(|| rests.pop_front())
            {
                running.push(self.list_some(work).boxed());
            }
            match running.next().await {
                Some(work) if work.is_under_way() && work.pages.is_some() => rests.push_back(work),
                Some(_) => {}
                None => return,
            }
        }
    }

    /// Reads the first page of a repository, or else all others.
    async fn list_some<'w>(&self, work: &'w mut Work) -> &'w mut Work {
        let ended = match work.pages.take() {
            None => guard_step(self.begin(work)).await,
            Some(pages) => guard_step(self.read_on(work, pages)).await,
        };
        work.note(Phase::Sync, ended, self.fence(), self.app.clock.now());
        work
    }

    /// Skips a repository in which the probe saw nothing new. Otherwise starts a listing, or continues the backfill,
    /// and reads the first page.
    async fn begin(&self, work: &mut Work) -> Result<(), StepError> {
        if let Some(probe) = work.probe
            && !work.tracked.is_listing_due(probe.newest, probe.date)
        {
            return self.skip(work, probe).await;
        }
        let tracked = &mut work.tracked;
        tracked.drift = None;
        if let Some(backfill) = tracked.backfill {
            let target = Target::new(&tracked.name, &work.name);
            self.has_budget_to_spare(target.account_owner)?;
            if backfill.began_at.is_none() {
                let (newest, date) = match work.probe.map(|probe| (probe.newest, probe.date)) {
                    Some((Some(newest), date)) if date.duration_since(newest) < FEW_PULL_REQUESTS => {
                        (Some(newest), date)
                    }
                    // A first delta from an older update would read all pull requests since then.
                    _ => self.github.newest_update(target).await?,
                };
                tracked.begin(newest, date);
            }
        }
        let is_backfill = tracked.backfill.is_some();
        let scope = if is_backfill { Scope::Open } else { Scope::All };
        let start = tracked.listing_start();
        let target = Target::new(&tracked.name, &work.name);
        let length = PageLength::begin(tracked.short_pages, self.app.clock.now());
        let mut pages = Listing::new(target, scope, start.from, length).at_page(start.next_page);
        work.listing = Some(ListingUnderWay {
            from: start.from,
            settles: start.settles,
            first_date: None,
            crowded: start.crowded,
            before: work.tracked.clone(),
            // If the count is not trusted, a dead pass may have written rows that are not reported yet.
            reported_fence: (!work.tracked.recount).then(|| self.lease.before().ended_fence()),
        });
        let page = self.next_page(&mut pages, is_backfill).await;
        work.tracked.short_pages = pages.short_pages();
        if matches!(page, Err(StepError::GitHub(GitHubError::Unexpected(_)))) {
            // GitHub may no longer accept the link at which the listing before was cut off.
            work.tracked.forget_page();
        }
        if let Some(page) = page? {
            self.write_page(work, page).await?;
        }
        work.pages = Some(pages);
        Ok(())
    }

    /// Nothing is newer than the cursor. The open-issue count is compared only once all changes are settled: before
    /// that, GitHub may count an issue that it does not list yet.
    async fn skip(&self, work: &mut Work, probe: Probe) -> Result<(), StepError> {
        if work.tracked.recount {
            self.recount(work).await?;
        }
        let tracked = &mut work.tracked;
        let agrees = tracked.agrees_with(probe.open);
        let drift = Some(probe.open).filter(|_| !agrees && tracked.has_settled(probe.newest));
        work.has_drifted = drift.is_some() && tracked.drift == drift;
        tracked.drift = drift;
        // An audit on hold leaves a difference that is noted, and the repository is out of step all the same.
        let is_in_step = agrees && tracked.held.is_none();
        work.result = if is_in_step { WorkResult::Synced } else { WorkResult::Drifted };
        Ok(())
    }

    /// Counts the cached open issues again.
    pub(super) async fn recount(&self, work: &mut Work) -> Result<(), StepError> {
        work.tracked.open_count = self.app.store.count_open(work.id()).await?;
        work.tracked.recount = false;
        Ok(())
    }

    /// Reads the other pages, one page ahead of the writes: so GitHub and the table work concurrently. Near the
    /// deadline they take turns, so that it cuts off one page and not two.
    async fn read_on(&self, work: &mut Work, mut pages: Listing) -> Result<(), StepError> {
        let ended = self.read_rest(work, &mut pages).await;
        work.tracked.short_pages = pages.short_pages();
        ended
    }

    async fn read_rest(&self, work: &mut Work, pages: &mut Listing) -> Result<(), StepError> {
        let is_backfill = work.tracked.backfill.is_some();
        let mut next = self.next_page(pages, is_backfill).await?;
        while let Some(page) = next {
            let ahead = async {
                match self.is_near_deadline() {
                    false => Some(self.next_page(pages, is_backfill).await),
                    true => None,
                }
            };
            let (written, ahead) = futures_util::join!(self.write_page(work, page), ahead);
            written?;
            next = match ahead {
                Some(page) => page?,
                None => self.next_page(pages, is_backfill).await?,
            };
        }
        Ok(())
    }

    /// The next page; `None` after the last one.
    async fn next_page(&self, pages: &mut Listing, is_backfill: bool) -> Result<Option<Page>, StepError> {
        if is_backfill && !pages.is_complete() {
            self.has_budget_to_spare(pages.account_owner())?;
        }
        let page = pages.next_page(&self.github).await?;
        if !is_backfill && page.is_some() {
            self.note_account(pages.account_owner(), |note| note.delta_pages += 1);
        }
        Ok(page)
    }

    fn is_near_deadline(&self) -> bool {
        self.time_left() < SLOW_PAGE
    }

    /// Writes a page's rows, and only then moves the checkpoint: a pass that dies in between loses this page only.
    async fn write_page(&self, work: &mut Work, page: Page) -> Result<(), StepError> {
        let Some(listing) = &mut work.listing else {
            return Ok(());
        };
        let first_date = *listing.first_date.get_or_insert(page.date);
        if self.is_over() {
            return Err(GitHubError::Deadline.into());
        }
        let source = match work.tracked.backfill {
            Some(_) => Source::Backfill,
            None => Source::Delta {
                cursor: listing.before.cursor,
                ahead: listing.before.ahead,
                settled: listing.before.settled,
                tracked_since: listing.before.tracked_since,
                reported_fence: listing.reported_fence,
            },
        };
        self.note_unread(work, &page).await?;
        let applied = self.apply(work.tracked.id, &page.issues, &page.pull_requests, source).await;
        work.count(&applied, self.fence());
        if source == Source::Backfill {
            work.imported += u64::try_from(applied.open_difference).unwrap_or_default();
        }
        if let Some(failure) = applied.failure {
            return Err(failure);
        }
        work.got_further |= work.tracked.backfill.is_some() || page.newest_by_date > work.tracked.cursor;
        self.move_checkpoint(work, &page, first_date, applied.brings_newer);
        if work.tracked.recount && page.complete.is_some() {
            self.recount(work).await?;
        }
        self.store_checkpoint(work).await?;
        if page.complete.is_some() {
            work.result = WorkResult::Synced;
        }
        Ok(())
    }

    fn move_checkpoint(&self, work: &mut Work, page: &Page, first_date: Timestamp, has_changes: bool) {
        let Some(listing) = &mut work.listing else { return };
        if has_changes {
            listing.crowded = listing.crowded.or(page.crowded_second);
        }
        let (settles, crowded) = (listing.settles, listing.crowded);
        // Only a listing without progress would read the same page again if it started from its start.
        let next_page = page.next_page.clone().filter(|_| page.newest <= listing.from);
        let tracked = &mut work.tracked;
        let is_last = page.complete.is_some();
        match &mut tracked.backfill {
            Some(backfill) => {
                backfill.position = backfill.position.max(page.newest);
                tracked.next_page = next_page;
                if is_last {
                    let began_at = backfill.began_at.unwrap_or(first_date);
                    tracked.backfill = None;
                    tracked.audited_at = Some(page.date);
                    tracked.settle(began_at);
                }
            }
            None => {
                let place = tracked.settling.as_ref().map(|settling| settling.position);
                let read =
                    PageRead { newest: page.newest, newest_by_date: page.newest_by_date, is_last, next_page };
                tracked.take_page(&read, settles, first_date, crowded);
                // A second reading also justifies another pass while it is unfinished.
                let now_at = tracked.settling.as_ref().map(|settling| settling.position);
                work.got_further |= now_at > place;
            }
        }
    }
}
