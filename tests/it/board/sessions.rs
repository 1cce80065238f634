//! What a session's cookie may do, and when it ends.

use serde_json::{Value, json};
use test_world::{AGENT_TOKEN, AGENT_TOKENS_SECRET_ID};

use crate::support::app::{Reply, TestApp};
use crate::support::browser::Browser;

const ALPHAS: &str = "alphas-token-not-a-secret-0123456789";
const VIEWERS: &str = "viewers-token-not-a-secret-0123456789";

/// What the board reads.
const READS: [&str; 10] = [
    "/api/status",
    "/api/agents?limit=1",
    "/api/agents/alpha",
    "/api/agents/alpha/runs",
    "/api/passes",
    "/api/repositories",
    "/api/repositories/acme/api",
    "/api/issues",
    "/api/repositories/acme/api/issues/1",
    "/api/changes",
];

fn store(app: &TestApp, entries: &Value) {
    app.world.secrets.put_secret(AGENT_TOKENS_SECRET_ID, &json!({ "tokens": entries }).to_string());
}

fn assert_ended(reply: &Reply) {
    assert_eq!(reply.status, 401, "{reply:#?}");
    assert_eq!(reply.body["detail"], "the session has ended; sign in again");
    assert_eq!(reply.headers["www-authenticate"], "Bearer");
}

#[tokio::test]
async fn session_reads_what_its_token_reads() {
    let app = TestApp::after_a_first_beat().await;
    let browser = Browser::signed_in(&app, AGENT_TOKEN).await;
    for target in READS {
        let by_cookie = browser.get(target).await;
        let by_token = app.client().get(target).await;
        assert_eq!((by_cookie.status, by_token.status), (200, 200), "{target}: {by_cookie:#?}");
        assert_eq!(*by_cookie.body, *by_token.body, "{target}");
        let head = browser.sends(browser.request("HEAD", target)).await;
        assert_eq!((head.status, &head.headers["etag"]), (200, &by_token.headers["etag"]), "{target}");
        let mut again = browser.request("GET", target);
        again["headers"]["if-none-match"] = by_cookie.headers["etag"].clone().into();
        assert_eq!(browser.sends(again).await.status, 304, "{target}");
    }
}

#[tokio::test]
async fn session_sends_no_heartbeat() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    let browser = Browser::signed_in(&app, AGENT_TOKEN).await;
    for method in ["POST", "GET", "HEAD", "PUT", "DELETE"] {
        let reply = browser.sends(browser.request(method, "/api/agents/alpha/heartbeat")).await;
        assert_eq!(reply.status, if method == "POST" { 401 } else { 405 }, "{method}");
    }
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        for target in READS {
            assert_eq!(browser.sends(browser.request(method, target)).await.status, 405, "{method} {target}");
        }
    }
    assert_eq!(app.world.dynamodb.requests(), []);
    assert_eq!(app.requests_to_github(), [""; 0]);
}

#[tokio::test]
async fn cookie_counts_only_for_requests_of_the_same_origin() {
    let app = TestApp::after_a_first_beat().await;
    let browser = Browser::signed_in(&app, AGENT_TOKEN).await;
    app.clear_requests();
    for method in ["GET", "HEAD"] {
        for target in READS {
            let event = browser.request(method, target);
            for site in [
                json!("cross-site"),
                json!("same-site"),
                json!("none"),
                json!(""),
                json!("same-origin,same-origin"),
                json!(["same-origin", "same-origin"]),
                json!(["same-origin", "cross-site"]),
                Value::Null,
            ] {
                let mut event = event.clone();
                event["headers"]["sec-fetch-site"] = site.clone();
                if site.is_null() {
                    event["headers"].as_object_mut().expect("headers").remove("sec-fetch-site");
                }
                assert_eq!(browser.sends(event).await.status, 401, "{method} {target} {site}");
            }
        }
    }
    assert_eq!(app.world.dynamodb.requests(), []);
}

