//! The records of heartbeats and passes.

use std::time::Duration;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{AgentName, AgentRun, Attempt, Problem, RepositoryName, Status, millis};

use super::keys::{self, EXPIRES_AT, Item, Key, PASSES, RUN_PREFIX};
use super::table::{
    Store, StoreError, WriteError, item_of, number, store_error, text, unless_superseded, value_of,
};

/// The record of a pass that changed something or had a problem, kept for `RUN_RETENTION_DAYS`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PassRecord {
    /// The pass: a UUID of version 7.
    pub pass_id: Uuid,
    /// Its fencing token.
    pub fence: u64,
    /// When it began.
    #[serde(with = "millis")]
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(with = "millis")]
    pub ended_at: Timestamp,
    /// Its status.
    pub status: Status,
    /// What it did, in one sentence.
    pub summary: String,
    /// Its problems.
    pub problems: Vec<Problem>,
    /// The number of issues that it changed.
    pub touched: u64,
    /// The repositories that it deferred to the next pass.
    pub deferred: Vec<RepositoryName>,
    /// The number of its requests to GitHub.
    pub github_requests: u64,
}

/// One page of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordsRead<T> {
    /// The newest first.
    pub records: Vec<T>,
    /// The last record that was looked at, expired ones included; `None` at the end. The page may be empty before it.
    pub reached: Option<Uuid>,
}

impl Store {
    /// Writes an AgentRun; a finished one replaces its `running` form. Never replaces what a later attempt at the same
    /// request has written, and never a finished run with a `running` form that arrives late.
    ///
    /// # Errors
    /// [`WriteError`] if DynamoDB fails, or if the stored run is not replaced.
    pub async fn put_run(
        &self,
        agent: &AgentName,
        run: &AgentRun,
        attempt: Option<&Attempt>,
        retention: Duration,
    ) -> Result<(), WriteError> {
        let mut item = record(&Key::run(agent, run.run_id), run, run.started_at, retention);
        let mut put = self.client.put_item().table_name(&self.table);
        let is_running = run.finished_at.is_none();
        if let Some(attempt) = attempt {
            item.insert("attempt".to_owned(), text(attempt.id));
            let mine = match is_running {
                true => "attempt < :me OR (attempt = :me AND attribute_not_exists(finishedAt))",
                false => "attempt <= :me",
            };
            put = put
                .condition_expression(format!("attribute_not_exists(attempt) OR {mine}"))
                .expression_attribute_values(":me", text(attempt.id));
        } else if is_running {
            put = put.condition_expression("attribute_not_exists(finishedAt)");
        }
        let put = put.set_item(Some(item)).send().await;
        unless_superseded("PutItem", put)
    }

    /// Writes a pass's record.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails.
    pub async fn put_pass(&self, pass: &PassRecord, retention: Duration) -> Result<(), StoreError> {
        self.put(record(&Key::pass(pass.pass_id), pass, pass.started_at, retention)).await
    }

    /// A pass's record; `None` if it has expired. One consistent read.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or an item cannot be read.
    pub async fn pass(&self, id: Uuid) -> Result<Option<PassRecord>, StoreError> {
        self.get(&Key::pass(id)).await
    }

    /// At most `limit` records of passes that began before the pass `before`, without those that had expired at `now`.
    /// One read, not consistent.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or an item cannot be read.
    pub async fn passes(
        &self,
        before: Option<Uuid>,
        limit: u16,
        now: Timestamp,
    ) -> Result<RecordsRead<PassRecord>, StoreError> {
        self.records(PASSES.to_owned(), "", before.map(Key::pass), limit, now).await
    }

    /// An AgentRun; `None` if there is none, or if DynamoDB has deleted it. One consistent read.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or an item cannot be read.
    pub async fn run(&self, agent: &AgentName, id: Uuid) -> Result<Option<AgentRun>, StoreError> {
        self.get(&Key::run(agent, id)).await
    }

    /// At most `limit` AgentRuns of an agent that began before the run `before`, without those that had expired at
    /// `now`. One read, not consistent.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or an item cannot be read.
    pub async fn runs(
        &self,
        agent: &AgentName,
        before: Option<Uuid>,
        limit: u16,
        now: Timestamp,
    ) -> Result<RecordsRead<AgentRun>, StoreError> {
        let before = before.map(|id| Key::run(agent, id));
        self.records(keys::agent_partition(agent), RUN_PREFIX, before, limit, now).await
    }

    /// The records of a partition whose sort keys have this prefix, from the newest. DynamoDB deletes expired items with
    /// a delay of some days, so they are left out here
    /// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ttl-expired-items.html>).
    async fn records<T: DeserializeOwned>(
        &self,
        partition: String,
        prefix: &str,
        before: Option<Key>,
        limit: u16,
        now: Timestamp,
    ) -> Result<RecordsRead<T>, StoreError> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .expression_attribute_values(":partition", text(partition))
            .filter_expression("expiresAt > :now")
            .expression_attribute_values(":now", number(now.as_second()))
            .set_exclusive_start_key(before.map(|key| key.attributes()))
            .scan_index_forward(false)
            .limit(limit.into());
        let query = match prefix {
            // DynamoDB refuses an empty prefix.
            "" => query.key_condition_expression("pk = :partition"),
            prefix => query
                .key_condition_expression("pk = :partition AND begins_with(sk, :prefix)")
                .expression_attribute_values(":prefix", text(prefix)),
        };
        let answer = query.send().await.map_err(store_error("Query"))?;
        let records = answer.items.unwrap_or_default().into_iter().map(value_of);
        let reached = answer.last_evaluated_key.as_ref().and_then(|key| key.get("sk")?.as_s().ok());
        let reached = reached.and_then(|sk| Uuid::try_parse(sk.strip_prefix(prefix)?).ok());
        Ok(RecordsRead { records: records.collect::<Result<_, _>>()?, reached })
    }
}

/// A record as an item that expires `retention` after `from`.
fn record(key: &Key, record: &impl Serialize, from: Timestamp, retention: Duration) -> Item {
    let mut item = item_of(key, record);
    let expires = from.as_second().saturating_add_unsigned(retention.as_secs());
    item.insert(EXPIRES_AT.to_owned(), number(expires));
    item
}
