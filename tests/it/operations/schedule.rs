//! Scheduled heartbeats from EventBridge, which keep the copy fresh while no agent sends any.

use std::time::Duration;

use serde_json::Value;
use test_world::github::{Fault, Matching};

use crate::support::app::TestApp;

/// The fence of the last pass, which is the number of passes so far.
fn passes_run(app: &TestApp) -> u64 {
    let state = app.items("FLEET", "STATE");
    state[0]["fence"].as_u64().expect("a fence")
}

/// Makes each of GitHub's next requests take this many seconds.
fn slow(app: &TestApp, which: &Matching, requests: usize, seconds: u64) {
    for n in 1..=requests {
        let clock = app.world.clock.clone();
        app.world
            .github
            .before(which.clone().nth(n as u64), move |_| clock.advance(Duration::from_secs(seconds)));
    }
}

#[tokio::test]
async fn scheduled_beat_of_an_idle_fleet_is_ok_and_reports_nothing() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    let answer = app.schedule().beat().await.expect("a good beat");
    assert_eq!((answer.status(), answer.touched()), ("ok", vec![]));
    assert_eq!(answer.0["agentName"], "scheduler");
}

#[tokio::test]
async fn scheduled_beat_is_recorded_under_the_configured_name() {
    let app = TestApp::tracking(&["acme/api"]).with("SCHEDULE_AGENT_NAME", "night-watch").start().await;
    for _ in 0..2 {
        app.schedule().beat().await.expect("a good beat");
        app.pass_time(1);
    }
    let runs = app.runs("night-watch");
    let types: Vec<&Value> = runs.iter().map(|run| &run["type"]).collect();
    assert_eq!(types, ["scheduled", "scheduled"]);
    assert_eq!((&runs[0]["coalesced"], &runs[1]["coalesced"]), (&false.into(), &true.into()));
    assert_eq!(app.runs("scheduler").len(), 0);
}

#[tokio::test]
async fn scheduled_beat_reports_its_own_passes_changes_without_a_cursor() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 2));
    app.schedule().beat().await.expect("a good beat");
    for issue in [1, 2] {
        app.outlive_freshness();
        app.world.github.arrange(|github| github.close_issue("acme/api", issue));
        let answer = app.schedule().beat().await.expect("a good beat");
        assert_eq!(answer.touched(), [format!("closed acme/api#{issue}")]);
    }
    assert_eq!(app.items("AGENTS", ""), [] as [Value; 0]);
}

#[tokio::test]
async fn agent_gets_the_changes_of_a_scheduled_pass() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 1));
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.close_issue("acme/api", 1));
    let scheduled = app.schedule().beat().await.expect("a good beat");
    let answer = app.agent("alpha").beat().await;
    assert_eq!(scheduled.touched(), ["closed acme/api#1"]);
    assert_eq!((answer.is_coalesced(), answer.touched()), (true, vec!["closed acme/api#1".to_owned()]));
}

#[tokio::test]
async fn scheduled_error_fails_the_invocation_and_is_recorded() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.fault(Matching::any_listing(), Fault::Status(502).times(3));
    let failed = app.schedule().beat().await.expect_err("a failed invocation");
    assert_eq!(
        failed.to_string(),
        "the scheduled beat failed: sync: acme/api: GitHub answered 502 three times; the next pass retries"
    );
    assert_eq!(app.runs("scheduler")[0]["status"], "error");
}

#[tokio::test]
async fn scheduled_warning_does_not_fail_the_invocation() {
    let app = TestApp::tracking(&["acme/api", "acme/web"]).start().await;
    app.world.github.fault(Matching::listing("acme/web"), Fault::Status(502).times(3));
    let answer = app.schedule().beat().await.expect("no failure");
    assert_eq!(answer.status(), "warning");
}

#[tokio::test]
async fn scheduled_beat_runs_passes_until_nothing_is_deferred() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 250));
    slow(&app, &Matching::listing("acme/api"), 6, 7);
    let answer = app.schedule().beat().await.expect("a good beat");
    assert_eq!(answer.status(), "ok", "{:#}", answer.0);
    assert!(answer.0["freshAt"].is_string(), "{:#}", answer.0);
    assert_eq!(app.open_rows("acme/api").len(), 250);
    assert_eq!(passes_run(&app), 3);
    assert_eq!(app.runs("scheduler").len(), 1);
}

#[tokio::test]
async fn agents_beat_runs_one_pass_however_much_is_deferred() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 250));
    slow(&app, &Matching::listing("acme/api"), 3, 7);
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), &answer.0["freshAt"]), ("ok", &Value::Null));
    assert_eq!(passes_run(&app), 1);
}

#[tokio::test]
async fn schedule_stops_when_the_last_pass_made_no_progress() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    slow(&app, &Matching::graphql(), 1, 21);
    let answer = app.schedule().beat().await.expect("a good beat");
    assert_eq!((answer.is_deferred(), answer.summary_numbers()), (true, vec![0, 1, 0, 1]));
    assert_eq!(passes_run(&app), 1);
}

#[tokio::test]
async fn schedule_begins_a_pass_only_with_a_fifth_of_its_time_to_spare() {
    // A pass takes 21 s here, and at most 25: after one, 46 of 58 s are within four fifths, and of 57 s are not.
    for (seconds, passes) in [(57, 1), (58, 2)] {
        let app = TestApp::tracking(&["acme/api"]).start().await;
        app.world.github.arrange(|github| github.open_issues("acme/api", 250));
        slow(&app, &Matching::listing("acme/api"), passes * 3, 7);
        let begun = app.world.clock.now();
        let answer = app.schedule().beat_within(seconds).await.expect("a good beat");
        assert_eq!(answer.0["freshAt"], Value::Null, "there is more to do");
        assert_eq!(passes_run(&app), passes as u64, "{seconds}");
        assert_eq!(app.world.clock.now().duration_since(begun).as_secs(), passes as i64 * 21, "{seconds}");
    }
}
