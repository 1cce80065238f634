//! Since when agents could be heard without a gap, and the message about agents that is being sent.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{
    AgentChange, AgentName, Listening, RunType, Transition, iso_millis, millis, optional_millis,
};

use super::fleet::FleetState;
use super::keys::{Item, Key, RUN_PREFIX, agent_partition};
use super::table::{Store, StoreError, is_written, item_of, store_error, text, value_of};

/// How many of the newest AgentRuns under the schedule's name are read at once, and how often: an agent may have that name,
/// and send as many heartbeats as it may.
const NEWEST_RUNS: i32 = 4;
const MORE_RUNS: i32 = 500;
const MORE_READS: usize = 4;

/// What sweeps keep. It is written only when something changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WatchState {
    /// Since when agents can be heard without a gap.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    /// Since when the service cannot be reached, if so.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    blind_since: Option<Timestamp>,
    /// When the last message was sent.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
}

/// A message that is being sent, from before it is published until all of its agents are marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsent {
    /// The message: a UUID of version 7.
    pub id: Uuid,
    /// The sweep that sends it.
    pub owner: Uuid,
    /// Until when that sweep alone may send it.
    pub owned_until: Timestamp,
    /// What it reports.
    pub transitions: Vec<Transition>,
}

/// The form in which it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct UnsentItem {
    id: Uuid,
    owner: Uuid,
    #[serde(with = "millis")]
    owned_until: Timestamp,
    transitions: Vec<TransitionItem>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct TransitionItem {
    agent: String,
    change: AgentChange,
    #[serde(with = "millisecond::required")]
    since: Timestamp,
}

/// What a sweep reads of the fleet beside its agents.
#[derive(Clone, Debug, Default)]
pub struct SweepState {
    /// The fleet's state.
    pub state: FleetState,
    /// What earlier sweeps keep; `None` before the first one.
    pub watch: Option<WatchState>,
    /// A message that is being sent, or whose sweep died.
    pub unsent: Option<Unsent>,
}

impl WatchState {
    /// Since when agents can be heard.
    pub fn listening(&self) -> Listening {
        Listening { since: self.since, blind_since: self.blind_since }
    }
}

impl Unsent {
    fn read(item: Item) -> Result<Self, StoreError> {
        let item: UnsentItem = value_of(item)?;
        let transition = |TransitionItem { agent, change, since }| {
            let agent = AgentName::parse(&agent).ok()?;
            Some(Transition { agent, change, since })
        };
        Ok(Self {
            id: item.id,
            owner: item.owner,
            owned_until: item.owned_until,
            transitions: item.transitions.into_iter().filter_map(transition).collect(),
        })
    }

    fn item(&self) -> Item {
        let transitions = self.transitions.iter().map(|transition| TransitionItem {
            agent: transition.agent.to_string(),
            change: transition.change,
            since: transition.since,
        });
        let item = UnsentItem {
            id: self.id,
            owner: self.owner,
            owned_until: self.owned_until,
            transitions: transitions.collect(),
        };
        item_of(&Key::unsent(), &item)
    }
}

impl Store {
    /// Since when agents could be heard; the default before the first sweep. One consistent read.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or the item cannot be read.
    pub async fn listening(&self) -> Result<Listening, StoreError> {
        Ok(self.get::<WatchState>(&Key::watch()).await?.unwrap_or_default().listening())
    }

    /// What a sweep reads of the fleet beside its agents. One read, not consistent: each write that follows has a
    /// condition.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or an item cannot be read.
    pub async fn sweep_state(&self) -> Result<SweepState, StoreError> {
        let keys = [Key::state(), Key::watch(), Key::unsent()];
        let mut items = self.get_all(&keys, false).await?;
        let [state, watch, unsent] = keys.map(|key| key.take_from(&mut items));
        Ok(SweepState {
            state: state.map(value_of).transpose()?.unwrap_or_default(),
            watch: watch.map(value_of).transpose()?,
            unsent: unsent.map(Unsent::read).transpose()?,
        })
    }

