//! The tracked repositories, the formerly tracked ones, and the configured names.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::{
    Backoff, ChangeCounts, ProblemCode, RepositoryId, RepositoryName, TrackedRepository, optional_millis,
};

use super::keys::{CHANGE_COUNTS, EXPIRES_AT, FLEET, Key, NAME_PREFIX, REPOSITORY_PREFIX, STATE, UNTRACKED};
use super::lease::Lease;
use super::table::{
    Store, StoreError, WriteError, item_of, number, store_error, text, unless_superseded, value_of,
};

/// What is stored of a configured name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "NameItem", into = "NameItem")]
pub struct ConfiguredName {
    /// What the name refers to.
    pub target: NameTarget,
    /// Until when the name is looked up by REST, because GraphQL fails for every query that contains it.
    pub by_rest: Option<Backoff>,
}

/// What a configured name refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameTarget {
    /// The repository with this id.
    Repository(RepositoryId),
    /// No repository.
    Missing {
        /// Why not.
        why: ProblemCode,
        /// Since when; `None` if an older version of this service stored the name.
        since: Option<Timestamp>,
    },
}

/// The item of a configured name: either `id`, or `why` and `since`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NameItem {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<RepositoryId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<ProblemCode>,
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by_rest: Option<Backoff>,
}

impl TryFrom<NameItem> for ConfiguredName {
    type Error = &'static str;

    fn try_from(NameItem { id, why, since, by_rest }: NameItem) -> Result<Self, Self::Error> {
        let target = match (id, why) {
            (Some(id), _) => NameTarget::Repository(id),
            (None, Some(why)) => NameTarget::Missing { why, since },
            (None, None) => return Err("a configured name has neither an id nor a reason"),
        };
        Ok(Self { target, by_rest })
    }
}

impl From<ConfiguredName> for NameItem {
    fn from(ConfiguredName { target, by_rest }: ConfiguredName) -> Self {
        match target {
            NameTarget::Repository(id) => Self { id: Some(id), why: None, since: None, by_rest },
            NameTarget::Missing { why, since } => Self { id: None, why: Some(why), since, by_rest },
        }
    }
}

impl ConfiguredName {
    /// A name that refers to this repository.
    pub fn of(id: RepositoryId, by_rest: Option<Backoff>) -> Self {
        Self { target: NameTarget::Repository(id), by_rest }
    }

    /// A name that refers to no repository since `now`, or for longer if the reason `before` is the same.
    pub fn missing(
        why: ProblemCode,
        by_rest: Option<Backoff>,
        before: Option<&Self>,
        now: Timestamp,
    ) -> Self {
        let since = match before.map(|before| before.target) {
            Some(NameTarget::Missing { why: same, since }) if same == why => since,
            _ => None,
        };
        Self { target: NameTarget::Missing { why, since: since.or(Some(now)) }, by_rest }
    }

    /// GitHub's id of the repository; `None` if the name refers to none.
    pub fn id(&self) -> Option<RepositoryId> {
        match self.target {
            NameTarget::Repository(id) => Some(id),
            NameTarget::Missing { .. } => None,
        }
    }

    /// Since when the name refers to no repository, if it does not and that is known.
    pub fn missing_since(&self) -> Option<Timestamp> {
        match self.target {
            NameTarget::Repository(_) => None,
            NameTarget::Missing { since, .. } => since,
        }
    }
}

/// Everything in the fleet's partition but its state.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    /// The tracked repositories, and untracked ones that no pass has retired yet.
    pub repositories: HashMap<RepositoryId, TrackedRepository>,
    /// The configured names, by the name in lower case.
    pub names: HashMap<String, ConfiguredName>,
    /// The number of issues by the fence of their last change; `None` before the first change.
    pub counts: Option<ChangeCounts>,
}

impl Fleet {
    /// The repository of a configured name; `None` if it has not been read yet.
    pub fn tracked_as(&self, configured: &RepositoryName) -> Option<&TrackedRepository> {
        self.repositories.get(&self.names.get(&configured.key())?.id()?)
    }
}

impl Store {
    /// What is stored of a configured name; `None` before a pass has looked it up. One consistent read.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or the item cannot be read.
    pub async fn name(&self, name: &RepositoryName) -> Result<Option<ConfiguredName>, StoreError> {
        self.get(&Key::name(&name.key())).await
    }

