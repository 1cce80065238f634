//! The probe's queries: which repositories are queried together, and which are left to REST.
//!
//! One repository can make GitHub fail for every query that names it, and such a failure takes ten seconds. So a query
//! that fails is divided, and its parts are sent at the same time. A repository without an answer within the probe's
//! share of the pass is read by REST. This file stores nothing. The pass supplies what earlier passes learned, and
//! stores what this one learned.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;

use crate::domain::{Backoff, Fingerprint, QueryLimit, RepositoryName};

use super::effort::Effort;
use super::probe::BATCH;
use super::{Failure, GitHubError, Learned, NoGraphql, NotProbed, ProbeTerms, Probed, Repository, Session};

/// How many queries are sent at the same time. GitHub allows 100 concurrent requests for all uses of a token.
const QUERIES_AT_ONCE: usize = 16;

/// After this many failures in a row, single repositories are not the cause: halving finds one in half as many
/// queries, and its neighbours soon after.
const MAX_FAILURES_IN_A_ROW: usize = 2 * (BATCH.ilog2() as usize + 1);

/// The number of parts that a timed-out query is divided into: there is no time to halve it repeatedly.
const SLOW_QUERY_PARTS: usize = 8;

/// How many repositories for which GraphQL failed are tried again in one pass.
const MAX_RETRIALS: usize = 16;

/// How long each of those queries may take.
const RETRIAL_TIMEOUT: Duration = Duration::from_secs(2);

/// If more repositories than this have no answer, the queries are probably too large.
const MAX_SUSPECTS: usize = 128;

/// One query, sent or waiting to be sent.
#[derive(Debug)]
struct Part {
    account: usize,
    /// The repositories' places among all names.
    places: Vec<usize>,
    /// How often the first query was divided to get this one.
    depth: u32,
    /// How long and how often it is tried.
    effort: Effort,
}

/// One account in this probe.
#[derive(Debug)]
struct Account {
    fingerprint: Fingerprint,
    before: Option<QueryLimit>,
    /// How many repositories its queries name at most.
    size: usize,
    /// The places of all its repositories in this probe.
    places: Vec<usize>,
    /// Queries that wait until another one of this account is answered.
    waiting: Vec<Part>,
    in_flight: usize,
    /// How many queries failed.
    failed: usize,
    has_answered: bool,
    failures_in_a_row: usize,
    /// How it failed last.
    last_error: Option<GitHubError>,
    /// Why no more queries are sent.
    stopped: Option<Stop>,
    /// The queries that were divided.
    divided: Vec<Vec<usize>>,
}

#[derive(Clone, Debug)]
enum Stop {
    /// REST would fail in the same way.
    Final(GitHubError),
    /// This account cannot use GraphQL.
    Refused(NoGraphql),
    /// GraphQL fails for this account.
    Failing,
}

/// One run of the probe.
struct Inquiry<'a> {
    names: &'a [RepositoryName],
    terms: &'a ProbeTerms<'a>,
    accounts: Vec<Account>,
    queue: VecDeque<Part>,
    results: Vec<Option<Result<Repository, NotProbed>>>,
}

impl Session<'_> {
    /// Queries these repositories, following renames. Repositories of a throttled account are left out.
    pub async fn probe(&self, names: &[RepositoryName], terms: &ProbeTerms<'_>) -> Probed {
        let mut inquiry = Inquiry {
            names,
            terms,
            accounts: Vec::new(),
            queue: VecDeque::new(),
            results: vec![None; names.len()],
        };
        match self.github().credentials.current().await {
            Ok(version) => {
                let accounts = names.iter().map(|name| {
                    let account = self.account_in(&version.parsed, name.owner());
                    account.map(|account| account.fingerprint().clone())
                });
                inquiry.divide(self, accounts.collect());
            }
            Err(error) => inquiry.results.fill(Some(Err(NotProbed::Final(error)))),
        }
        inquiry.run(self).await;
        inquiry.end(self.now())
    }
}

