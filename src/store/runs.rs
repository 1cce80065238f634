//! The records of beats and passes, and what each agent has been told.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{
    AgentName, AgentRun, Fingerprint, IssueNumber, Position, Problem, RepositoryId, RepositoryName, Status,
};

use super::keys::{EXPIRES_AT, Key};
use super::{Item, Store, StoreError, carried_out, item_of, number, text};

/// What is remembered of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agent {
    /// How far it has been told of changes.
    pub told: Position,
}

/// An agent's item. The position is one text that sorts as positions do, so that DynamoDB can compare it. The
/// fingerprint is for operators: a token that no agent's item names any more can go.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AgentItem {
    last_beat_at: Timestamp,
    told: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_fingerprint: Option<Fingerprint>,
}

/// The record of a pass that changed something or met a problem, kept for `RUN_RETENTION_DAYS`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PassRecord {
    /// The pass: a UUID of version 7.
    pub pass_id: Uuid,
    /// Its fence.
    pub fence: u64,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How it came out.
    pub status: Status,
    /// What it did, in one sentence.
    pub summary: String,
    /// What it met.
    pub problems: Vec<Problem>,
    /// How many issues it changed.
    pub touched: u64,
    /// The repositories that it had no time to finish.
    pub deferred: Vec<RepositoryName>,
    /// Requests to GitHub.
    pub github_requests: u64,
}

impl Store {
    /// What is remembered of an agent; none before its first beat.
    pub async fn agent(&self, name: &AgentName) -> Result<Option<Agent>, StoreError> {
        let found = self.get(&Key::agent(name)).await?;
        let Some(AgentItem { told, .. }) = found else {
            return Ok(None);
        };
        let told = position_from_text(&told).ok_or_else(|| StoreError {
            operation: "read",
            code: "an agent's position of another shape".into(),
        })?;
        Ok(Some(Agent { told }))
    }

    /// Moves an agent's position, forward only: a slower beat of the same agent changes nothing. `token` is the one it
    /// beat with, if any.
    pub async fn put_agent(
        &self,
        name: &AgentName,
        told: Position,
        last_beat_at: Timestamp,
        token: Option<&Fingerprint>,
    ) -> Result<(), StoreError> {
        let token_fingerprint = token.cloned();
        let agent = AgentItem { last_beat_at, told: position_as_text(told), token_fingerprint };
        let answer = self
            .client
            .put_item()
            .table_name(&self.table)
            .condition_expression("attribute_not_exists(told) OR told <= :told")
            .expression_attribute_values(":told", text(&agent.told))
            .set_item(Some(item_of(&Key::agent(name), &agent)))
            .send()
            .await;
        carried_out("PutItem", answer).map(drop)
    }

    /// Writes an AgentRun, over its `running` form if there is one.
    pub async fn put_run(
        &self,
        agent: &AgentName,
        run: &AgentRun,
        retention: Duration,
    ) -> Result<(), StoreError> {
        self.put(record(&Key::run(agent, run.run_id), run, run.started_at, retention)).await
    }

    /// Writes a pass's record.
    pub async fn put_pass(&self, pass: &PassRecord, retention: Duration) -> Result<(), StoreError> {
        self.put(record(&Key::pass(pass.pass_id), pass, pass.started_at, retention)).await
    }

    /// A pass's record; none when it has expired.
    pub async fn pass(&self, id: Uuid) -> Result<Option<PassRecord>, StoreError> {
        self.get(&Key::pass(id)).await
    }
}

/// A record that expires.
fn record(key: &Key, record: &impl Serialize, from: Timestamp, retention: Duration) -> Item {
    let mut item = item_of(key, record);
    let expires = from.as_second().saturating_add_unsigned(retention.as_secs());
    item.insert(EXPIRES_AT.to_owned(), number(expires));
    item
}

/// `<fence>#<repository>#<issue>`, or `<fence>#~` when all of the fence was told: `~` sorts after the digits.
fn position_as_text(Position { fence, within }: Position) -> String {
    match within {
        None => format!("{fence:020}#~"),
        Some((repository, issue)) => format!("{fence:020}#{:020}#{:010}", repository.0, issue.0),
    }
}

fn position_from_text(text: &str) -> Option<Position> {
    let (fence, within) = text.split_once('#')?;
    let within = match within {
        "~" => None,
        within => {
            let (repository, issue) = within.split_once('#')?;
            Some((RepositoryId(repository.parse().ok()?), IssueNumber(issue.parse().ok()?)))
        }
    };
    Some(Position { fence: fence.parse().ok()?, within })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_sort_as_text_as_they_do_as_positions() {
        let at = |fence, within: Option<(u64, u64)>| Position {
            fence,
            within: within.map(|(repository, issue)| (RepositoryId(repository), IssueNumber(issue))),
        };
        let ascending =
            [at(0, None), at(9, Some((2, 10))), at(9, Some((10, 2))), at(9, None), at(10, Some((1, 1)))];
        let texts = ascending.map(position_as_text);
        assert!(texts.is_sorted(), "{texts:?}");
        assert_eq!(texts.map(|text| position_from_text(&text)), ascending.map(Some));
    }
}
