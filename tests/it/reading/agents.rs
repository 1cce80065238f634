//! The list of agents, and one agent.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Value, json};
use test_world::dynamodb::On;
use test_world::{AGENT_TOKENS_SECRET_ID, TABLE_NAME};

use super::five_hundred_agents;
use crate::support::app::{TestApp, until_held};

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
    let app = five_hundred_agents().await;
    app.clear_requests();
    let (agents, pages) = app.client().read_all("/api/agents?limit=200", "agents").await;
    assert_eq!((agents.len(), pages), (500, 3));
    insta::assert_snapshot!(app.world.dynamodb.capacity().read_units, @"23.5");
}

#[tokio::test]
async fn heartbeats_per_hour_are_those_of_the_last_24_hours() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    let counts = async || app.client().read("/api/agents/alpha").await["heartbeatsPerHour"].clone();
    let expected = |last_hour: &str, latest: &[u64]| {
        let counts: Vec<u64> =
            std::iter::repeat_n(0, 24 - latest.len()).chain(latest.iter().copied()).collect();
        json!({"lastHour": last_hour, "counts": counts})
    };
    for _ in 0..3 {
        app.agent("alpha").beat().await;
    }
    assert_eq!(counts().await, expected("2026-11-22T06:00:00.000Z", &[3]));
    app.pass_time(2 * 3_600);
    assert_eq!(counts().await, expected("2026-11-22T06:00:00.000Z", &[3]), "time alone changes nothing");
    app.agent("alpha").beat().await;
    assert_eq!(counts().await, expected("2026-11-22T08:00:00.000Z", &[3, 0, 1]));
    app.pass_time(22 * 3_600);
    for _ in 0..40 {
        app.agent("alpha").beat().await;
    }
    let last = [0, 1].into_iter().chain([0; 21]).chain([35]).collect::<Vec<_>>();
    assert_eq!(counts().await, expected("2026-11-23T06:00:00.000Z", &last));
}

#[tokio::test]
async fn item_without_readable_counts_per_hour_starts_counting_again() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.agent("alpha").beat().await;
    let mut item = app.world.dynamodb.item(TABLE_NAME, "AGENTS", "alpha").expect("it sent a heartbeat");
    for unreadable in [None, Some(json!("soon")), Some(json!(7))] {
        let item = item.as_object_mut().expect("an item");
        item.remove("beatsPerHour");
        item.extend(unreadable.map(|value| ("beatsPerHour".to_owned(), value)));
        app.world.dynamodb.put_item(TABLE_NAME, &Value::Object(item.clone()));
        assert_eq!(app.client().read("/api/agents/alpha").await["heartbeatsPerHour"], Value::Null);
        app.agent("alpha").beat().await;
        let counts = &app.client().read("/api/agents/alpha").await["heartbeatsPerHour"]["counts"];
        assert_eq!((&counts[22], &counts[23]), (&json!(0), &json!(1)));
    }
}

#[tokio::test]
async fn slower_heartbeat_of_an_earlier_hour_counts_in_its_own_hour() {
    let app = TestApp::after_a_first_beat().await;
    let mut held = app.world.dynamodb.hold(On::operation("UpdateItem").containing("AGENTS"));
    let body = json!({"progress": "slow"}).to_string();
    let slower = app.agent("alpha").with_body(&body);
    let mut slow = Box::pin(slower.beat());
    assert!(until_held(&mut slow, &mut held).await.is_none());
    app.pass_time(3_600);
    app.agent("alpha").beat().await;
    held.release();
    slow.await;
    let counts = &app.client().read("/api/agents/alpha").await["heartbeatsPerHour"]["counts"];
    assert_eq!((&counts[22], &counts[23]), (&json!(2), &json!(1)));
}

/// An agent's heartbeat with this body.
async fn declares(app: &TestApp, agent: &str, body: &Value) {
    app.agent(agent).with_body(&body.to_string()).beat().await;
}