#[tokio::test]
async fn authorization_header_counts_alone() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    store(
        &app,
        &json!([
            {"token": ALPHAS, "agents": ["alpha"]},
            {"token": VIEWERS, "agents": ["*"], "may": ["read"]},
        ]),
    );
    let browser = Browser::signed_in(&app, VIEWERS).await;
    for (authorization, status) in [
        (format!("Bearer {ALPHAS}"), 403),
        (format!("Bearer {VIEWERS}"), 200),
        ("Bearer wrong".to_owned(), 401),
        ("Basic eDp5".to_owned(), 401),
        (String::new(), 401),
    ] {
        let mut event = browser.request("GET", "/api/status");
        event["headers"]["authorization"] = authorization.clone().into();
        assert_eq!(browser.sends(event).await.status, status, "{authorization}");
    }
}

#[tokio::test]
async fn session_ends_after_twelve_hours() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    let browser = Browser::signed_in(&app, AGENT_TOKEN).await;
    app.pass_time(12 * 3_600 - 1);
    assert_eq!(browser.get("/api/status").await.status, 200);
    app.pass_time(1);
    assert_ended(&browser.get("/api/status").await);
}

#[tokio::test]
async fn removed_token_ends_its_sessions_within_a_minute() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    let viewer = json!({"token": VIEWERS, "agents": ["*"], "may": ["read"]});
    let alphas = json!({"token": ALPHAS, "agents": ["alpha"]});
    store(&app, &json!([viewer, alphas]));
    let browser = Browser::signed_in(&app, VIEWERS).await;
    store(&app, &json!([alphas]));
    app.pass_time(59);
    assert_eq!(browser.get("/api/status").await.status, 200);
    app.pass_time(1);
    for target in READS {
        assert_ended(&browser.get(target).await);
    }
    store(&app, &json!([viewer, alphas]));
    app.pass_time(10);
    assert_eq!(browser.get("/api/status").await.status, 200, "the token is back");
}

#[tokio::test]
async fn session_has_the_rights_that_its_token_has_now() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    for agent in ["alpha", "beta"] {
        app.agent(agent).beat().await;
    }
    let entry = |agents: Value, may: Value| json!([{"token": VIEWERS, "agents": agents, "may": may}]);
    store(&app, &entry(json!(["*"]), json!(["read"])));
    app.pass_time(60);
    let browser = Browser::signed_in(&app, VIEWERS).await;
    let statuses = async || {
        let mut statuses = Vec::new();
        for target in ["/api/status", "/api/agents/alpha", "/api/agents/beta"] {
            statuses.push(browser.get(target).await.status);
        }
        statuses
    };
    assert_eq!(statuses().await, [200, 200, 200]);
    store(&app, &entry(json!(["alpha"]), json!(["read"])));
    app.pass_time(60);
    assert_eq!(statuses().await, [200, 200, 403]);
    store(&app, &entry(json!(["beta"]), json!(["beat"])));
    app.pass_time(60);
    assert_eq!(statuses().await, [403, 403, 200]);
}

/// The environment has cached a version of the secret that is older than the token.
#[tokio::test]
async fn session_counts_at_once_in_each_execution_environment() {
    let mut app = TestApp::tracking(&["acme/api"]).start().await;
    let other = app.another_environment();
    let first = std::mem::replace(&mut app.app, other);
    app.client().read("/api/status").await;
    store(&app, &json!([{"token": VIEWERS, "agents": ["*"], "may": ["read"]}]));
    let with_old_secret = std::mem::replace(&mut app.app, first);
    let cookie = Browser::signed_in(&app, VIEWERS).await.cookie;
    app.app = with_old_secret;
    let mut browser = Browser::new(&app);
    browser.cookie = cookie;
    assert_eq!(browser.get("/api/status").await.status, 200);
}

#[tokio::test]
async fn reads_with_a_cookie_count_in_the_rate_of_its_token() {
    let app = TestApp::tracking(&["acme/api"]).with("READS_PER_MINUTE", "3").start().await;
    let browser = Browser::signed_in(&app, AGENT_TOKEN).await;
    for _ in 0..2 {
        assert_eq!(browser.get("/api/status").await.status, 200);
    }
    assert_eq!(app.client().get("/api/status").await.status, 200);
    let refused = browser.get("/api/status").await;
    assert_eq!((refused.status, refused.headers["retry-after"].as_str()), (429, "60"));
    assert_eq!(app.client().get("/api/status").await.status, 429);
    app.pass_time(60);
    assert_eq!(browser.get("/api/status").await.status, 200);
}
