//! What verdicts cost.

use test_world::dynamodb::Capacity;

use super::{verdicts, working_on};
use crate::support::app::TestApp;

const FIVE: [&str; 5] = ["acme/api#1", "acme/api#2", "acme/api#3", "acme/api#4", "acme/api#5"];

/// What a heartbeat costs that is answered from the last pass.
async fn cost(app: &TestApp, issues: Option<&[&str]>, expected: &[&str]) -> Capacity {
    app.clear_requests();
    let agent = match issues {
        Some(issues) => working_on(app, issues),
        None => app.agent("alpha"),
    };
    let answer = agent.beat().await;
    assert!(answer.is_coalesced());
    assert_eq!(verdicts(&answer), expected);
    app.world.dynamodb.capacity()
}

fn units(read_units: f64) -> Capacity {
    Capacity { read_units, write_units: 2.0 }
}

/// A fleet with ten issues, and an execution environment that has met the name of their repository.
async fn fleet() -> TestApp {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 10));
    app.agent("alpha").beat().await;
    working_on(&app, &["acme/api#10"]).beat().await;
    app.agent("alpha").with_body(r#"{"activeIssueUrls": null}"#).beat().await;
    app
}

#[tokio::test]
async fn unchanged_issue_costs_nothing_and_a_new_one_a_read_unit_once() {
    let app = fleet().await;
    assert_eq!(cost(&app, None, &[]).await, units(2.0));
    assert_eq!(cost(&app, Some(&FIVE), &["go open"; 5]).await, units(7.0));
    assert_eq!(cost(&app, Some(&FIVE), &["go open"; 5]).await, units(2.0));
    assert_eq!(cost(&app, None, &["go open"; 5]).await, units(2.0));
    assert_eq!(cost(&app, Some(&FIVE[1..]), &["go open"; 4]).await, units(2.0));
}

#[tokio::test]
async fn change_in_the_fleet_costs_a_read_unit_an_active_issue_once() {
    let app = fleet().await;
    cost(&app, Some(&FIVE), &["go open"; 5]).await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.close_issue("acme/api", 9));
    app.agent("beta").beat().await;
    // One of the units more is for the change that is reported.
    cost(&app, None, &["go open"; 5]).await;
    assert_eq!(cost(&app, None, &["go open"; 5]).await, units(2.0));
    app.outlive_freshness();
    app.agent("beta").beat().await;
    assert_eq!(cost(&app, None, &["go open"; 5]).await, units(2.0), "an idle pass changes nothing");
}

#[tokio::test]
async fn issue_that_is_to_be_stopped_costs_a_read_unit_until_it_is_let_go() {
    let app = fleet().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.close_issue("acme/api", 1));
    app.agent("alpha").beat().await;
    for _ in 0..2 {
        assert_eq!(
            cost(&app, Some(&["acme/api#1", "acme/api#2"]), &["stop closed", "go open"]).await.write_units,
            2.0
        );
    }
    assert_eq!(cost(&app, None, &["stop closed", "go open"]).await, units(3.0));
    assert_eq!(cost(&app, Some(&["acme/api#2"]), &["go open"]).await, units(2.0));
}

#[tokio::test]
async fn execution_environment_that_starts_reads_each_name_once() {
    let app = fleet().await;
    cost(&app, Some(&FIVE), &["go open"; 5]).await;
    let environment = app.another_environment();
    for read_units in [3.0, 2.0] {
        app.clear_requests();
        working_on(&app, &FIVE).in_environment(std::sync::Arc::clone(&environment)).beat().await;
        assert_eq!(app.world.dynamodb.capacity(), units(read_units));
    }
}
