//! The lease of the pass: which execution environment runs the pass, and until when.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use futures_util::lock::{Mutex, MutexGuard};
use jiff::Timestamp;
use uuid::Uuid;

use super::fleet::{FleetState, LastPass};
use super::keys::{Item, Key};
use super::table::{Store, StoreError, is_written, number, store_error, text, value_of};

/// The shortest time between a pass and the next one if the table was restored from a backup in between. A table can be
/// restored to a time some five minutes ago, and restoring takes minutes more:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PointInTimeRecoveryDescription.html>
const MIN_RESTORE: Duration = Duration::from_secs(300);

/// The exclusive right to run the pass until the lease expires. Only [`Store::acquire_lease`] creates one.
#[derive(Clone, Debug)]
pub struct Lease {
    pass_id: Uuid,
    fence: u64,
    taken_at: Timestamp,
    before: FleetState,
    /// Held while a row is written under the lease.
    writing: Arc<Mutex<()>>,
    /// The pass's number of writes to each of the fleet's items, shared by clones.
    writes: Arc<std::sync::Mutex<HashMap<Key, u64>>>,
}

impl Lease {
    /// The pass.
    pub fn pass_id(&self) -> Uuid {
        self.pass_id
    }

    /// Its fencing token.
    pub fn fence(&self) -> u64 {
        self.fence
    }

    /// When the lease was taken: the pass's time budget starts here.
    pub fn taken_at(&self) -> Timestamp {
        self.taken_at
    }

    /// The fleet's state just before the lease was taken.
    pub fn before(&self) -> &FleetState {
        &self.before
    }

    /// Waits for exclusive access to row writes under this lease.
    pub(super) async fn exclusive(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().await
    }

    /// The sequence number of the pass's next write to this item, starting at 0.
    pub(super) fn next_write(&self, key: Key) -> u64 {
        let mut writes = self.writes.lock().expect("no panic while the lock is held");
        let next = writes.entry(key).or_default();
        *next += 1;
        *next - 1
    }

    /// Whether an earlier pass crashed while it held the lease.
    pub fn takes_over(&self) -> bool {
        self.before.fence != self.before.ended_fence()
    }
}

/// Why a pass has no lease, or no longer has it.
#[derive(Debug)]
pub enum LeaseError {
    /// Another pass has acquired it. Holds the fleet's current state.
    Lost(Box<FleetState>),
    /// DynamoDB failed.
    Store(StoreError),
}

impl From<StoreError> for LeaseError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The item for which an update's condition failed.
fn conflicting_item<R>(error: &SdkError<UpdateItemError, R>) -> Option<Item> {
    match error.as_service_error()? {
        UpdateItemError::ConditionalCheckFailedException(refused) => refused.item().cloned(),
        _ => None,
    }
}

/// The fencing token of the next lease: the next number, or after a pause one number for each second of it.
///
/// After a restore from a backup the table's numbers go back, but cursors that clients hold, and passes that still run,
/// have later ones. Passes end at most once a second (`FRESHNESS_SECONDS` is at least 1), so after the pause that a
/// restore takes, none of the numbers that the restore undid is given to another pass. What the restored table's passes
/// change is after every cursor.
fn next_fence(before: &FleetState, now: Timestamp) -> u64 {
    let next = before.fence + 1;
    let Some(ended) = &before.ended else { return next };
    let pause = Duration::try_from(now.duration_since(ended.at)).unwrap_or_default();
    if pause < MIN_RESTORE { next } else { next.max(ended.fence + pause.as_secs()) }
}

impl Store {
    /// Takes the lease for the pass `pass_id` until `until`, if the fleet's state is still `before`. A repeated call
    /// for the same pass succeeds again.
    ///
    /// # Errors
    /// [`LeaseError`] if DynamoDB fails, or if another pass holds the lease or has taken it since.
    pub async fn acquire_lease(
        &self,
        before: FleetState,
        pass_id: Uuid,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Lease, LeaseError> {
        let fence = next_fence(&before, now);
        // No cursor names a generation before its first pass has ended. Until then each lease makes a new one: the table
        // may have been restored to such an early state.
        let generation = match before.ended {
            Some(_) => "if_not_exists(generation, :now)",
            None => ":now",
        };
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::state().attributes()))
            .update_expression(format!(
                "SET fence = :next, claimOwner = :me, claimUntil = :until, generation = {generation}"
            ))
            .condition_expression(
                "claimOwner = :me OR ((attribute_not_exists(fence) OR fence = :read) \
                 AND (attribute_not_exists(claimUntil) OR claimUntil <= :now))",
            )
            .expression_attribute_values(":next", number(fence))
            .expression_attribute_values(":read", number(before.fence))
            .expression_attribute_values(":me", text(pass_id))
            .expression_attribute_values(":now", number(now.as_millisecond()))
            .expression_attribute_values(":until", number(until.as_millisecond()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(Lease {
                pass_id,
                fence,
                taken_at: now,
                before,
                writing: Arc::default(),
                writes: Arc::default(),
            }),
            Err(error) => match conflicting_item(&error) {
                Some(item) => Err(LeaseError::Lost(value_of(item)?)),
                None => Err(store_error("UpdateItem")(error).into()),
            },
        }
    }

    /// Stores the pass's result and releases the lease. A repeated call for the same pass succeeds again.
    ///
    /// # Errors
    /// [`LeaseError`] if DynamoDB fails, or if another pass holds the lease.
    pub async fn end_pass(&self, lease: &Lease, ended: &LastPass) -> Result<(), LeaseError> {
        let ended_item = serde_dynamo::to_attribute_value(ended)
            .expect("a pass's result consists of strings, numbers, flags and lists");
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::state().attributes()))
            .update_expression("SET ended = :ended REMOVE claimOwner, claimUntil")
            .condition_expression("fence = :fence AND claimOwner = :me")
            .expression_attribute_values(":ended", ended_item)
            .expression_attribute_values(":fence", number(lease.fence))
            .expression_attribute_values(":me", text(lease.pass_id))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = answer else { return Ok(()) };
        let Some(item) = conflicting_item(&error) else {
            return Err(store_error("UpdateItem")(error).into());
        };
        let state: Box<FleetState> = value_of(item)?;
        let is_ours = state.ended.as_ref().is_some_and(|last| last.pass_id == lease.pass_id);
        if is_ours { Ok(()) } else { Err(LeaseError::Lost(state)) }
    }

    /// Releases the lease without a result of the pass. Does nothing if another pass holds the lease.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails.
    pub async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::state().attributes()))
            .update_expression("REMOVE claimOwner, claimUntil")
            .condition_expression("claimOwner = :me")
            .expression_attribute_values(":me", text(lease.pass_id))
            .send()
            .await;
        is_written("UpdateItem", answer).map(drop)
    }
}
