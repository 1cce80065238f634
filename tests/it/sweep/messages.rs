//! Which messages are sent about agents, and what they say.

use agent_heartbeat::schedule::ScheduledBeatFailed;
use serde_json::{Value, json};
use test_world::dynamodb::{Fault as Broken, On};
use test_world::github::{Fault, Matching};
use test_world::{AGENT_TOKENS_SECRET_ID, TABLE_NAME, notifications};

use super::{
    BETWEEN_MESSAGES, SCHEDULE, a_schedule_later, beat, fleet, fleet_of, promise, reported,
    until_a_message_may_follow,
};
use crate::support::app::TestApp;

#[tokio::test]
async fn silence_is_reported_once_and_the_return_too() {
    let app = fleet(&["alpha", "beta"]).await;
    for _ in 0..5 {
        a_schedule_later(&app, &["beta"]).await.expect("a good beat");
    }
    assert_eq!(reported(&app), [["down alpha"]]);
    until_a_message_may_follow(&app, &["alpha", "beta"]).await;
    assert_eq!(reported(&app), [["down alpha"], ["up alpha"]]);
    let [down, up] = &app.messages()[..] else { panic!("two messages") };
    assert_eq!(up["up"][0]["downSince"], down["down"][0]["since"], "they have the same episode");
    assert_ne!(up["eventId"], down["eventId"]);
    until_a_message_may_follow(&app, &["beta"]).await;
    assert_eq!(reported(&app).len(), 3, "another silence");
}

#[tokio::test]
async fn message_says_what_was_promised_and_what_the_agent_works_on() {
    let app = fleet(&["beta"]).await;
    let mut body = promise();
    body["activeIssueUrls"] = json!(["https://github.com/acme/api/issues/2"]);
    body["progress"] = "a secret of the agent's".into();
    app.agent("alpha").with_body(&body.to_string()).beat().await;
    a_schedule_later(&app, &["beta"]).await.expect("a good beat");
    let [message] = &app.messages()[..] else { panic!("one message") };
    let mut shown = message.clone();
    shown["eventId"] = "an id".into();
    insta::assert_json_snapshot!(shown, @"");
    let published = app.world.notifications.messages();
    assert_eq!(published[0].subject, "Agent alpha is down");
    assert!(!published[0].forms.values().any(|form| form.contains("a secret of")), "progress is the agent's own");
    assert!(published[0].form("email").starts_with("Agent alpha is down.\n"));
}

#[tokio::test]
async fn one_more_silence_is_reported_while_another_lasts() {
    let app = fleet(&["alpha", "beta", "gamma"]).await;
    a_schedule_later(&app, &["beta", "gamma"]).await.expect("a good beat");
    a_schedule_later(&app, &["gamma"]).await.expect("a good beat");
    assert_eq!(reported(&app), [["down alpha"]], "the next message has to wait");
    until_a_message_may_follow(&app, &["gamma"]).await;
    assert_eq!(reported(&app), [["down alpha"], ["down beta"]]);
}

#[tokio::test]
async fn agent_that_is_back_before_its_message_is_sent_is_left_out() {
    let app = fleet(&["alpha", "beta", "gamma"]).await;
    app.pass_time(SCHEDULE);
    beat(&app, "gamma").await;
    let mut held = app.world.dynamodb.hold(On::operation("PutItem").containing("UNSENT"));
    let schedule = app.schedule();
    let mut sweeping = Box::pin(schedule.beat());
    assert!(crate::support::app::until_held(&mut sweeping, &mut held).await.is_none());
    beat(&app, "alpha").await;
    held.release();
    sweeping.await.expect("a good beat");
    assert_eq!(reported(&app), [["down beta"]]);
    until_a_message_may_follow(&app, &["alpha", "gamma"]).await;
    assert_eq!(reported(&app), [["down beta"]], "it was never reported, so it does not return");
}

#[tokio::test]
async fn stall_is_reported_and_its_end_too() {
    let app = fleet(&["beta"]).await;
    let working = |progress: &str| {
        json!({
            "intervalSeconds": 600, "stalledAfterSeconds": 600, "progress": progress,
            "activeIssueUrls": ["https://github.com/acme/api/issues/2"],
        })
    };
    let says = async |progress: &str| {
        app.agent("alpha").with_body(&working(progress).to_string()).beat().await;
    };
    says("reading").await;
    for _ in 0..5 {
        a_schedule_later(&app, &["beta"]).await.expect("a good beat");
        says("reading").await;
    }
    assert_eq!(reported(&app), [["stalled alpha"]]);
    assert_eq!(app.messages()[0]["stalled"][0]["progressAt"], "2026-11-22T06:00:00.000Z");
    says("writing").await;
    until_a_message_may_follow(&app, &["beta"]).await;
    assert_eq!(reported(&app)[1], ["moving alpha"]);
}

#[tokio::test]
async fn held_agents_are_muted_until_they_are_released() {
    let app = fleet(&["ci-1", "beta"]).await;
    app.schedule().orders(json!({"hold": "ci-*", "why": "a freeze"})).await.expect("a hold");
    for _ in 0..3 {
        a_schedule_later(&app, &["beta"]).await.expect("a good beat");
    }
    assert_eq!(reported(&app), [[""; 0]; 0]);
    app.schedule().orders(json!({"release": "ci-*"})).await.expect("no hold");
    a_schedule_later(&app, &["beta"]).await.expect("a good beat");
    assert_eq!(reported(&app), [["down ci-1"]]);
}

