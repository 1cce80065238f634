//! The lease of the pass: who may run it, and until when.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use futures_util::lock::{Mutex, MutexGuard};
use jiff::Timestamp;
use uuid::Uuid;

use super::fleet::{FleetState, LastPass};
use super::keys::{Item, Key};
use super::table::{Store, StoreError, carried_out, number, store_error, text, value_of};

/// The right to run the pass. Only [`Store::claim`] makes one.
#[derive(Clone, Debug)]
pub struct Lease {
    pass_id: Uuid,
    fence: u64,
    taken_at: Timestamp,
    before: FleetState,
    /// Held while a row is written under it.
    writing: Arc<Mutex<()>>,
    /// How often the pass has written each of the fleet's items. Clones share it.
    writes: Arc<std::sync::Mutex<HashMap<Key, u64>>>,
}

impl Lease {
    /// The pass.
    pub fn pass_id(&self) -> Uuid {
        self.pass_id
    }

    /// Its fence.
    pub fn fence(&self) -> u64 {
        self.fence
    }

    /// From when it counts: its budget begins here.
    pub fn taken_at(&self) -> Timestamp {
        self.taken_at
    }

    /// The state it was claimed on.
    pub fn before(&self) -> &FleetState {
        &self.before
    }

    /// Waits until nobody else writes under it, and keeps others waiting.
    pub(super) async fn alone(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().await
    }

    /// The number of the pass's next write to this item, from 0.
    pub(super) fn next_write(&self, key: Key) -> u64 {
        let mut writes = self.writes.lock().expect("nothing panics while counting");
        let next = writes.entry(key).or_default();
        *next += 1;
        *next - 1
    }

    /// Whether a pass before it died with the claim.
    pub fn takes_over(&self) -> bool {
        self.fence != self.before.ended_fence() + 1
    }
}

/// Another pass has the claim. Holds the state as it is now.
#[derive(Clone, Debug)]
pub struct LeaseLost(pub FleetState);

/// A later pass, or a later attempt at the same request, has written what this one would write: this one is stale
/// and must stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stale;

/// The item that stood in the way of a conditional update.
fn refused<R>(error: &SdkError<UpdateItemError, R>) -> Option<Item> {
    match error.as_service_error()? {
        UpdateItemError::ConditionalCheckFailedException(refused) => refused.item().cloned(),
        _ => None,
    }
}

impl Store {
    /// Takes the claim for the pass `pass_id` until `until`, on the state that was read. A repeated call of the
    /// same pass succeeds again.
    pub async fn claim(
        &self,
        before: FleetState,
        pass_id: Uuid,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Result<Lease, LeaseLost>, StoreError> {
        let fence = before.fence + 1;
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::state().attributes()))
            .update_expression("SET fence = :next, claimOwner = :me, claimUntil = :until")
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
            Ok(_) => Ok(Ok(Lease {
                pass_id,
                fence,
                taken_at: now,
                before,
                writing: Arc::default(),
                writes: Arc::default(),
            })),
            Err(error) => match refused(&error) {
                Some(item) => Ok(Err(LeaseLost(value_of(item)?))),
                None => Err(store_error("UpdateItem")(error)),
            },
        }
    }

    /// Ends the pass and gives the claim back. A repeated call of the same pass succeeds again.
    pub async fn end_pass(
        &self,
        claim: &Lease,
        ended: &LastPass,
    ) -> Result<Result<(), LeaseLost>, StoreError> {
        let ended_item = serde_dynamo::to_attribute_value(ended).expect("made of texts and numbers");
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::state().attributes()))
            .update_expression("SET ended = :ended REMOVE claimOwner, claimUntil")
            .condition_expression("fence = :fence AND claimOwner = :me")
            .expression_attribute_values(":ended", ended_item)
            .expression_attribute_values(":fence", number(claim.fence))
            .expression_attribute_values(":me", text(claim.pass_id))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(Ok(())),
            Err(error) => match refused(&error) {
                Some(item) => {
                    let state: FleetState = value_of(item)?;
                    let is_ours = state.ended.as_ref().is_some_and(|last| last.pass_id == claim.pass_id);
                    Ok(if is_ours { Ok(()) } else { Err(LeaseLost(state)) })
                }
                None => Err(store_error("UpdateItem")(error)),
            },
        }
    }

    /// Gives the claim back without an end of the pass. A claim that another pass holds by now stays.
    pub async fn release(&self, claim: &Lease) -> Result<(), StoreError> {
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::state().attributes()))
            .update_expression("REMOVE claimOwner, claimUntil")
            .condition_expression("claimOwner = :me")
            .expression_attribute_values(":me", text(claim.pass_id))
            .send()
            .await;
        carried_out("UpdateItem", answer).map(drop)
    }
}
