//! Makes the pass's worklist: finds each configured repository on GitHub by its name, and in the table by its id.
//!
//! A renamed repository keeps its history, because its id stays the same. A new repository under an old name has a new
//! id and starts without history. Two names with one id are one repository.

use std::collections::{HashMap, HashSet};

use futures_util::FutureExt as _;

use crate::domain::{Backoff, Phase, Problem, RepositoryId, RepositoryName, TrackedRepository, Untracked};
use crate::github::Repository;
use crate::store::{ConfiguredName, Fleet, StoreError};

use super::context::Pass;
use super::lookup::LookupResult;
use super::problems;
use super::step::StepError;
use super::work::{Unknown, Work, WorkResult, Worklist};

/// A worklist while it is made.
struct Enrollment<'p> {
    pass: &'p Pass<'p>,
    worklist: Worklist,
    /// Retired repositories that are configured again.
    returned: Vec<TrackedRepository>,
}

impl Pass<'_> {
    /// Finds the configured repositories on GitHub and in the table.
    pub(super) async fn find_repositories(&self) -> Result<Worklist, StoreError> {
        let (fleet, lookups) = self.read_fleet_and_look_up().await?;
        if self.app.config.repositories.is_empty() {
            let mut worklist = Worklist::new(fleet);
            worklist.outcome.add(problems::no_repositories());
            return Ok(worklist);
        }
        self.enroll(fleet, lookups).await
    }

    /// Reads the table and looks up the names, concurrently. If some names are excepted from the probe, the table comes
    /// first, because it has these names.
    async fn read_fleet_and_look_up(&self) -> Result<(Fleet, Vec<LookupResult>), StoreError> {
        if self.lease.before().probe().has_exceptions {
            let fleet = self.app.store.fleet().await?;
            let lookups = self.look_up(&fleet.names).boxed().await;
            return Ok((fleet, lookups));
        }
        let nothing_known = HashMap::new();
        let (fleet, lookups) =
            futures_util::join!(self.app.store.fleet().boxed(), self.look_up(&nothing_known).boxed());
        Ok((fleet?, lookups))
    }

    async fn enroll(&self, fleet: Fleet, lookups: Vec<LookupResult>) -> Result<Worklist, StoreError> {
        let returned = self.returned(&lookups, &fleet).await?;
        let worklist = Worklist::new(fleet);
        let mut enrollment = Enrollment { pass: self, worklist, returned };
        let mut failures = Vec::new();
        for (name, LookupResult { found, by_rest }) in self.app.config.repositories.iter().zip(lookups) {
            match found {
                Ok(found) => enrollment.add_found(name, found, by_rest).await,
                Err(error) => failures.push((name, error, by_rest)),
            }
        }
        // Only now: a name that was not found may be an old name of a repository that was.
        for (name, error, by_rest) in failures {
            enrollment.add_not_found(name, &error, by_rest).await;
        }
        enrollment.note_untracked();
        Ok(enrollment.worklist)
    }

    /// The stored repositories among these that are not in the fleet: they were retired, and are configured again.
    async fn returned(
        &self,
        lookups: &[LookupResult],
        fleet: &Fleet,
    ) -> Result<Vec<TrackedRepository>, StoreError> {
        let found = lookups.iter().flat_map(|lookup| &lookup.found).map(|found| found.id);
        let mut ids: Vec<RepositoryId> = found.filter(|id| !fleet.repositories.contains_key(id)).collect();
        ids.sort_unstable();
        ids.dedup();
        self.app.store.untracked(&ids).await
    }
}

