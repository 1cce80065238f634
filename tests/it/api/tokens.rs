//! The secret with the agents' tokens, its rotation, and failures of Secrets Manager.

use futures_util::future::join_all;
use test_world::secrets::{Fault, On};
use test_world::{AGENT_TOKEN, AGENT_TOKENS_SECRET_ID};

use crate::support::app::{Reply, TestApp};
use crate::support::log::Log;

const FIRST: &str = "the-first-token-not-a-secret-0123456789";
const SECOND: &str = "the-second-token-not-a-secret-0123456789";

async fn app() -> TestApp {
    TestApp::tracking(&["acme/api"]).start().await
}

async fn knock(app: &TestApp, token: &str) -> Reply {
    app.stranger()
        .sends_changed(|event| event["headers"]["authorization"] = format!("Bearer {token}").into())
        .await
}

fn store(app: &TestApp, secret: &str) {
    app.world.secrets.put_secret(AGENT_TOKENS_SECRET_ID, secret);
}

fn secrets_manager_is_down(app: &TestApp) {
    app.world.secrets.fault(On::anything(), Fault::AccessDenied.forever());
}

#[tokio::test]
async fn beats_within_a_minute_read_the_secret_once() {
    let app = app().await;
    for _ in 0..5 {
        assert_eq!(knock(&app, AGENT_TOKEN).await.status, 200);
    }
    app.pass_time(59);
    assert_eq!(knock(&app, AGENT_TOKEN).await.status, 200);
    assert_eq!(app.secret_reads(AGENT_TOKENS_SECRET_ID), 1);
}

#[tokio::test]
async fn plain_secret_is_one_token() {
    let app = app().await;
    store(&app, &format!(" {FIRST}\n"));
    assert_eq!(knock(&app, FIRST).await.status, 200);
    assert_eq!(knock(&app, AGENT_TOKEN).await.status, 401);
}

#[tokio::test]
async fn each_token_of_a_json_secret_serves_any_agent() {
    let app = app().await;
    let tokens = [FIRST, SECOND].map(|token| serde_json::json!({"token": token, "agents": ["*"]}));
    store(&app, &serde_json::json!({ "tokens": tokens }).to_string());
    for token in [FIRST, SECOND] {
        assert_eq!(knock(&app, token).await.status, 200, "{token}");
    }
    for token in [AGENT_TOKEN, "third", "*"] {
        assert_eq!(knock(&app, token).await.status, 401, "{token}");
    }
}

#[tokio::test]
async fn rotated_token_works_at_once() {
    let app = app().await;
    assert_eq!(knock(&app, AGENT_TOKEN).await.status, 200);
    store(&app, FIRST);
    assert_eq!(knock(&app, FIRST).await.status, 200);
    assert_eq!(knock(&app, AGENT_TOKEN).await.status, 401);
}

#[tokio::test]
async fn revoked_token_is_refused_within_a_minute() {
    let app = app().await;
    assert_eq!(knock(&app, AGENT_TOKEN).await.status, 200);
    store(&app, FIRST);
    app.pass_time(60);
    assert_eq!(knock(&app, AGENT_TOKEN).await.status, 401);
}

#[tokio::test]
async fn wrong_tokens_reread_the_secret_once_in_ten_seconds() {
    let app = app().await;
    assert_eq!(knock(&app, AGENT_TOKEN).await.status, 200);
    app.world.secrets.clear_requests();
    for (seconds, read) in [(0, 1), (9, 1), (1, 2)] {
        app.pass_time(seconds);
        for n in 0..10_000 / 200 / 3 + 1 {
            let knocks = (0..200).map(|m| {
                let (app, token) = (&app, format!("wrong-{n}-{m}"));
                async move { knock(app, &token).await.status }
            });
            assert_eq!(join_all(knocks).await, [401; 200]);
        }
        assert_eq!(app.secret_reads(AGENT_TOKENS_SECRET_ID), read);
    }
}

#[tokio::test]
async fn cached_token_without_secrets_manager_serves_for_an_hour() {
    let app = app().await;
    assert_eq!(knock(&app, AGENT_TOKEN).await.status, 200);
    secrets_manager_is_down(&app);
    app.pass_time(3_599);
    assert_eq!(knock(&app, AGENT_TOKEN).await.status, 200);
    assert_eq!(knock(&app, "wrong").await.status, 401);
    app.pass_time(1);
    assert_eq!(knock(&app, AGENT_TOKEN).await.status, 503);
    assert_eq!(knock(&app, "wrong").await.status, 503);
}

#[tokio::test]
async fn cold_start_without_secrets_manager_answers_503_and_does_not_hammer() {
    let app = app().await;
    secrets_manager_is_down(&app);
    let reply = knock(&app, AGENT_TOKEN).await;
    assert_eq!((reply.status, reply.headers["retry-after"].as_str()), (503, "10"));
    assert_eq!(reply.headers["content-type"], "application/problem+json");
    insta::assert_json_snapshot!(reply.body, @r#"
    {
      "detail": "the agent tokens cannot be read; retry later",
      "error": "Service Unavailable",
      "status": 503,
      "title": "Service Unavailable",
      "type": "about:blank"
    }
    "#);
    for _ in 0..20 {
        assert_eq!(knock(&app, AGENT_TOKEN).await.status, 503);
    }
    assert_eq!(app.secret_reads(AGENT_TOKENS_SECRET_ID), 1);
    app.pass_time(10);
    app.world.secrets.heal();
    assert_eq!(knock(&app, AGENT_TOKEN).await.status, 200);
}

/// A secret without a valid entry answers 503 instead of 401, so that valid clients are not misled.
#[tokio::test]
async fn malformed_secret_is_handled_like_an_unreadable_one() {
    let short = r#"{"tokens":[{"token":"short","agents":["*"]}]}"#;
    for secret in ["", " ", "short", "{", "{}", r#"{"tokens":"known"}"#, r#"{"token":"known"}"#, short] {
        let app = app().await;
        store(&app, secret);
        let log = Log::begin();
        for token in [AGENT_TOKEN, "known", "short", "*", "{}"] {
            let reply = knock(&app, token).await;
            assert_eq!(reply.status, 503, "{secret:?} and {token:?}");
            assert_eq!(reply.headers["retry-after"], "10");
        }
        assert_eq!(app.world.dynamodb.requests(), []);
        assert_eq!(log.lines("ERROR").len(), 1, "{}", log.text());
        app.pass_time(10);
        store(&app, AGENT_TOKEN);
        assert_eq!(knock(&app, AGENT_TOKEN).await.status, 200, "once it is repaired");
    }
}

#[tokio::test]
async fn empty_token_list_refuses_everybody() {
    let app = app().await;
    store(&app, r#"{"tokens":[]}"#);
    for token in [AGENT_TOKEN, "*", "{}"] {
        assert_eq!(knock(&app, token).await.status, 401, "{token:?}");
    }
}
