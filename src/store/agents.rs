//! Agents' items: the delivery cursor, the heartbeats per minute and the declaration of each agent.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use jiff::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use crate::domain::{
    AgentName, BeatRate, BeatsPerHour, Declaration, DeliveryCursor, Fingerprint, HeartbeatBody, JudgedIssues,
    Minute, Status, agent_kept_for, iso_millis,
};

use super::keys::{AGENTS, EXPIRES_AT, Item, Key};
use super::table::{Store, StoreError, number, store_error, text, value_of};

/// The stored state of one agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// The agent's delivery cursor: the changes up to it were reported to the agent.
    pub delivery_cursor: DeliveryCursor,
    /// The agent's heartbeats in the latest minute that had any; `None` if none was counted.
    pub rate: Option<BeatRate>,
    /// The agent's heartbeats per hour; `None` if none was counted.
    pub beats_per_hour: Option<BeatsPerHour>,
    /// What the agent has declared.
    pub declaration: Declaration,
}

/// What an answered heartbeat stores in its agent's item.
#[derive(Clone, Copy, Debug)]
pub struct AnsweredHeartbeat<'a> {
    /// The minute in which the heartbeat arrived.
    pub minute: Minute,
    /// The agent's delivery cursor after this heartbeat.
    pub delivery_cursor: DeliveryCursor,
    /// When the heartbeat was answered.
    pub at: Timestamp,
    /// The fingerprint of the heartbeat's token. Stored for operators: a token that no agent's item names is no longer
    /// used and can be removed.
    pub token: &'a Fingerprint,
    /// The heartbeat's AgentRun.
    pub run_id: Uuid,
    /// Its result.
    pub status: Status,
    /// What it declares.
    pub body: &'a HeartbeatBody,
    /// The agent's active issues from now on; `None` if they stay as they are.
    pub judged: Option<&'a JudgedIssues>,
    /// How long AgentRuns are kept.
    pub retention: Duration,
}

/// What can be read of an agent that has sent a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentRecord {
    /// Its name.
    pub name: AgentName,
    /// When its last heartbeat was answered.
    pub last_beat_at: Option<Timestamp>,
    /// The AgentRun of that heartbeat.
    pub last_run_id: Option<Uuid>,
    /// The result of that heartbeat.
    pub last_status: Option<Status>,
    /// The fingerprint of the token that it was sent with.
    pub token_fingerprint: Option<Fingerprint>,
    /// Its heartbeats per hour; `None` if none was counted.
    pub beats_per_hour: Option<BeatsPerHour>,
    /// What it has declared.
    pub declaration: Declaration,
}

/// Where a page of the agents begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentsFrom {
    /// After this name.
    After(AgentName),
    /// At this name, or at the next one.
    At(AgentName),
}

/// One page of the agents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentsRead {
    /// Ascending by name.
    pub agents: Vec<AgentRecord>,
    /// Whether this is the last page.
    pub is_end: bool,
}

/// The attributes of an agent's item. The delivery cursor is one string that sorts as cursors do, so that DynamoDB can
/// compare it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AgentItem {
    #[serde(rename = "told")]
    delivery_cursor: String,
    kinds_after: Option<u64>,
    #[serde(default)]
    reported: u64,
    beat_minute: Option<Minute>,
    beats_in_minute: Option<u64>,
    #[serde(default, deserialize_with = "BeatsPerHour::stored")]
    beats_per_hour: Option<BeatsPerHour>,
    #[serde(flatten)]
    declaration: Declaration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordItem {
    sk: String,
    last_beat_at: Option<Timestamp>,
    last_run_id: Option<Uuid>,
    last_status: Option<Status>,
    token_fingerprint: Option<Fingerprint>,
    #[serde(default, deserialize_with = "BeatsPerHour::stored")]
    beats_per_hour: Option<BeatsPerHour>,
    #[serde(flatten)]
    declaration: Declaration,
}

/// The attributes that hold only together: the active issues with their verdicts, and what these were made from.
const VERDICTS: [&str; 2] = ["activeIssues", "judgedBy"];

/// The result of an update.
enum AgentUpdate {
    Written,
    /// The item is not as expected. Holds its current state; `None` if the item is gone.
    Refused(Option<Box<Agent>>),
}

impl Store {
    /// What is stored of an agent; `None` before its first heartbeat. One consistent read.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or the item cannot be read.
    pub async fn agent(&self, name: &AgentName) -> Result<Option<AgentRecord>, StoreError> {
        Ok(self.get::<RecordItem>(&Key::agent(name)).await?.and_then(AgentRecord::of))
    }