impl Enrollment<'_> {
    async fn add_found(&mut self, name: &RepositoryName, found: Repository, by_rest: Option<Backoff>) {
        let worklist = &mut self.worklist;
        let before = worklist.fleet.names.get(&name.key()).and_then(ConfiguredName::id);
        worklist.replaced.extend(before.filter(|before| *before != found.id));
        let known = ConfiguredName::of(found.id, by_rest);
        let named = self.remember(name, known).await;
        let worklist = &mut self.worklist;
        if let Some(first) = worklist.of(found.id) {
            worklist.outcome.add(problems::duplicate_repository(name, &first.name));
            return;
        }
        let stored = worklist.fleet.repositories.get(&found.id).cloned();
        let returned = self.returned.iter().find(|known| known.id == found.id);
        let known = stored.as_ref().or(returned).cloned();
        let mut tracked = match known {
            Some(known) => self.tracked_again(known),
            None => TrackedRepository::new(found.id, found.name.clone()),
        };
        tracked.name = found.name;
        let mut work = Work::new(name, tracked, stored, found.probe);
        if found.disabled {
            work.result = WorkResult::Failed(problems::repository_disabled());
        }
        // The stored name is needed once GitHub does not show the repository.
        let named = named.map_err(StepError::from);
        work.note(Phase::Sync, named, self.pass.fence(), self.pass.app.clock.now());
        self.worklist.add(work);
    }

    /// A known repository keeps its rows and checkpoints, whatever GitHub answers about its name today. If it is in the
    /// worklist under another name, only this name has failed: two entries would overwrite each other's checkpoints.
    async fn add_not_found(&mut self, name: &RepositoryName, error: &StepError, by_rest: Option<Backoff>) {
        let result = WorkResult::after(Phase::Sync, error, self.pass.app.clock.now());
        let Worklist { fleet, .. } = &self.worklist;
        let known = fleet.names.get(&name.key()).and_then(ConfiguredName::id);
        let known = known.filter(|id| self.worklist.of(*id).is_none());
        if let Some(stored) = known.and_then(|id| fleet.repositories.get(&id)).cloned() {
            let tracked = self.tracked_again(stored.clone());
            self.worklist.add(Work { result, ..Work::new(name, tracked, Some(stored), None) });
            return;
        }
        // A failure that only a person can fix has to raise the alarm about repositories that are not read.
        if let WorkResult::Failed(Problem { code, retryable: false, .. }) = &result {
            let (before, now) = (fleet.names.get(&name.key()), self.pass.app.clock.now());
            let known = ConfiguredName::missing(*code, by_rest, before, now);
            if let Err(error) = self.remember(name, known).await {
                tracing::warn!(repository.name = %name, cause = %error, "Failed to store why {name} was not found.");
            }
        }
        self.worklist.unknown.push(Unknown { name: name.clone(), result });
    }

    /// Notes which stored repositories are no longer configured, and since when. One that GitHub did not show under its
    /// name is still configured.
    fn note_untracked(&mut self) {
        let now = self.pass.app.clock.now();
        let Worklist { fleet, work, unknown, replaced, untracked, .. } = &mut self.worklist;
        let configured: HashSet<_> = work.iter().map(Work::id).collect();
        let not_shown: HashSet<String> = unknown.iter().map(|unknown| unknown.name.key()).collect();
        for stored in fleet.repositories.values() {
            if configured.contains(&stored.id) || not_shown.contains(&stored.name.key()) {
                continue;
            }
            let is_replaced = replaced.contains(&stored.id);
            let mut tracked = stored.clone();
            let noted = tracked.untracked.get_or_insert(Untracked { since: now, replaced: is_replaced });
            noted.replaced |= is_replaced;
            untracked.push(Work::new(&stored.name, tracked, Some(stored.clone()), None));
        }
        untracked.sort_by_key(Work::id);
    }

    fn tracked_again(&self, known: TrackedRepository) -> TrackedRepository {
        known.tracked_again(self.pass.app.config.run_retention, self.pass.app.clock.now())
    }

    /// Stores the repository of a name, if the table holds something else.
    async fn remember(&mut self, name: &RepositoryName, known: ConfiguredName) -> Result<(), StoreError> {
        let names = &mut self.worklist.fleet.names;
        if self.pass.is_over() || names.get(&name.key()) == Some(&known) {
            return Ok(());
        }
        if self.pass.is_written(self.pass.app.store.put_name(self.pass.lease, name, &known).await)? {
            names.insert(name.key(), known);
        }
        Ok(())
    }
}
