//! What audits write: their rows, and what is left of an unfinished one.
//!
//! No later listing would notice rows of an audit that came too late: a listing's row that a stalled pass still writes is read again, and told, by the next listing. What only an audit
//! finds lies behind all cursors. So it is written together with a check that its pass still holds the claim.

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

/// DynamoDB's word for a condition that did not hold.
const REFUSED: &str = "ConditionalCheckFailed";

/// How often a transaction that met others is begun anew, each time with the client's own retries.
const MAX_CONFLICTS: u32 = 5;

impl Store {
    /// Writes a row over the revision it was planned on, while `claim` holds. Costs twice as much as without. All writes
    /// under one claim check the same item, so they wait for each other: DynamoDB would refuse them otherwise. Where
    /// writes of others keep conflicting with it, it is [`Put::Conflicted`].
    pub(super) async fn put_under_lease(
        &self,
        claim: &Lease,
        repository: RepositoryId,
        row: &CachedIssue,
        may_begin: &(dyn Fn() -> bool + Sync),
    ) -> Result<Put, StoreError> {
        let _alone = claim.alone().await;
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(Key::state().attributes()))
            .condition_expression("fence = :fence AND claimOwner = :me")
            .expression_attribute_values(":fence", number(claim.fence()))
            .expression_attribute_values(":me", text(claim.pass_id()))
            .build()
            .expect("all that a check needs is set");
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
        let put = put.build().expect("all that a put needs is set");
        for _ in 0..MAX_CONFLICTS {
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
                // What the client sent before is still being carried out.
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
}