    /// At most `limit` agents from there, or from the first one. One read. A consistent one costs twice as much.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or an item cannot be read.
    pub async fn agents(
        &self,
        from: Option<&AgentsFrom>,
        limit: u16,
        is_consistent: bool,
    ) -> Result<AgentsRead, StoreError> {
        let (is_from, name) = match from {
            // A space sorts before every character of a name.
            None => (">", " "),
            Some(AgentsFrom::After(name)) => (">", name.as_str()),
            Some(AgentsFrom::At(name)) => (">=", name.as_str()),
        };
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression(format!("pk = :agents AND sk {is_from} :name"))
            .expression_attribute_values(":agents", text(AGENTS))
            .expression_attribute_values(":name", text(name))
            .limit(limit.into())
            .consistent_read(is_consistent)
            .send()
            .await
            .map_err(store_error("Query"))?;
        let records = answer.items.unwrap_or_default().into_iter().map(value_of::<RecordItem>);
        let records = records.collect::<Result<Vec<_>, _>>()?;
        Ok(AgentsRead {
            agents: records.into_iter().filter_map(AgentRecord::of).collect(),
            is_end: answer.last_evaluated_key.is_none(),
        })
    }

    /// Stores an answered heartbeat in its agent's item, last read as `known`: moves the delivery cursor (forward only)
    /// and counts the heartbeat in the minute in which it arrived. One write, unless a concurrent heartbeat of the
    /// agent has moved the item to another minute or past this cursor.
    ///
    /// What the heartbeat declares is stored even if its cursor is behind: of heartbeats at the same time, the one that
    /// is answered last counts.
    ///
    /// Concurrent heartbeats are all counted, including a slower one whose cursor is behind the stored one. A heartbeat
    /// of an earlier minute than the item's is not counted, because that minute is never checked again.
    ///
    /// The count is approximate. A heartbeat counts only for later ones, so all that arrive at once are answered. One
    /// that crashes or cannot write is not counted. One whose write succeeds without a received response is counted
    /// twice.
    ///
    /// The heartbeats per hour are a text that each write replaces. Of heartbeats at the same time some may be missing in
    /// it: a condition for it would fail writes of agents that send many heartbeats, and nothing but a plot depends on it.
    /// A heartbeat that has nothing else to store is not counted.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails, or if the item changed before each of four attempts.
    pub async fn put_agent(
        &self,
        name: &AgentName,
        mut known: Option<Agent>,
        beat: AnsweredHeartbeat<'_>,
    ) -> Result<(), StoreError> {
        // Other heartbeats can move the item's minute twice (from earlier to equal to later) and its cursor once (from
        // behind to ahead): at most three failed conditions.
        for _ in 0..4 {
            let Some(update) = Update::of(&beat, known.as_ref()) else { return Ok(()) };
            match self.update_agent(name, update).await? {
                AgentUpdate::Written => return Ok(()),
                AgentUpdate::Refused(current) => known = current.map(|current| *current),
            }
        }
        Err(StoreError::new("UpdateItem", "the agent's item kept changing"))
    }

    async fn update_agent(&self, name: &AgentName, update: Update) -> Result<AgentUpdate, StoreError> {
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::agent(name).attributes()))
            .update_expression(update.expression())
            .condition_expression(update.conditions.join(" AND "))
            .set_expression_attribute_names(Some(update.names).filter(|names| !names.is_empty()))
            .set_expression_attribute_values(Some(update.values).filter(|values| !values.is_empty()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = answer else { return Ok(AgentUpdate::Written) };
        let Some(UpdateItemError::ConditionalCheckFailedException(refused)) = error.as_service_error() else {
            return Err(store_error("UpdateItem")(error));
        };
        let current = refused.item().cloned().map(Agent::read).transpose()?;
        Ok(AgentUpdate::Refused(current.map(Box::new)))
    }
}

impl AgentRecord {
    fn of(item: RecordItem) -> Option<Self> {
        Some(Self {
            name: AgentName::parse(&item.sk).ok()?,
            last_beat_at: item.last_beat_at,
            last_run_id: item.last_run_id,
            last_status: item.last_status,
            token_fingerprint: item.token_fingerprint,
            beats_per_hour: item.beats_per_hour,
            declaration: item.declaration,
        })
    }
}

impl Agent {
    pub(super) fn read(item: Item) -> Result<Self, StoreError> {
        let item: AgentItem = value_of(item)?;
        let cursor = DeliveryCursor::from_text(&item.delivery_cursor)
            .ok_or_else(|| StoreError::new("read", "unexpected format of an agent's delivery cursor"))?;
        let kinds_after = item.kinds_after.unwrap_or(cursor.kinds_after);
        let delivery_cursor = DeliveryCursor { kinds_after, reported: item.reported, ..cursor };
        let rate =
            item.beat_minute.zip(item.beats_in_minute).map(|(minute, beats)| BeatRate { minute, beats });
        let AgentItem { beats_per_hour, declaration, .. } = item;
        Ok(Self { delivery_cursor, rate, beats_per_hour, declaration })
    }
}

