//! What can be read, and by whom.

mod agents;
mod agents_tag;
mod changes;
mod conventions;
mod description;
mod fleet;
mod hostile;
mod issue_pages;
mod issues;
mod metrics;
mod problems;
mod runs;

use test_world::TABLE_NAME;

use crate::support::app::TestApp;

/// A service with 500 agents: `agent-000`, which sent a heartbeat, and its copies.
async fn five_hundred_agents() -> TestApp {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.agent("agent-000").beat().await;
    let mut item = app.world.dynamodb.item(TABLE_NAME, "AGENTS", "agent-000").expect("it sent a heartbeat");
    for n in 1..500 {
        item["sk"] = format!("agent-{n:03}").into();
        app.world.dynamodb.put_item(TABLE_NAME, &item);
    }
    app
}
