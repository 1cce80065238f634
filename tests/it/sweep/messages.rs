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
use crate::support::app::{TestApp, until_held};

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
    insta::assert_json_snapshot!(shown, @r#"
    {
      "at": "2026-11-22T06:05:00.000Z",
      "down": [
        {
          "activeIssueUrls": [
            "https://github.com/acme/api/issues/2"
          ],
          "agent": "alpha",
          "downAt": "2026-11-22T06:02:00.000Z",
          "graceSeconds": 60,
          "intervalSeconds": 60,
          "missedBeats": 5,
          "since": "2026-11-22T06:00:00.000Z"
        }
      ],
      "eventId": "an id",
      "headline": "Agent alpha is down",
      "more": {
        "down": 0,
        "moving": 0,
        "stalled": 0,
        "up": 0
      },
      "moving": [],
      "schemaVersion": 1,
      "stalled": [],
      "up": [],
      "watched": 2
    }
    "#);
    let published = app.world.notifications.messages();
    assert_eq!(published[0].subject, "Agent alpha is down");
    assert!(
        !published[0].forms.values().any(|form| form.contains("a secret of")),
        "progress is the agent's own"
    );
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
    assert!(until_held(&mut sweeping, &mut held).await.is_none());
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
    insta::assert_snapshot!(failed, @"the sweep for silent agents failed: DynamoDB table unavailable (Query: AccessDeniedException); check TABLE_NAME and the function's IAM policy");
    assert_eq!(app.runs("scheduler")[1]["status"], "ok");
    a_schedule_later(&app, &["beta"]).await.expect("a good beat");
    assert_eq!(reported(&app), [["down alpha"]]);
}

#[tokio::test]
async fn trouble_with_github_does_not_delay_a_message() {
    let app = fleet(&["alpha", "beta"]).await;
    app.pass_time(SCHEDULE);
    let mut held = app.world.github.hold(Matching::anything());
    app.world.github.fault(Matching::anything(), Fault::Status(502).forever());
    let schedule = app.schedule();
    let mut invocation = Box::pin(schedule.beat());
    assert!(until_held(&mut invocation, &mut held).await.is_none());
    assert_eq!(reported(&app), [["down alpha", "down beta"]]);
    held.release();
    let failed = invocation.await.expect_err("a failed pass");
    assert!(matches!(failed, ScheduledBeatFailed::Beat(_)), "{failed}");
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
    let app =
        fleet_of(TestApp::tracking(&["acme/api"]).with("AGENTS_TOPIC_ARN", ""), &["alpha", "beta"]).await;
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

#[tokio::test]
async fn message_whose_answer_is_lost_is_published_once_more_with_its_id() {
    let app = fleet(&["alpha", "beta"]).await;
    app.world.notifications.fault(notifications::On::operation("Publish"), notifications::Fault::LoseAnswer);
    a_schedule_later(&app, &["beta"]).await.expect_err("a failed invocation");
    assert_eq!(app.messages().len(), 1, "the SDK does not repeat it");
    until_a_message_may_follow(&app, &["beta"]).await;
    let [first, second] = &app.messages()[..] else { panic!("two messages") };
    assert_eq!((&first["eventId"], &first["at"]), (&second["eventId"], &second["at"]));
}

/// With no other members than those that a schema names.
fn strict(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(members) => {
            members.values_mut().for_each(|member| *member = strict(member.take()));
            if members.get("type") == Some(&json!("object")) && members.contains_key("properties") {
                members.insert("additionalProperties".to_owned(), false.into());
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| *value = strict(value.take())),
        _ => {}
    }
    schema
}

/// The schema of <https://docs.aws.amazon.com/chatbot/latest/adminguide/custom-notifs.html>: only `version` and `source`
/// are required. Chat shows nothing of a message that does not match it.
fn custom_notification() -> Value {
    let (text, texts) =
        (json!({"type": "string", "minLength": 1}), json!({"type": "array", "items": {"type": "string"}}));
    json!({
        "type": "object",
        "required": ["version", "source"],
        "properties": {
            "version": {"const": "1.0"},
            "source": {"const": "custom"},
            "id": text,
            "content": {
                "type": "object",
                "required": ["description"],
                "properties": {
                    "textType": {"const": "client-markdown"},
                    "title": text,
                    "description": text,
                    "nextSteps": texts,
                    "keywords": texts,
                },
            },
            "metadata": {
                "type": "object",
                "properties": {
                    "threadId": text,
                    "summary": text,
                    "eventType": text,
                    "relatedResources": texts,
                    "additionalContext": {"type": "object", "additionalProperties": {"type": "string"}},
                },
            },
        },
    })
}

#[tokio::test]
async fn messages_match_the_schemas_of_programs_and_of_chat() {
    let app = fleet(&["alpha", "beta", "gamma"]).await;
    let mut working = promise();
    working["activeIssueUrls"] = json!(["https://github.com/acme/api/issues/2"]);
    working["stalledAfterSeconds"] = 60.into();
    let works = async |agent: &str| {
        app.agent(agent).with_body(&working.to_string()).beat().await;
    };
    works("gamma").await;
    works("alpha").await;
    app.pass_time(SCHEDULE);
    works("gamma").await;
    app.schedule().beat().await.expect("a good beat");
    working["progress"] = "more".into();
    let moves = async |agent: &str| {
        app.agent(agent).with_body(&working.to_string()).beat().await;
    };
    app.pass_time(BETWEEN_MESSAGES - SCHEDULE);
    app.schedule().beat().await.expect("a good beat");
    app.pass_time(SCHEDULE);
    moves("gamma").await;
    moves("alpha").await;
    app.schedule().beat().await.expect("a good beat");
    assert_eq!(
        reported(&app).concat(),
        ["down alpha", "down beta", "stalled gamma", "up alpha", "moving gamma"],
    );
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/agents-message.schema.json");
    let schema = std::fs::read_to_string(path).expect("a text");
    let schema = strict(serde_json::from_str(&schema).expect("JSON"));
    let programs = jsonschema::draft202012::new(&schema).expect("a schema");
    let chat = jsonschema::draft202012::new(&strict(custom_notification())).expect("a schema");
    for message in app.world.notifications.messages() {
        for (protocol, schema) in
            [("sqs", &programs), ("lambda", &programs), ("http", &programs), ("https", &chat)]
        {
            let form: Value = serde_json::from_str(message.form(protocol)).expect("JSON");
            let mistakes: Vec<String> =
                schema.iter_errors(&form).map(|mistake| mistake.to_string()).collect();
            assert_eq!(mistakes, [""; 0], "{protocol}: {form:#}");
        }
        assert!(message.subject.is_ascii() && message.subject.len() < 100);
    }
}

#[tokio::test]
async fn hold_that_is_set_before_a_message_is_repeated_mutes_it() {
    let app = fleet(&["alpha", "beta"]).await;
    app.world
        .notifications
        .fault(notifications::On::operation("Publish"), notifications::Fault::InternalError);
    a_schedule_later(&app, &["beta"]).await.expect_err("SNS fails");
    app.schedule().orders(json!({"hold": "alpha", "why": "x"})).await.expect("a hold");
    until_a_message_may_follow(&app, &["beta"]).await;
    assert_eq!(reported(&app).len(), 0);
    app.schedule().orders(json!({"release": "alpha"})).await.expect("no hold");
    until_a_message_may_follow(&app, &["beta"]).await;
    assert_eq!(reported(&app), [["down alpha"]]);
}
