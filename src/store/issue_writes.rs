//! Writes of cached issues, each over exactly the revision that it was planned on.
//!
//! A row that a stalled pass writes late from a listing does no harm: the next listing reads the issue again and
//! reports it. What only an audit finds is older than every listing cursor, so no later listing would correct a late
//! write. Therefore each row of an audit is written in one transaction with a check that its pass still holds the
//! lease.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    CancellationReason, ConditionCheck, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use futures_util::{FutureExt as _, StreamExt as _};

use crate::domain::{CachedIssue, RepositoryId, order_as_text};

use super::conflicts;
use super::keys::{CHANGE_ORDER, Item, Key, OPEN_NUMBER};
use super::lease::Lease;
use super::table::{Store, StoreError, item_of, number, store_error, text, value_of};

/// DynamoDB's reason code for a failed condition.
const REFUSED: &str = "ConditionalCheckFailed";

/// How often a conflicting transaction is sent; each time the SDK's own retries apply.
const MAX_TRANSACTION_ATTEMPTS: u32 = 5;

/// How many rows are written concurrently.
const MAX_CONCURRENT_WRITES: usize = 32;

/// The result of one row's write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowWrite {
    /// The row was written.
    Written,
    /// The row has changed since the write was planned. Holds the current row.
    Changed(Box<CachedIssue>),
    /// The write was not started, because `may_start` returned false.
    NotStarted,
    /// Conflicts with other writes used up all attempts.
    Conflicted,
    /// The pass no longer holds the lease.
    LeaseLost,
}

/// A row as an item, with its index attributes.
fn issue_item(repository: RepositoryId, row: &CachedIssue) -> Item {
    let mut item = item_of(&Key::issue(repository, row.number), row);
    if row.is_open() {
        item.insert(OPEN_NUMBER.to_owned(), number(row.number));
    }
    if let Some(fence) = row.change_marker.fence {
        item.insert(CHANGE_ORDER.to_owned(), text(order_as_text(fence, row.number)));
    }
    item
}

/// The condition that the stored row is the one that the write was planned on, and the values of its parameters.
fn is_planned_on(row: &CachedIssue) -> (&'static str, Option<Item>) {
    match row.revision {
        0 | 1 => ("attribute_not_exists(pk)", None),
        revision => {
            let values = Item::from([(":planned_on".to_owned(), number(revision - 1))]);
            ("revision = :planned_on", Some(values))
        }
    }
}

impl Store {
    /// Writes rows concurrently, each over the revision that it was planned on. Tries every row, even if some fail,
    /// while `may_start` returns true. The results are in the order of the rows. With a lease, the rows are written one
    /// at a time, and only while the pass holds it.
    pub async fn put_issues(
        &self,
        under: Option<&Lease>,
        repository: RepositoryId,
        rows: Vec<CachedIssue>,
        may_start: &(dyn Fn() -> bool + Sync),
    ) -> Vec<Result<RowWrite, StoreError>> {
        futures_util::stream::iter(rows)
            .map(|row| {
                async move {
                    match under {
                        _ if !may_start() => Ok(RowWrite::NotStarted),
                        Some(lease) => self.put_under_lease(lease, repository, &row, may_start).await,
                        None => self.put_issue(repository, &row).await,
                    }
                }
                .boxed()
            })
            .buffered(if under.is_some() { 1 } else { MAX_CONCURRENT_WRITES })
            .collect()
            .await
    }

    async fn put_issue(&self, repository: RepositoryId, row: &CachedIssue) -> Result<RowWrite, StoreError> {
        let (condition, values) = is_planned_on(row);
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(issue_item(repository, row)))
            .condition_expression(condition)
            .set_expression_attribute_values(values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match put.send().await {
            Ok(_) => Ok(RowWrite::Written),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(refused)) if refused.item().is_some() => {
                    value_of(refused.item().cloned().unwrap_or_default()).map(RowWrite::Changed)
                }
                _ => Err(store_error("PutItem")(error)),
            },
        }
    }

    /// Writes a row over the revision that it was planned on, if the pass still holds `lease`. Costs twice as much as a
    /// plain write. All writes under one lease check the same item, so they run one at a time: DynamoDB would reject
    /// concurrent ones. Returns [`RowWrite::Conflicted`] if writes of others keep conflicting with it.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails for another reason than a condition or a conflict.
    async fn put_under_lease(
        &self,
        lease: &Lease,
        repository: RepositoryId,
        row: &CachedIssue,
        may_start: &(dyn Fn() -> bool + Sync),
    ) -> Result<RowWrite, StoreError> {
        let _guard = lease.exclusive().await;
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(Key::state().attributes()))
            .condition_expression("fence = :fence AND claimOwner = :me")
            .expression_attribute_values(":fence", number(lease.fence()))
            .expression_attribute_values(":me", text(lease.pass_id()))
            .build()
            .expect("all required fields of a check are set");
        let (condition, values) = is_planned_on(row);
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(issue_item(repository, row)))
            .condition_expression(condition)
            .set_expression_attribute_values(values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let put = put.build().expect("all required fields of a put are set");
        for _ in 0..MAX_TRANSACTION_ATTEMPTS {
            if !may_start() {
                return Ok(RowWrite::NotStarted);
            }
            let answer = self
                .client
                .transact_write_items()
                .transact_items(TransactWriteItem::builder().condition_check(check.clone()).build())
                .transact_items(TransactWriteItem::builder().put(put.clone()).build())
                .send()
                .await;
            let Err(error) = answer else { return Ok(RowWrite::Written) };
            let reasons = match error.as_service_error() {
                // A previous attempt of this client is still in progress.
                Some(TransactWriteItemsError::TransactionInProgressException(_)) => continue,
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    cancelled.cancellation_reasons()
                }
                _ => return Err(store_error("TransactWriteItems")(error)),
            };
            match reasons {
                [check, _] if check.code() == Some(REFUSED) => return Ok(RowWrite::LeaseLost),
                [_, CancellationReason { item: Some(item), code: Some(code), .. }] if code == REFUSED => {
                    return value_of(item.clone()).map(RowWrite::Changed);
                }
                _ if conflicts::are_reasons(reasons) => {}
                _ => return Err(store_error("TransactWriteItems")(error)),
            }
        }
        Ok(RowWrite::Conflicted)
    }
}
