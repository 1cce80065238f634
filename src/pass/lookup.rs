//! Finds the configured repositories on GitHub, by name, and in the table, by id.
//!
//! A rename keeps its history, because the id stays. A new repository under an old name starts afresh, because
//! its id is another. Two names of one id are one repository.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;

use crate::domain::{Outcome, Phase, Problem, ProblemCode, RepositoryName, TrackedRepository};
use crate::github::{GitHubError, NoGraphql, Repository};
use crate::store::{ConfiguredName, Fleet, Stale, StoreError};

use super::work::{Roster, StepError, Unknown, Work, WorkResult};
use super::{Crashed, Pass, REPOSITORIES_AT_ONCE, guard};

/// What GitHub says of a configured name.
pub(super) type Look = Result<Result<Repository, GitHubError>, Crashed>;

impl Pass<'_> {
    /// What GitHub says of the configured names, in their order: the probe's word, or, where there is no probe, that of
    /// a request for each.
    pub(super) async fn look(&self) -> Vec<Look> {
        let mut names = self.app.config.repositories.clone();
        let first = self.first_in_turn(names.len());
        names.rotate_left(first);
        let looks = match guard(self.github.probe(&names)).await {
            Ok(looks) => looks.into_iter().map(Ok).collect(),
            Err(crashed) => vec![Err(crashed); names.len()],
        };
        self.note_probe();
        let mut looks: Vec<Look> = futures_util::stream::iter(names.into_iter().zip(looks))
            .map(|(name, look)| self.look_again(name, look).boxed())
            .buffered(REPOSITORIES_AT_ONCE)
            .collect()
            .await;
        // In the configured order, so that the first of two names of one repository is always the same.
        looks.rotate_right(first);
        looks
    }

    async fn look_again(&self, name: RepositoryName, look: Look) -> Look {
        let Ok(Err(GitHubError::NoGraphql(why))) = look else { return look };
        self.note_pace(name.owner(), |met| met.no_probe = met.no_probe.or(Some(why)));
        let account = self.github.account(name.owner());
        if matches!(why, NoGraphql::Forbidden)
            && let Some(until) = account.and_then(|account| self.github.no_lookups_until(&account))
        {
            self.note_pace(name.owner(), |met| met.no_lookups_until = Some(until));
            return Ok(Err(GitHubError::Deadline));
        }
        if self.app.clock.now() >= self.half_time() {
            return Ok(Err(GitHubError::Deadline));
        }
        let found = guard(self.github.repository(&name)).await;
        match (found, why) {
            (Ok(Err(GitHubError::NotFound)), NoGraphql::Missing) => Ok(Err(GitHubError::NothingThere)),
            (found, _) => found,
        }
    }

    /// One piece of work for each configured repository.
    pub(super) async fn enroll(&self, looks: Vec<Look>, fleet: &mut Fleet, outcome: &mut Outcome) -> Roster {
        let mut roster = Roster::default();
        let mut failures = Vec::new();
        for (name, look) in self.app.config.repositories.iter().zip(looks) {
            match look {
                Ok(Ok(found)) => self.found(&mut roster, fleet, outcome, name, found).await,
                failed => failures.push((name, failed)),
            }
        }
        // Only now: what was not found may be another name of a repository that was.
        for (name, failed) in failures {
            self.not_found(&mut roster, fleet, name, failed).await;
        }
        roster
    }

    /// No repository is looked up any more when half of the pass's time is over: what was found is to be read, too.
    fn half_time(&self) -> Timestamp {
        let all = Duration::try_from(self.deadline.duration_since(self.started_at)).unwrap_or_default();
        self.started_at.checked_add(all / 2).unwrap_or(self.deadline)
    }

    async fn found(
        &self,
        roster: &mut Roster,
        fleet: &mut Fleet,
        outcome: &mut Outcome,
        name: &RepositoryName,
        found: Repository,
    ) {
        let named = self.remember(fleet, name, ConfiguredName::of(found.id)).await;
        if let Some(first) = roster.work.iter().find(|known| known.id() == found.id) {
            outcome.add(same_repository(name, &first.name));
            return;
        }
        let stored = fleet.repositories.get(&found.id).cloned();
        let mut tracked =
            stored.clone().unwrap_or_else(|| TrackedRepository::new(found.id, found.name.clone()));
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
        // Agents find a repository's changes by its configured name: without it they would not be told.
        work.take(Phase::Sync, Ok(named.map_err(StepError::from)), self.fence(), self.app.clock.now());
        roster.work.push(work);
    }

    /// A repository that was known keeps its rows and marks, whatever GitHub says of its name today. When it is on
    /// the roster under another name, only this name has failed: two workers would overwrite each other's marks.
    async fn not_found(&self, roster: &mut Roster, fleet: &mut Fleet, name: &RepositoryName, failed: Look) {
        let met = failed.map(|lookup| lookup.map_err(StepError::from));
        let Some(result) = WorkResult::after(Phase::Sync, met, self.app.clock.now()) else {
            return;
        };
        let known = fleet.names.get(&name.key()).and_then(|known| known.id);
        let known = known.filter(|id| roster.work.iter().all(|work| work.id() != *id));
        if let Some(stored) = known.and_then(|id| fleet.repositories.get(&id)).cloned() {
            roster.work.push(Work { result, ..Work::new(name, stored.clone(), Some(stored), None) });
            return;
        }
        // What lasts until a person heals it is to raise the alarm of repositories that are not read.
        if let WorkResult::Failed(Problem { code, retryable: false, .. }) = &result {
            let (before, now) = (fleet.names.get(&name.key()), self.app.clock.now());
            let known = ConfiguredName::of_nothing(*code, before, now);
            if let Err(error) = self.remember(fleet, name, known).await {
                tracing::warn!(repository.name = %name, cause = %error, "It was not stored why a name stands for nothing.");
            }
        }
        roster.unknown.push(Unknown { name: name.clone(), result });
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
            Err(Stale) => self.give_way(),
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
