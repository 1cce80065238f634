//! Heartbeats as events, what the commands read of their answers, and how long a pass serves them.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use test_world::{TABLE_NAME, TestWorld};

use super::answer::Answer;
use super::failure::Failure;
use super::functions::{API, Functions};
use super::surroundings::LOCAL_FRESHNESS;

/// The event of a heartbeat of the agent `alpha`.
pub(super) const HEARTBEAT: &str = "events/heartbeat.json";

/// The fields of an answer that the commands use.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HeartbeatAnswer {
    status: String,
    pub(super) finished_at: Timestamp,
}

/// What a heartbeat was answered. The status `error` is a failure.
pub(super) fn parse(answer: &Answer) -> Result<HeartbeatAnswer, Failure> {
    if answer.http_status != Some(200) {
        return Err(Failure::Refused(answer.http_status));
    }
    let heartbeat: HeartbeatAnswer = serde_json::from_str(&answer.body).map_err(|_| {
        Failure::Unreadable("the answer to the heartbeat lacks a field that every answer has")
    })?;
    if heartbeat.status == "error" {
        return Err(Failure::HeartbeatFailed);
    }
    Ok(heartbeat)
}

/// Sends a heartbeat of this agent, with this body.
pub(super) async fn of_agent(
    functions: &mut Functions,
    agent: &str,
    body: &serde_json::Value,
) -> Result<(Answer, HeartbeatAnswer), Failure> {
    let path = format!("/api/agents/{agent}/heartbeat");
    let mut event = read(HEARTBEAT.as_ref())?;
    event["rawPath"] = path.as_str().into();
    event["requestContext"]["http"]["path"] = path.into();
    event["body"] = body.to_string().into();
    let answer = functions.invoke(API, &event).await?;
    let parsed = parse(&answer)?;
    Ok((answer, parsed))
}

/// Reads an event from a file.
pub(super) fn read(event: &Path) -> Result<serde_json::Value, Failure> {
    let text = std::fs::read(event).map_err(|error| Failure::file(event, error))?;
    serde_json::from_slice(&text).map_err(|error| Failure::file(event, error.into()))
}

/// Waits until the pass that ended at `finished` no longer serves heartbeats.
pub(super) async fn wait_until_stale(world: &TestWorld, finished: Timestamp) {
    // From the table, because the service may let a pass serve longer than configured, to save GitHub's rate limit.
    let state = world.dynamodb.item(TABLE_NAME, "FLEET", "STATE").unwrap_or_default();
    let seconds = state["ended"]["freshnessSeconds"].as_u64();
    let freshness = seconds.map_or(LOCAL_FRESHNESS, Duration::from_secs);
    let age = Duration::try_from(world.clock.now().duration_since(finished)).unwrap_or_default();
    eprintln!("A pass serves all heartbeats for {} s. Waiting until it no longer does.", freshness.as_secs());
    // 50 ms more, because clocks round to milliseconds.
    tokio::time::sleep(freshness.saturating_sub(age) + Duration::from_millis(50)).await;
}
