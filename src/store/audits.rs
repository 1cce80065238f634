//! What audits write: changed rows, and the progress of an unfinished audit.
//!
//! A row that a stalled pass writes late from a listing does no harm: the next listing reads the issue again and reports
//! it. What only an audit finds is older than every listing cursor, so no later listing would correct a late write.
//! Therefore each row of an audit is written in one transaction with a check that its pass still holds the lease.

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    CancellationReason, ConditionCheck, Put as PutAction, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem,
};

use crate::domain::{AuditProgress, CachedIssue, RepositoryId};

use super::conflicts;
use super::issues::{IS_NEW, IS_PLANNED_ON, PLANNED_ON, Put, issue_item};
use super::keys::Key;
use super::lease::{Lease, Stale};
use super::table::{Store, StoreError, item_of, number, store_error, text, value_of};

/// DynamoDB's reason code for a failed condition.
const REFUSED: &str = "ConditionalCheckFailed";

/// How often a conflicting transaction is sent; each time the SDK's own retries apply.
const MAX_TRANSACTION_ATTEMPTS: u32 = 5;

impl Store {
    /// Writes a row over the revision that it was planned on, if the pass still holds `lease`. Costs twice as much as a
    /// plain write. All writes under one lease check the same item, so they run one at a time: DynamoDB would reject
    /// concurrent ones. Returns [`Put::Conflicted`] if writes of others keep conflicting with it.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails for another reason than a condition or a conflict.
    pub(super) async fn put_under_lease(
        &self,
        lease: &Lease,
        repository: RepositoryId,
        row: &CachedIssue,
        may_begin: &(dyn Fn() -> bool + Sync),
    ) -> Result<Put, StoreError> {
        let _guard = lease.exclusive().await;
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(Key::state().attributes()))
            .condition_expression("fence = :fence AND claimOwner = :me")
            .expression_attribute_values(":fence", number(lease.fence()))
            .expression_attribute_values(":me", text(lease.pass_id()))
            .build()
            .expect("all required fields of a check are set");
        let put = PutAction::builder()
            .table_name(&self.table)
            .set_item(Some(issue_item(repository, row)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let put = match row.revision {
            0 | 1 => put.condition_expression(IS_NEW),
            revision => put
                .condition_expression(IS_PLANNED_ON)
                .expression_attribute_values(PLANNED_ON, number(revision - 1)),
        };
        let put = put.build().expect("all required fields of a put are set");
        for _ in 0..MAX_TRANSACTION_ATTEMPTS {
            if !may_begin() {
                return Ok(Put::NotBegun);
            }
            let answer = self
                .client
                .transact_write_items()
                .transact_items(TransactWriteItem::builder().condition_check(check.clone()).build())
                .transact_items(TransactWriteItem::builder().put(put.clone()).build())
                .send()
                .await;
            let Err(error) = answer else { return Ok(Put::Written) };
            let reasons = match error.as_service_error() {
                // A previous attempt of this client is still in progress.
                Some(TransactWriteItemsError::TransactionInProgressException(_)) => continue,
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    cancelled.cancellation_reasons()
                }
                _ => return Err(store_error("TransactWriteItems")(error)),
            };
            match reasons {
                [check, _] if check.code() == Some(REFUSED) => return Ok(Put::Stale),
                [_, CancellationReason { item: Some(item), code: Some(code), .. }] if code == REFUSED => {
                    return value_of(item.clone()).map(Put::Changed);
                }
                _ if conflicts::are_reasons(reasons) => {}
                _ => return Err(store_error("TransactWriteItems")(error)),
            }
        }
        Ok(Put::Conflicted)
    }

    /// The progress of an audit that an earlier pass did not finish; `None` if there is none. One consistent read.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or the item cannot be read.
    pub async fn audit_progress(&self, id: RepositoryId) -> Result<Option<AuditProgress>, StoreError> {
        self.get(&Key::audit(id)).await
    }

    /// Stores the progress of an unfinished audit for the next pass.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails; `Stale` if a later pass has written it.
    pub async fn put_audit_progress(
        &self,
        lease: &Lease,
        id: RepositoryId,
        progress: &AuditProgress,
    ) -> Result<Result<(), Stale>, StoreError> {
        self.put_fenced(lease, Key::audit(id), item_of(&Key::audit(id), progress)).await
    }

    /// Removes the stored progress of an audit that is complete.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails; `Stale` if a later pass has written it.
    pub async fn delete_audit_progress(
        &self,
        lease: &Lease,
        id: RepositoryId,
    ) -> Result<Result<(), Stale>, StoreError> {
        self.delete_fenced(lease, &Key::audit(id)).await
    }
}
