//! Nobody is reported for what the service itself missed.

use std::time::Duration;

use serde_json::json;
use test_world::api::{self, Fault as Broken};
use test_world::{TABLE_NAME, secrets};

use super::{SCHEDULE, a_schedule_later, beat, fleet, fleet_of, reported};
use crate::support::app::TestApp;
use crate::support::checked::Checked;

const NOBODY: [[&str; 0]; 0] = [];

fn watch(app: &TestApp) -> Checked {
    app.items("FLEET", "WATCH").pop().expect("an item")
}

#[tokio::test]
async fn first_sweep_reports_nobody_and_gives_each_agent_its_time() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    beat(&app, "alpha").await;
    beat(&app, "beta").await;
    app.pass_time(3_600);
    app.schedule().beat().await.expect("a good beat");
    assert_eq!(watch(&app)["since"], "2026-11-22T07:00:00.000Z");
    assert_eq!(reported(&app), NOBODY);
    a_schedule_later(&app, &["beta"]).await.expect("a good beat");
    assert_eq!(reported(&app), [["down alpha"]]);
    assert_eq!(app.messages()[0]["down"][0]["downAt"], "2026-11-22T07:02:00.000Z");
}

#[tokio::test]
async fn outage_of_the_schedule_reports_nobody() {
    let app = fleet(&["alpha", "beta"]).await;
    app.pass_time(3_600);
    app.schedule().beat().await.expect("a good beat");
    assert_eq!(reported(&app), NOBODY);
    a_schedule_later(&app, &["alpha", "beta"]).await.expect("a good beat");
    assert_eq!(reported(&app), NOBODY);
}

#[tokio::test]
async fn late_schedule_is_no_outage() {
    let app = fleet(&["alpha", "beta"]).await;
    app.pass_time(2 * SCHEDULE + 170);
    beat(&app, "beta").await;
    app.schedule().beat().await.expect("a good beat");
    assert_eq!(reported(&app), [["down alpha"]]);
}

#[tokio::test]
async fn outage_of_the_api_is_the_services_and_not_the_agents() {
    let app = fleet(&["alpha", "beta"]).await;
    app.world.api.fault(api::On::operation("GET /api/health"), Broken::Status(503).forever());
    for _ in 0..3 {
        a_schedule_later(&app, &[]).await.expect("a good beat");
    }
    assert_eq!(reported(&app), NOBODY);
    assert_eq!(watch(&app)["blindSince"], "2026-11-22T06:00:00.000Z");
    assert_eq!(app.client().read("/api/agents/alpha").await["state"], "late");
    app.world.api.heal();
    a_schedule_later(&app, &[]).await.expect("a good beat");
    assert_eq!(
        (watch(&app).get("blindSince"), &watch(&app)["since"]),
        (None, &json!("2026-11-22T06:20:00.000Z"))
    );
    assert_eq!(reported(&app), NOBODY);
    a_schedule_later(&app, &["alpha"]).await.expect("a good beat");
    assert_eq!(reported(&app), [["down beta"]]);
}

#[tokio::test]
async fn outage_of_the_api_ends_when_an_agent_is_heard() {
    let app = fleet(&["alpha", "beta"]).await;
    app.world.api.fault(api::On::operation("GET /api/health"), Broken::Cut.forever());
    a_schedule_later(&app, &[]).await.expect("a good beat");
    assert!(watch(&app)["blindSince"].is_string());
    a_schedule_later(&app, &["alpha"]).await.expect("a good beat");
    assert_eq!(watch(&app).get("blindSince"), None);
    assert_eq!(reported(&app), NOBODY);
    app.world.api.heal();
}

#[tokio::test]
async fn one_failed_request_to_the_api_is_no_outage() {
    let app = fleet(&["alpha"]).await;
    app.world.api.fault(api::On::operation("GET /api/health"), Broken::Status(503));
    a_schedule_later(&app, &[]).await.expect("a good beat");
    assert_eq!(reported(&app), [["down alpha"]]);
}

