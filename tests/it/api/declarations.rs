//! The body of a heartbeat: what an agent declares, what the answer says about it, and what its item keeps.

use futures_util::future::join_all;
use serde_json::{Value, json};
use test_world::dynamodb::{Capacity, On};
use test_world::{AGENT_TOKENS_SECRET_ID, TABLE_NAME};

use crate::support::app::{Agent, Answer, TestApp, until_held};
use crate::support::checked::Checked;
use crate::support::described::Description;
use crate::support::item_size::item_size;

const DAY: i64 = 86_400;

async fn app() -> TestApp {
    TestApp::tracking(&["acme/api"]).start().await
}

fn declaring<'a>(app: &'a TestApp, body: &Value) -> Agent<'a> {
    app.agent("alpha").with_body(&body.to_string())
}

fn item(app: &TestApp) -> Checked {
    app.items("AGENTS", "alpha").pop().expect("an item")
}

/// A body with the longest value of each member.
fn largest() -> Value {
    json!({
        "intervalSeconds": 86_399,
        "graceSeconds": 86_399,
        "activeIssueUrls": (0..50).map(|n| format!("https://github.com/acme/api/issues/{}", 999_999_900 + n))
            .collect::<Vec<_>>(),
        "progress": "🐌".repeat(20),
        "stalledAfterSeconds": 604_799,
        "login": "x".repeat(39),
        "client": "x".repeat(40),
        "leaving": true,
    })
}

#[tokio::test]
async fn declared_interval_makes_a_watch_that_later_heartbeats_renew() {
    let app = app().await;
    let mut description = Description::served(&app).await;
    assert_eq!(app.agent("alpha").beat().await.0["watch"], Value::Null);
    let reply = declaring(&app, &json!({"intervalSeconds": 300})).knock().await;
    description.covers("/paths/~1api~1agents~1{agentName}~1heartbeat/post", &reply);
    let watch = |grace: u64, due: &str, down: &str| json!({"intervalSeconds": 300, "graceSeconds": grace, "dueAt": due, "downAt": down});
    let expected = watch(300, "2026-11-22T06:05:00.000Z", "2026-11-22T06:10:00.000Z");
    assert_eq!(reply.body["watch"], expected);
    app.pass_time(60);
    let expected = watch(300, "2026-11-22T06:06:00.000Z", "2026-11-22T06:11:00.000Z");
    for agent in [app.agent("alpha"), declaring(&app, &json!({}))] {
        assert_eq!(agent.beat().await.0["watch"], expected, "an absent member changes nothing");
    }
    let answer = declaring(&app, &json!({"graceSeconds": 0})).beat().await;
    assert_eq!(answer.0["watch"], watch(0, "2026-11-22T06:06:00.000Z", "2026-11-22T06:06:00.000Z"));
    let answer = declaring(&app, &json!({"intervalSeconds": null})).beat().await;
    assert_eq!(answer.0["watch"], Value::Null, "null forgets");
    assert_eq!((item(&app).get("intervalSeconds"), &item(&app)["graceSeconds"]), (None, &json!(0)));
}

#[tokio::test]
async fn agent_that_leaves_has_no_watch_until_its_next_heartbeat() {
    let app = app().await;
    let answer = declaring(&app, &json!({"intervalSeconds": 300, "leaving": true})).beat().await;
    assert_eq!((&answer.0["watch"], &item(&app)["leaving"]), (&Value::Null, &json!(true)));
    assert_eq!(app.agent("alpha").beat().await.0["watch"]["intervalSeconds"], 300);
    assert_eq!(item(&app).get("leaving"), None);
}

#[tokio::test]
async fn wrong_member_is_a_warning_and_does_not_cost_the_heartbeat() {
    let app = TestApp::after_a_first_beat().await;
    declaring(&app, &json!({"intervalSeconds": 300, "progress": "reading"})).beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.close_issue("acme/api", 3));
    let body =
        json!({"intervalSeconds": 5, "progress": "a\u{7}b", "graceSeconds": 60, "mood": "fine", "~": 1});
    let answer = declaring(&app, &body).beat().await;
    assert_eq!((answer.status(), answer.touched()), ("warning", vec!["closed acme/api#3".to_owned()]));
    insta::assert_json_snapshot!(answer.0["problems"], @r#"
    [
      {
        "code": "body_member_ignored",
        "message": "/intervalSeconds must be a whole number from 30 to 86400; this heartbeat does not change it",
        "phase": "request",
        "retryable": false,
        "severity": "warning"
      },
      {
        "code": "body_member_ignored",
        "message": "/progress must be a text of at most 80 bytes without control characters; this heartbeat does not change it",
        "phase": "request",
        "retryable": false,
        "severity": "warning"
      }
    ]
    "#);
    assert_eq!(answer.0["ignoredMembers"], json!(["mood", "~"]));
    assert_eq!(
        (&answer.0["watch"]["intervalSeconds"], &answer.0["watch"]["graceSeconds"]),
        (&json!(300), &json!(60))
    );
    assert_eq!(item(&app)["progress"], "reading");
    let run = app.runs("alpha").pop().expect("a run");
    assert_eq!(run["warnings"], answer.0["warnings"]);
    assert!(answer.lines("warnings")[0].starts_with("request: /intervalSeconds "));
    assert_eq!(app.agent("alpha").beat().await.codes(), [""; 0], "the next heartbeat is not affected");
}

