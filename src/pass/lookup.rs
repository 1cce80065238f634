//! Finds the configured repositories on GitHub, by name, and in the table, by id.
//!
//! A rename keeps its history, because the id stays. A new repository under an old name starts afresh, because
//! its id is another. Two names of one id are one repository. What is no longer configured is in `untracked.rs`.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;

use crate::domain::{
    Backoff, Fingerprint, Outcome, Phase, ProbeMemory, Problem, ProblemCode, QueryLimit, RepositoryId,
    RepositoryName, TrackedRepository,
};
use crate::github::{GitHubError, Learned, NoGraphql, NotProbed, ProbeTerms, Probed, Repository};
use crate::store::{ConfiguredName, Fleet, Stale, StoreError};

use super::work::{StepError, Unknown, Work, WorkResult, Worklist};
use super::{Panicked, Pass, REPOSITORIES_AT_ONCE, guard};

/// What GitHub says of a configured name.
pub(super) struct LookupResult {
    met: Result<Result<Repository, GitHubError>, Panicked>,
    /// Until when it is left to REST.
    by_rest: Option<Backoff>,
}

/// Look-ups that fail in a row, before REST answered any, are not these repositories' fault.
const MAX_FAILED_LOOK_UPS: usize = 8;

/// The look-ups by REST in one pass.
struct LookUps {
    /// When no repository is looked up any more: what was found is to be read, too.
    until: Timestamp,
    failed: Mutex<Vec<GitHubError>>,
    /// The accounts as which REST answered.
    answered: Mutex<HashSet<Fingerprint>>,
}

impl LookUps {
    /// How GitHub failed, when it failed so often and never answered that nobody else need be asked for.
    fn outage(&self) -> Option<GitHubError> {
        let failed = self.failed.lock().expect("nothing panics while noting");
        let has_answered = !self.answered.lock().expect("nothing panics while noting").is_empty();
        failed.last().filter(|_| failed.len() >= MAX_FAILED_LOOK_UPS && !has_answered).cloned()
    }
}