#[tokio::test]
async fn unreadable_secret_is_the_services_outage() {
    let app = fleet(&["alpha"]).await;
    let read = || secrets::On::operation("GetSecretValue").containing("agent-tokens");
    app.world.secrets.fault(read(), secrets::Fault::AccessDenied.forever());
    a_schedule_later(&app, &[]).await.expect("a good beat");
    assert_eq!(reported(&app), NOBODY);
    assert!(watch(&app)["blindSince"].is_string());
}

#[tokio::test]
async fn fleet_that_is_really_silent_is_reported() {
    let app = fleet(&["alpha", "beta"]).await;
    a_schedule_later(&app, &[]).await.expect("a good beat");
    assert_eq!(reported(&app), [["down alpha", "down beta"]]);
    assert_eq!(app.world.api.requests().len(), 1, "after a look at itself");
}

#[tokio::test]
async fn deployment_reports_nobody_and_forgets_nothing() {
    let mut app = fleet(&["alpha", "beta"]).await;
    a_schedule_later(&app, &["beta"]).await.expect("a good beat");
    app.restart_with("RUN_RETENTION_DAYS", "30");
    for _ in 0..5 {
        a_schedule_later(&app, &["beta"]).await.expect("a good beat");
    }
    assert_eq!(reported(&app), [["down alpha"]]);
}

#[tokio::test]
async fn restored_table_reports_nobody() {
    let app = fleet(&["alpha", "beta"]).await;
    a_schedule_later(&app, &["alpha", "beta"]).await.expect("a good beat");
    let backup = app.world.dynamodb.items(TABLE_NAME);
    for _ in 0..12 {
        a_schedule_later(&app, &["alpha", "beta"]).await.expect("a good beat");
    }
    for item in app.world.dynamodb.items(TABLE_NAME) {
        let key = |name: &str| item[name].as_str().expect("a key").to_owned();
        app.world.dynamodb.delete_item(TABLE_NAME, &key("pk"), &key("sk"));
    }
    for item in backup {
        app.world.dynamodb.put_item(TABLE_NAME, &item);
    }
    app.pass_time(SCHEDULE);
    app.schedule().beat().await.expect("a good beat");
    a_schedule_later(&app, &["alpha", "beta"]).await.expect("a good beat");
    assert_eq!(reported(&app), NOBODY);
}

#[tokio::test]
async fn throttled_agent_is_not_silent() {
    let app = fleet_of(TestApp::tracking(&["acme/api"]).with("BEATS_PER_MINUTE", "1"), &["beta"]).await;
    let alpha = app.agent("alpha").with_body(r#"{"intervalSeconds": 30, "graceSeconds": 0}"#);
    app.pass_time(SCHEDULE - 40);
    alpha.beat().await;
    app.pass_time(35);
    assert_eq!(alpha.knock().await.status, 429);
    beat(&app, "gamma").await;
    app.schedule().beat().await.expect("a good beat");
    let down = reported(&app).concat();
    assert!(!down.contains(&"down alpha".to_owned()), "{down:?}");
}

#[tokio::test]
async fn sweep_that_takes_too_long_does_not_keep_the_pass_from_running() {
    let soon = Duration::from_millis(200);
    let setup = TestApp::tracking(&["acme/api"]).timing(|timing| timing.sweep = soon);
    let app = fleet_of(setup, &["alpha"]).await;
    let held = app.world.dynamodb.hold(test_world::dynamodb::On::operation("Query").containing("\"AGENTS\""));
    let failed = a_schedule_later(&app, &[]).await.expect_err("a failed invocation");
    insta::assert_snapshot!(failed, @"the sweep for silent agents failed: it took longer than 200ms; the next sweep continues");
    held.release();
    assert_eq!(app.runs("scheduler").len(), 2);
    a_schedule_later(&app, &[]).await.expect("a good beat");
    assert_eq!(reported(&app), [["down alpha"]]);
}

#[tokio::test]
async fn agent_with_the_schedules_name_hides_no_silence() {
    let app = fleet(&["alpha", "scheduler"]).await;
    for _ in 0..5 {
        for _ in 0..6 {
            app.pass_time(SCHEDULE / 6);
            beat(&app, "scheduler").await;
        }
        app.schedule().beat().await.expect("a good beat");
    }
    assert_eq!(reported(&app), [["down alpha"]]);
}
