//! Who may begin and end a session, and what the answers are.

use serde_json::{Value, json};
use test_world::{AGENT_TOKEN, AGENT_TOKENS_SECRET_ID};

use crate::support::app::TestApp;
use crate::support::browser::{Browser, COOKIE};

const ALPHAS: &str = "alphas-token-not-a-secret-0123456789";
const VIEWERS: &str = "viewers-token-not-a-secret-0123456789";
const WRONG: &str = "a-wrong-token-not-a-secret-0123456789";

/// The attributes of the cookie.
const ATTRIBUTES: &str = "; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=";

/// A service with these tokens.
async fn with(entries: Value) -> TestApp {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.secrets.put_secret(AGENT_TOKENS_SECRET_ID, &json!({ "tokens": entries }).to_string());
    app
}

fn changed(mut event: Value, place: &str, value: Value) -> Value {
    let (parent, key) = place.rsplit_once('/').expect("a pointer");
    event.pointer_mut(parent).expect("a parent")[key] = value;
    event
}

fn without(mut event: Value, header: &str) -> Value {
    event["headers"].as_object_mut().expect("headers").remove(header).expect("it was there");
    event
}

#[tokio::test]
async fn sign_in_sets_a_cookie_of_twelve_hours_for_this_host_alone() {
    let app = with(json!([{"token": VIEWERS, "agents": ["*"], "may": ["read"]}])).await;
    let mut browser = Browser::new(&app);
    let reply = browser.signs_in(VIEWERS).await;
    assert_eq!((reply.status, &*reply.body), (200, &json!({"expiresAt": "2026-11-22T18:00:00.000Z"})));
    assert_eq!(reply.cookies, [format!("{COOKIE}={}{ATTRIBUTES}43200", browser.value())]);
    let parts: Vec<&str> = browser.value().split('.').collect();
    assert_eq!(parts[..3], ["v1", "5aba8051811ede88", "1795370400"], "{parts:?}");
    assert_eq!(parts[3].len(), 43, "{parts:?}");
    assert_eq!(app.world.dynamodb.requests(), []);
}

#[tokio::test]
async fn session_of_an_expiring_token_ends_with_it() {
    let entry =
        json!({"token": VIEWERS, "agents": ["*"], "may": ["read"], "expiresAt": "2026-11-22T07:00:00Z"});
    let app = with(json!([entry])).await;
    let mut browser = Browser::new(&app);
    let reply = browser.signs_in(VIEWERS).await;
    assert_eq!(reply.body["expiresAt"], "2026-11-22T07:00:00.000Z");
    assert!(reply.cookies[0].ends_with(&format!("{ATTRIBUTES}3600")), "{reply:#?}");
    app.pass_time(3_599);
    assert_eq!(browser.get("/api/status").await.status, 200);
    app.pass_time(1);
    assert_eq!(browser.get("/api/status").await.status, 401);
    assert_eq!(browser.signs_in(VIEWERS).await.status, 401);
}

#[tokio::test]
async fn only_the_boards_own_page_signs_in_or_out() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    let browser = Browser::new(&app);
    let sign_out = browser.request("DELETE", "/api/session");
    for event in [browser.sign_in(AGENT_TOKEN), sign_out] {
        let mut events = vec![without(event.clone(), "sec-fetch-site")];
        for site in
            ["cross-site", "same-site", "none", "", "Same-Origin", "same-origin,same-origin", " same-origin"]
        {
            events.push(changed(event.clone(), "/headers/sec-fetch-site", site.into()));
        }
        events.push(changed(event.clone(), "/headers/sec-fetch-site", json!(["same-origin", "same-origin"])));
        for event in events {
            let reply = app.stranger().sends(&event).await;
            assert_eq!((reply.status, &reply.cookies), (403, &vec![]), "{event:#}");
            let detail = reply.body["detail"].as_str().expect("a sentence");
            assert!(
                detail.contains("Sec-Fetch-Site") && detail.contains("Authorization: Bearer"),
                "{detail}"
            );
        }
        let status = app.stranger().sends(&event).await.status;
        assert!([200, 204].contains(&status), "{event:#}");
    }
}

#[tokio::test]
async fn body_must_be_declared_as_json() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    let event = Browser::new(&app).sign_in(AGENT_TOKEN);
    let typed = |media_type: Value| changed(event.clone(), "/headers/content-type", media_type);
    let mut refused = vec![without(event.clone(), "content-type")];
    for media_type in [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json,application/json",
        "application/jsonx",
        "text/plain; application/json",
    ] {
        refused.push(typed(media_type.into()));
    }
    refused.push(typed(json!(["application/json", "application/json"])));
    for event in refused {
        let reply = app.stranger().sends(&event).await;
        assert_eq!((reply.status, &reply.cookies), (415, &vec![]), "{event:#}");
        assert!(reply.body["detail"].as_str().is_some_and(|detail| detail.contains("Content-Type")));
    }
    for media_type in ["application/json; charset=utf-8", "Application/JSON", "application/json ;x=y"] {
        assert_eq!(app.stranger().sends(&typed(media_type.into())).await.status, 200, "{media_type}");
    }
}

