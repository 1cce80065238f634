//! Silent agents are found and reported: each silence in one message, and nobody for what the service missed itself.

mod costs;
mod disturbed;
mod messages;
mod metrics;
mod outages;

use agent_heartbeat::schedule::ScheduledBeatFailed;
use serde_json::{Value, json};

use crate::support::app::{Setup, TestApp};

/// The schedule's default: five minutes.
const SCHEDULE: u64 = 300;

/// No two messages are closer.
const BETWEEN_MESSAGES: u64 = 900;

/// A minute to the next heartbeat, and a minute of grace.
fn promise() -> Value {
    json!({"intervalSeconds": 60, "graceSeconds": 60})
}

async fn beat(app: &TestApp, agent: &str) {
    app.agent(agent).with_body(&promise().to_string()).beat().await;
}

/// A fleet whose agents have just been heard, and whose schedule has run.
async fn fleet_of(setup: Setup, agents: &[&str]) -> TestApp {
    let app = setup.start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 2));
    app.schedule().beat().await.expect("a good beat");
    for agent in agents {
        beat(&app, agent).await;
    }
    app
}

async fn fleet(agents: &[&str]) -> TestApp {
    fleet_of(TestApp::tracking(&["acme/api"]), agents).await
}

/// A schedule later, these agents send heartbeats, and the schedule runs.
async fn a_schedule_later(app: &TestApp, alive: &[&str]) -> Result<(), ScheduledBeatFailed> {
    app.pass_time(SCHEDULE);
    for agent in alive {
        beat(app, agent).await;
    }
    app.schedule().beat().await.map(drop)
}

/// The same, until a message may follow the last one.
async fn until_a_message_may_follow(app: &TestApp, alive: &[&str]) {
    for _ in 0..BETWEEN_MESSAGES / SCHEDULE {
        a_schedule_later(app, alive).await.expect("a good beat");
    }
}

/// What a message reports, as `down alpha`, in the order of its lists.
fn words(message: &Value) -> Vec<String> {
    let kinds = ["down", "up", "stalled", "moving"].into_iter();
    let named = kinds.flat_map(|kind| {
        let agents = message[kind].as_array().expect("a list").iter();
        agents.map(move |agent| format!("{kind} {}", agent["agent"].as_str().expect("a name")))
    });
    named.collect()
}

/// What all messages report.
fn reported(app: &TestApp) -> Vec<Vec<String>> {
    app.messages().iter().map(words).collect()
}
