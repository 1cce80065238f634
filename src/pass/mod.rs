//! One pass: brings the copy of all tracked repositories up to date, audits those that are due, and ends.
//!
//! The order is probe, lookup, listings (first pages are begun before second ones), unread issues, audits, what is no longer
//! tracked, end. Whatever one repository meets, the others go on. A pass may die after any request or write: what it
//! leaves is always
//! behind GitHub, never wrong about it, and the next pass goes on from there.

mod audit;
mod budget;
mod compare;
mod end;
mod guard;
mod health;
mod held;
mod listings;
mod lookup;
pub mod plan;
mod rows;
mod tally;
mod unread;
mod untracked;
mod work;

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;

use crate::app::App;
use crate::domain::{
    Outcome, Phase, ProbeMemory, Problem, ProblemCode, RepositoryId, RepositoryName, TrackedRepository, Usage,
};
use crate::github::{GitHubError, Session};
use crate::store::{Fleet, LastPass, Lease, LeaseLost, Stale, StoreError};

pub use guard::{Panicked, guard};
pub(crate) use held::not_confirmed;

use budget::AccountNotes;
use lookup::LookupResult;
use work::{StepError, Work, Worklist};

/// How many repositories are worked on at the same time. GitHub allows 100 concurrent requests for all uses of
/// a token together.
const REPOSITORIES_AT_ONCE: usize = 8;

/// How many repositories' marks are written at the same time.
const MARKS_AT_ONCE: usize = 16;

/// What a pass that ended did.
#[derive(Debug)]
pub struct PassReport {
    /// How it ended, as it is stored.
    pub ended: LastPass,
    /// What it met.
    pub outcome: Outcome,
    /// Why an operator's word was not heeded; it concerns nobody else.
    pub confirmation_error: Option<Problem>,
    /// What it did, in one sentence.
    pub summary: String,
    /// The repositories it had no time to finish.
    pub deferred: Vec<RepositoryName>,
    /// Whether another pass at once may finish the deferred ones: this one got further, and GitHub's budget allows
    /// it.
    pub may_go_on: bool,
    /// Whether any repository came out well, or further. One whose audit is held does.
    pub succeeded: bool,
    /// How many issues it changed.
    pub touched: u64,
    /// What it asked of GitHub.
    pub asked: Usage,
}

/// Why a pass has no end of its own.
#[derive(Debug)]
pub enum PassEnd {
    /// Another pass took the claim over; here is the state as it is now.
    LeaseLost(Box<LeaseLost>),
    /// The table could not be read or written.
    Store(StoreError),
}

impl From<LeaseLost> for PassEnd {
    fn from(overtaken: LeaseLost) -> Self {
        Self::LeaseLost(Box::new(overtaken))
    }
}

impl From<StoreError> for PassEnd {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What a pass is to keep to.
#[derive(Clone, Copy, Debug)]
pub struct PassOptions<'a> {
    /// It works until then at most, and then ends.
    pub deadline: Timestamp,
    /// What the passes before it in the same invocation asked of GitHub: together they keep within the budget.
    pub asked_before: &'a Usage,
    /// The repository whose held audit an operator confirms.
    pub confirmed: Option<&'a RepositoryName>,
}

/// What all parts of a pass share.
struct Pass<'a> {
    app: &'a App,
    claim: &'a Lease,
    github: Session<'a>,
    /// What the passes before it in the same invocation asked of GitHub.
    asked_before: &'a Usage,
    started_at: Timestamp,
    /// No request, write or retry begins after it; only the end, which has its own share of the budget.
    deadline: Timestamp,
    is_stale: AtomicBool,
    /// How many absent issues the audits of all repositories have asked for.
    absent_asked: AtomicUsize,
    /// What was met that bears on the budgets.
    pace: AccountNotes,
    /// What the next pass is to know of the probe.
    probe_memory: Mutex<ProbeMemory>,
}

