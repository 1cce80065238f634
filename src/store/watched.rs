//! The agents as a sweep reads and marks them.

use jiff::Timestamp;
use serde::Deserialize;

use crate::domain::{AgentName, BeatRate, Declaration, Fingerprint, Minute, ReportMark, Transition};

use super::keys::{AGENTS, Item, Key};
use super::table::{Store, StoreError, is_written, number, store_error, text, value_of};

/// Which silence of an agent was reported last. The names of both marks are short because the largest agent's item has to
/// stay below 1 KB.
const SILENCE: &str = "pf";

/// Which stall of an agent was reported last.
const STALL: &str = "sf";

/// An agent, as a sweep reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedAgent {
    /// Its name.
    pub name: AgentName,
    /// When its last heartbeat was answered.
    pub last_beat_at: Timestamp,
    /// The fingerprint of the token that it was sent with.
    pub token: Option<Fingerprint>,
    /// Its heartbeats in the latest minute that had any.
    pub rate: Option<BeatRate>,
    /// What it has declared.
    pub declaration: Declaration,
    /// Its silence that was reported last.
    pub silence: Option<ReportMark>,
    /// Its stall that was reported last.
    pub stall: Option<ReportMark>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WatchedItem {
    sk: String,
    last_beat_at: Option<Timestamp>,
    token_fingerprint: Option<Fingerprint>,
    beat_minute: Option<Minute>,
    beats_in_minute: Option<u64>,
    #[serde(rename = "pf")]
    silence: Option<ReportMark>,
    #[serde(rename = "sf")]
    stall: Option<ReportMark>,
    #[serde(flatten)]
    declaration: Declaration,
}

impl WatchedAgent {
    /// `None` if the item is not an agent's that was answered.
    fn read(item: Item) -> Result<Option<Self>, StoreError> {
        let item: WatchedItem = value_of(item)?;
        let Some((name, last_beat_at)) = AgentName::parse(&item.sk).ok().zip(item.last_beat_at) else {
            return Ok(None);
        };
        let rate =
            item.beat_minute.zip(item.beats_in_minute).map(|(minute, beats)| BeatRate { minute, beats });
        let WatchedItem { token_fingerprint: token, silence, stall, declaration, .. } = item;
        Ok(Some(Self { name, last_beat_at, token, rate, declaration, silence, stall }))
    }
}

impl Store {
    /// All agents, in the order of their names. Not consistent: half the read units, and what is reported is read again.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or an item cannot be read.
    pub async fn watched_agents(&self) -> Result<Vec<WatchedAgent>, StoreError> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :agents")
            .expression_attribute_values(":agents", text(AGENTS))
            .into_paginator()
            .send();
        let mut agents = Vec::new();
        while let Some(page) = pages.next().await {
            let items = page.map_err(store_error("Query"))?.items.unwrap_or_default();
            for item in items {
                agents.extend(WatchedAgent::read(item)?);
            }
        }
        Ok(agents)
    }

    /// These agents, in no particular order; those that are not there are left out. Consistent.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or an item cannot be read.
    pub async fn watched(&self, names: &[&AgentName]) -> Result<Vec<WatchedAgent>, StoreError> {
        let keys: Vec<Key> = names.iter().map(|name| Key::agent(name)).collect();
        let items = self.get_all(&keys, true).await?;
        let agents = items.into_iter().map(WatchedAgent::read).collect::<Result<Vec<_>, _>>()?;
        Ok(agents.into_iter().flatten().collect())
    }

    /// Marks an agent with what was reported of it. A mark of a later episode stays, and an agent that is gone is not
    /// created again. A heartbeat keeps the marks.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails.
    pub async fn mark_reported(&self, transition: &Transition) -> Result<(), StoreError> {
        let mark = if transition.change.is_of_silence() { SILENCE } else { STALL };
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::agent(&transition.agent).attributes()))
            .update_expression(format!("SET {mark} = :mark"))
            .condition_expression(format!(
                "attribute_exists(told) AND (attribute_not_exists({mark}) OR {mark} < :mark)"
            ))
            .expression_attribute_values(":mark", number(transition.mark().as_number()))
            .send()
            .await;
        is_written("UpdateItem", answer).map(drop)
    }
}
