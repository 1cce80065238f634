//! Asks GitHub about the configured names: with one probe, and by a request for each where GraphQL does not answer.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use futures_util::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;

use crate::domain::{Backoff, Fingerprint, ProbeMemory, QueryLimit, RepositoryName};
use crate::github::{GitHubError, Learned, NoGraphql, NotProbed, ProbeTerms, Probed, Repository};
use crate::store::ConfiguredName;

use super::context::{Pass, REPOSITORIES_AT_ONCE};
use super::step::{StepError, guard, guard_step};

/// What GitHub says of a configured name.
pub(super) struct LookupResult {
    pub(super) found: Result<Repository, StepError>,
    /// Until when it is left to REST.
    pub(super) by_rest: Option<Backoff>,
}

/// Look-ups that fail in a row, before REST answered any, are not these repositories' fault.
const MAX_FAILED_LOOKUPS: usize = 8;

/// The look-ups by REST in one pass.
struct RestLookups {
    /// When no repository is looked up any more: what was found is to be read, too.
    until: Timestamp,
    failed: Mutex<Vec<GitHubError>>,
    /// The accounts as which REST answered.
    answered: Mutex<HashSet<Fingerprint>>,
}

impl RestLookups {
    /// How GitHub failed, when it failed so often and never answered that nobody else need be asked for.
    fn outage(&self) -> Option<GitHubError> {
        let failed = self.failed.lock().expect("nothing panics while noting");
        let has_answered = !self.answered.lock().expect("nothing panics while noting").is_empty();
        failed.last().filter(|_| failed.len() >= MAX_FAILED_LOOKUPS && !has_answered).cloned()
    }
}

