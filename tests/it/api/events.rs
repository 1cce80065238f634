//! The sample events, each answered by its function.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::app::TestApp;
use crate::support::roles::invoke;

const FILES: [&str; 11] = [
    "confirm-audit.json",
    "heartbeat-declaring.json",
    "heartbeat-function-url.json",
    "heartbeat-rest-api.json",
    "heartbeat-unauthorized.json",
    "heartbeat.json",
    "issues-function-url.json",
    "issues-rest-api.json",
    "issues.json",
    "schedule-rule.json",
    "schedule.json",
];

#[test]
fn events_folder_has_exactly_the_documented_events() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/events");
    let found: BTreeSet<String> = std::fs::read_dir(folder)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
        .collect();
    assert_eq!(found, FILES.map(str::to_owned).into());
}

/// `make sample-events` runs these commands.
#[test]
fn contributors_page_has_a_cargo_lambda_command_for_each_sample_event() {
    let page = include_str!("../../../CONTRIBUTING.md");
    for file in FILES {
        let is_http = file.starts_with("heartbeat") || file.starts_with("issues");
        let function = if is_http { "api" } else { "schedule" };
        let command = format!("\ncargo lambda invoke {function} --data-file events/{file} ");
        assert_eq!(page.matches(&command).count(), 1, "{command}");
    }
}

#[tokio::test]
async fn each_event_is_answered_by_its_function() {
    for file in FILES {
        let app = TestApp::tracking(&["acme/api"]).start().await;
        let event = TestApp::event(file);
        if file == "confirm-audit.json" {
            let failed = app.schedule().sends(event, 300).await.expect_err("no audit is held");
            let said = "confirmation rejected: no audit of this repository is on hold";
            assert!(failed.to_string().contains(said), "{failed}");
        } else if file.starts_with("schedule") {
            let answer = app.schedule().beat().await.expect("a good beat");
            assert_eq!(answer.status(), "ok", "{file}");
            assert_eq!(app.runs("scheduler").len(), 1, "{file}");
        } else if file == "heartbeat-unauthorized.json" {
            let reply = app.stranger().sends(&event).await;
            assert_eq!(reply.status, 401);
            assert_eq!(app.items("AGENT", ""), [json!(null); 0]);
        } else if file.starts_with("issues") {
            app.world.github.arrange(|github| {
                github.open_issues("acme/api", 2);
                ["good first issue", "area:c++"]
                    .iter()
                    .for_each(|label| github.add_label("acme/api", 2, label));
            });
            app.agent("alpha").beat().await;
            let reply = app.stranger().sends(&event).await;
            assert_eq!((reply.status, &reply.body["issues"][0]["number"]), (200, &json!(2)), "{file}");
            assert_eq!(reply.body["issues"].as_array().map(Vec::len), Some(1), "{file}");
        } else {
            let reply = app.stranger().sends(&event).await;
            assert_eq!((reply.status, &reply.body["status"]), (200, &json!("ok")), "{file}");
            assert_eq!(app.runs("alpha").len(), 1, "{file}");
        }
    }
}

/// Lambda's console sends the first with its `hello-world` template; people type the others.
#[tokio::test]
async fn event_of_no_trigger_is_refused_by_api_and_is_a_scheduled_heartbeat() {
    for event in [json!({"key1": "value1"}), json!(null), json!(""), json!({})] {
        let app = TestApp::tracking(&["acme/api"]).start().await;
        let reply = app.stranger().sends(&event).await;
        assert_eq!((reply.status, &reply.body["title"]), (400, &json!("Bad Request")), "{event}");
        let answer = app.schedule().sends(event.clone(), 300).await.expect("a heartbeat");
        assert_eq!(answer.status(), "ok", "{event}");
        assert_eq!(app.runs("scheduler").len(), 1, "{event}");
    }
}

#[tokio::test]
async fn each_heartbeat_event_can_be_sent_twice() {
    for file in FILES {
        if !file.starts_with("heartbeat") || file.contains("unauthorized") {
            continue;
        }
        let app = TestApp::tracking(&["acme/api"]).start().await;
        let event = TestApp::event(file);
        let mut coalesced = Vec::new();
        for _ in 0..2 {
            coalesced.push(app.stranger().sends(&event).await.body["coalesced"].clone());
        }
        assert_eq!(coalesced, [json!(false), json!(true)], "{file}");
    }
}

/// REST APIs reject an answer with any other member; cargo-lambda's Function URL requires `cookies`.
#[tokio::test]
async fn answer_has_the_members_that_its_kind_of_event_requires() {
    const MEMBERS: [&str; 5] = ["body", "headers", "isBase64Encoded", "multiValueHeaders", "statusCode"];
    for (file, takes_cookies) in [
        ("heartbeat.json", true),
        ("heartbeat-function-url.json", true),
        ("heartbeat-unauthorized.json", true),
        ("heartbeat-rest-api.json", false),
        ("issues.json", true),
        ("issues-function-url.json", true),
        ("issues-rest-api.json", false),
    ] {
        let app = TestApp::tracking(&["acme/api"]).start().await;
        let answer = invoke(app.app.clone(), TestApp::event(file).to_string(), None).await;
        let mut members: BTreeSet<&str> =
            answer.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(
            members.take("cookies").map(|_| &answer["cookies"]),
            takes_cookies.then_some(&json!([])),
            "{file}"
        );
        assert_eq!(members, MEMBERS.into(), "{file}");
    }
}

#[tokio::test]
async fn top_level_method_of_cargo_lambda_is_ignored() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    let reply = app.stranger().sends_changed(|event| event["httpMethod"] = "GET".into()).await;
    assert_eq!((reply.status, &reply.body["status"]), (200, &json!("ok")));
}
