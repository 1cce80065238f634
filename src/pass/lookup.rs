//! Looks up the configured names on GitHub: with one probe, and by one REST request each if GraphQL fails.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use futures_util::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;

use crate::domain::{Backoff, Fingerprint, ProbeMemory, QueryLimit, RepositoryName};
use crate::github::{GitHubError, Learned, NoGraphql, NotProbed, ProbeTerms, Probed, Repository};
use crate::store::ConfiguredName;

use super::context::{Pass, REPOSITORIES_AT_ONCE};
use super::step::{StepError, guard, guard_step};

/// The repository that GitHub shows under a configured name, or why it shows none.
pub(super) struct LookupResult {
    pub(super) found: Result<Repository, StepError>,
    /// Until when the name is looked up by REST.
    pub(super) by_rest: Option<Backoff>,
}

/// After this many failed lookups, and none that succeeded, the cause is GitHub and not these repositories.
const MAX_FAILED_LOOKUPS: usize = 8;

/// The lookups by REST in one pass.
struct RestLookups {
    /// After this time no lookup starts: the rest of the time is for reading what was found.
    until: Timestamp,
    failed: Mutex<Vec<GitHubError>>,
    /// The accounts that REST answered.
    answered: Mutex<HashSet<Fingerprint>>,
}

impl RestLookups {
    /// The last failure, if enough lookups failed that the others need not be tried.
    fn outage(&self) -> Option<GitHubError> {
        let failed = self.failed.lock().expect("nothing panics while noting");
        let has_answered = !self.answered.lock().expect("nothing panics while noting").is_empty();
        failed.last().filter(|_| failed.len() >= MAX_FAILED_LOOKUPS && !has_answered).cloned()
    }
}

impl Pass<'_> {
    /// Looks up the configured names, in their order: by the probe, and by REST where GraphQL fails. `known` has the
    /// stored names if any of them is excepted from the probe; otherwise it may be empty.
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

    /// Adds what REST shows where the probe showed nothing, and remembers what the pass learned about the probe.
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
        let looks = names.into_iter().zip(probed.results).zip(by_rest).enumerate();
        let lookups = futures_util::stream::iter(looks)
            .map(|(place, ((name, look), by_rest))| {
                let rest = &rest;
                async move { (place, self.look_up_by_rest(rest, name, look, by_rest).await) }.boxed()
            })
            // A slow one does not delay the others.
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
            self.note_account(name.owner(), |note| note.no_probe = note.no_probe.take().or(no_graphql));
        };
        match &no_graphql {
            // It counts only once REST shows that GitHub itself works.
            Some(NoGraphql::Failing(_)) => {}
            Some(_) => note_no_graphql(),
            None => {}
        }
        let account = self.github.account(name.owner());
        if matches!(no_graphql, Some(NoGraphql::Forbidden))
            && let Some(until) = account.and_then(|account| self.github.no_lookups_until(&account))
        {
            self.note_account(name.owner(), |note| note.no_lookups_until = Some(until));
            return failed(GitHubError::Deadline);
        }
        // Without GraphQL, a repository that waits for its turn has not failed.
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
            self.note_account(name.owner(), |note| note.looked_up += 1);
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
            "GraphQL queries that name {name} fail; looking it up by REST until {}.",
            backoff.until
        );
        LookupResult { found, by_rest: Some(backoff) }
    }

    /// Stores what the next pass has to know about the probe.
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
            tracing::info!(probe = ?memory, "The limits of the next probe have changed.");
        }
        *self.probe_memory.lock().expect("nothing panics while noting") = memory;
    }

    /// The end of this share of the time that is left.
    fn share_of_time(&self, parts: u32, of: u32) -> Timestamp {
        let end = self.app.clock.now().checked_add(self.time_left() * parts / of);
        end.unwrap_or(self.options.deadline)
    }
}
