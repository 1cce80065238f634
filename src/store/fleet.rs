//! What every pass reads at once: the state with the claim, the tracked repositories, the configured names.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use futures_util::lock::{Mutex, MutexGuard};
use jiff::Timestamp;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{
    AccountLimits, Backoff, ChangeCounts, ProbeMemory, ProblemCode, RepositoryId, Status, TrackedRepository,
    millis, optional_millis,
};

use super::keys::{CHANGE_COUNTS, FLEET, Key, NAME_PREFIX, REPOSITORY_PREFIX, STATE};
use super::recent::RecentChanges;
use super::{Item, Store, StoreError, carried_out, number, store_error, text, value_of};

/// The fleet's state: who may run the pass, and how the last one ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetState {
    /// The number of the last claim. Each claim takes the next one.
    #[serde(default)]
    pub fence: u64,
    /// The pass that holds the claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claim_owner: Option<Uuid>,
    /// When its claim runs out. A number, so that DynamoDB can compare it.
    #[serde(default, with = "millisecond::optional", skip_serializing_if = "Option::is_none")]
    claim_until: Option<Timestamp>,
    /// How the last pass ended; none before the first one has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<LastPass>,
}

/// How a pass ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastPass {
    /// The pass.
    pub pass_id: Uuid,
    /// Its fence.
    pub fence: u64,
    /// When it ended.
    #[serde(with = "millis")]
    pub at: Timestamp,
    /// How it came out.
    pub status: Status,
    /// The first `Date` of the last pass in which every repository agreed with GitHub.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub fresh_at: Option<Timestamp>,
    /// For how long it serves every beat, in seconds.
    pub freshness_seconds: u64,
    /// The fence of the last pass that changed anything. An agent that has seen it has nothing to look up.
    pub last_change_fence: u64,
    /// The repositories that this pass and those before it changed.
    pub recent: RecentChanges,
    /// The fence of the last pass after which neither those nor the repositories' own `last_change_fence` may show all
    /// that changed: not all marks could be stored, or not every repository could be searched for what a dead pass
    /// changed. An agent behind it looks through every repository.
    pub search_all_fence: u64,
    /// Whether rows may have been written that no stored count knows of: the pass took over from a dead one, or could
    /// not store all marks. The next pass counts the open issues again.
    pub counts_lag: bool,
    /// The fence of the last pass that may have retired a repository that is no longer tracked: an agent behind it
    /// looks through those, too.
    #[serde(default)]
    pub retired_fence: u64,
    /// The pass whose record holds the problems; none when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problems_from: Option<Uuid>,
    /// The limits at GitHub that hold some account back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<AccountLimits>,
    /// What is remembered of the probe.
    #[serde(default, skip_serializing_if = "ProbeMemory::is_empty")]
    pub probe: ProbeMemory,
}

impl LastPass {
    /// Until when it serves every beat.
    pub fn fresh_until(&self) -> Timestamp {
        self.at.checked_add(Duration::from_secs(self.freshness_seconds)).unwrap_or(Timestamp::MAX)
    }
}

impl FleetState {
    /// Whether the last pass still serves every beat.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.ended.as_ref().is_some_and(|ended| now < ended.fresh_until())
    }

    /// Whether a pass is running.
    pub fn is_claimed(&self, now: Timestamp) -> bool {
        self.claimed_until(now).is_some()
    }

    /// When the claim of the running pass ends; none when no pass is running.
    pub fn claimed_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.claim_until.filter(|until| *until > now)
    }

    /// The limits at GitHub that held some account back when the last pass ended.
    pub fn limits(&self) -> &[AccountLimits] {
        self.ended.as_ref().map_or(&[], |ended| &ended.limits)
    }

    /// What the last pass remembered of the probe.
    pub fn probe(&self) -> ProbeMemory {
        self.ended.as_ref().map(|ended| ended.probe.clone()).unwrap_or_default()
    }

    /// The fence of the last pass that ended; 0 before the first.
    pub fn ended_fence(&self) -> u64 {
        self.ended.as_ref().map_or(0, |ended| ended.fence)
    }
}

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

/// A configured name: its id, or why it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfiguredName {
    /// GitHub's id of the repository of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RepositoryId>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<ProblemCode>,
    /// Since when there is none; absent for a name that has an id.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Until when it is looked up by REST, because GraphQL fails for every query that names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_rest: Option<Backoff>,
}

impl ConfiguredName {
    /// A name that stands for this repository.
    pub fn of(id: RepositoryId) -> Self {
        Self { id: Some(id), why: None, since: None, by_rest: None }
    }

    /// A name that stands for nothing, and for the same reason as `before`, or since `now`.
    pub fn of_nothing(why: ProblemCode, before: Option<&Self>, now: Timestamp) -> Self {
        let since = before.filter(|before| before.why == Some(why)).and_then(|before| before.since);
        Self { id: None, why: Some(why), since: since.or(Some(now)), by_rest: None }
    }
}

/// All that is known of the fleet.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    /// The tracked repositories, and those that were tracked until lately.
    pub repositories: HashMap<RepositoryId, TrackedRepository>,
    /// What the configured names stand for, by the name in lower case.
    pub names: HashMap<String, ConfiguredName>,
    /// How many issues last changed under which fences; `None` before any did.
    pub counts: Option<ChangeCounts>,
}

/// The item that stood in the way of a conditional update.
fn refused<R>(error: &SdkError<UpdateItemError, R>) -> Option<Item> {
    match error.as_service_error()? {
        UpdateItemError::ConditionalCheckFailedException(refused) => refused.item().cloned(),
        _ => None,
    }
}

impl Store {
    /// The fleet's state. One consistent read.
    pub async fn state(&self) -> Result<FleetState, StoreError> {
        Ok(self.get(&Key::state()).await?.unwrap_or_default())
    }

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

    /// Everything in the fleet's partition. Some 100 repositories are a page of 1 MB at most.
    pub async fn fleet(&self) -> Result<Fleet, StoreError> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :fleet AND sk < :state")
            .expression_attribute_values(":fleet", text(FLEET))
            // The state itself sorts last; it has been read with the claim.
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
}
