//! What GitHub grants in an hour, and how a pass keeps within it: what is put off, whether another pass may follow at
//! once, and for how long this one serves.
//!
//! Budgets belong to accounts. With one token there is one; a GitHub App has one with each owner that installed it, and
//! what one of them has used up is nothing to the others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::{
    Api, Asked, Fingerprint, MAX_REQUESTS_PER_MINUTE, Problem, RepositoryName, seconds_until,
};
use crate::github::NoGraphql;

use super::account_notes::Met;
use super::context::Pass;
use super::problems;
use super::step::StepError;
use super::work::Worklist;

/// GitHub grants its budgets anew each hour, in seconds.
const MAX_FRESHNESS: u64 = 3_600;

impl Pass<'_> {
    /// Notes what was met while a repository of this owner's was asked for.
    pub(super) fn note_account(&self, owner: &str, note: impl FnOnce(&mut Met)) {
        if let Some(account) = self.github.account(owner) {
            self.account_notes.note(account, note);
        }
    }

    /// Notes what the probe cost each account, and which it left out.
    pub(super) fn note_probe(&self) {
        let usage = self.github.usage();
        for account in self.accounts(&self.app.config.repositories).into_keys() {
            let (probe_points, throttled_until) =
                (usage.of(&account).points, self.github.throttled_until(&account));
            self.account_notes.note(account, |met| {
                (met.probe_points, met.throttled_until) = (probe_points, throttled_until);
            });
        }
    }

    /// What can wait is put off while less than a tenth of a budget is left.
    pub(super) fn has_budget_to_spare(&self, owner: &str) -> Result<(), StepError> {
        let account = self.github.account(owner);
        let Some(until) = account.and_then(|account| self.low_until(&account)) else { return Ok(()) };
        self.note_account(owner, |met| met.put_off_until = met.put_off_until.or(Some(until)));
        Err(StepError::PutOff)
    }

    /// Whether another pass at once has the budget to read more of one of these repositories.
    pub(super) fn has_budget_to_go_on(&self, deferred: &[RepositoryName]) -> bool {
        deferred.iter().any(|name| {
            self.github.account(name.owner()).is_none_or(|account| {
                let asked = self.asked_in_all(&account);
                let met = self.account_notes.of(&account);
                met.throttled_until.is_none()
                    && met.no_lookups_until.is_none()
                    && !self.github.is_rate_reached(&account)
                    && self.low_until(&account).is_none()
                    && BOTH
                        .into_iter()
                        .all(|api| self.half_of_hour(&account, api).is_none_or(|half| asked.of(api) < half))
            })
        })
    }

    /// For how long this pass serves every beat: as configured, or longer where passes like this one would use up what
    /// GitHub grants each account. One that has to wait longer than others is left out of their passes until then.
    pub(super) fn freshness(&self, worklist: &Worklist) -> u64 {
        let (now, configured) = (self.app.clock.now(), self.app.config.freshness.as_secs());
        let waits = self.accounts(worklist.names()).into_iter().map(|(account, repositories)| {
            let met = self.account_notes.of(&account);
            if was_refused(&met) && met.no_lookups_until.is_none() {
                self.defer_lookups(&account, repositories.len() as u64, configured, now);
            }
            let wait = match met.throttled_until {
                Some(until) => seconds_until(until, now).unwrap_or_default(),
                None => self.wait(&account, repositories.len() as u64),
            };
            (account, wait.min(MAX_FRESHNESS).max(configured))
        });
        let waits: Vec<_> = waits.collect();
        let freshness = waits.iter().map(|(_, wait)| *wait).min().unwrap_or(configured);
        for (account, wait) in waits.into_iter().filter(|(_, wait)| *wait > freshness) {
            self.github.spare(&account, now.checked_add(Duration::from_secs(wait)).unwrap_or(now));
        }
        freshness
    }

    /// The seconds that an account has to wait for the next pass like this one, which asked for so many repositories.
    /// What an audit or a first listing asked does not come back each time, and counts only without the probe, where
    /// little is left besides.
    fn wait(&self, account: &Fingerprint, repositories: u64) -> u64 {
        let met = self.account_notes.of(account);
        let requests = match met.no_probe {
            // The next probe may succeed: only the look-ups wait.
            Some(_) if was_refused(&met) => 0,
            Some(_) => self.wait_of_lookups(account, repositories),
            // Each is looked up and listed.
            None => {
                self.paced(account, met.delta_pages).max(self.spaced(account, Api::Rest, 2 * met.looked_up))
            }
        };
        requests.max(self.spaced(account, Api::GraphQl, met.probe_points))
    }

    /// The seconds until so many repositories can be looked up and listed again.
    fn wait_of_lookups(&self, account: &Fingerprint, repositories: u64) -> u64 {
        // An idle pass asks twice for each repository, as far as the rate allows; one that could not ask everything
        // counts as such.
        let asked = self.asked_in_all(account).rest.max((2 * repositories).min(MAX_REQUESTS_PER_MINUTE));
        self.spaced(account, Api::Rest, asked)
    }

    /// A refused probe is tried again by the next pass. What was asked instead is not asked again so soon.
    fn defer_lookups(&self, account: &Fingerprint, repositories: u64, freshness: u64, now: Timestamp) {
        let wait = self.wait_of_lookups(account, repositories).min(MAX_FRESHNESS);
        if wait > freshness {
            self.github.defer_lookups(account, now.checked_add(Duration::from_secs(wait)).unwrap_or(now));
        }
    }

    /// What there is to tell of budgets, once for all accounts that met the same.
    pub(super) fn budget_problems(&self, worklist: &Worklist, now: Timestamp) -> Vec<Problem> {
        let accounts = self.accounts(worklist.names());
        let no_probe = self.alike(&accounts, |met| met.no_probe).into_iter();
        let no_probe =
            no_probe.map(|(why, names)| problems::probe_unavailable(why, now).of_owners(self.whose(&names)));
        let low = self.alike(&accounts, |met| met.put_off_until).into_iter();
        let low = low.map(|(until, names)| problems::budget_low(until, now).of_owners(self.whose(&names)));
        let spared = self.alike(&accounts, |met| met.throttled_until).into_iter();
        let spared =
            spared.map(|(until, names)| problems::throttled(until, now).of_owners(self.whose(&names)));
        let deferred = self.alike(&accounts, |met| met.no_lookups_until).into_iter();
        let deferred =
            deferred.map(|(until, names)| problems::throttled(until, now).of_owners(self.whose(&names)));
        no_probe.chain(low).chain(spared).chain(deferred).collect()
    }

    /// What these accounts met of one kind, and the repositories of those that met the same.
    fn alike<'n, T: PartialEq>(
        &self,
        accounts: &BTreeMap<Fingerprint, Vec<&'n RepositoryName>>,
        kind: fn(Met) -> Option<T>,
    ) -> Vec<(T, Vec<&'n RepositoryName>)> {
        let mut alike: Vec<(T, Vec<&RepositoryName>)> = Vec::new();
        for (account, names) in accounts {
            let Some(what) = kind(self.account_notes.of(account)) else { continue };
            match alike.iter_mut().find(|(known, _)| *known == what) {
                Some((_, all)) => all.extend(names),
                None => alike.push((what, names.clone())),
            }
        }
        alike
    }

    /// The owners of these repositories, in lower case; none when they are all there are, or all share an account.
    pub(super) fn whose(&self, repositories: &[&RepositoryName]) -> Vec<String> {
        let all = &self.app.config.repositories;
        let accounts: BTreeSet<_> = all.iter().map(|name| self.github.account(name.owner())).collect();
        let owner = |name: &RepositoryName| name.owner().to_ascii_lowercase();
        let owners: BTreeSet<String> = repositories.iter().map(|name| owner(name)).collect();
        let is_all = all.iter().all(|name| owners.contains(&owner(name)));
        if is_all || accounts.len() < 2 { Vec::new() } else { owners.into_iter().collect() }
    }

    /// The accounts as which these repositories were asked for, and which of them as each.
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

    /// What this invocation has asked of GitHub as this account.
    fn asked_in_all(&self, account: &Fingerprint) -> Asked {
        let mut asked = self.options.asked_before.of(account);
        asked += self.github.usage().of(account);
        asked
    }

    /// Half of what GitHub grants this account in an hour: what all passes together may use.
    fn half_of_hour(&self, account: &Fingerprint, api: Api) -> Option<u64> {
        let budget = self.github.budget(account, api).filter(|budget| budget.limit > 0);
        budget.map(|budget| (budget.limit / 2).max(1))
    }

    /// The seconds between passes that ask so much each, when they are to keep within half of the hourly budget.
    fn spaced(&self, account: &Fingerprint, api: Api, asked: u64) -> u64 {
        let Some(half) = self.half_of_hour(account, api) else { return 0 };
        // A pass that begins within the hour counts whole. One that takes most of the half stays alone in it.
        let share = (half + 1).saturating_sub(asked).max(half.div_ceil(2));
        (asked * 3_600).div_ceil(share)
    }

    /// The seconds between passes that read so many pages of changes each, when less than half of the hour's requests
    /// is left and the rest is to last until all are granted anew.
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

/// Whether GitHub refused the probe, which may be for a moment only.
fn was_refused(met: &Met) -> bool {
    matches!(met.no_probe, Some(NoGraphql::Forbidden))
}

const BOTH: [Api; 2] = [Api::Rest, Api::GraphQl];