#[tokio::test]
async fn declaration_is_kept_with_the_agent_and_forgotten_member_by_member() {
    let app = app().await;
    declaring(&app, &largest()).beat().await;
    let kept = item(&app);
    assert_eq!(
        (&kept["login"], &kept["progressAt"]),
        (&json!("x".repeat(39)), &json!(1_795_327_200_000_u64))
    );
    app.pass_time(5);
    declaring(&app, &largest()).beat().await;
    assert_eq!(item(&app)["progressAt"], kept["progressAt"], "the progress is the same");
    let forgotten: serde_json::Map<_, _> =
        largest().as_object().expect("an object").keys().map(|name| (name.clone(), Value::Null)).collect();
    declaring(&app, &forgotten.into()).beat().await;
    let (bare, all) = (item(&app), kept.as_object().expect("an item").keys());
    let left: Vec<_> = all.filter(|name| bare.has(name)).collect();
    assert_eq!(
        left,
        [
            "beatMinute",
            "beatsInMinute",
            "beatsPerHour",
            "expiresAt",
            "kindsAfter",
            "lastBeatAt",
            "lastRunId",
            "lastStatus",
            "pk",
            "progressAt",
            "reported",
            "sk",
            "tokenFingerprint",
            "told",
        ]
    );
}

#[tokio::test]
async fn declaration_costs_no_more_than_a_heartbeat_without_a_body() {
    let app = app().await;
    app.agent("alpha").beat().await;
    let mut all = largest();
    // `verdicts/costs.rs` has what the issues cost.
    all.as_object_mut().expect("an object").remove("activeIssueUrls");
    for body in [json!({}), all.clone(), all, json!({"progress": "done"}), json!({"login": null})] {
        app.clear_requests();
        let answer = declaring(&app, &body).beat().await;
        assert!(answer.is_coalesced());
        assert_eq!(app.world.dynamodb.capacity(), Capacity { read_units: 2.0, write_units: 2.0 }, "{body}");
    }
}

#[tokio::test]
async fn largest_item_of_an_agent_is_one_write_unit() {
    let app = app().await;
    let name = "x".repeat(64);
    app.agent(&name).with_body(&largest().to_string()).beat().await;
    let mut item = app.items("AGENTS", &name).pop().expect("an item").into_value();
    // The longest text that `domain/active_issues.rs` makes.
    item["activeIssues"] = "x".repeat(216).into();
    item["judgedBy"] = "x".repeat(12).into();
    item["stopAt"] = 1_767_225_600_001_u64.into();
    item["told"] = format!("{0}#~#{0}#{0}#{0}#{0}#{1}", "9".repeat(20), "9".repeat(10)).into();
    for counted in ["kindsAfter", "reported", "beatsInMinute"] {
        item[counted] = u64::MAX.into();
    }
    // The longest text that `domain/beats_per_hour.rs` makes.
    item["beatsPerHour"] = "x".repeat(31).into();
    item["lastStatus"] = "warning".into();
    for mark in ["pf", "sf"] {
        item[mark] = 17_957_412_345_671_u64.into();
    }
    let size = item_size(&item);
    insta::assert_snapshot!(size, @"1000");
    assert!(size <= 1_024, "{item:#}");
}

#[tokio::test]
async fn item_expires_after_the_retention_of_runs_and_at_least_35_days() {
    for (days, expected) in [(1, 35), (90, 90)] {
        let app =
            TestApp::tracking(&["acme/api"]).with("RUN_RETENTION_DAYS", &days.to_string()).start().await;
        for _ in 0..2 {
            app.agent("alpha").beat().await;
            let expires_at = item(&app)["expiresAt"].as_i64().expect("a time");
            assert_eq!((expires_at - app.world.clock.now().as_second()) / DAY, expected);
            app.pass_time(3_600);
        }
    }
}