/// Runs the pass that `claim` allows.
pub async fn run(app: &App, claim: &Lease, terms: PassOptions<'_>) -> Result<PassReport, PassEnd> {
    let PassOptions { deadline, asked_before, confirmed } = terms;
    let pass = Pass {
        app,
        claim,
        github: app.github.session(deadline, claim.before().limits()),
        asked_before,
        started_at: app.clock.now(),
        deadline,
        is_stale: AtomicBool::new(false),
        absent_asked: AtomicUsize::new(0),
        pace: AccountNotes::default(),
        probe_memory: Mutex::new(claim.before().probe()),
    };
    let (mut fleet, looks) = pass.read_fleet_and_look().await?;
    let mut roster = Worklist::default();
    let mut outcome = Outcome::default();
    let mut confirmation_error = None;
    if app.config.repositories.is_empty() {
        outcome.add(
            Problem::error(
                ProblemCode::NoRepositories,
                Phase::Sync,
                "no repository is tracked: name some in REPOSITORIES, as owner/name",
            )
            .lasting(),
        );
    } else {
        roster = pass.enroll(looks, &mut fleet, &mut outcome).boxed().await?;
        pass.note_untracked(&mut roster, &fleet);
    }
    pass.distrust_counts(&mut roster.work);
    pass.distrust_counts(&mut roster.untracked);
    pass.fence_off(&mut roster, &mut fleet).boxed().await;
    if !app.config.repositories.is_empty() {
        pass.list(&mut roster.work).boxed().await;
        pass.ask_unread(&mut roster.work).boxed().await;
        confirmation_error = confirmed.and_then(|confirmed| pass.heed(confirmed, &mut roster.work));
        pass.audit(&mut roster.work).boxed().await;
        pass.retire(&mut roster, &fleet).boxed().await;
    }
    Ok(PassReport { confirmation_error, ..pass.end(roster, fleet, outcome).boxed().await? })
}