impl Pass<'_> {
    /// What GitHub says of the configured names, in their order: the probe's word, or, where GraphQL has none, that of
    /// a request for each. `known` is what the names stood for before, unless nothing is known of the probe.
    pub(super) async fn look(&self, known: &HashMap<String, ConfiguredName>) -> Vec<LookupResult> {
        let mut names = self.app.config.repositories.clone();
        let first = self.first_in_turn(names.len());
        names.rotate_left(first);
        let memory = self.claim.before().probe();
        let until_when = |name: &RepositoryName| known.get(&name.key())?.by_rest;
        let by_rest: Vec<Option<Backoff>> = match known.is_empty() {
            true => vec![None; names.len()],
            false => names.iter().map(until_when).collect(),
        };
        let until = self.share_of_time(2, 5);
        let terms = ProbeTerms { until, memory: &memory, by_rest: &by_rest };
        let probed = guard(self.github.probe(&names, &terms)).await;
        self.note_probe();
        let (looks, limits) = match probed {
            Ok(Probed { looks, limits }) => (looks.into_iter().map(Ok).collect(), Some(limits)),
            Err(crashed) => (vec![Err(crashed); names.len()], None),
        };
        let look_ups =
            LookUps { until: self.share_of_time(1, 2), failed: Mutex::default(), answered: Mutex::default() };
        let looks = names.into_iter().zip(looks).zip(by_rest).enumerate();
        let look_ups_of_all = futures_util::stream::iter(looks)
            .map(|(place, ((name, look), by_rest))| {
                let look_ups = &look_ups;
                async move { (place, self.look_again(look_ups, name, look, by_rest).await) }.boxed()
            })
            // One that takes long holds nobody else up.
            .buffer_unordered(REPOSITORIES_AT_ONCE);
        let mut looks: Vec<(usize, LookupResult)> = look_ups_of_all.collect().await;
        looks.sort_unstable_by_key(|(place, _)| *place);
        let mut looks: Vec<LookupResult> = looks.into_iter().map(|(_, look)| look).collect();
        if let Some(limits) = limits {
            self.remember_probe(&memory, limits, &look_ups, &looks);
        }
        // In the configured order, so that the first of two names of one repository is always the same.
        looks.rotate_right(first);
        looks
    }

    async fn look_again(
        &self,
        look_ups: &LookUps,
        name: RepositoryName,
        look: Result<Result<Repository, NotProbed>, Panicked>,
        before: Option<Backoff>,
    ) -> LookupResult {
        let (why, no_graphql, fails_on_it) = match look {
            Ok(Err(NotProbed::ByRest { why, no_graphql, fails_on_it })) => (why, no_graphql, fails_on_it),
            Ok(Err(NotProbed::Final(error))) => {
                let by_rest = before.filter(|_| !error.is_about_repository());
                return LookupResult { met: Ok(Err(error)), by_rest };
            }
            Ok(Ok(found)) => return LookupResult { met: Ok(Ok(found)), by_rest: None },
            Err(crashed) => return LookupResult { met: Err(crashed), by_rest: before },
        };
        let note_no_graphql = || {
            let no_graphql = no_graphql.clone();
            self.note_pace(name.owner(), |met| met.no_probe = met.no_probe.take().or(no_graphql));
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
            self.note_pace(name.owner(), |met| met.no_lookups_until = Some(until));
            return LookupResult { met: Ok(Err(GitHubError::Deadline)), by_rest: before };
        }
        // Without GraphQL there is nothing wrong with a repository that has to wait for its turn.
        let instead = match why {
            GitHubError::NoGraphql(_) => GitHubError::Deadline,
            failed => failed,
        };
        if self.app.clock.now() >= look_ups.until {
            return LookupResult { met: Ok(Err(instead)), by_rest: before };
        }
        if let Some(outage) = look_ups.outage() {
            return LookupResult { met: Ok(Err(outage)), by_rest: before };
        }
        if no_graphql.is_none() {
            self.note_pace(name.owner(), |met| met.looked_up += 1);
        }
        let met = guard(self.github.repository(&name, look_ups.until)).await;
        let met = met.map(|looked_up| match looked_up {
            Err(GitHubError::Deadline) => Err(instead.clone()),
            Err(GitHubError::NotFound) if matches!(no_graphql, Some(NoGraphql::Missing)) => {
                Err(GitHubError::NothingThere)
            }
            looked_up => looked_up,
        });
        let has_answered = match &met {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => error.is_about_repository(),
            Err(_) => false,
        };
        if !has_answered {
            if let Ok(Err(error @ GitHubError::Unavailable { .. })) = &met {
                look_ups.failed.lock().expect("nothing panics while noting").push(error.clone());
            }
            return LookupResult { met, by_rest: before };
        }
        if let Some(account) = self.github.account(name.owner()) {
            look_ups.answered.lock().expect("nothing panics while noting").insert(account);
        }
        if no_graphql.is_some() {
            note_no_graphql();
        }
        if !fails_on_it {
            return LookupResult { met, by_rest: before };
        }
        let backoff = Backoff::after(before, self.app.clock.now());
        tracing::info!(
            repository.name = %name,
            cause = %instead,
            until = %backoff.until,
            "GraphQL queries that name {name} fail; it is looked up by REST instead."
        );
        LookupResult { met, by_rest: Some(backoff) }
    }

    /// Keeps what is to be known of the next probe.
    fn remember_probe(
        &self,
        before: &ProbeMemory,
        limits: Vec<Learned>,
        look_ups: &LookUps,
        looks: &[LookupResult],
    ) {
        let answered = look_ups.answered.lock().expect("nothing panics while noting");
        let holds = |learned: &Learned| !learned.needs_proof || answered.contains(&learned.account);
        let limits: Vec<QueryLimit> = limits
            .into_iter()
            .filter_map(|learned| if holds(&learned) { learned.now } else { learned.before })
            .collect();
        let has_exceptions = looks.iter().any(|look| look.by_rest.is_some());
        let memory = ProbeMemory::new(limits, has_exceptions);
        if memory != *before {
            tracing::info!(probe = ?memory, "What is known of the probe has changed.");
        }
        *self.probe_memory.lock().expect("nothing panics while noting") = memory;
    }

    /// One piece of work for each configured repository.
    pub(super) async fn enroll(
        &self,
        looks: Vec<LookupResult>,
        fleet: &mut Fleet,
        outcome: &mut Outcome,
    ) -> Result<Worklist, StoreError> {
        let mut roster = Worklist::default();
        let returned = self.returned(&looks, fleet).await?;
        let mut failures = Vec::new();
        for (name, LookupResult { met, by_rest }) in self.app.config.repositories.iter().zip(looks) {
            match met {
                Ok(Ok(found)) => {
                    self.found(&mut roster, fleet, &returned, outcome, name, (found, by_rest)).await;
                }
                failed => failures.push((name, LookupResult { met: failed, by_rest })),
            }
        }
        // Only now: what was not found may be another name of a repository that was.
        for (name, failed) in failures {
            self.not_found(&mut roster, fleet, name, failed).await;
        }
        Ok(roster)
    }

    /// What is remembered of the repositories that are found and are not in the fleet: they were retired, and are
    /// configured again.
    async fn returned(
        &self,
        looks: &[LookupResult],
        fleet: &Fleet,
    ) -> Result<Vec<TrackedRepository>, StoreError> {
        let found = looks.iter().flat_map(|look| &look.met).flatten().map(|found| found.id);
        let mut ids: Vec<RepositoryId> = found.filter(|id| !fleet.repositories.contains_key(id)).collect();
        ids.sort_unstable();
        ids.dedup();
        self.app.store.untracked(&ids).await
    }

    /// When this share of the time that is left is over.
    fn share_of_time(&self, parts: u32, of: u32) -> Timestamp {
        let now = self.app.clock.now();
        let left = Duration::try_from(self.deadline.duration_since(now)).unwrap_or_default();
        now.checked_add(left * parts / of).unwrap_or(self.deadline)
    }

    async fn found(
        &self,
        roster: &mut Worklist,
        fleet: &mut Fleet,
        returned: &[TrackedRepository],
        outcome: &mut Outcome,
        name: &RepositoryName,
        (found, by_rest): (Repository, Option<Backoff>),
    ) {
        let before = fleet.names.get(&name.key()).and_then(|known| known.id);
        roster.replaced.extend(before.filter(|before| *before != found.id));
        let known = ConfiguredName { by_rest, ..ConfiguredName::of(found.id) };
        let named = self.remember(fleet, name, known).await;
        if let Some(first) = roster.of(found.id) {
            outcome.add(same_repository(name, &first.name));
            return;
        }
        let stored = fleet.repositories.get(&found.id).cloned();
        let returned = returned.iter().find(|known| known.id == found.id);
        let known = stored.as_ref().or(returned).cloned();
        let mut tracked = match known {
            Some(known) => self.tracked_again(known),
            None => TrackedRepository::new(found.id, found.name.clone()),
        };
        tracked.name = found.name;
        let mut work = Work::new(name, tracked, stored, found.probe);
        if found.disabled {
            work.result = WorkResult::Failed(
                Problem::warning(
                    ProblemCode::RepositoryDisabled,
                    Phase::Sync,
                    "GitHub has disabled this repository; its issues are kept as they were last read",
                )
                .lasting(),
            );
        }
        // Without its stored name nobody could look it up while GitHub does not show it.
        work.take(Phase::Sync, Ok(named.map_err(StepError::from)), self.fence(), self.app.clock.now());
        roster.add(work);
    }

    /// A repository that was known keeps its rows and marks, whatever GitHub says of its name today. When it is on
    /// the roster under another name, only this name has failed: two workers would overwrite each other's marks.
    async fn not_found(
        &self,
        roster: &mut Worklist,
        fleet: &mut Fleet,
        name: &RepositoryName,
        failed: LookupResult,
    ) {
        let LookupResult { met, by_rest } = failed;
        let met = met.map(|lookup| lookup.map_err(StepError::from));
        let Some(result) = WorkResult::after(Phase::Sync, met, self.app.clock.now()) else {
            return;
        };
        let known = fleet.names.get(&name.key()).and_then(|known| known.id);
        let known = known.filter(|id| roster.of(*id).is_none());
        if let Some(stored) = known.and_then(|id| fleet.repositories.get(&id)).cloned() {
            let tracked = self.tracked_again(stored.clone());
            roster.add(Work { result, ..Work::new(name, tracked, Some(stored), None) });
            return;
        }
        // What lasts until a person heals it is to raise the alarm of repositories that are not read.
        if let WorkResult::Failed(Problem { code, retryable: false, .. }) = &result {
            let (before, now) = (fleet.names.get(&name.key()), self.app.clock.now());
            let known = ConfiguredName { by_rest, ..ConfiguredName::of_nothing(*code, before, now) };
            if let Err(error) = self.remember(fleet, name, known).await {
                tracing::warn!(repository.name = %name, cause = %error, "It was not stored why a name stands for nothing.");
            }
        }
        roster.unknown.push(Unknown { name: name.clone(), result });
    }

    fn tracked_again(&self, known: TrackedRepository) -> TrackedRepository {
        known.tracked_again(self.app.config.run_retention, self.app.clock.now())
    }

    /// Stores what a name stands for when that is news.
    async fn remember(
        &self,
        fleet: &mut Fleet,
        name: &RepositoryName,
        known: ConfiguredName,
    ) -> Result<(), StoreError> {
        if self.is_over() || fleet.names.get(&name.key()) == Some(&known) {
            return Ok(());
        }
        match self.app.store.put_name(self.claim, name, &known).await? {
            Ok(()) => drop(fleet.names.insert(name.key(), known)),
            Err(Stale) => self.mark_superseded(),
        }
        Ok(())
    }
}

fn same_repository(name: &RepositoryName, first: &RepositoryName) -> Problem {
    Problem::warning(
        ProblemCode::DuplicateRepository,
        Phase::Sync,
        format!(
            "it is the same repository as {first}, which is read once; remove one of them from REPOSITORIES"
        ),
    )
    .lasting()
    .of(name)
}