impl Pass<'_> {
    /// What GitHub says of the configured names, in their order: the probe's word, or, where GraphQL has none, that of
    /// a request for each. `known` is what the names stood for before, unless nothing is known of the probe.
    pub(super) async fn look_up(&self, known: &HashMap<String, ConfiguredName>) -> Vec<LookupResult> {
        let mut names = self.app.config.repositories.clone();
        let first = self.first_in_turn(names.len());
        names.rotate_left(first);
        let memory = self.lease.before().probe();
        let until_when = |name: &RepositoryName| known.get(&name.key())?.by_rest;
        let by_rest: Vec<Option<Backoff>> = match known.is_empty() {
            true => vec![None; names.len()],
            false => names.iter().map(until_when).collect(),
        };
        let until = self.share_of_time(2, 5);
        let terms = ProbeTerms { until, memory: &memory, by_rest: &by_rest };
        let probed = guard(self.github.probe(&names, &terms)).await;
        self.note_probe();
        let mut lookups = match probed {
            Ok(probed) => self.complete_by_rest(&memory, names, probed, by_rest).await,
            Err(panicked) => by_rest
                .into_iter()
                .map(|by_rest| LookupResult { found: Err(panicked.into()), by_rest })
                .collect(),
        };
        // In the configured order, so that the first of two names of one repository is always the same.
        lookups.rotate_right(first);
        lookups
    }

    /// What the probe showed, and where it showed nothing, what REST does. Remembers what was learned of the probe.
    async fn complete_by_rest(
        &self,
        memory: &ProbeMemory,
        names: Vec<RepositoryName>,
        probed: Probed,
        by_rest: Vec<Option<Backoff>>,
    ) -> Vec<LookupResult> {
        let rest = RestLookups {
            until: self.share_of_time(1, 2),
            failed: Mutex::default(),
            answered: Mutex::default(),
        };
        let looks = names.into_iter().zip(probed.looks).zip(by_rest).enumerate();
        let lookups = futures_util::stream::iter(looks)
            .map(|(place, ((name, look), by_rest))| {
                let rest = &rest;
                async move { (place, self.look_up_by_rest(rest, name, look, by_rest).await) }.boxed()
            })
            // One that takes long holds nobody else up.
            .buffer_unordered(REPOSITORIES_AT_ONCE);
        let mut lookups: Vec<(usize, LookupResult)> = lookups.collect().await;
        lookups.sort_unstable_by_key(|(place, _)| *place);
        let lookups: Vec<LookupResult> = lookups.into_iter().map(|(_, lookup)| lookup).collect();
        self.remember_probe(memory, probed.limits, &rest, &lookups);
        lookups
    }

    async fn look_up_by_rest(
        &self,
        rest: &RestLookups,
        name: RepositoryName,
        probed: Result<Repository, NotProbed>,
        before: Option<Backoff>,
    ) -> LookupResult {
        let failed = |error: GitHubError| LookupResult { found: Err(error.into()), by_rest: before };
        let (why, no_graphql, fails_on_it) = match probed {
            Err(NotProbed::ByRest { why, no_graphql, fails_on_it }) => (why, no_graphql, fails_on_it),
            Err(NotProbed::Final(error)) => {
                let by_rest = before.filter(|_| !error.is_about_repository());
                return LookupResult { found: Err(error.into()), by_rest };
            }
            Ok(found) => return LookupResult { found: Ok(found), by_rest: None },
        };
        let note_no_graphql = || {
            let no_graphql = no_graphql.clone();
            self.note_account(name.owner(), |met| met.no_probe = met.no_probe.take().or(no_graphql));
        };
        match &no_graphql {
            // Unless all of GitHub fails.
            Some(NoGraphql::Failing(_)) => {}
            Some(_) => note_no_graphql(),
            None => {}
        }
        let account = self.github.account(name.owner());
        if matches!(no_graphql, Some(NoGraphql::Forbidden))
            && let Some(until) = account.and_then(|account| self.github.no_lookups_until(&account))
        {
            self.note_account(name.owner(), |met| met.no_lookups_until = Some(until));
            return failed(GitHubError::Deadline);
        }
        // Without GraphQL there is nothing wrong with a repository that has to wait for its turn.
        let instead = match why {
            GitHubError::NoGraphql(_) => GitHubError::Deadline,
            failed => failed,
        };
        if self.app.clock.now() >= rest.until {
            return failed(instead);
        }
        if let Some(outage) = rest.outage() {
            return failed(outage);
        }
        if no_graphql.is_none() {
            self.note_account(name.owner(), |met| met.looked_up += 1);
        }
        let found = match guard_step(self.github.repository(&name, rest.until)).await {
            Err(StepError::GitHub(GitHubError::Deadline)) => Err(instead.clone().into()),
            Err(StepError::GitHub(GitHubError::NotFound))
                if matches!(no_graphql, Some(NoGraphql::Missing)) =>
            {
                Err(GitHubError::NothingThere.into())
            }
            found => found,
        };
        let has_answered = match &found {
            Ok(_) => true,
            Err(StepError::GitHub(error)) => error.is_about_repository(),
            Err(_) => false,
        };
        if !has_answered {
            if let Err(StepError::GitHub(error @ GitHubError::Unavailable { .. })) = &found {
                rest.failed.lock().expect("nothing panics while noting").push(error.clone());
            }
            return LookupResult { found, by_rest: before };
        }
        if let Some(account) = self.github.account(name.owner()) {
            rest.answered.lock().expect("nothing panics while noting").insert(account);
        }
        if no_graphql.is_some() {
            note_no_graphql();
        }
        if !fails_on_it {
            return LookupResult { found, by_rest: before };
        }
        let backoff = Backoff::after(before, self.app.clock.now());
        tracing::info!(
            repository.name = %name,
            cause = %instead,
            until = %backoff.until,
            "GraphQL queries that name {name} fail; it is looked up by REST instead."
        );
        LookupResult { found, by_rest: Some(backoff) }
    }

    /// Keeps what is to be known of the next probe.
    fn remember_probe(
        &self,
        before: &ProbeMemory,
        limits: Vec<Learned>,
        rest: &RestLookups,
        lookups: &[LookupResult],
    ) {
        let answered = rest.answered.lock().expect("nothing panics while noting");
        let holds = |learned: &Learned| !learned.needs_proof || answered.contains(&learned.account);
        let limits: Vec<QueryLimit> = limits
            .into_iter()
            .filter_map(|learned| if holds(&learned) { learned.now } else { learned.before })
            .collect();
        let has_exceptions = lookups.iter().any(|lookup| lookup.by_rest.is_some());
        let memory = ProbeMemory::new(limits, has_exceptions);
        if memory != *before {
            tracing::info!(probe = ?memory, "What is known of the probe has changed.");
        }
        *self.probe_memory.lock().expect("nothing panics while noting") = memory;
    }

    /// When this share of the time that is left is over.
    fn share_of_time(&self, parts: u32, of: u32) -> Timestamp {
        let end = self.app.clock.now().checked_add(self.time_left() * parts / of);
        end.unwrap_or(self.options.deadline)
    }
}
