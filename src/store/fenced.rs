//! Writes that only the newest pass may make: of checkpoints, counts, progress of audits.
//!
//! Passes, and the writes of one pass, are ordered: each write carries the pass's fencing token and a sequence number.
//! It replaces nothing that a later pass wrote, and nothing that the same pass wrote after it: the network may deliver
//! a copy of a request late.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;

use super::keys::{Item, Key};
use super::lease::{Lease, Stale};
use super::table::{Store, StoreError, carried_out, number, store_error};

impl Store {
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