impl Inquiry<'_> {
    /// Groups the repositories of each account into queries.
    fn divide(&mut self, session: &Session<'_>, accounts: Vec<Result<Fingerprint, GitHubError>>) {
        let now = session.now();
        let mut retrials = Vec::new();
        let mut places: Vec<Vec<usize>> = Vec::new();
        for (place, account) in accounts.into_iter().enumerate() {
            let fingerprint = match account {
                Ok(fingerprint) => fingerprint,
                Err(error) => {
                    self.results[place] = Some(Err(NotProbed::Final(error)));
                    continue;
                }
            };
            let is_throttled = session.throttled_until(&fingerprint).is_some();
            let account = self.account(fingerprint, now);
            places.resize_with(self.accounts.len(), Vec::new);
            if is_throttled {
                self.results[place] = Some(Err(NotProbed::Final(GitHubError::Deadline)));
                continue;
            }
            let limit = self.accounts[account].before.as_ref();
            if let Some(limit) = limit.filter(|limit| limit.size == 0 && !limit.backoff.is_over(now)) {
                let avoided = NoGraphql::Avoided(limit.backoff.until);
                self.results[place] =
                    Some(Err(NotProbed::by_rest(avoided.clone().into(), Some(avoided), false)));
                continue;
            }
            match self.terms.by_rest[place] {
                None => places[account].push(place),
                Some(backoff) if backoff.is_over(now) && retrials.len() < MAX_RETRIALS => {
                    let effort = Effort { timeout: RETRIAL_TIMEOUT, ..self.effort(session, |_| false) };
                    self.accounts[account].places.push(place);
                    retrials.push(Part { account, places: vec![place], depth: 0, effort });
                }
                Some(_) => {
                    self.results[place] = Some(Err(NotProbed::by_rest(GitHubError::Deadline, None, false)))
                }
            }
        }
        let mut parts = Vec::new();
        for (account, places) in places.into_iter().enumerate() {
            let chunks = places.chunks(self.accounts[account].size);
            parts.extend(chunks.map(|places| (account, places.to_vec())));
            self.accounts[account].places.extend(places);
        }
        // No account waits for another's queries.
        parts.sort_by_key(|(_, places)| places.first().copied());
        for (account, places) in parts {
            // A query that fails is divided instead of repeated. One for a single repository is repeated, but not after
            // a timeout.
            let is_transient: fn(Failure) -> bool = match places[..] {
                [_] => |failure| failure != Failure::TimedOut,
                _ => |failure| !failure.may_be_query_size(),
            };
            let part = Part { account, places, depth: 0, effort: self.effort(session, is_transient) };
            let known = &mut self.accounts[account];
            // If GraphQL answered nothing recently, one query shows whether it works again.
            let is_on_trial = known.before.as_ref().is_some_and(|limit| limit.size == 0);
            if is_on_trial && self.queue.iter().any(|part| part.account == account) {
                known.waiting.push(part);
            } else {
                self.queue.push_back(part);
            }
        }
        self.queue.extend(retrials);
    }

    /// A first query takes at most a share of the time, so that it can still be divided.
    fn effort(&self, session: &Session<'_>, is_transient: fn(Failure) -> bool) -> Effort {
        let whole = session.effort(is_transient);
        let share = session.exchange().left_until(self.terms.until) * 3 / 5;
        Effort { timeout: whole.timeout.min(share), until: self.terms.until, ..whole }
    }

    fn account(&mut self, fingerprint: Fingerprint, now: Timestamp) -> usize {
        let known = self.accounts.iter().position(|account| account.fingerprint == fingerprint);
        known.unwrap_or_else(|| {
            let before = self.terms.memory.limit(&fingerprint);
            let before =
                before.map(|limit| QueryLimit { account: Some(fingerprint.clone()), ..limit.clone() });
            let size = match &before {
                // Once the wait is over, a larger size is tried.
                Some(limit) if limit.size > 0 && limit.backoff.is_over(now) => BATCH.min(2 * limit.size),
                Some(limit) if limit.size > 0 => limit.size,
                _ => BATCH,
            };
            self.accounts.push(Account {
                fingerprint,
                before,
                size,
                places: Vec::new(),
                waiting: Vec::new(),
                in_flight: 0,
                failed: 0,
                has_answered: false,
                failures_in_a_row: 0,
                last_error: None,
                stopped: None,
                divided: Vec::new(),
            });
            self.accounts.len() - 1
        })
    }

    /// Sends queries until all repositories have an answer or the time is up.
    async fn run(&mut self, session: &Session<'_>) {
        let mut requests = FuturesUnordered::new();
        loop {
            while requests.len() < QUERIES_AT_ONCE
                && let Some(part) = self.next_part(session)
            {
                let names: Vec<&RepositoryName> =
                    part.places.iter().map(|place| &self.names[*place]).collect();
                let request = async move {
                    let answered = session.probe_batch(&names, part.effort).await;
                    (part, answered)
                };
                requests.push(request.boxed());
            }
            let Some((part, answered)) = requests.next().await else { break };
            self.accounts[part.account].in_flight -= 1;
            match answered {
                Ok(found) => self.found(part, found),
                Err(error) => self.failed(session, part, error),
            }
        }
    }

    /// The next query to send. Those that may no longer be sent are recorded as unanswered.
    fn next_part(&mut self, session: &Session<'_>) -> Option<Part> {
        let is_late = session.exchange().left_until(self.terms.until).is_zero();
        let mut place = 0;
        while let Some(part) = self.queue.get(place) {
            let account = &mut self.accounts[part.account];
            if account.stopped.is_some() || is_late {
                let part = self.queue.remove(place)?;
                self.unanswered(&part, part.depth > 0);
                continue;
            }
            // Until something is answered, dividing further is only a guess.
            let is_guess = part.depth > 0 && !account.has_answered;
            if !is_guess || account.failures_in_a_row + account.in_flight <= MAX_FAILURES_IN_A_ROW {
                account.in_flight += 1;
                return self.queue.remove(place);
            }
            place += 1;
        }
        None
    }

    fn found(&mut self, part: Part, found: Vec<Result<Repository, GitHubError>>) {
        let account = &mut self.accounts[part.account];
        for (place, answer) in part.places.into_iter().zip(found) {
            self.results[place] = Some(match answer {
                // GraphQL failed for this part of the query; REST may answer.
                Err(error @ GitHubError::Unexpected(_)) => {
                    account.last_error = Some(error.clone());
                    Err(NotProbed::by_rest(error, None, true))
                }
                answer => {
                    (account.has_answered, account.failures_in_a_row) = (true, 0);
                    answer.map_err(NotProbed::Final)
                }
            });
        }
        if account.has_answered {
            self.queue.extend(account.waiting.drain(..));
        }
    }

    fn failed(&mut self, session: &Session<'_>, part: Part, error: GitHubError) {
        let account = &mut self.accounts[part.account];
        account.failed += 1;
        let is_slow = matches!(error, GitHubError::Unavailable { failure: Failure::TimedOut, .. });
        account.stopped = match &error {
            GitHubError::NoGraphql(why) => Some(Stop::Refused(why.clone())),
            GitHubError::Unavailable { failure: Failure::Unreachable, .. } => Some(Stop::Failing),
            GitHubError::Unavailable { .. } | GitHubError::Unexpected(_) => {
                account.failures_in_a_row += 1;
                let is_all = account.failures_in_a_row >= MAX_FAILURES_IN_A_ROW;
                is_all.then_some(Stop::Failing)
            }
            GitHubError::Deadline => None,
            _ => Some(Stop::Final(error.clone())),
        };
        let is_cut = error == GitHubError::Deadline;
        if !is_cut {
            account.last_error = Some(error);
        }
        if account.stopped.is_some() || is_cut || part.places.len() == 1 {
            return self.unanswered(&part, !is_cut || part.depth > 0);
        }
        let parts = if is_slow { SLOW_QUERY_PARTS } else { 2 };
        let size = part.places.len().div_ceil(parts);
        let effort = Effort { is_transient: |_| false, until: self.terms.until, ..session.effort(|_| false) };
        for places in part.places.rchunks(size) {
            let (account, places) = (part.account, places.to_vec());
            self.queue.push_front(Part { account, places, depth: part.depth + 1, effort });
        }
        self.accounts[part.account].divided.push(part.places);
    }

    /// Leaves these to REST, unless that would fail in the same way.
    fn unanswered(&mut self, part: &Part, has_failed: bool) {
        let account = &self.accounts[part.account];
        let not_probed = match &account.stopped {
            Some(Stop::Final(error)) => NotProbed::Final(error.clone()),
            Some(Stop::Refused(why)) => NotProbed::by_rest(why.clone().into(), Some(why.clone()), false),
            Some(Stop::Failing) | None => match &account.last_error {
                Some(last_error) => NotProbed::by_rest(last_error.clone(), None, has_failed),
                // Nothing failed: there was no time left.
                None => NotProbed::Final(GitHubError::Deadline),
            },
        };
        for place in &part.places {
            self.results[*place] = Some(Err(not_probed.clone()));
        }
    }

    fn end(mut self, now: Timestamp) -> Probed {
        for account in 0..self.accounts.len() {
            for part in std::mem::take(&mut self.accounts[account].waiting) {
                self.unanswered(&part, false);
            }
        }
        let accounts = std::mem::take(&mut self.accounts);
        let limits = accounts.iter().map(|account| self.learn(account, now)).collect();
        let results = self.results.into_iter();
        // Every repository has a result by now.
        let nothing = || Err(NotProbed::Final(GitHubError::Deadline));
        Probed { results: results.map(|result| result.unwrap_or_else(nothing)).collect(), limits }
    }

    /// How large the account's next queries may be, and when.
    fn learn(&mut self, account: &Account, now: Timestamp) -> Learned {
        let Account { fingerprint, before, size, .. } = account;
        let limit = |size, backoff| Some(QueryLimit { account: Some(fingerprint.clone()), size, backoff });
        let at_once = |times| Backoff { until: now, times };
        let known = before.as_ref().map(|limit| limit.backoff);
        let (learned, needs_proof) = match (&account.stopped, &account.last_error) {
            (Some(Stop::Final(_) | Stop::Refused(NoGraphql::UsedUp(_))), _) => (before.clone(), false),
            // Nothing was sent.
            (None, None) if !account.has_answered => (before.clone(), false),
            // Such a refusal is answered at once: the next probe begins with one query.
            (Some(Stop::Refused(_)), _) => (limit(0, at_once(0)), false),
            // A single failure took all the time, and does not show which of its repositories caused it.
            (None, Some(_)) if !account.has_answered && account.failed == 1 && account.places.len() > 1 => {
                self.clear_suspects(account, None);
                let size = account.places.len().min(*size) / SLOW_QUERY_PARTS;
                (limit(size.max(1), Backoff::after(known, now)), false)
            }
            (_, Some(last_error)) if !account.has_answered => {
                self.clear_suspects(account, Some(&NoGraphql::Failing(last_error.to_string())));
                let known = known.filter(|_| before.as_ref().is_some_and(|limit| limit.size == 0));
                (limit(0, Backoff::after(known, now)), true)
            }
            _ => match self.too_large(account) {
                Some(too_large) => (limit((too_large / 2).max(1), Backoff::after(known, now)), false),
                None if *size >= BATCH => (None, false),
                None => {
                    let times = known.map_or(0, |known| known.times);
                    let waits = known.filter(|known| !known.is_over(now));
                    (limit(*size, waits.unwrap_or(at_once(times))), false)
                }
            },
        };
        Learned { account: fingerprint.clone(), before: before.clone(), now: learned, needs_proof }
    }

    /// GraphQL answered for none of the account's repositories, so no single one is the cause.
    fn clear_suspects(&mut self, account: &Account, why: Option<&NoGraphql>) {
        for place in &account.places {
            if let Some(Err(NotProbed::ByRest { no_graphql, fails_on_it, .. })) = &mut self.results[*place] {
                (*no_graphql, *fails_on_it) = (why.cloned(), false);
            }
        }
    }

    /// The size of the smallest query that failed although each of its repositories was answered. If too many
    /// repositories have no answer to suspect each, the size of the smallest query that failed.
    fn too_large(&mut self, account: &Account) -> Option<usize> {
        let is_suspect = |results: &[Option<_>], place: usize| {
            matches!(results[place], Some(Err(NotProbed::ByRest { fails_on_it: true, .. })))
        };
        let suspects = account.places.iter().filter(|place| is_suspect(&self.results, **place)).count();
        if suspects <= MAX_SUSPECTS {
            let is_too_large =
                |places: &&Vec<usize>| !places.iter().any(|place| is_suspect(&self.results, *place));
            return account.divided.iter().filter(is_too_large).map(Vec::len).min();
        }
        for place in account.divided.iter().flatten() {
            if let Some(Err(NotProbed::ByRest { fails_on_it, .. })) = &mut self.results[*place] {
                *fails_on_it = false;
            }
        }
        account.divided.iter().map(Vec::len).min()
    }
}
