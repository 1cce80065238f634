//! Keeps passes within GitHub's hourly budgets: which work waits, whether another pass may follow immediately, and for
//! how long a pass counts as fresh.
//!
//! Budgets belong to accounts. With one token there is one budget. A GitHub App has one for each owner that installed
//! it, and these are independent.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::{
    Api, Fingerprint, MAX_REQUESTS_PER_MINUTE, Problem, RepositoryName, RequestCounts, seconds_until,
};
use crate::github::NoGraphql;

use super::account_notes::AccountNote;
use super::context::Pass;
use super::problems;
use super::step::StepError;
use super::work::Worklist;

/// GitHub's budgets reset each hour, in seconds.
const MAX_FRESHNESS: u64 = 3_600;

impl Pass<'_> {
    /// Changes the note about the account that this owner's repositories are requested with.
    pub(super) fn note_account(&self, owner: &str, change: impl FnOnce(&mut AccountNote)) {
        if let Some(account) = self.github.account(owner) {
            self.account_notes.note(account, change);
        }
    }

    /// Notes the probe's cost for each account, and which accounts it left out.
    pub(super) fn note_probe(&self) {
        let usage = self.github.usage();
        for account in self.accounts(&self.app.config.repositories).into_keys() {
            let (probe_points, throttled_until) =
                (usage.of(&account).points, self.github.throttled_until(&account));
            self.account_notes.note(account, |note| {
                (note.probe_points, note.throttled_until) = (probe_points, throttled_until);
            });
        }
    }

    /// Whether there is budget for work that can wait.
    ///
    /// # Errors
    /// [`StepError::BudgetLow`] while less than a tenth of a budget is left.
    pub(super) fn has_budget_to_spare(&self, owner: &str) -> Result<(), StepError> {
        let account = self.github.account(owner);
        let Some(until) = account.and_then(|account| self.low_until(&account)) else { return Ok(()) };
        self.note_account(owner, |note| note.waits_until = note.waits_until.or(Some(until)));
        Err(StepError::BudgetLow)
    }

    /// Whether another pass, run immediately, has the budget to read more of one of these repositories.
    pub(super) fn has_budget_for_another(&self, deferred: &[RepositoryName]) -> bool {
        deferred.iter().any(|name| {
            self.github.account(name.owner()).is_none_or(|account| {
                let asked = self.requests_of_invocation(&account);
                let note = self.account_notes.of(&account);
                note.throttled_until.is_none()
                    && note.no_lookups_until.is_none()
                    && !self.github.is_rate_reached(&account)
                    && self.low_until(&account).is_none()
                    && BOTH
                        .into_iter()
                        .all(|api| self.half_of_hour(&account, api).is_none_or(|half| asked.of(api) < half))
            })
        })
    }

    /// For how many seconds this pass counts as fresh: the configured time, or longer if passes like this one would
    /// exhaust a budget. An account that has to wait longer than others is left out of their passes until then.
    pub(super) fn freshness(&self, worklist: &Worklist) -> u64 {
        let (now, configured) = (self.app.clock.now(), self.app.config.freshness.as_secs());
        let waits = self.accounts(worklist.names()).into_iter().map(|(account, repositories)| {
            let note = self.account_notes.of(&account);
            if is_probe_rejected(&note) && note.no_lookups_until.is_none() {
                self.defer_lookups(&account, repositories.len() as u64, configured, now);
            }
            let wait = match note.throttled_until {
                Some(until) => seconds_until(until, now).unwrap_or_default(),
                None => self.wait(&account, repositories.len() as u64),
            };
            (account, wait.min(MAX_FRESHNESS).max(configured))
        });
        let waits: Vec<_> = waits.collect();
        let freshness = waits.iter().map(|(_, wait)| *wait).min().unwrap_or(configured);
        for (account, wait) in waits.into_iter().filter(|(_, wait)| *wait > freshness) {
            self.github.throttle(&account, now.checked_add(Duration::from_secs(wait)).unwrap_or(now));
        }
        freshness
    }

    /// The seconds that an account has to wait until the next pass like this one, over this number of repositories.
    /// Audits and backfills do not recur with each pass, so their requests count only without the probe, where little
    /// else is left.
    fn wait(&self, account: &Fingerprint, repositories: u64) -> u64 {
        let note = self.account_notes.of(account);
        let requests = match note.no_probe {
            // The next probe may succeed: only the lookups wait.
            Some(_) if is_probe_rejected(&note) => 0,
            Some(_) => self.wait_of_lookups(account, repositories),
            // Each is looked up and listed.
            None => {
                self.paced(account, note.delta_pages).max(self.spaced(account, Api::Rest, 2 * note.looked_up))
            }
        };
        requests.max(self.spaced(account, Api::GraphQl, note.probe_points))
    }

    /// The seconds until this number of repositories can be looked up and listed again.
    fn wait_of_lookups(&self, account: &Fingerprint, repositories: u64) -> u64 {
        // An idle pass sends two requests per repository, up to the maximum rate. A pass that could not send them all
        // counts as one that did.
        let requests =
            self.requests_of_invocation(account).rest.max((2 * repositories).min(MAX_REQUESTS_PER_MINUTE));
        self.spaced(account, Api::Rest, requests)
    }

    /// The next pass retries a probe that GitHub rejected. The lookups in its place are not repeated as soon.
    fn defer_lookups(&self, account: &Fingerprint, repositories: u64, freshness: u64, now: Timestamp) {
        let wait = self.wait_of_lookups(account, repositories).min(MAX_FRESHNESS);
        if wait > freshness {
            self.github.defer_lookups(account, now.checked_add(Duration::from_secs(wait)).unwrap_or(now));
        }
    }

    /// The problems of budgets, one for all accounts with the same problem.
    pub(super) fn budget_problems(&self, worklist: &Worklist, now: Timestamp) -> Vec<Problem> {
        let accounts = self.accounts(worklist.names());
        let no_probe = self.by_value(&accounts, |note| note.no_probe).into_iter();
        let no_probe =
            no_probe.map(|(why, names)| problems::probe_unavailable(why, now).of_owners(self.whose(&names)));
        let low = self.by_value(&accounts, |note| note.waits_until).into_iter();
        let low = low.map(|(until, names)| problems::budget_low(until, now).of_owners(self.whose(&names)));
        let throttled = self.by_value(&accounts, |note| note.throttled_until).into_iter();
        let throttled =
            throttled.map(|(until, names)| problems::throttled(until, now).of_owners(self.whose(&names)));
        let deferred = self.by_value(&accounts, |note| note.no_lookups_until).into_iter();
        let deferred =
            deferred.map(|(until, names)| problems::throttled(until, now).of_owners(self.whose(&names)));
        no_probe.chain(low).chain(throttled).chain(deferred).collect()
    }

    /// The distinct values that `kind` has for these accounts, and the repositories of each.
    fn by_value<'n, T: PartialEq>(
        &self,
        accounts: &BTreeMap<Fingerprint, Vec<&'n RepositoryName>>,
        kind: fn(AccountNote) -> Option<T>,
    ) -> Vec<(T, Vec<&'n RepositoryName>)> {
        let mut found: Vec<(T, Vec<&RepositoryName>)> = Vec::new();
        for (account, names) in accounts {
            let Some(what) = kind(self.account_notes.of(account)) else { continue };
            match found.iter_mut().find(|(known, _)| *known == what) {
                Some((_, all)) => all.extend(names),
                None => found.push((what, names.clone())),
            }
        }
        found
    }

    /// The owners of these repositories, in lower case; empty if these are all owners, or all share one account.
    pub(super) fn whose(&self, repositories: &[&RepositoryName]) -> Vec<String> {
        let all = &self.app.config.repositories;
        let accounts: BTreeSet<_> = all.iter().map(|name| self.github.account(name.owner())).collect();
        let owner = |name: &RepositoryName| name.owner().to_ascii_lowercase();
        let owners: BTreeSet<String> = repositories.iter().map(|name| owner(name)).collect();
        let is_all = all.iter().all(|name| owners.contains(&owner(name)));
        if is_all || accounts.len() < 2 { Vec::new() } else { owners.into_iter().collect() }
    }

    /// The accounts that these repositories are requested with, and the repositories of each.
    fn accounts<'n>(
        &self,
        names: impl IntoIterator<Item = &'n RepositoryName>,
    ) -> BTreeMap<Fingerprint, Vec<&'n RepositoryName>> {
        let mut accounts: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for name in names {
            if let Some(account) = self.github.account(name.owner()) {
                accounts.entry(account).or_default().push(name);
            }
        }
        accounts
    }

    fn low_until(&self, account: &Fingerprint) -> Option<Timestamp> {
        BOTH.into_iter().filter_map(|api| self.github.low_until(account, api)).max()
    }

    /// The requests of this invocation with this account.
    fn requests_of_invocation(&self, account: &Fingerprint) -> RequestCounts {
        let mut asked = self.options.asked_before.of(account);
        asked += self.github.usage().of(account);
        asked
    }

    /// Half of this account's hourly budget: the share of all passes together.
    fn half_of_hour(&self, account: &Fingerprint, api: Api) -> Option<u64> {
        let budget = self.github.budget(account, api).filter(|budget| budget.limit > 0);
        budget.map(|budget| (budget.limit / 2).max(1))
    }

    /// The seconds between passes of this cost that keep within half of the hourly budget.
    fn spaced(&self, account: &Fingerprint, api: Api, asked: u64) -> u64 {
        let Some(half) = self.half_of_hour(account, api) else { return 0 };
        // A pass that starts within the hour counts fully. One that needs most of the half is the only one in that
        // hour.
        let share = (half + 1).saturating_sub(asked).max(half.div_ceil(2));
        (asked * 3_600).div_ceil(share)
    }

    /// The seconds between passes that read this number of pages each. If less than half of the hourly requests is
    /// left, the rest has to last until the budget resets.
    fn paced(&self, account: &Fingerprint, pages: u64) -> u64 {
        let budget = self.github.budget(account, Api::Rest);
        let budget = budget.filter(|budget| budget.remaining < budget.limit.div_ceil(2));
        let left = budget.and_then(|budget| {
            let seconds = seconds_until(budget.resets_at, self.app.clock.now())?;
            Some((pages * seconds).div_ceil(budget.remaining.max(1)).min(seconds))
        });
        left.unwrap_or_default()
    }
}

/// Whether GitHub rejected the probe, possibly for a moment only.
fn is_probe_rejected(note: &AccountNote) -> bool {
    matches!(note.no_probe, Some(NoGraphql::Forbidden))
}

const BOTH: [Api; 2] = [Api::Rest, Api::GraphQl];
