//! The passes of the last 24 hours, which every pass counts in the fleet's state.

use serde_json::{Value, json};
use test_world::github::{Fault, Matching};

use crate::support::app::{TestApp, until_held};
use crate::support::item_size::item_size;

async fn hours(app: &TestApp) -> Value {
    app.client().read("/api/status").await["hours"].clone()
}

#[tokio::test]
async fn status_counts_passes_by_hour_also_those_without_a_record() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    for _ in 0..3 {
        app.agent("alpha").beat().await;
        app.pass_time(600);
    }
    app.world.github.fault(Matching::anything(), Fault::Status(502).forever());
    assert_eq!(app.agent("alpha").beat().await.status(), "error");
    app.world.github.heal();
    app.pass_time(2 * 3_600);
    let last = app.agent("alpha").beat().await;
    assert_eq!(
        (last.status(), app.items("PASSES", "").len()),
        ("ok", 1),
        "only the failed pass has a record"
    );
    // The last pass that read GitHub before the failed one began at 06:20, and the one after it at 08:30.
    let expected = json!([
        { "hour": "2026-11-22T06:00:00.000Z", "passes": 4, "worstStatus": "error", "maxAgeSeconds": 600 },
        { "hour": "2026-11-22T08:00:00.000Z", "passes": 1, "worstStatus": "ok", "maxAgeSeconds": 7_800 },
    ]);
    assert_eq!(hours(&app).await, expected);
}

#[tokio::test]
async fn hour_before_the_copy_is_complete_has_no_age() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.agent("alpha").beat().await;
    assert_eq!(hours(&app).await[0]["maxAgeSeconds"], Value::Null);
    app.outlive_freshness();
    app.agent("alpha").beat().await;
    assert_eq!(hours(&app).await[0]["maxAgeSeconds"], 0);
}

#[tokio::test]
async fn lease_and_hold_keep_the_hours() {
    let app = TestApp::after_a_first_beat().await;
    let before = hours(&app).await;
    assert_eq!(before.as_array().map(Vec::len), Some(1));
    app.schedule().orders(json!({ "hold": "beta", "why": "x" })).await.expect("a hold");
    let mut held = app.world.github.hold(Matching::graphql());
    let alpha = app.agent("alpha");
    let mut beat = Box::pin(alpha.beat());
    assert!(until_held(&mut beat, &mut held).await.is_none());
    let running = app.client().read("/api/status").await;
    assert!(running["passRunningUntil"].is_string());
    assert_eq!(running["hours"], before);
    held.release();
    beat.await;
    assert_eq!(hours(&app).await[0]["passes"], before[0]["passes"].as_u64().expect("a number") + 1);
}

/// Gives each id and each fencing token ten digits.
fn with_large_numbers(state: &mut Value) {
    match state {
        Value::Number(number) if number.as_u64().is_some_and(|number| number < 100_000) => {
            *state = 1_234_567_891_u64.into();
        }
        Value::Array(values) => values.iter_mut().for_each(with_large_numbers),
        Value::Object(fields) => fields.values_mut().for_each(with_large_numbers),
        _ => {}
    }
}

#[tokio::test]
async fn state_with_24_hours_problems_and_all_named_repositories_is_one_write_unit() {
    let names: Vec<String> = (0..17).map(|n| format!("acme/r{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let app = TestApp::tracking(&names).start().await;
    app.world.github.arrange(|github| names.iter().for_each(|name| github.open_issues(name, 1)));
    app.agent("alpha").beat().await;
    app.world.github.arrange(|github| github.hide_repository(names[0]));
    for _ in 0..24 {
        app.pass_time(3_600);
        app.world.github.arrange(|github| names[1..].iter().for_each(|name| github.comment(name, 1)));
        assert_eq!(app.agent("alpha").beat().await.status(), "warning");
    }
    assert_eq!(hours(&app).await.as_array().map(Vec::len), Some(24));
    let mut state = app.state().into_value();
    // Also while a pass runs.
    state["claimOwner"] = state["ended"]["passId"].clone();
    state["claimUntil"] = state["generation"].clone();
    with_large_numbers(&mut state);
    let ended = &state["ended"];
    assert_eq!(
        (ended["recent"]["repositories"].as_array().map(Vec::len), ended["hours"].as_str().map(str::len)),
        (Some(16), Some(100))
    );
    assert!(ended["problemsFrom"].is_string());
    assert!(item_size(&state) <= 1_024, "{} bytes: {state:#}", item_size(&state));
}
