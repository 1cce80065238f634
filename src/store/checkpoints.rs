//! What a pass writes of repositories besides their issues: checkpoints, names, progress of audits.
//!
//! Passes, and the writes of one pass, are ordered: each write carries the pass's fencing token and a sequence number.
//! It replaces nothing that a later pass wrote, and nothing that the same pass wrote after it: the network may deliver
//! a copy of a request late.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;

use crate::domain::{AuditProgress, RepositoryId, RepositoryName, TrackedRepository};

use super::keys::Key;
use super::{Claim, ConfiguredName, Item, Stale, Store, StoreError, carried_out, item_of, number, store_error};

impl Store {
    /// Writes a repository's marks and health.
    pub async fn put_repository(
        &self,
        claim: &Claim,
        repository: &TrackedRepository,
    ) -> Result<Result<(), Stale>, StoreError> {
        self.put_fenced(claim, item_of(&Key::repository(repository.id), repository)).await
    }

    /// Writes what a configured name stands for.
    pub async fn put_name(
        &self,
        claim: &Claim,
        name: &RepositoryName,
        known: &ConfiguredName,
    ) -> Result<Result<(), Stale>, StoreError> {
        self.put_fenced(claim, item_of(&Key::name(name), known)).await
    }

    /// What an earlier pass left of an audit.
    pub async fn audit_progress(&self, id: RepositoryId) -> Result<Option<AuditProgress>, StoreError> {
        self.get(&Key::audit(id)).await
    }

    /// Leaves the rest of an audit to the next pass.
    pub async fn put_audit_progress(
        &self,
        claim: &Claim,
        id: RepositoryId,
        progress: &AuditProgress,
    ) -> Result<Result<(), Stale>, StoreError> {
        self.put_fenced(claim, item_of(&Key::audit(id), progress)).await
    }

    /// Removes what was left of an audit that is complete.
    pub async fn delete_audit_progress(
        &self,
        claim: &Claim,
        id: RepositoryId,
    ) -> Result<Result<(), Stale>, StoreError> {
        self.delete_fenced(claim, &Key::audit(id)).await
    }

    pub(super) async fn put_fenced(
        &self,
        claim: &Claim,
        mut item: Item,
    ) -> Result<Result<(), Stale>, StoreError> {
        let (fence, sequence) = (number(claim.fence()), number(claim.next_write()));
        item.insert("fence".to_owned(), fence.clone());
        item.insert("seq".to_owned(), sequence.clone());
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
            .expression_attribute_values(":seq", sequence)
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
        claim: &Claim,
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