#[tokio::test]
async fn watched_agent_is_up_then_late() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    let body =
        json!({"intervalSeconds": 60, "login": "octocat", "client": "guard.sh", "progress": "reading"});
    declares(&app, "alpha", &body).await;
    let agent = app.client().read("/api/agents/alpha").await;
    assert_eq!((&agent["state"], &agent["work"]), (&json!("up"), &json!("idle")));
    let watch = json!({
        "intervalSeconds": 60, "graceSeconds": 60,
        "dueAt": "2026-11-22T06:01:00.000Z", "downAt": "2026-11-22T06:02:00.000Z",
    });
    assert_eq!(agent["watch"], watch);
    assert_eq!([&agent["login"], &agent["client"], &agent["progress"]], ["octocat", "guard.sh", "reading"]);
    assert_eq!(agent["progressAt"], "2026-11-22T06:00:00.000Z");
    assert_eq!(agent["nextChangeAt"], agent["watch"]["dueAt"]);
    app.pass_time(60);
    let late = app.client().read("/api/agents/alpha").await;
    assert_eq!((&late["state"], &late["nextChangeAt"]), (&json!("late"), &json!("2026-11-29T06:00:00.000Z")));
    declares(&app, "alpha", &json!({"leaving": true})).await;
    let left = app.client().read("/api/agents/alpha").await;
    assert_eq!((&left["state"], &left["watch"]), (&json!("left"), &Value::Null));
    assert_eq!(left["nextChangeAt"], Value::Null);
}

#[tokio::test]
async fn agents_are_selected_by_state_by_work_and_by_issue() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 3));
    let page = |number| format!("https://github.com/acme/api/issues/{number}");
    app.agent("gamma").beat().await;
    declares(&app, "alpha", &json!({"intervalSeconds": 600, "activeIssueUrls": [page(1), page(2)]})).await;
    declares(&app, "beta", &json!({"activeIssueUrls": [page(2)], "stalledAfterSeconds": 60})).await;
    app.pass_time(61);
    app.world.github.arrange(|github| github.close_issue("acme/api", 1));
    app.agent("alpha").beat().await;
    let client = app.client();
    let selected = async |query: String| {
        let list = client.read(&format!("/api/agents?{query}")).await;
        names(list["agents"].as_array().expect("a list")).join(" ")
    };
    assert_eq!(selected("state=up".to_owned()).await, "alpha");
    assert_eq!(selected("work=stalled".to_owned()).await, "beta");
    assert_eq!(selected("work=idle".to_owned()).await, "gamma");
    assert_eq!(selected(format!("issue={}", page(2))).await, "alpha beta");
    assert_eq!(selected(format!("issue={}&state=unwatched", page(2))).await, "beta");
    assert_eq!(selected("issue=https://github.com/acme/other/issues/2".to_owned()).await, "");
    let wrong = client.get("/api/agents?issue=acme/api%232").await;
    let detail = "must be the address of an issue's page on https://github.com/";
    assert_eq!((wrong.status, &wrong.body["errors"][0]["detail"]), (400, &json!(detail)));
    let alpha = client.read("/api/agents/alpha").await;
    let issues = json!([{"url": page(1), "verdict": "stop"}, {"url": page(2), "verdict": "go"}]);
    assert_eq!((&alpha["activeIssues"], &alpha["work"]), (&issues, &json!("working")));
    assert_eq!(alpha["stopSince"], "2026-11-22T06:01:01.000Z");
    app.pass_time(1_200);
    assert_eq!(selected("work=ignores_stop".to_owned()).await, "alpha");
}

#[tokio::test]
async fn new_execution_environment_knows_where_the_issues_of_agents_are() {
    let mut app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 1));
    let page = "https://github.com/acme/api/issues/1";
    declares(&app, "alpha", &json!({"activeIssueUrls": [page]})).await;
    app.app = app.another_environment();
    assert_eq!(app.client().read("/api/agents/alpha").await["activeIssues"][0]["url"], page);
}