    /// The repositories that these names refer to, by the name in lower case. Consistent.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or an item cannot be read.
    pub async fn ids_of(
        &self,
        names: &[&RepositoryName],
    ) -> Result<HashMap<String, RepositoryId>, StoreError> {
        let keys: Vec<Key> = names.iter().map(|name| Key::name(&name.key())).collect();
        let mut items = self.get_all(&keys, true).await?;
        let mut found = HashMap::new();
        for (key, name) in keys.iter().zip(names) {
            let Some(item) = key.take_from(&mut items) else { continue };
            let known: ConfiguredName = value_of(item)?;
            found.extend(known.id().map(|id| (name.key(), id)));
        }
        Ok(found)
    }

    /// These tracked repositories; those that are not there are left out. Consistent.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or an item cannot be read.
    pub async fn tracked(&self, ids: &[RepositoryId]) -> Result<Vec<TrackedRepository>, StoreError> {
        let keys: Vec<Key> = ids.iter().copied().map(Key::repository).collect();
        self.get_all(&keys, true).await?.into_iter().map(value_of).collect()
    }

    /// A tracked repository; `None` if there is none with this id. One consistent read.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or the item cannot be read.
    pub async fn repository(&self, id: RepositoryId) -> Result<Option<TrackedRepository>, StoreError> {
        self.get(&Key::repository(id)).await
    }

    /// Reads the fleet's partition, consistently. About 100 repositories fit into one page of 1 MB.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or an item cannot be read.
    pub async fn fleet(&self) -> Result<Fleet, StoreError> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :fleet AND sk < :state")
            .expression_attribute_values(":fleet", text(FLEET))
            // The state sorts last and is not needed: it was read with the lease.
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

    /// Writes a repository's checkpoints and health.
    ///
    /// # Errors
    /// [`WriteError`] if DynamoDB fails, or if a later pass has written it.
    pub async fn put_repository(
        &self,
        lease: &Lease,
        repository: &TrackedRepository,
    ) -> Result<(), WriteError> {
        let key = Key::repository(repository.id);
        let item = item_of(&key, repository);
        self.put_fenced(lease, key, item).await
    }

    /// Writes a configured name. A pass writes each name once, so a copy that arrives late changes nothing.
    ///
    /// # Errors
    /// [`WriteError`] if DynamoDB fails, or if a later pass has written it.
    pub async fn put_name(
        &self,
        lease: &Lease,
        name: &RepositoryName,
        known: &ConfiguredName,
    ) -> Result<(), WriteError> {
        let mut item = item_of(&Key::name(&name.key()), known);
        item.insert("fence".to_owned(), number(lease.fence()));
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(fence) OR fence <= :fence")
            .expression_attribute_values(":fence", number(lease.fence()));
        unless_superseded("PutItem", put.send().await)
    }

    /// Moves a repository that is no longer tracked out of the fleet's partition and removes its names. The repository
    /// is kept for `retention` after it was last tracked, for agents that were away, and in case it is tracked again.
    /// After a crash in between, the repository is in both partitions, and the next pass moves it again.
    ///
    /// # Errors
    /// [`WriteError`] if DynamoDB fails, or if a later pass has written it.
    pub async fn retire(
        &self,
        lease: &Lease,
        repository: &TrackedRepository,
        names: &[String],
        retention: Duration,
    ) -> Result<(), WriteError> {
        let mut item = item_of(&Key::untracked(repository.id), repository);
        if let Some(untracked) = repository.untracked {
            let expires = untracked.since.as_second().saturating_add_unsigned(retention.as_secs());
            item.insert(EXPIRES_AT.to_owned(), number(expires));
        }
        self.put_fenced(lease, Key::untracked(repository.id), item).await?;
        for name in names {
            self.remove_name(lease, name).await?;
        }
        self.delete_fenced(lease, &Key::repository(repository.id)).await
    }

    /// Removes a name, given in lower case, that is no longer configured.
    ///
    /// # Errors
    /// [`WriteError`] if DynamoDB fails, or if a later pass has written it.
    pub async fn remove_name(&self, lease: &Lease, name: &str) -> Result<(), WriteError> {
        self.delete_fenced(lease, &Key::name(name)).await
    }

    /// The retired ones of these repositories. One consistent read.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or an item cannot be read.
    pub async fn untracked(&self, ids: &[RepositoryId]) -> Result<Vec<TrackedRepository>, StoreError> {
        let keys: Vec<Key> = ids.iter().copied().map(Key::untracked).collect();
        self.get_all(&keys, true).await?.into_iter().map(value_of).collect()
    }

    /// All retired repositories, including expired ones that DynamoDB has not deleted yet. Consistent.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or an item cannot be read.
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
