//! The AgentRuns of an agent, and the passes.

use serde_json::{Value, json};
use test_world::dynamodb::{Fault, On};

use crate::support::app::TestApp;

fn ids(items: &[Value], name: &str) -> Vec<Value> {
    items.iter().map(|item| item[name].clone()).collect()
}

#[tokio::test]
async fn runs_are_listed_from_the_newest_with_all_that_was_answered() {
    let app = TestApp::after_a_first_beat().await;
    let mut expected = Vec::new();
    for _ in 0..5 {
        expected.push(app.agent("beta").beat().await.0["runId"].clone());
        app.pass_time(1);
    }
    expected.reverse();
    let client = app.client();
    for limit in [1, 2, 5, 200] {
        let (runs, _) = client.read_all(&format!("/api/agents/beta/runs?limit={limit}"), "runs").await;
        assert_eq!(ids(&runs, "runId"), expected);
    }
    let id = expected[4].as_str().expect("an id");
    let run = client.read(&format!("/api/agents/beta/runs/{id}")).await;
    assert_eq!((&run["agentName"], &run["type"]), (&json!("beta"), &json!("heartbeat")));
    assert_eq!((&run["status"], &run["coalesced"]), (&json!("ok"), &json!(false)));
    assert_eq!(run["touchedIssueUrls"].as_array().map(Vec::len), Some(3));
    let pass = client.read(&format!("/api/passes/{}", run["passId"].as_str().expect("an id"))).await;
    assert_eq!((&pass["touchedCount"], &pass["status"]), (&json!(3), &json!("ok")));
    let (passes, _) = client.read_all("/api/passes?limit=1", "passes").await;
    assert_eq!(ids(&passes, "passId").first(), Some(&run["passId"]));
    for unknown in ["/api/agents/alpha/runs/0", &format!("/api/agents/alpha/runs/{id}"), "/api/passes/7"] {
        assert_eq!(client.get(unknown).await.status, 404, "{unknown}");
    }
    assert_eq!(client.read("/api/agents/nobody/runs").await["runs"], json!([]));
}

#[tokio::test]
async fn run_that_was_never_answered_has_died_after_200_seconds() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    // The run is written when its pass begins; the one that would finish it fails.
    app.world
        .dynamodb
        .fault(On::operation("PutItem").containing(r#""finishedAt":{"S""#), Fault::AccessDenied.forever());
    app.agent("alpha").beat().await;
    let client = app.client();
    let status = async || client.read("/api/agents/alpha/runs").await["runs"][0]["status"].clone();
    assert_eq!(status().await, "running");
    assert_eq!(client.read("/api/agents/alpha/runs?status=died").await["runs"], json!([]));
    app.pass_time(200);
    assert_eq!(status().await, "running");
    app.pass_time(1);
    assert_eq!(status().await, "died");
    let died = client.read("/api/agents/alpha/runs?status=died").await;
    assert_eq!(died["runs"].as_array().map(Vec::len), Some(1));
    assert_eq!(client.read("/api/agents/alpha/runs?status=ok").await["runs"], json!([]));
}

#[tokio::test]
async fn expired_records_are_not_listed() {
    let app = TestApp::after_a_first_beat().await;
    app.agent("alpha").beat().await;
    let client = app.client();
    for (list, items) in [("/api/agents/alpha/runs", "runs"), ("/api/passes", "passes")] {
        assert!(!client.read_all(list, items).await.0.is_empty());
    }
    app.pass_time(91 * 86_400);
    for (list, items) in [("/api/agents/alpha/runs", "runs"), ("/api/passes", "passes")] {
        assert_eq!(client.read_all(list, items).await.0, [Value::Null; 0]);
    }
}

/// After `RUN_RETENTION_DAYS` was reduced, newer records expire before older ones, and DynamoDB deletes them later.
#[tokio::test]
async fn expired_records_do_not_end_a_list_before_older_ones() {
    let mut app = TestApp::tracking(&["acme/api"]).start().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.open_issues("acme/api", 1));
    app.agent("alpha").beat().await;
    app.restart_with("RUN_RETENTION_DAYS", "1");
    for _ in 0..3 {
        app.pass_time(200);
        app.world.github.arrange(|github| github.comment("acme/api", 1));
        app.agent("alpha").beat().await;
    }
    app.pass_time(2 * 86_400);
    for (list, items, expected) in [("/api/agents/alpha/runs", "runs", 2), ("/api/passes", "passes", 1)] {
        for limit in [1, 2, 3, 50] {
            let (kept, _) = app.client().read_all(&format!("{list}?limit={limit}"), items).await;
            assert_eq!(kept.len(), expected, "{list} {limit}");
        }
    }
}
