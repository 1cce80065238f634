//! Who may beat: the secret with the agents' tokens, its rotation, and Secrets Manager's bad days.

use futures_util::future::join_all;
use local_stack::secrets::{Fault, On};
use local_stack::{AGENT_TOKEN, AGENT_TOKENS_SECRET_ID};

use crate::app::{Reply, TestApp};

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

/// How often the secret with the agents' tokens was asked for.
fn reads(app: &TestApp) -> usize {
    let requests = app.world.secrets.requests();
    let of_tokens =
        |exchange: &&local_stack::secrets::Exchange| exchange.request["SecretId"] == AGENT_TOKENS_SECRET_ID;
    requests.iter().filter(of_tokens).count()
}

fn secrets_manager_is_down(app: &TestApp) {
    app.world.secrets.fault(On::anything(), Fault::AccessDenied.forever());
}

#[tokio::test]
async fn many_beats_within_a_minute_read_the_secret_once() {
    let app = app().await;
    for _ in 0..5 {
        assert_eq!(knock(&app, AGENT_TOKEN).await.status, 200);
    }
    app.pass_time(59);
    assert_eq!(knock(&app, AGENT_TOKEN).await.status, 200);
    assert_eq!(reads(&app), 1);
}

#[tokio::test]
async fn a_plain_secret_is_one_token() {
    let app = app().await;
    store(&app, " the-only-token\n");
    assert_eq!(knock(&app, "the-only-token").await.status, 200);
    assert_eq!(knock(&app, AGENT_TOKEN).await.status, 401);
}

#[tokio::test]
async fn each_token_of_the_json_form_lets_any_agent_in() {
    let app = app().await;
    store(&app, r#"{"tokens":[{"token":"first","agents":["*"]},{"token":"second","agents":["*"]}]}"#);
    for token in ["first", "second"] {
        assert_eq!(knock(&app, token).await.status, 200, "{token}");
    }
    for token in [AGENT_TOKEN, "third", "*"] {
        assert_eq!(knock(&app, token).await.status, 401, "{token}");
    }
}

#[tokio::test]
async fn a_rotated_token_works_at_once() {
    let app = app().await;
    assert_eq!(knock(&app, AGENT_TOKEN).await.status, 200);
    store(&app, "rotated");
    assert_eq!(knock(&app, "rotated").await.status, 200);
    assert_eq!(knock(&app, AGENT_TOKEN).await.status, 401);
}

#[tokio::test]
async fn a_revoked_token_is_refused_within_a_minute() {
    let app = app().await;
    assert_eq!(knock(&app, AGENT_TOKEN).await.status, 200);
    store(&app, "rotated");
    app.pass_time(60);
    assert_eq!(knock(&app, AGENT_TOKEN).await.status, 401);
}

#[tokio::test]
async fn however_many_wrong_tokens_come_the_secret_is_read_again_once_in_ten_seconds() {
    let app = app().await;
    assert_eq!(knock(&app, AGENT_TOKEN).await.status, 200);
    let knocks = || async {
        let replies = join_all((0..20).map(|n| {
            let token = format!("wrong-{n}");
            let app = &app;
            async move { knock(app, &token).await.status }
        }))
        .await;
        assert_eq!(replies, [401; 20]);
    };
    app.world.secrets.clear_requests();
    knocks().await;
    app.pass_time(9);
    knocks().await;
    assert_eq!(reads(&app), 1);
    app.pass_time(1);
    knocks().await;
    assert_eq!(reads(&app), 2);
}

#[tokio::test]
async fn while_secrets_manager_is_down_the_cached_token_serves_for_an_hour() {
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
async fn a_cold_sandbox_without_secrets_manager_answers_503_at_once_and_does_not_hammer_it() {
    let app = app().await;
    secrets_manager_is_down(&app);
    let reply = knock(&app, AGENT_TOKEN).await;
    assert_eq!((reply.status, reply.headers["retry-after"].as_str()), (503, "10"));
    assert_eq!(reply.headers["content-type"], "application/problem+json");
    insta::assert_json_snapshot!(reply.body, @r#"
    {
      "detail": "the agent tokens cannot be read at the moment; try again",
      "error": "Service Unavailable",
      "status": 503,
      "title": "Service Unavailable",
      "type": "about:blank"
    }
    "#);
    for _ in 0..20 {
        assert_eq!(knock(&app, AGENT_TOKEN).await.status, 503);
    }
    assert_eq!(reads(&app), 1);
    app.pass_time(10);
    app.world.secrets.heal();
    assert_eq!(knock(&app, AGENT_TOKEN).await.status, 200);
}

#[tokio::test]
async fn a_malformed_secret_lets_nobody_in() {
    for secret in [
        "",
        " ",
        "{",
        "{}",
        r#"{"tokens":"known"}"#,
        r#"{"tokens":["known"]}"#,
        r#"{"tokens":[]}"#,
        r#"{"tokens":[{"token":"","agents":["*"]}]}"#,
        r#"{"tokens":[{"agents":["*"]}]}"#,
        r#"{"token":"known"}"#,
    ] {
        let app = app().await;
        store(&app, secret);
        for token in ["known", "*", "{}", secret] {
            let reply = knock(&app, token).await;
            assert_eq!(reply.status, 401, "{secret:?} let {token:?} in");
        }
        assert_eq!(app.world.dynamodb.requests(), []);
    }
}
