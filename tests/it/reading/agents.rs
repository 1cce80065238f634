//! The list of agents, and one agent.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Value, json};
use test_world::{AGENT_TOKENS_SECRET_ID, TABLE_NAME};

use crate::support::app::TestApp;

const ALPHAS: &str = "alphas-token-not-a-secret-0123456789";
const CIS: &str = "the-cis-token-not-a-secret-0123456789";
const VIEWERS: &str = "viewers-token-not-a-secret-0123456789";

async fn with_tokens() -> TestApp {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    for agent in ["alpha", "ci-2", "ci-1"] {
        app.agent(agent).beat().await;
    }
    let tokens = json!({ "tokens": [
        { "token": ALPHAS, "agents": ["alpha"] },
        { "token": CIS, "agents": ["ci-*", "ci-9"], "may": ["beat", "read"] },
        { "token": VIEWERS, "agents": ["*"], "may": ["read"] },
    ]});
    app.world.secrets.put_secret(AGENT_TOKENS_SECRET_ID, &tokens.to_string());
    app.pass_time(3_600);
    app
}

fn names(agents: &[Value]) -> Vec<&str> {
    agents.iter().filter_map(|agent| agent["name"].as_str()).collect()
}

#[tokio::test]
async fn agent_shows_its_last_heartbeat_and_its_run() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    let beat = app.agent("alpha").beat().await;
    let agent = app.client().read("/api/agents/alpha").await;
    assert_eq!(agent["lastHeartbeatAt"], beat.0["finishedAt"]);
    assert_eq!(agent["lastRunId"], beat.0["runId"]);
    assert_eq!((&agent["state"], &agent["lastStatus"]), (&json!("unwatched"), &json!("ok")));
    assert_eq!(agent["isQuiet"], false);
    app.pass_time(1_800);
    assert_eq!(app.client().read("/api/agents/alpha").await["isQuiet"], true);
    app.pass_time(7 * 86_400);
    assert_eq!(app.client().read("/api/agents/alpha").await["state"], "left");
}

#[tokio::test]
async fn agent_that_never_sent_a_heartbeat_is_new_if_a_token_names_it_and_unknown_otherwise() {
    let app = with_tokens().await;
    let viewer = app.client_with(VIEWERS);
    let new = viewer.read("/api/agents/ci-9").await;
    assert_eq!((&new["state"], &new["lastHeartbeatAt"]), (&json!("new"), &Value::Null));
    assert_eq!(viewer.get("/api/agents/beta").await.status, 404);
}

#[tokio::test]
async fn agents_are_listed_by_name_as_far_as_the_token_covers_them() {
    let app = with_tokens().await;
    for (token, expected) in [
        (VIEWERS, &["alpha", "ci-1", "ci-2", "ci-9"][..]),
        (CIS, &["ci-1", "ci-2", "ci-9"]),
        (ALPHAS, &["alpha"]),
    ] {
        let client = app.client_with(token);
        for limit in [1, 2, 3, 200] {
            let (agents, _) = client.read_all(&format!("/api/agents?limit={limit}"), "agents").await;
            assert_eq!(names(&agents), expected, "{limit}");
        }
    }
    let viewer = app.client_with(VIEWERS);
    let (new, _) = viewer.read_all("/api/agents?state=new&limit=1", "agents").await;
    assert_eq!(names(&new), ["ci-9"]);
    let (unwatched, _) = viewer.read_all("/api/agents?state=unwatched", "agents").await;
    assert_eq!(names(&unwatched), ["alpha", "ci-1", "ci-2"]);
}

/// A cursor is opaque, but anybody can decode it.
#[tokio::test]
async fn cursor_of_agents_names_none_that_the_token_does_not_cover() {
    let app = with_tokens().await;
    for (token, hidden) in [(ALPHAS, ["ci-1", "ci-2", "ci-9"]), (CIS, ["alpha"; 3])] {
        let client = app.client_with(token);
        let mut next = "/api/agents?limit=1".to_owned();
        loop {
            let page = client.read(&next).await;
            let Some(cursor) = page["nextCursor"].as_str() else { break };
            let decoded = BASE64_URL_SAFE_NO_PAD.decode(cursor).expect("base64");
            let decoded = String::from_utf8(decoded).expect("text");
            assert!(!hidden.iter().any(|name| decoded.ends_with(name)), "{decoded}");
            next = format!("/api/agents?limit=1&cursor={cursor}");
        }
    }
}

#[tokio::test]
async fn all_pages_of_500_agents_cost_few_read_units() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.agent("agent-000").beat().await;
    let mut item = app.world.dynamodb.item(TABLE_NAME, "AGENTS", "agent-000").expect("it sent a heartbeat");
    for n in 1..500 {
        item["sk"] = format!("agent-{n:03}").into();
        app.world.dynamodb.put_item(TABLE_NAME, &item);
    }
    app.clear_requests();
    let (agents, pages) = app.client().read_all("/api/agents?limit=200", "agents").await;
    assert_eq!((agents.len(), pages), (500, 3));
    insta::assert_snapshot!(app.world.dynamodb.capacity().read_units, @"21");
}