#[tokio::test]
async fn body_without_a_token_as_text_is_refused() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    let event = Browser::new(&app).sign_in(AGENT_TOKEN);
    let body = |body: &str| changed(event.clone(), "/body", body.into());
    for text in [
        "",
        "{}",
        "[]",
        "null",
        "\"x\"",
        "{",
        "{\"token\":7}",
        "{\"token\":null}",
        "{\"token\":[\"x\"]}",
        "{\"tokn\":\"x\"}",
    ] {
        let reply = app.stranger().sends(&body(text)).await;
        assert_eq!((reply.status, &reply.cookies), (400, &vec![]), "{text}");
        let said = "the body must be a JSON object with the token as text: {\"token\":\"…\"}";
        assert_eq!(reply.body["detail"], said, "{text}");
    }
    assert_eq!(app.world.secrets.requests(), []);
    let long = format!("{{\"token\":\"{}\"}}", "x".repeat(64 * 1024));
    assert_eq!(app.stranger().sends(&body(&long)).await.status, 413);
    let other_members = json!({"token": format!(" {AGENT_TOKEN}\n"), "remember": true}).to_string();
    assert_eq!(app.stranger().sends(&body(&other_members)).await.status, 200);
}

#[tokio::test]
async fn token_that_may_not_read_cannot_sign_in_and_a_wrong_one_neither() {
    let app = with(json!([
        {"token": ALPHAS, "agents": ["alpha"]},
        {"token": VIEWERS, "agents": ["*"], "may": ["read"], "expiresAt": "2026-11-22T06:00:00Z"},
    ]))
    .await;
    let mut browser = Browser::new(&app);
    let refused = browser.signs_in(ALPHAS).await;
    assert_eq!((refused.status, &browser.cookie), (403, &None));
    let detail = refused.body["detail"].as_str().expect("a sentence");
    assert!(detail.starts_with("this token may not read the fleet; use another one"), "{detail}");
    for token in [WRONG, VIEWERS, "", "é", &ALPHAS[1..]] {
        let refused = browser.signs_in(token).await;
        assert_eq!((refused.status, &browser.cookie), (401, &None), "{token}");
        let detail = refused.body["detail"].as_str().expect("a sentence");
        assert!(detail.starts_with("this token is not valid: check that it is complete"), "{detail}");
        assert_eq!(refused.headers["www-authenticate"], "Bearer");
    }
}

#[tokio::test]
async fn wrong_sign_ins_reread_the_secret_once_in_ten_seconds() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    let mut browser = Browser::signed_in(&app, AGENT_TOKEN).await;
    assert_eq!(app.secret_reads(AGENT_TOKENS_SECRET_ID), 1);
    for _ in 0..3 {
        assert_eq!(browser.signs_in(WRONG).await.status, 401);
    }
    assert_eq!(app.secret_reads(AGENT_TOKENS_SECRET_ID), 2);
    let tokens = json!({"tokens": [{"token": VIEWERS, "agents": ["*"], "may": ["read"]}]});
    app.world.secrets.put_secret(AGENT_TOKENS_SECRET_ID, &tokens.to_string());
    app.pass_time(10);
    assert_eq!(browser.signs_in(VIEWERS).await.status, 200, "a new token works at once");
    assert_eq!(app.secret_reads(AGENT_TOKENS_SECRET_ID), 3);
}

#[tokio::test]
async fn sign_out_removes_the_cookie_with_or_without_a_session() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    let signed_in = Browser::signed_in(&app, AGENT_TOKEN).await;
    for browser in [Browser::new(&app), signed_in] {
        let reply = browser.sends(browser.request("DELETE", "/api/session")).await;
        assert_eq!((reply.status, &*reply.body), (204, &Value::Null));
        assert_eq!(reply.cookies, [format!("{COOKIE}={ATTRIBUTES}0")]);
    }
}

#[tokio::test]
async fn secret_that_cannot_be_read_is_not_called_a_wrong_token() {
    let app = with(json!([{"token": "short", "agents": ["*"]}])).await;
    let reply = Browser::new(&app).signs_in(VIEWERS).await;
    assert_eq!((reply.status, reply.headers["retry-after"].as_str()), (503, "10"));
}
