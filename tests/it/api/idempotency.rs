//! A request with an `Idempotency-Key` can be repeated: there is one beat, one AgentRun, and every change is reported.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;
use test_world::dynamodb::{Capacity, Fault, On};
use test_world::github::Matching;

use crate::support::app::{Reply, TestApp, until_held};
use crate::support::checked::Checked;

const KEY: &str = "8e03978e-40d5-43dd-bc93-6894a57f9324";
const DAY: u64 = 24 * 3_600;

fn is_replayed(reply: &Reply) -> bool {
    reply.headers.get("idempotency-replayed").is_some_and(|value| value == "true")
}

fn assert_refused(reply: &Reply, status: u16) {
    assert_eq!(reply.status, status, "{reply:#?}");
    assert!(
        reply.body["detail"].as_str().is_some_and(|detail| detail.contains("Idempotency-Key")),
        "{reply:#?}"
    );
    assert_eq!(reply.headers["content-type"], "application/problem+json");
}

fn kept(app: &TestApp) -> Vec<Checked> {
    app.items("AGENT#", "KEY#")
}

#[tokio::test]
async fn request_without_a_key_runs_each_time_and_its_answer_is_not_kept() {
    let app = TestApp::after_a_first_beat().await;
    let (first, second) = (app.agent("alpha").knock().await, app.agent("alpha").knock().await);
    assert_ne!(first.body["runId"], second.body["runId"]);
    assert!(!is_replayed(&first) && !is_replayed(&second));
    assert_eq!(kept(&app), [Value::Null; 0]);
    assert_eq!(app.runs("alpha").len(), 3);
}

#[tokio::test]
async fn repeated_request_gets_the_same_answer_and_does_not_run() {
    let app = TestApp::after_a_first_beat().await;
    let first = app.agent("alpha").with_key(KEY).knock().await;
    assert_eq!((first.status, first.body["touchedCount"].as_u64()), (200, Some(3)));
    assert!(!is_replayed(&first));
    let before = (app.runs("alpha"), app.items("AGENTS", ""));
    app.clear_requests();
    for environment in [app.app.clone(), app.another_environment()] {
        app.pass_time(40);
        let again = app.agent("alpha").in_environment(environment).with_key(KEY).knock().await;
        assert!(is_replayed(&again));
        assert_eq!((again.status, again.body), (200, first.body.clone()));
        assert_eq!(again.headers["content-type"], "application/json");
    }
    assert_eq!((app.runs("alpha"), app.items("AGENTS", "")), before);
    assert_eq!(app.asked(), [""; 0]);
    assert_eq!(app.world.dynamodb.capacity(), Capacity { read_units: 6.0, write_units: 0.0 });
}

#[tokio::test]
async fn coalesced_beat_with_a_key_costs_a_read_and_two_writes_more() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.agent("alpha").beat().await;
    app.agent("beta").beat().await;
    app.clear_requests();
    let reply = app.agent("beta").with_key(KEY).knock().await;
    assert_eq!(reply.body["coalesced"], true);
    assert_eq!(app.world.dynamodb.capacity(), Capacity { read_units: 3.0, write_units: 4.0 });
}