impl Pass<'_> {
    /// Reads what is stored and asks GitHub, at the same time. Only where some names are left to REST the probe has to
    /// know them first.
    async fn read_fleet_and_look(&self) -> Result<(Fleet, Vec<LookupResult>), StoreError> {
        if self.claim.before().probe().has_exceptions {
            let fleet = self.app.store.fleet().await?;
            let looks = self.look(&fleet.names).boxed().await;
            return Ok((fleet, looks));
        }
        let nothing_known = HashMap::new();
        let (fleet, looks) =
            futures_util::join!(self.app.store.fleet().boxed(), self.look(&nothing_known).boxed());
        Ok((fleet?, looks))
    }

    fn fence(&self) -> u64 {
        self.claim.fence()
    }

    /// Whether nothing more may be begun: the time is up, or a later pass has taken over.
    fn is_over(&self) -> bool {
        self.is_stale.load(Ordering::Relaxed) || self.app.clock.now() >= self.deadline
    }

    /// A later pass has taken over: this one stops.
    fn mark_superseded(&self) {
        self.is_stale.store(true, Ordering::Relaxed);
    }

    /// Stores a repository's marks, unless they stand in the table already.
    async fn store_marks(&self, work: &mut Work) -> Result<(), StoreError> {
        if work.needs_storing() { self.overwrite_marks(work).await } else { Ok(()) }
    }

    async fn overwrite_marks(&self, work: &mut Work) -> Result<(), StoreError> {
        match self.app.store.put_repository(self.claim, &work.tracked).await? {
            Ok(()) => work.stored = Some(work.tracked.clone()),
            Err(Stale) => self.mark_superseded(),
        }
        Ok(())
    }

    /// After a dead pass, or one that could not store its marks, rows may have been written that no stored count
    /// knows of: the open issues are counted anew everywhere.
    fn distrust_counts(&self, work: &mut [Work]) {
        let before = self.claim.before().ended.as_ref();
        if self.claim.takes_over() || before.is_some_and(|ended| ended.counts_lag) {
            work.iter_mut().for_each(|work| work.tracked.recount = true);
        }
    }

    /// After a dead pass: finds what it changed, and writes the marks of every repository that is worked on again,
    /// under this pass's fence. Should the dead one come back, its writes of marks are refused from here on, and without
    /// the marks the rows that it may still write are read again, and told, by the next pass.
    async fn fence_off(&self, roster: &mut Worklist, fleet: &mut Fleet) {
        if !self.claim.takes_over() {
            return;
        }
        let is_search_incomplete = &AtomicBool::new(false);
        let all_work = roster.work.iter_mut().chain(&mut roster.untracked);
        futures_util::stream::iter(all_work.filter(|work| work.stored.is_some()))
            .for_each_concurrent(MARKS_AT_ONCE, |work| {
                async move {
                    // What could not be fenced off must not be worked on.
                    let met = match self.is_over() {
                        true => Err(GitHubError::Deadline.into()),
                        false => self.take_over(work).await.map_err(StepError::from),
                    };
                    is_search_incomplete.fetch_or(met.is_err(), Ordering::Relaxed);
                    work.take(Phase::Sync, Ok(met), self.fence(), self.app.clock.now());
                }
                .boxed()
            })
            .await;
        // Of some, GitHub does not show the configured name.
        let worked_on: HashSet<_> = roster.all_work().map(Work::id).collect();
        let is_worked_on = |id| worked_on.contains(&id);
        let others = fleet.repositories.values_mut().filter(|other| !is_worked_on(other.id));
        futures_util::stream::iter(others)
            .for_each_concurrent(MARKS_AT_ONCE, |other| {
                async move {
                    let is_searched = !self.is_over() && self.take_over_other(other).await.is_ok();
                    is_search_incomplete.fetch_or(!is_searched, Ordering::Relaxed);
                }
                .boxed()
            })
            .await;
        let changed = fleet
            .repositories
            .values()
            .filter(|other| !is_worked_on(other.id) && other.last_change_fence == self.fence());
        roster.changed_by_dead = changed.map(|other| other.id).collect();
        // The dead pass may have retired a repository after it reported its issues as hidden.
        let retired = match self.is_over() {
            true => Err(()),
            false => self.retired_by_dead().await.map_err(drop),
        };
        is_search_incomplete.fetch_or(retired.is_err(), Ordering::Relaxed);
        roster.changed_by_dead.extend(retired.unwrap_or_default());
        roster.is_search_incomplete = is_search_incomplete.load(Ordering::Relaxed);
    }

    /// The repositories that are no longer tracked in which an issue changed under a later fence than the last pass that
    /// ended.
    async fn retired_by_dead(&self) -> Result<Vec<RepositoryId>, StoreError> {
        let mut changed = Vec::new();
        for retired in self.app.store.all_untracked().await? {
            if self.has_unended_changes(&retired).await? {
                changed.push(retired.id);
            }
        }
        Ok(changed)
    }

    async fn take_over(&self, work: &mut Work) -> Result<(), StoreError> {
        if self.has_unended_changes(&work.tracked).await? {
            work.tracked.last_change_fence = self.fence();
        }
        self.overwrite_marks(work).await
    }

    async fn take_over_other(&self, other: &mut TrackedRepository) -> Result<(), StoreError> {
        if self.has_unended_changes(other).await? {
            other.last_change_fence = self.fence();
            other.recount = true;
            if let Err(Stale) = self.app.store.put_repository(self.claim, other).await? {
                self.mark_superseded();
            }
        }
        Ok(())
    }

    /// Whether an issue changed under a later fence than the last pass that ended.
    async fn has_unended_changes(&self, repository: &TrackedRepository) -> Result<bool, StoreError> {
        let after = (self.claim.before().ended_fence(), None);
        Ok(!self.app.store.changes(repository.id, after, None, 1).await?.changes.is_empty())
    }

    /// Each pass begins with another repository, so that none is left out for ever when the time does not suffice
    /// for all.
    fn first_in_turn(&self, of: usize) -> usize {
        // The golden ratio's multiples fall evenly over the circle, however few or many are taken.
        const GOLDEN_RATIO: u64 = 0x9E37_79B9_7F4A_7C15;
        let share = u128::from(self.fence().wrapping_mul(GOLDEN_RATIO));
        usize::try_from((share * of as u128) >> 64).unwrap_or_default()
    }

    fn in_turn<'w, T>(&self, all: &'w mut [T]) -> impl Iterator<Item = &'w mut T> + use<'w, T> {
        let (before, after) = all.split_at_mut(self.first_in_turn(all.len()));
        after.iter_mut().chain(before)
    }
}
