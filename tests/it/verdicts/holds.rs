//! An operator orders agents to stop everything.

use agent_heartbeat::schedule::ScheduledBeatFailed;
use serde_json::{Value, json};
use test_world::dynamodb::{Fault, On};

use super::{page, verdicts, working_on};
use crate::support::app::TestApp;

async fn fleet() -> TestApp {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 2));
    app.agent("alpha").beat().await;
    app
}

async fn orders(app: &TestApp, event: Value) -> Result<Value, ScheduledBeatFailed> {
    app.schedule().orders(event).await
}

async fn refused(app: &TestApp, event: Value) -> String {
    orders(app, event).await.expect_err("a refusal").to_string()
}

#[tokio::test]
async fn held_agent_is_told_to_stop_everything_until_it_is_released() {
    let app = fleet().await;
    working_on(&app, &["acme/api#1", "acme/api#2"]).beat().await;
    let held = orders(&app, json!({"hold": "al*", "why": "a release freeze"})).await.expect("a hold");
    let hold = json!({"pattern": "al*", "since": "2026-11-22T06:00:00.000Z", "why": "a release freeze"});
    assert_eq!(held, json!({ "holds": [hold] }));
    let answer = app.agent("alpha").beat().await;
    assert_eq!((&answer.0["hold"], answer.status()), (&hold, "ok"));
    assert_eq!(verdicts(&answer), ["stop held", "stop held"]);
    assert_eq!(answer.0["stopIssueUrls"], json!([page("acme/api#1"), page("acme/api#2")]));
    assert_eq!(app.agent("beta").beat().await.0["hold"], Value::Null);
    assert_eq!(app.client().read("/api/status").await["holds"], json!([hold]));
    let released = orders(&app, json!({"release": "al*"})).await.expect("no hold");
    assert_eq!(released, json!({ "holds": [] }));
    let answer = app.agent("alpha").beat().await;
    assert_eq!((verdicts(&answer), &answer.0["hold"]), (vec!["go open".to_owned(); 2], &Value::Null));
}

#[tokio::test]
async fn held_agents_closed_issue_keeps_its_own_reason() {
    let app = fleet().await;
    orders(&app, json!({"hold": "*", "why": "x"})).await.expect("a hold");
    app.outlive_freshness();
    app.world.github.arrange(|github| github.close_issue("acme/api", 1));
    let answer = working_on(&app, &["acme/api#1", "acme/api#2", "acme/x#1"]).beat().await;
    assert_eq!(verdicts(&answer), ["stop closed", "stop held", "stop held"]);
}

#[tokio::test]
async fn agent_without_issues_is_held_too() {
    let app = fleet().await;
    orders(&app, json!({"hold": "alpha", "why": "x"})).await.expect("a hold");
    let answer = app.agent("alpha").beat().await;
    assert_eq!((&answer.0["hold"]["pattern"], verdicts(&answer).len()), (&json!("alpha"), 0));
}

#[tokio::test]
async fn passes_and_holds_do_not_overwrite_each_other() {
    let app = fleet().await;
    app.outlive_freshness();
    let mut ending = app.world.dynamodb.hold(On::operation("UpdateItem").containing("ended"));
    let beta = app.agent("beta");
    let mut running = Box::pin(beta.beat());
    assert!(crate::support::app::until_held(&mut running, &mut ending).await.is_none());
    orders(&app, json!({"hold": "alpha", "why": "x"})).await.expect("a hold");
    ending.release();
    running.await;
    assert_eq!(app.agent("alpha").beat().await.0["hold"]["pattern"], "alpha");
}

#[tokio::test]
async fn holds_that_are_set_at_once_are_all_kept() {
    let app = fleet().await;
    let events = ["a", "b", "c", "d"].map(|agent| json!({"hold": agent, "why": "x"}));
    let all = events.map(|event| orders(&app, event));
    for held in futures_util::future::join_all(all).await {
        held.expect("a hold");
    }
    assert_eq!(app.client().read("/api/status").await["holds"].as_array().map(Vec::len), Some(4));
}

#[tokio::test]
async fn hold_that_is_impossible_is_refused_with_the_way_out() {
    let app = fleet().await;
    let refusals = [
        refused(&app, json!({"hold": "ci-*"})).await,
        refused(&app, json!({"hold": ["ci"], "why": "x"})).await,
        refused(&app, json!({"hold": "", "why": "x"})).await,
        refused(&app, json!({"release": "ci-*"})).await,
    ];
    insta::assert_snapshot!(refusals.join("\n"), @r#"
    the holds are unchanged: a hold needs a reason: a text of 1 to 80 bytes without control characters
    the holds are unchanged: `["ci"]` is not an agent's name, a prefix like `ci-*`, or `*`
    the holds are unchanged: `` is not an agent's name, a prefix like `ci-*`, or `*`
    the holds are unchanged: there is no hold on `ci-*`; nothing is held
    "#);
    app.world.dynamodb.fault(On::operation("UpdateItem"), Fault::AccessDenied);
    insta::assert_snapshot!(refused(&app, json!({"hold": "ci-*", "why": "x"})).await, @"the holds are unchanged: DynamoDB table unavailable (UpdateItem: AccessDeniedException); check TABLE_NAME and the function's IAM policy");
}

#[tokio::test]
async fn hold_in_a_new_table_does_not_hinder_the_first_pass() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    orders(&app, json!({"hold": "alpha", "why": "x"})).await.expect("a hold");
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), &answer.0["hold"]["why"]), ("ok", &json!("x")));
}