#[tokio::test]
async fn answer_is_kept_for_24_hours_and_then_the_key_is_new() {
    for deleted in [false, true] {
        let app = TestApp::after_a_first_beat().await;
        let first = app.agent("alpha").with_key(KEY).knock().await;
        app.pass_time(DAY - 1);
        assert!(is_replayed(&app.agent("alpha").with_key(KEY).knock().await));
        app.pass_time(1);
        if deleted {
            app.pass_time(1);
            assert_eq!(app.world.dynamodb.expire(), 1);
        }
        let next = app.agent("alpha").with_key(KEY).with_body(r#"{"another":"body"}"#).knock().await;
        assert!(!is_replayed(&next));
        assert_ne!(next.body["runId"], first.body["runId"]);
        assert_eq!((next.status, app.runs("alpha").len()), (200, 3));
    }
}

#[tokio::test]
async fn different_request_with_the_same_key_is_refused() {
    let app = TestApp::after_a_first_beat().await;
    app.agent("alpha").with_key(KEY).with_body("{}").beat().await;
    let reply = app.agent("alpha").with_key(KEY).with_body(r#"{"some":"thing"}"#).knock().await;
    assert_refused(&reply, 422);
    assert!(is_replayed(&app.agent("alpha").with_key(KEY).with_body("{}").knock().await));
    assert_eq!(app.runs("alpha").len(), 2);
}

#[tokio::test]
async fn key_of_one_agent_is_new_for_another() {
    let app = TestApp::after_a_first_beat().await;
    let alpha = app.agent("alpha").with_key(KEY).knock().await;
    let beta = app.agent("beta").with_key(KEY).knock().await;
    assert_eq!((beta.status, is_replayed(&beta)), (200, false));
    assert_ne!(alpha.body["runId"], beta.body["runId"]);
}

#[tokio::test]
async fn quoted_key_equals_the_unquoted_one_and_is_not_stored() {
    let app = TestApp::after_a_first_beat().await;
    app.agent("alpha").with_key(KEY).beat().await;
    assert!(is_replayed(&app.agent("alpha").with_key(&format!("\"{KEY}\"")).knock().await));
    let table = app.items("", "").iter().map(ToString::to_string).collect::<String>();
    assert!(table.contains("KEY#") && !table.contains(KEY));
}

#[tokio::test]
async fn invalid_key_is_refused_and_nothing_runs() {
    let app = TestApp::after_a_first_beat().await;
    for bad in ["", "\"\"", "a b", "a, b", "\"a\";b=1", "schlüssel", &"x".repeat(256)] {
        let reply = app.agent("alpha").with_key(bad).knock().await;
        assert_refused(&reply, 400);
    }
    assert_eq!(app.runs("alpha").len(), 1);
}

#[tokio::test]
async fn repeated_request_while_the_first_runs_is_asked_to_retry() {
    let app = TestApp::after_a_first_beat().await;
    let mut held = app.world.github.hold(Matching::graphql());
    let alpha = app.agent("alpha").with_key(KEY);
    let mut first = Box::pin(alpha.knock());
    assert!(until_held(&mut first, &mut held).await.is_none());
    let refused = app.agent("alpha").with_key(KEY).knock().await;
    assert_refused(&refused, 409);
    assert_eq!(refused.headers["retry-after"], "2");
    held.release();
    let first = first.await;
    let again = app.agent("alpha").with_key(KEY).knock().await;
    assert_eq!((again.body.clone(), is_replayed(&again)), (first.body, true));
    assert_eq!(app.runs("alpha").len(), 2);
}

/// A beat with the key that dies during its request to GitHub, in an invocation of this many seconds.
async fn dies(app: &TestApp, seconds: Option<u64>) {
    let mut held = app.world.github.hold(Matching::graphql());
    let alpha = app.agent("alpha").with_key(KEY);
    let deadline = seconds.map(|seconds| app.world.clock.now() + Duration::from_secs(seconds));
    let mut dying = Box::pin(alpha.knock_until(deadline));
    assert!(until_held(&mut dying, &mut held).await.is_none());
    drop(dying);
    held.release();
}

#[tokio::test]
async fn key_of_a_dead_request_is_free_at_its_deadline() {
    for (deadline, ends) in [(Some(12), 12), (Some(900), 30), (None, 30)] {
        let app = TestApp::after_a_first_beat().await;
        dies(&app, deadline).await;
        let [_, running] = &app.runs("alpha")[..] else { panic!("{:#?}", app.runs("alpha")) };
        assert_eq!(running["status"], "running");
        app.pass_time(ends - 1);
        let refused = app.agent("alpha").with_key(KEY).knock().await;
        assert_eq!((refused.status, refused.headers["retry-after"].as_str()), (409, "1"), "{deadline:?}");
        app.pass_time(1);
        let reply = app.agent("alpha").with_key(KEY).knock().await;
        assert_eq!((reply.status, is_replayed(&reply)), (200, false), "{deadline:?}");
        assert_eq!(reply.body["runId"], running["runId"], "one request, one AgentRun");
        assert_eq!(app.runs("alpha").len(), 2, "{deadline:?}");
    }
}

#[tokio::test]
async fn freed_key_still_belongs_to_its_request() {
    let app = TestApp::after_a_first_beat().await;
    dies(&app, None).await;
    app.pass_time(31);
    let other = app.agent("alpha").with_key(KEY).with_body(r#"{"some":"thing"}"#).knock().await;
    assert_eq!(other.status, 422);
}

#[tokio::test]
async fn hundred_requests_at_once_with_one_key_make_one_run() {
    let app = TestApp::after_a_first_beat().await;
    let others: Vec<_> = (0..3).map(|_| app.another_environment()).collect();
    let agents: Vec<_> = (0..100)
        .map(|n| app.agent("alpha").with_key(KEY).in_environment(others[n % others.len()].clone()))
        .collect();
    let replies = join_all(agents.iter().map(|agent| agent.knock())).await;
    let answered: Vec<&Reply> = replies.iter().filter(|reply| reply.status == 200).collect();
    assert!(replies.iter().all(|reply| [200, 409].contains(&reply.status)));
    assert_eq!(answered.iter().filter(|reply| !is_replayed(reply)).count(), 1);
    assert!(answered.iter().all(|reply| reply.body == answered[0].body));
    assert_eq!(
        (app.runs("alpha").len(), app.beats_in_minute("alpha")),
        (2, Value::from(2)),
        "one before, and one"
    );
    let again = app.agent("alpha").with_key(KEY).knock().await;
    assert_eq!((again.body, app.runs("alpha").len()), (answered[0].body.clone(), 2));
}

#[tokio::test]
async fn repeated_request_does_not_count_and_a_refused_one_frees_its_key() {
    let app = TestApp::tracking(&["acme/api"]).with("BEATS_PER_MINUTE", "1").start().await;
    app.agent("alpha").with_key(KEY).beat().await;
    for _ in 0..3 {
        assert!(is_replayed(&app.agent("alpha").with_key(KEY).knock().await));
    }
    assert_eq!(app.agent("alpha").with_key("another").knock().await.status, 429);
    assert_eq!(kept(&app).len(), 1);
    app.pass_time(60);
    let reply = app.agent("alpha").with_key("another").knock().await;
    assert_eq!((reply.status, is_replayed(&reply)), (200, false));
}

#[tokio::test]
async fn kept_answer_is_not_shown_without_a_token() {
    let app = TestApp::after_a_first_beat().await;
    app.agent("alpha").with_key(KEY).beat().await;
    let reply = app
        .stranger()
        .sends_changed(|event| {
            event["headers"]["idempotency-key"] = KEY.into();
            event["headers"]["authorization"] = "Bearer wrong".into();
        })
        .await;
    assert_eq!(reply.status, 401);
}

#[tokio::test]
async fn first_request_that_returns_after_a_takeover_changes_nothing() {
    let app = TestApp::after_a_first_beat().await;
    let run = || On::operation("PutItem").containing("RUN#").containing("finishedAt");
    let mut held = app.world.dynamodb.hold(run());
    let alpha = app.agent("alpha").with_key(KEY);
    let mut slow = Box::pin(alpha.knock());
    assert!(until_held(&mut slow, &mut held).await.is_none());
    app.pass_time(31);
    app.world.github.arrange(|github| github.close_issue("acme/api", 3));
    let elsewhere = app.another_environment();
    let second = app.agent("alpha").in_environment(elsewhere).with_key(KEY).knock().await;
    assert_eq!((second.status, second.body["touchedCount"].as_u64()), (200, Some(4)), "{second:#?}");
    let (runs, agents) = (app.runs("alpha"), app.items("AGENTS", ""));
    held.release();
    let first = slow.await;
    assert_eq!(first.body["problems"][0]["code"], "run_not_recorded", "{first:#?}");
    assert_eq!((app.runs("alpha"), app.items("AGENTS", "")), (runs, agents));
    assert_eq!(app.agent("alpha").with_key(KEY).knock().await.body, second.body);
}

#[tokio::test]
async fn kept_answer_without_a_stored_cursor_is_the_one_that_was_sent() {
    let app = TestApp::after_a_first_beat().await;
    app.world.dynamodb.fault(On::operation("UpdateItem").containing("beatMinute"), Fault::AccessDenied);
    let first = app.agent("alpha").with_key(KEY).knock().await;
    assert_eq!(first.body["problems"][0]["code"], "run_not_recorded", "{first:#?}");
    let again = app.agent("alpha").with_key(KEY).knock().await;
    assert!(is_replayed(&again));
    assert_eq!(again.body, first.body);
    assert_eq!(app.runs("alpha")[1]["status"], "warning");
}