#[tokio::test]
async fn members_that_heartbeats_declare_at_once_are_all_kept() {
    let app = app().await;
    app.agent("alpha").beat().await;
    let bodies =
        [json!({"intervalSeconds": 60}), json!({"progress": "x"}), json!({"login": "octocat"}), json!({})];
    let agents: Vec<_> = bodies.iter().map(|body| declaring(&app, body)).collect();
    join_all(agents.iter().map(|agent| agent.beat())).await;
    let item = item(&app);
    assert_eq!(
        [&item["intervalSeconds"], &item["progress"], &item["login"]],
        [&json!(60), &json!("x"), &json!("octocat")]
    );
    assert_eq!(app.beats_in_minute("alpha"), 5);
}

#[tokio::test]
async fn declaration_of_a_slower_heartbeat_whose_cursor_is_behind_is_kept() {
    let app = TestApp::after_a_first_beat().await;
    for seconds in [0, 60] {
        let body = json!({"progress": format!("slow {seconds}")});
        let mut held = app.world.dynamodb.hold(On::operation("UpdateItem").containing("AGENTS"));
        let slower = declaring(&app, &body);
        let mut slow = Box::pin(slower.beat());
        assert!(until_held(&mut slow, &mut held).await.is_none());
        app.pass_time(31 + seconds);
        app.world
            .github
            .arrange(|github| github.edit_issue("acme/api", 3, |issue| issue.title = format!("{seconds}")));
        app.agent("alpha").beat().await;
        let told = item(&app)["told"].clone();
        held.release();
        slow.await;
        assert_eq!((&item(&app)["told"], &item(&app)["progress"]), (&told, &body["progress"]));
        app.outlive_freshness();
    }
}

#[tokio::test]
async fn repeated_request_with_a_key_repeats_what_was_said_about_the_body() {
    let app = app().await;
    let body = json!({"intervalSeconds": 300, "graceSeconds": -1, "mood": "fine"});
    let first = declaring(&app, &body).with_key("a-key").knock().await;
    assert_eq!(
        (&first.body["watch"]["graceSeconds"], &first.body["ignoredMembers"]),
        (&json!(300), &json!(["mood"]))
    );
    declaring(&app, &json!({"intervalSeconds": 600})).beat().await;
    app.pass_time(5);
    let again = declaring(&app, &body).with_key("a-key").knock().await;
    assert_eq!(again.body, first.body);
    assert_eq!(item(&app)["intervalSeconds"], 600, "a repetition declares nothing");
}

#[tokio::test]
async fn heartbeat_without_the_table_promises_nothing() {
    let app = app().await;
    let broken = test_world::dynamodb::Fault::AccessDenied;
    app.world.dynamodb.fault(On::operation("BatchGetItem"), broken);
    let answer = declaring(&app, &json!({"intervalSeconds": 300})).beat().await;
    assert_eq!((answer.codes(), &answer.0["watch"]), (vec!["store_unavailable"], &Value::Null));
    assert_eq!(app.items("AGENTS", "").len(), 0);
}

#[tokio::test]
async fn expiry_of_the_token_is_told_within_seven_days() {
    let app = app().await;
    let expires = |at: &str| {
        let entry = json!({"token": test_world::AGENT_TOKEN, "agents": ["*"], "expiresAt": at});
        app.world.secrets.put_secret(AGENT_TOKENS_SECRET_ID, &json!({"tokens": [entry]}).to_string());
        app.pass_time(3_600);
    };
    let told = async || app.agent("alpha").beat().await.0["tokenExpiresAt"].clone();
    assert_eq!(told().await, Value::Null);
    expires("2026-11-29T07:00:01Z");
    assert_eq!(told().await, Value::Null);
    app.pass_time(1);
    assert_eq!(told().await, "2026-11-29T07:00:01.000Z");
}

#[tokio::test]
async fn scheduled_heartbeat_declares_nothing() {
    let app = app().await;
    let Answer(answer) = app.schedule().beat().await.expect("an answer");
    assert_eq!(
        [&answer["watch"], &answer["ignoredMembers"], &answer["tokenExpiresAt"]],
        [&Value::Null, &json!([]), &Value::Null]
    );
    assert!(app.world.dynamodb.item(TABLE_NAME, "AGENTS", "scheduler").is_none());
}