#[tokio::test]
async fn agent_that_says_goodbye_is_not_reported() {
    let app = fleet(&["alpha", "beta"]).await;
    app.agent("alpha").with_body(r#"{"leaving": true}"#).beat().await;
    for _ in 0..3 {
        a_schedule_later(&app, &["beta"]).await.expect("a good beat");
    }
    assert_eq!(reported(&app), [[""; 0]; 0]);
}

#[tokio::test]
async fn five_hundred_silent_agents_are_one_message() {
    let app = fleet(&["alpha"]).await;
    super::costs::copy_agent(&app, "alpha", 499);
    a_schedule_later(&app, &[]).await.expect("a good beat");
    let [message] = &app.messages()[..] else { panic!("one message: {}", app.messages().len()) };
    assert_eq!((&message["watched"], &message["more"]["down"]), (&json!(500), &json!(450)));
    let published = app.world.notifications.messages();
    assert_eq!(published[0].subject, "500 agents are down");
    let text = published[0].form("email");
    assert!(text.contains("Most of the fleet is silent: look for one cause."), "{text}");
    assert!(text.contains("\n- and 480 more"), "{text}");
    assert_eq!(text.matches("last heartbeat").count(), 20);
    a_schedule_later(&app, &[]).await.expect("a good beat");
    until_a_message_may_follow(&app, &[]).await;
    assert_eq!(app.messages().len(), 1);
}

#[tokio::test]
async fn agents_that_share_an_expired_token_have_that_as_their_cause() {
    let app = fleet(&["alpha", "beta"]).await;
    let token = json!({"tokens": [{"token": "another-token-not-a-secret-0123456789", "agents": ["*"]}]});
    app.world.secrets.put_secret(AGENT_TOKENS_SECRET_ID, &token.to_string());
    a_schedule_later(&app, &[]).await.expect("a good beat");
    let published = app.world.notifications.messages();
    let text = published[0].form("email");
    assert!(text.contains("All of them use one token") && text.contains("no longer valid"), "{text}");
}

#[tokio::test]
async fn message_that_sns_refuses_fails_the_invocation_and_is_sent_by_the_next() {
    let app = fleet(&["alpha", "beta"]).await;
    for fault in [notifications::Fault::Throttle, notifications::Fault::AccessDenied] {
        app.world.notifications.fault(notifications::On::operation("Publish"), fault);
        let failed = a_schedule_later(&app, &["beta"]).await.expect_err("a failed invocation");
        assert!(matches!(failed, ScheduledBeatFailed::Sweep(_)), "{failed}");
    }
    assert_eq!(app.runs("scheduler").len(), 3, "the pass ran nevertheless");
    a_schedule_later(&app, &["beta"]).await.expect("a good beat");
    a_schedule_later(&app, &["beta"]).await.expect("a good beat");
    assert_eq!(reported(&app), [["down alpha"]]);
    assert!(app.items("FLEET", "UNSENT").is_empty());
}

#[tokio::test]
async fn sweep_that_cannot_use_the_table_fails_the_invocation_after_the_pass() {
    let app = fleet(&["alpha", "beta"]).await;
    app.world.dynamodb.fault(On::operation("Query").containing("\"AGENTS\""), Broken::AccessDenied);
    let failed = a_schedule_later(&app, &["beta"]).await.expect_err("a failed invocation");
    insta::assert_snapshot!(failed, @"");
    assert_eq!(app.runs("scheduler")[1]["status"], "ok");
    a_schedule_later(&app, &["beta"]).await.expect("a good beat");
    assert_eq!(reported(&app), [["down alpha"]]);
}

#[tokio::test]
async fn trouble_with_github_does_not_delay_a_message() {
    let app = fleet(&["alpha", "beta"]).await;
    app.world.github.fault(Matching::anything(), Fault::Status(502).forever());
    let failed = a_schedule_later(&app, &[]).await.expect_err("a failed pass");
    assert!(matches!(failed, ScheduledBeatFailed::Beat(_)), "{failed}");
    assert_eq!(reported(&app), [["down alpha", "down beta"]]);
}

#[tokio::test]
async fn operators_events_sweep_nothing() {
    let app = fleet(&["alpha", "beta"]).await;
    app.pass_time(SCHEDULE);
    let _ = app.schedule().confirms("acme/api").await;
    app.schedule().orders(json!({"hold": "x", "why": "x"})).await.expect("a hold");
    assert_eq!(app.messages(), [Value::Null; 0]);
}

#[tokio::test]
async fn without_a_topic_nothing_is_sent_or_marked() {
    let app = fleet_of(TestApp::tracking(&["acme/api"]).with("AGENTS_TOPIC_ARN", ""), &["alpha", "beta"]).await;
    for _ in 0..2 {
        a_schedule_later(&app, &["beta"]).await.expect("a good beat");
    }
    assert_eq!(app.world.notifications.requests(), []);
    assert!(!app.items("AGENTS", "alpha")[0].has("pf") && app.items("FLEET", "UNSENT").is_empty());
    assert_eq!(app.items("FLEET", "WATCH")[0]["since"], "2026-11-22T06:00:00.000Z");
    assert_eq!(app.client().read("/api/agents/alpha").await["state"], "down");
}

#[tokio::test]
async fn heartbeats_keep_what_was_reported() {
    let app = fleet(&["alpha", "beta"]).await;
    a_schedule_later(&app, &["beta"]).await.expect("a good beat");
    let mark = app.items("AGENTS", "alpha")[0]["pf"].clone();
    beat(&app, "alpha").await;
    let item = app.world.dynamodb.item(TABLE_NAME, "AGENTS", "alpha").expect("an item");
    assert!(mark.is_u64() && item["pf"] == mark, "{item:#}");
    app.pass_time(BETWEEN_MESSAGES);
    assert_eq!(reported(&app), [["down alpha"]]);
}
