//! Reads what changed, repository by repository: the first page of each is begun before the second one of any, and none
//! waits for another's page.

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

/// GitHub hardly ever takes longer for a page.
const SLOW_PAGE: Duration = Duration::from_secs(2);

/// In so long few pull requests are opened.
const A_FEW_PULL_REQUESTS: SignedDuration = SignedDuration::from_hours(24);

impl Pass<'_> {
    /// Lists all repositories that were found, until each is read to its end or the time is up.
    pub(super) async fn list(&self, work: &mut [Work]) {
        let mut firsts: VecDeque<&mut Work> = self.in_turn(work).filter(|work| work.is_under_way()).collect();
        let mut rests: VecDeque<&mut Work> = VecDeque::new();
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < REPOSITORIES_AT_ONCE
                && let Some(work) = firsts.pop_front().or_else(|| rests.pop_front())
            {
                running.push(self.go_on_with(work).boxed());
            }
            match running.next().await {
                Some(work) if work.is_under_way() && work.pages.is_some() => rests.push_back(work),
                Some(_) => {}
                None => return,
            }
        }
    }

    /// Begins with a repository, or reads the rest of it.
    async fn go_on_with<'w>(&self, work: &'w mut Work) -> &'w mut Work {
        let met = match work.pages.take() {
            None => guard_step(self.begin(work)).await,
            Some(pages) => guard_step(self.read_on(work, pages)).await,
        };
        work.take(Phase::Sync, met, self.fence(), self.app.clock.now());
        work
    }

    /// Passes over a repository in which the probe saw nothing new. Begins the listing of another, or goes on with
    /// its backfill, and reads the first page.
    async fn begin(&self, work: &mut Work) -> Result<(), StepError> {
        if let Some(probe) = work.probe
            && !work.tracked.is_listing_due(probe.newest, probe.date)
        {
            return self.pass_over(work, probe).await;
        }
        let tracked = &mut work.tracked;
        tracked.drift = None;
        if let Some(backfill) = tracked.backfill {
            let target = Target::new(&tracked.name, &work.name);
            self.has_budget_to_spare(target.account_owner)?;
            if backfill.began_at.is_none() {
                let (newest, date) = match work.probe.map(|probe| (probe.newest, probe.date)) {
                    Some((Some(newest), date)) if date.duration_since(newest) < A_FEW_PULL_REQUESTS => {
                        (Some(newest), date)
                    }
                    // A first delta from there on would read all pull requests since.
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
            // A count that is not trusted tells of writes that nobody has accounted for, and told.
            told: (!work.tracked.recount).then(|| self.lease.before().ended_fence()),
        });
        let page = self.next_page(&mut pages, is_backfill).await;
        work.tracked.short_pages = pages.short_pages();
        if matches!(page, Err(StepError::GitHub(GitHubError::Unexpected(_)))) {
            // GitHub may not know the place any more at which the one before was cut off.
            work.tracked.forget_page();
        }
        if let Some(page) = page? {
            self.take_in(work, page).await?;
        }
        work.pages = Some(pages);
        Ok(())
    }

    /// Nothing is newer than the cursor. What the number of open issues says then is noted only of what is settled:
    /// before, GitHub may count what it does not show yet.
    async fn pass_over(&self, work: &mut Work, probe: Probe) -> Result<(), StepError> {
        if work.tracked.recount {
            self.recount(work).await?;
        }
        let tracked = &mut work.tracked;
        let agrees = tracked.agrees_with(probe.open);
        let drift = Some(probe.open).filter(|_| !agrees && tracked.has_settled(probe.newest));
        work.has_drifted = drift.is_some() && tracked.drift == drift;
        tracked.drift = drift;
        // What a held audit left is noted, and is all the same not what GitHub shows.
        let is_in_step = agrees && tracked.held.is_none();
        work.result = if is_in_step { WorkResult::Synced } else { WorkResult::Drifted };
        Ok(())
    }

    /// Counts the open issues anew.
    pub(super) async fn recount(&self, work: &mut Work) -> Result<(), StepError> {
        work.tracked.open_count = self.app.store.count_open(work.id()).await?;
        work.tracked.recount = false;
        Ok(())
    }

    /// Reads the rest, one page ahead of what is written: GitHub and the table are waited for at the same time. Near
    /// the deadline one after the other, so that it cuts off one page and not two.
    async fn read_on(&self, work: &mut Work, mut pages: Listing) -> Result<(), StepError> {
        let met = self.read_rest(work, &mut pages).await;
        work.tracked.short_pages = pages.short_pages();
        met
    }

    async fn read_rest(&self, work: &mut Work, pages: &mut Listing) -> Result<(), StepError> {
        let is_backfill = work.tracked.backfill.is_some();
        let mut next = self.next_page(pages, is_backfill).await?;
        while let Some(page) = next {
            let ahead = async {
                match self.is_near_its_end() {
                    false => Some(self.next_page(pages, is_backfill).await),
                    true => None,
                }
            };
            let (taken_in, ahead) = futures_util::join!(self.take_in(work, page), ahead);
            taken_in?;
            next = match ahead {
                Some(page) => page?,
                None => self.next_page(pages, is_backfill).await?,
            };
        }
        Ok(())
    }

    /// The next page; none after the last one.
    async fn next_page(&self, pages: &mut Listing, is_backfill: bool) -> Result<Option<Page>, StepError> {
        if is_backfill && !pages.is_complete() {
            self.has_budget_to_spare(pages.account_owner())?;
        }
        let page = pages.next_page(&self.github).await?;
        if !is_backfill && page.is_some() {
            self.note_account(pages.account_owner(), |met| met.delta_pages += 1);
        }
        Ok(page)
    }

    fn is_near_its_end(&self) -> bool {
        self.time_left() < SLOW_PAGE
    }

    /// Writes a page's rows, and only then moves the marks: a death in between costs this page.
    async fn take_in(&self, work: &mut Work, page: Page) -> Result<(), StepError> {
        let Some(listing) = &mut work.listing else {
            return Ok(());
        };
        let first_date = *listing.first_date.get_or_insert(page.date);
        if self.is_over() {
            return Err(GitHubError::Deadline.into());
        }
        let reading = match work.tracked.backfill {
            Some(_) => Source::Backfill,
            None => Source::Delta {
                cursor: listing.before.cursor,
                ahead: listing.before.ahead,
                settled: listing.before.settled,
                tracked_since: listing.before.tracked_since,
                told: listing.told,
            },
        };
        self.note_odd(work, &page).await?;
        let applied = self.apply(work.tracked.id, &page.issues, &page.pull_requests, reading).await;
        work.count(&applied, self.fence());
        if reading == Source::Backfill {
            work.imported += u64::try_from(applied.open_difference).unwrap_or_default();
        }
        if let Some(failure) = applied.failure {
            return Err(failure);
        }
        work.got_further |= work.tracked.backfill.is_some() || page.newest_by_date > work.tracked.cursor;
        let brought_news = applied.brings_newer;
        self.move_marks(work, &page, first_date, brought_news);
        if work.tracked.recount && page.complete.is_some() {
            self.recount(work).await?;
        }
        self.store_checkpoint(work).await?;
        if page.complete.is_some() {
            work.result = WorkResult::Synced;
        }
        Ok(())
    }

    fn move_marks(&self, work: &mut Work, page: &Page, first_date: Timestamp, brought_news: bool) {
        let Some(listing) = &mut work.listing else { return };
        if brought_news {
            listing.crowded = listing.crowded.or(page.by_position);
        }
        let (settles, crowded) = (listing.settles, listing.crowded);
        // Only a listing that has come no further than its start would read the same again if it began there anew.
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
                // Also what is only read once more is worth another pass at once while it is not at its end.
                let now_at = tracked.settling.as_ref().map(|settling| settling.position);
                work.got_further |= now_at > place;
            }
        }
    }
}
