//! GitHub's support needs the id of a request, `x-github-request-id`. The log has it with each answer that failed or is
//! unusable, and nothing else has it.

use serde_json::json;
use test_world::TABLE_NAME;
use test_world::github::{Fault, Matching};

use crate::support::app::TestApp;
use crate::support::github_app;
use crate::support::log::Log;

/// An id in GitHub's form.
const ID: &str = "C0DE:1A2B3C:4D5E6F:708192:65F0A1B2";

const FAILED: &str = "A request to GitHub failed with status";

fn answer(status: u16, id: &str, body: &str) -> Fault {
    let headers = vec![("x-github-request-id", id.to_owned())];
    Fault::Answer { status, headers, body: body.to_owned() }
}

/// The request ids in the log of GitHub's failed answers, and everything else that was written, when GitHub fails in
/// this way.
async fn beat_against(app: TestApp, matching: Matching, fault: Fault) -> (Vec<serde_json::Value>, String) {
    let mut app = app;
    app.allows_unused_faults();
    app.world.github.fault(matching, fault.forever());
    let log = Log::begin();
    let answer = app.agent("alpha").beat().await;
    let failed = log
        .lines("WARN")
        .into_iter()
        .filter(|line| line["message"].as_str().is_some_and(|message| message.starts_with(FAILED)));
    let ids = failed.map(|line| line["github.request_id"].clone()).collect();
    (ids, format!("{} {:?}", answer.0, app.world.dynamodb.items(TABLE_NAME)))
}

#[tokio::test]
async fn failed_answer_is_logged_with_githubs_request_id() {
    let with_an_error =
        json!({"data": {"r0": null, "r1": null}, "errors": [{"type": "NOT_FOUND", "path": ["r0"]}]});
    let limited = json!({"errors": [{"type": "RATE_LIMITED", "message": "limited"}]});
    let not_executed = json!({"errors": [{"message": "something went wrong"}]});
    let foreign = json!([{"number": 1, "title": "", "html_url": "https://elsewhere.example/", "state": "open",
        "created_at": "2026-11-22T06:00:00Z", "updated_at": "2026-11-22T06:00:00Z"}]);
    let mut cases = Vec::new();
    for status in [400, 401, 403, 404, 410, 422, 429, 451, 500, 502, 503] {
        cases.push((Matching::any_listing(), answer(status, ID, "{}")));
        cases.push((Matching::graphql(), answer(status, ID, "{}")));
    }
    for body in ["<html>", "[{}]", &foreign.to_string()] {
        cases.push((Matching::any_listing(), answer(200, ID, body)));
    }
    for body in ["<html>", "{}", &with_an_error.to_string(), &limited.to_string(), &not_executed.to_string()]
    {
        cases.push((Matching::graphql(), answer(200, ID, body)));
    }
    for (matching, fault) in cases {
        let of = format!("{matching:?} {fault:?}");
        let (ids, said) = beat_against(TestApp::after_a_first_beat().await, matching, fault).await;
        assert!(!ids.is_empty() && ids.iter().all(|id| id == ID), "{of}: {ids:?}");
        assert!(!said.contains(ID), "{of}: {said}");
    }
}

#[tokio::test]
async fn failed_rest_lookup_is_logged_with_githubs_request_id() {
    let redirect = |to: &str| {
        let headers = vec![("x-github-request-id", ID.to_owned()), ("location", to.to_owned())];
        Fault::Answer { status: 301, headers, body: "{}".to_owned() }
    };
    let nameless = r#"{"id": 1, "full_name": "no name", "disabled": false}"#;
    for status_and_body in [(404, "{}"), (500, "{}"), (200, "[]"), (200, nameless)] {
        let app = TestApp::tracking(&["acme/api"]).start().await;
        app.world.github.arrange(|github| github.remove_graphql());
        let fault = answer(status_and_body.0, ID, status_and_body.1);
        let (ids, _) = beat_against(app, Matching::repository("acme/api"), fault).await;
        assert!(ids.iter().any(|id| id == ID), "{status_and_body:?}: {ids:?}");
    }
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| github.remove_graphql());
    let itself = format!("{}/repos/acme/api", app.world.github.url().trim_end_matches('/'));
    let (ids, _) = beat_against(app, Matching::repository("acme/api"), redirect(&itself)).await;
    assert!(ids.iter().any(|id| id == ID), "{ids:?}");
}

#[tokio::test]
async fn refused_token_request_is_logged_with_githubs_request_id() {
    for (status, body) in [(401, "{}"), (404, "{}"), (500, "{}"), (201, "{}")] {
        let app = github_app::two_repositories().await;
        let (ids, _) = beat_against(app, Matching::token_request(), answer(status, ID, body)).await;
        assert!(!ids.is_empty() && ids.iter().all(|id| id == ID), "{status}: {ids:?}");
    }
}

#[tokio::test]
async fn invalid_request_id_is_not_logged() {
    let long = "F".repeat(101);
    for id in ["words of another", "<script>", "a\"b", "token-0123456789", &long, ""] {
        for matching in [Matching::any_listing(), Matching::graphql()] {
            let app = TestApp::after_a_first_beat().await;
            let log = Log::begin();
            let (ids, said) = beat_against(app, matching, answer(502, id, "{}")).await;
            assert!(!ids.is_empty() && ids.iter().all(serde_json::Value::is_null), "{id:?}: {ids:?}");
            assert!(id.is_empty() || !(log.text() + &said).contains(id), "{id:?}");
        }
    }
}
