//! Fenced writes: of checkpoints, change counts and the progress of audits.
//!
//! Each write carries the pass's fencing token and a sequence number within the pass. It never replaces what a later
//! pass wrote, nor what the same pass wrote after it: the network may deliver a copy of a request late.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;

use super::keys::{Item, Key};
use super::lease::Lease;
use super::table::{Store, WriteError, number, store_error, unless_superseded};

impl Store {
    /// Writes an item, unless a later pass, or this pass later, wrote it.
    pub(super) async fn put_fenced(&self, lease: &Lease, key: Key, mut item: Item) -> Result<(), WriteError> {
        let (fence, write) = (number(lease.fence()), lease.next_write(key));
        item.insert("fence".to_owned(), fence.clone());
        // A pass writes most items once. The first write omits the sequence number, because every pass reads it for
        // each repository.
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
        let Err(error) = answer else { return Ok(()) };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(refused)) => {
                // The SDK sends a write again if the response was lost. The condition then fails on the pass's own
                // write, which succeeded.
                let is_ours = refused.item().and_then(|item| item.get("fence")) == Some(&fence);
                if is_ours { Ok(()) } else { Err(WriteError::Superseded) }
            }
            _ => Err(store_error("PutItem")(error).into()),
        }
    }

    /// Removes an item, unless a later pass wrote it.
    pub(super) async fn delete_fenced(&self, lease: &Lease, key: &Key) -> Result<(), WriteError> {
        let answer = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key.attributes()))
            .condition_expression("attribute_not_exists(fence) OR fence <= :fence")
            .expression_attribute_values(":fence", number(lease.fence()))
            .send()
            .await;
        unless_superseded("DeleteItem", answer)
    }
}
