//! Shows what the service does about agents: one has to stop, another one goes silent and is reported.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use test_world::{TABLE_NAME, TestWorld};

use super::failure::Failure;
use super::functions::{Functions, SCHEDULE};
use super::heartbeat;

/// How long the silent agent has been silent: longer than it promised, and not so long that it counts as left.
const SILENT_FOR: SignedDuration = SignedDuration::from_mins(12);

/// For how long the service could hear agents.
const HEARD_FOR: SignedDuration = SignedDuration::from_hours(1);

/// Two agents promise heartbeats; one of them sends its last one. Returns the message that reports it, as people get it.
pub(super) async fn report(functions: &mut Functions, world: &TestWorld) -> Result<String, Failure> {
    sweep(functions).await?;
    for agent in ["alpha", "beta"] {
        heartbeat::of_agent(functions, agent, &json!({"intervalSeconds": 300, "graceSeconds": 300})).await?;
    }
    // The functions have the system's clock, so nobody can wait for it: the times in the table go back instead.
    date_back(world, ("AGENTS", "beta"), "lastBeatAt", SILENT_FOR);
    for field in ["since", "sentAt"] {
        date_back(world, ("FLEET", "WATCH"), field, HEARD_FOR);
    }
    sweep(functions).await?;
    let message = world.notifications.messages().pop();
    let message = message.ok_or(Failure::Unreadable("no message about the silent agent was published"))?;
    Ok(message.form("email").to_owned())
}

/// Runs what the schedule runs.
pub(super) async fn sweep(functions: &mut Functions) -> Result<(), Failure> {
    let event = heartbeat::read("events/schedule.json".as_ref())?;
    functions.invoke(SCHEDULE, &event).await.map(drop)
}

/// Moves an instant in the table back.
pub(super) fn date_back(world: &TestWorld, (pk, sk): (&str, &str), field: &str, by: SignedDuration) {
    let mut item = world.dynamodb.item(TABLE_NAME, pk, sk).expect("it was written");
    let at: Option<Timestamp> = item[field].as_str().and_then(|at| at.parse().ok());
    if let Some(at) = at {
        item[field] = format!("{:.3}", at - by).into();
        world.dynamodb.put_item(TABLE_NAME, &item);
    }
}
