//! The tracked repositories, those that were tracked once, and the configured names.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::{
    Backoff, ChangeCounts, ProblemCode, RepositoryId, RepositoryName, TrackedRepository, optional_millis,
};

use super::keys::{CHANGE_COUNTS, EXPIRES_AT, FLEET, Key, NAME_PREFIX, REPOSITORY_PREFIX, STATE, UNTRACKED};
use super::lease::{Lease, Stale};
use super::table::{Store, StoreError, carried_out, item_of, number, store_error, text, value_of};

/// A configured name: its id, or why it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfiguredName {
    /// GitHub's id of the repository of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RepositoryId>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<ProblemCode>,
    /// Since when there is none; absent for a name that has an id.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Until when it is looked up by REST, because GraphQL fails for every query that names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_rest: Option<Backoff>,
}

impl ConfiguredName {
    /// A name that stands for this repository.
    pub fn of(id: RepositoryId) -> Self {
        Self { id: Some(id), why: None, since: None, by_rest: None }
    }

    /// A name that stands for nothing, and for the same reason as `before`, or since `now`.
    pub fn of_nothing(why: ProblemCode, before: Option<&Self>, now: Timestamp) -> Self {
        let since = before.filter(|before| before.why == Some(why)).and_then(|before| before.since);
        Self { id: None, why: Some(why), since: since.or(Some(now)), by_rest: None }
    }
}

/// All that is known of the fleet.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    /// The tracked repositories, and those that were tracked until lately.
    pub repositories: HashMap<RepositoryId, TrackedRepository>,
    /// What the configured names stand for, by the name in lower case.
    pub names: HashMap<String, ConfiguredName>,
    /// How many issues last changed under which fences; `None` before any did.
    pub counts: Option<ChangeCounts>,
}

impl Store {
    /// Everything in the fleet's partition. Some 100 repositories are a page of 1 MB at most.
    pub async fn fleet(&self) -> Result<Fleet, StoreError> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :fleet AND sk < :state")
            .expression_attribute_values(":fleet", text(FLEET))
            // The state itself sorts last; it has been read with the claim.
            .expression_attribute_values(":state", text(STATE))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut fleet = Fleet::default();
        while let Some(item) = pages.next().await {
            let item = item.map_err(store_error("Query"))?;
            let sk = item.get("sk").and_then(|sk| sk.as_s().ok()).cloned().unwrap_or_default();
            if sk.starts_with(REPOSITORY_PREFIX) {
                let repository: TrackedRepository = value_of(item)?;
                fleet.repositories.insert(repository.id, repository);
            } else if let Some(name) = sk.strip_prefix(NAME_PREFIX) {
                fleet.names.insert(name.to_owned(), value_of(item)?);
            } else if sk == CHANGE_COUNTS {
                fleet.counts = Some(value_of(item)?);
            }
        }
        Ok(fleet)
    }

    /// Writes a repository's marks and health.
    pub async fn put_repository(
        &self,
        claim: &Lease,
        repository: &TrackedRepository,
    ) -> Result<Result<(), Stale>, StoreError> {
        let key = Key::repository(repository.id);
        let item = item_of(&key, repository);
        self.put_fenced(claim, key, item).await
    }

    /// Writes what a configured name stands for. A pass writes each name once, so a late copy says the same.
    pub async fn put_name(
        &self,
        claim: &Lease,
        name: &RepositoryName,
        known: &ConfiguredName,
    ) -> Result<Result<(), Stale>, StoreError> {
        let mut item = item_of(&Key::name(&name.key()), known);
        item.insert("fence".to_owned(), number(claim.fence()));
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(fence) OR fence <= :fence")
            .expression_attribute_values(":fence", number(claim.fence()));
        Ok(if carried_out("PutItem", put.send().await)? { Ok(()) } else { Err(Stale) })
    }

    /// Moves a repository that is no longer tracked out of the fleet's partition, with the names that stood for it. It is
    /// kept for `retention` from when it was tracked last, for agents that were away, and for its return. A death in
    /// between leaves it in both places, and the next pass moves it again.
    pub async fn retire(
        &self,
        claim: &Lease,
        repository: &TrackedRepository,
        names: &[String],
        retention: Duration,
    ) -> Result<Result<(), Stale>, StoreError> {
        let mut item = item_of(&Key::untracked(repository.id), repository);
        if let Some(untracked) = repository.untracked {
            let expires = untracked.since.as_second().saturating_add_unsigned(retention.as_secs());
            item.insert(EXPIRES_AT.to_owned(), number(expires));
        }
        if let Err(stale) = self.put_fenced(claim, Key::untracked(repository.id), item).await? {
            return Ok(Err(stale));
        }
        for name in names {
            if let Err(stale) = self.remove_name(claim, name).await? {
                return Ok(Err(stale));
            }
        }
        self.delete_fenced(claim, &Key::repository(repository.id)).await
    }

    /// Removes a name, in lower case, that is not configured any more.
    pub async fn remove_name(&self, claim: &Lease, name: &str) -> Result<Result<(), Stale>, StoreError> {
        self.delete_fenced(claim, &Key::name(name)).await
    }

    /// Those of these repositories that were tracked once, and retired.
    pub async fn untracked(&self, ids: &[RepositoryId]) -> Result<Vec<TrackedRepository>, StoreError> {
        let keys: Vec<Key> = ids.iter().copied().map(Key::untracked).collect();
        self.get_all(&keys, true).await?.into_iter().map(value_of).collect()
    }

    /// All repositories that were tracked once and retired, those included whose time to live is over.
    pub async fn all_untracked(&self) -> Result<Vec<TrackedRepository>, StoreError> {
        let mut items = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :untracked")
            .expression_attribute_values(":untracked", text(UNTRACKED))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut repositories = Vec::new();
        while let Some(item) = items.next().await {
            repositories.push(value_of(item.map_err(store_error("Query"))?)?);
        }
        Ok(repositories)
    }
}