/// An update that succeeds only if the relevant attributes of the item are as expected. Counts are incremented with
/// `ADD`, so that concurrent heartbeats do not fail each other's conditions.
#[derive(Default)]
struct Update {
    set: Vec<String>,
    remove: Vec<String>,
    add: &'static str,
    conditions: Vec<&'static str>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Update {
    /// The update that stores a heartbeat in an item in the state `known`; `None` if there is nothing to store.
    fn of(beat: &AnsweredHeartbeat<'_>, known: Option<&Agent>) -> Option<Self> {
        let cursor = beat.delivery_cursor.to_text();
        let is_behind = known.is_none_or(|known| known.delivery_cursor.to_text() <= cursor);
        let minute = known.and_then(|known| known.rate).map(|rate| rate.minute);
        let mut update = Self::default();
        let before = known.map(|known| known.declaration.clone()).unwrap_or_default();
        let declaration = before.after(beat.body, beat.judged, beat.at);
        update.declare(&before, &declaration);
        match minute.cmp(&Some(beat.minute)) {
            Ordering::Less => {
                update.set("beatMinute = :minute, beatsInMinute = :one");
                update.require("(attribute_not_exists(beatMinute) OR beatMinute < :minute)");
                update.values([(":minute", number(beat.minute.0)), (":one", number(1))]);
            }
            Ordering::Equal => {
                update.add = "ADD beatsInMinute :one";
                update.require("beatMinute = :minute");
                update.values([(":minute", number(beat.minute.0)), (":one", number(1))]);
            }
            Ordering::Greater if is_behind || declaration != before => {}
            Ordering::Greater => return None,
        }
        let beats = BeatsPerHour::counting(known.and_then(|known| known.beats_per_hour), beat.at);
        update.set("beatsPerHour = :beats");
        update.values([(":beats", text(beats.to_text()))]);
        if is_behind {
            update.set("told = :told, kindsAfter = :kinds, reported = :reported");
            update.set("lastBeatAt = :at, lastRunId = :run, lastStatus = :status");
            update.set(&format!("tokenFingerprint = :token, {EXPIRES_AT} = :expires"));
            update.require("(attribute_not_exists(told) OR told <= :told)");
            update.values([(":told", text(cursor)), (":kinds", number(beat.delivery_cursor.kinds_after))]);
            update.values([
                (":reported", number(beat.delivery_cursor.reported)),
                (":at", text(iso_millis(beat.at))),
            ]);
            update.values([(":run", text(beat.run_id)), (":status", text(beat.status.as_str()))]);
            let kept_for = agent_kept_for(beat.retention);
            let expires_at = beat.at.as_second().saturating_add_unsigned(kept_for.as_secs());
            update.values([(":token", text(beat.token.as_str())), (":expires", number(expires_at))]);
        } else {
            // An item without a cursor cannot be read.
            update.require("attribute_exists(told)");
        }
        Some(update)
    }

    /// Sets what the heartbeat declares for the first time or differently, and removes what it forgets. Names of attributes may be reserved words.
    fn declare(&mut self, before: &Declaration, after: &Declaration) {
        let attributes = |of: &Declaration| -> Item {
            serde_dynamo::to_item(of).expect("a declaration consists of texts, numbers and flags")
        };
        let (mut old, new) = (attributes(before), attributes(after));
        let are_judged = VERDICTS.iter().any(|name| old.get(*name) != new.get(*name));
        let mut set: Vec<(String, AttributeValue)> = new
            .into_iter()
            .filter(|(name, value)| {
                let is_new = old.remove(name).is_none_or(|known| known != *value);
                // A version without the verdicts that it is of could stand beside another heartbeat's.
                is_new || (are_judged && VERDICTS.contains(&name.as_str()))
            })
            .collect();
        set.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut remove: Vec<String> = old.into_keys().collect();
        remove.sort_unstable();
        for (name, value) in set {
            self.set.push(format!("#{name} = :{name}"));
            self.names.insert(format!("#{name}"), name.clone());
            self.values.insert(format!(":{name}"), value);
        }
        for name in remove {
            self.remove.push(format!("#{name}"));
            self.names.insert(format!("#{name}"), name);
        }
    }

    fn set(&mut self, assignments: &str) {
        self.set.push(assignments.to_owned());
    }

    fn require(&mut self, condition: &'static str) {
        self.conditions.push(condition);
    }

    fn values<const N: usize>(&mut self, values: [(&str, AttributeValue); N]) {
        self.values.extend(values.map(|(name, value)| (name.to_owned(), value)));
    }

    fn expression(&self) -> String {
        let clause = |word, parts: &[String]| match parts {
            [] => String::new(),
            parts => format!("{word} {} ", parts.join(", ")),
        };
        clause("SET", &self.set) + &clause("REMOVE", &self.remove) + self.add
    }
}
