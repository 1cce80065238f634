//! What a sweep costs.

use test_world::TABLE_NAME;
use test_world::dynamodb::Capacity;

use super::{a_schedule_later, beat, fleet, reported};
use crate::support::app::TestApp;
use crate::support::item_size::item_size;

/// Copies an agent's item, with the longest names.
pub fn copy_agent(app: &TestApp, name: &str, copies: usize) {
    let mut item = app.world.dynamodb.item(TABLE_NAME, "AGENTS", name).expect("an item");
    for n in 1..=copies {
        item["sk"] = format!("{name}-{n:0>width$}", width = 63 - name.len()).into();
        app.world.dynamodb.put_item(TABLE_NAME, &item);
    }
}

/// The capacity of a sweep alone: without the pass after it.
async fn cost(app: &TestApp) -> Capacity {
    let topic = agent_heartbeat::sweep::Topic::of(&app.app);
    app.world.dynamodb.clear_requests();
    agent_heartbeat::sweep::sweep(&app.app, topic.as_ref()).await.expect("a good sweep");
    app.world.dynamodb.capacity()
}

#[tokio::test]
async fn sweep_of_500_agents_without_transitions_costs_at_most_70_reads_and_writes_nothing() {
    let app = fleet(&["beta"]).await;
    let mut largest = super::promise();
    largest["progress"] = "x".repeat(80).into();
    largest["login"] = "x".repeat(39).into();
    largest["client"] = "x".repeat(40).into();
    app.agent("alpha").with_body(&largest.to_string()).beat().await;
    let mut item = app.world.dynamodb.item(TABLE_NAME, "AGENTS", "alpha").expect("an item");
    // The largest item: a write unit.
    item["more"] = "x".repeat(1_024 - 64 - "more".len() - item_size(&item) + "alpha".len()).into();
    app.world.dynamodb.put_item(TABLE_NAME, &item);
    copy_agent(&app, "alpha", 498);
    beat(&app, "beta").await;
    let Capacity { read_units, write_units } = cost(&app).await;
    insta::assert_snapshot!(format!("{read_units} read, {write_units} write"), @"64.5 read, 0 write");
    assert!(read_units <= 70.0 && write_units == 0.0);
    assert_eq!(reported(&app).len(), 0);
}

#[tokio::test]
async fn sweep_with_one_silent_agent_writes_four_units_once() {
    let app = fleet(&["alpha", "beta"]).await;
    app.pass_time(super::SCHEDULE);
    beat(&app, "beta").await;
    let Capacity { read_units, write_units } = cost(&app).await;
    insta::assert_snapshot!(format!("{read_units} read, {write_units} write"), @"3.5 read, 4 write");
    app.schedule().beat().await.expect("a good beat");
    app.pass_time(super::SCHEDULE);
    beat(&app, "beta").await;
    let again = cost(&app).await;
    assert_eq!(again.write_units, 0.0, "it stays silent");
    a_schedule_later(&app, &["beta"]).await.expect("a good beat");
    assert_eq!(reported(&app).len(), 1);
}