    /// When the schedule's last recorded heartbeat began, which has the AgentRuns of `name`; `None` if there is none among
    /// the newest 2,000 runs. One read, or a few if an agent has that name. Not consistent.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails.
    pub async fn last_scheduled_run(&self, name: &AgentName) -> Result<Option<Timestamp>, StoreError> {
        let text_of = |item: &Item, name: &str| -> Option<String> { item.get(name)?.as_s().ok().cloned() };
        let is_scheduled =
            |item: &&Item| text_of(item, "type").as_deref() == Some(RunType::Scheduled.as_str());
        let mut from = None;
        for limit in std::iter::once(NEWEST_RUNS).chain([MORE_RUNS; MORE_READS]) {
            let answer = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :partition AND begins_with(sk, :prefix)")
                .expression_attribute_values(":partition", text(agent_partition(name)))
                .expression_attribute_values(":prefix", text(RUN_PREFIX))
                .projection_expression("#type, startedAt")
                .expression_attribute_names("#type", "type")
                .scan_index_forward(false)
                .limit(limit)
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(store_error("Query"))?;
            let newest = answer.items.as_deref().unwrap_or_default().iter().find(is_scheduled);
            if let Some(newest) = newest {
                return Ok(text_of(newest, "startedAt").and_then(|at| at.parse().ok()));
            }
            from = answer.last_evaluated_key;
            if from.is_none() {
                break;
            }
        }
        Ok(None)
    }

    /// Stores that agents can be heard without a gap from `now` on, and that the service can be reached. A later time
    /// stays.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails.
    pub async fn listen_from(&self, now: Timestamp) -> Result<(), StoreError> {
        let update = "SET since = :at REMOVE blindSince";
        self.update_watch(update, "attribute_not_exists(since) OR since < :at", now).await
    }

    /// Stores that the service cannot be reached since `at`, unless it is known or was listening from a later time on.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails.
    pub async fn blind_from(&self, at: Timestamp) -> Result<(), StoreError> {
        let condition = "attribute_not_exists(blindSince) AND since <= :at";
        self.update_watch("SET blindSince = :at", condition, at).await
    }

    /// Stores when the last message was sent. A later time stays.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails.
    pub async fn sent_message(&self, at: Timestamp) -> Result<(), StoreError> {
        let condition = "attribute_not_exists(sentAt) OR sentAt < :at";
        self.update_watch("SET sentAt = :at", condition, at).await
    }

    async fn update_watch(&self, update: &str, condition: &str, at: Timestamp) -> Result<(), StoreError> {
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::watch().attributes()))
            .update_expression(update)
            .condition_expression(condition)
            .expression_attribute_values(":at", text(iso_millis(at)))
            .send()
            .await;
        is_written("UpdateItem", answer).map(drop)
    }

    /// Stores a message before it is sent. Returns whether no other one is being sent. A repeated call succeeds again.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails.
    pub async fn begin_sending(&self, unsent: &Unsent) -> Result<bool, StoreError> {
        let answer = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(unsent.item()))
            .condition_expression("attribute_not_exists(pk) OR (id = :id AND #owner = :owner)")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":id", text(unsent.id))
            .expression_attribute_values(":owner", text(unsent.owner))
            .send()
            .await;
        is_written("PutItem", answer)
    }

    /// Makes `owner` the sweep that sends this message, if no other sweep has taken it since. Returns whether it is.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails.
    pub async fn take_over_sending(
        &self,
        unsent: &Unsent,
        owner: Uuid,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::unsent().attributes()))
            .update_expression("SET #owner = :owner, ownedUntil = :until")
            .condition_expression("id = :id AND (#owner = :before OR #owner = :owner)")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":id", text(unsent.id))
            .expression_attribute_values(":before", text(unsent.owner))
            .expression_attribute_values(":owner", text(owner))
            .expression_attribute_values(":until", text(iso_millis(until)))
            .send()
            .await;
        is_written("UpdateItem", answer)
    }

    /// Removes a message that was sent, unless another one has taken its place.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails.
    pub async fn end_sending(&self, id: Uuid) -> Result<(), StoreError> {
        let answer = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(Key::unsent().attributes()))
            .condition_expression("id = :id")
            .expression_attribute_values(":id", AttributeValue::S(id.to_string()))
            .send()
            .await;
        is_written("DeleteItem", answer).map(drop)
    }
}
