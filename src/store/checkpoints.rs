//! What a pass writes of repositories besides their issues: checkpoints, names, progress of audits.
//!
//! Passes, and the writes of one pass, are ordered: each write carries the pass's fencing token and a sequence number.
//! It replaces nothing that a later pass wrote, and nothing that the same pass wrote after it: the network may deliver
//! a copy of a request late.

use std::time::Duration;

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;

use crate::domain::{AuditProgress, ChangeCounts, RepositoryId, RepositoryName, TrackedRepository};

use super::keys::{EXPIRES_AT, Key, UNTRACKED};
use super::{
    ConfiguredName, Item, Lease, Stale, Store, StoreError, carried_out, item_of, number, store_error, text,
    value_of,
};

impl Store {
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

    /// How many issues last changed under which fences; `None` before any did. One consistent read.
    pub async fn change_counts(&self) -> Result<Option<ChangeCounts>, StoreError> {
        self.get(&Key::change_counts()).await
    }

    /// Writes how many issues last changed under which fences.
    pub async fn put_change_counts(
        &self,
        claim: &Lease,
        counts: &ChangeCounts,
    ) -> Result<Result<(), Stale>, StoreError> {
        self.put_fenced(claim, Key::change_counts(), item_of(&Key::change_counts(), counts)).await
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

    /// What an earlier pass left of an audit.
    pub async fn audit_progress(&self, id: RepositoryId) -> Result<Option<AuditProgress>, StoreError> {
        self.get(&Key::audit(id)).await
    }

    /// Leaves the rest of an audit to the next pass.
    pub async fn put_audit_progress(
        &self,
        claim: &Lease,
        id: RepositoryId,
        progress: &AuditProgress,
    ) -> Result<Result<(), Stale>, StoreError> {
        self.put_fenced(claim, Key::audit(id), item_of(&Key::audit(id), progress)).await
    }

    /// Removes what was left of an audit that is complete.
    pub async fn delete_audit_progress(
        &self,
        claim: &Lease,
        id: RepositoryId,
    ) -> Result<Result<(), Stale>, StoreError> {
        self.delete_fenced(claim, &Key::audit(id)).await
    }

    pub(super) async fn put_fenced(
        &self,
        claim: &Lease,
        key: Key,
        mut item: Item,
    ) -> Result<Result<(), Stale>, StoreError> {
        let (fence, write) = (number(claim.fence()), claim.next_write(key));
        item.insert("fence".to_owned(), fence.clone());
        // A pass writes most items once: without a number, which every pass would read for each repository.
        if write > 0 {
            item.insert("seq".to_owned(), number(write));
        }
        let answer = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(
                "attribute_not_exists(fence) OR fence < :fence \
                 OR (fence = :fence AND (attribute_not_exists(seq) OR seq < :seq))",
            )
            .expression_attribute_values(":fence", fence.clone())
            .expression_attribute_values(":seq", number(write))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = answer else { return Ok(Ok(())) };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(refused)) => {
                // A write whose answer was lost is sent again and meets itself: it is done, and no other pass has begun.
                let is_ours = refused.item().and_then(|item| item.get("fence")) == Some(&fence);
                Ok(if is_ours { Ok(()) } else { Err(Stale) })
            }
            _ => Err(store_error("PutItem")(error)),
        }
    }

    /// Removes an item, unless a later pass wrote it.
    pub(super) async fn delete_fenced(
        &self,
        claim: &Lease,
        key: &Key,
    ) -> Result<Result<(), Stale>, StoreError> {
        let answer = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key.attributes()))
            .condition_expression("attribute_not_exists(fence) OR fence <= :fence")
            .expression_attribute_values(":fence", number(claim.fence()))
            .send()
            .await;
        Ok(if carried_out("DeleteItem", answer)? { Ok(()) } else { Err(Stale) })
    }
}
