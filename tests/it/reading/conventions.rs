//! What all reading routes have in common: tokens, rates, queries, tags and cursors.

use serde_json::{Value, json};
use test_world::dynamodb::{Fault, On};
use test_world::{AGENT_TOKEN, AGENT_TOKENS_SECRET_ID};

use crate::support::app::{Reply, TestApp};

const ALPHAS: &str = "alphas-token-not-a-secret-0123456789";

/// Every list, with the name of its items.
const LISTS: [(&str, &str); 5] = [
    ("/api/agents", "agents"),
    ("/api/agents/alpha/runs", "runs"),
    ("/api/passes", "passes"),
    ("/api/repositories", "repositories"),
    ("/api/issues", "issues"),
];

/// What is read of the whole fleet, not of one agent.
const OF_THE_FLEET: [&str; 9] = [
    "/api/status",
    "/api/metrics",
    "/api/passes",
    "/api/passes/0",
    "/api/repositories",
    "/api/repositories/acme/api",
    "/api/issues",
    "/api/changes",
    "/api/repositories/acme/api/issues/0",
];

const OF_ALPHA: [&str; 4] =
    ["/api/agents", "/api/agents/alpha", "/api/agents/alpha/runs", "/api/agents/alpha/runs/0"];

/// The parameter of the only mistake.
fn mistaken(reply: &Reply) -> &str {
    assert_eq!(reply.status, 400, "{reply:#?}");
    let errors = reply.body["errors"].as_array().expect("mistakes");
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors[0]["parameter"].as_str().expect("a name")
}

#[tokio::test]
async fn nothing_is_read_without_a_valid_token_and_the_table_is_not_asked() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    for path in OF_THE_FLEET.into_iter().chain(OF_ALPHA) {
        let reply = app.client_with("a-wrong-token-not-a-secret-0123456789").get(path).await;
        assert_eq!(reply.status, 401, "{path}");
    }
    assert_eq!(app.world.dynamodb.requests(), []);
}

#[tokio::test]
async fn token_that_may_only_beat_reads_its_own_agents_and_nothing_else() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.agent("alpha").beat().await;
    let tokens = json!({ "tokens": [{ "token": ALPHAS, "agents": ["alpha"] }] });
    app.world.secrets.put_secret(AGENT_TOKENS_SECRET_ID, &tokens.to_string());
    app.pass_time(3_600);
    let client = app.client_with(ALPHAS);
    for path in OF_THE_FLEET {
        assert_eq!(client.get(path).await.status, 403, "{path}");
    }
    for path in &OF_ALPHA[..3] {
        assert_eq!(client.get(path).await.status, 200, "{path}");
    }
    for path in ["/api/agents/beta", "/api/agents/beta/runs", "/api/agents/beta/runs/0"] {
        assert_eq!(client.get(path).await.status, 403, "{path}");
    }
}

#[tokio::test]
async fn misspelt_and_misplaced_parameters_are_named() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    let client = app.client();
    for (list, _) in LISTS {
        for (query, parameter) in [
            ("limit=0", "limit"),
            ("limit=501", "limit"),
            ("limit=ten", "limit"),
            ("limit=1&limit=1", "limit"),
            ("cursor=", "cursor"),
            ("cursor=not-a-cursor", "cursor"),
            ("labels=bug", "labels"),
        ] {
            let reply = client.get(&format!("{list}?{query}")).await;
            assert_eq!(mistaken(&reply), parameter, "{list}?{query}");
        }
    }
    for (target, parameter) in [
        ("/api/agents?state=down!", "state"),
        ("/api/agents/alpha/runs?status=good", "status"),
        ("/api/status?limit=1", "limit"),
        ("/api/metrics?agent=alpha", "agent"),
        ("/api/issues?state=opened", "state"),
        ("/api/changes?after=not-a-cursor", "after"),
        ("/api/changes?cursor=a", "cursor"),
        ("/api/issues?status=wip", "status"),
        ("/api/issues?repository=acme", "repository"),
        ("/api/issues?repository=acme/other", "repository"),
        ("/api/issues?assignee=a+b", "assignee"),
        ("/api/issues?label=a&label=", "label"),
        ("/api/agents/alpha?state=new", "state"),
    ] {
        assert_eq!(mistaken(&client.get(target).await), parameter, "{target}");
    }
}

#[tokio::test]
async fn cursor_continues_only_the_list_that_it_is_from() {
    let app = TestApp::tracking(&["acme/api", "acme/web"]).start().await;
    for agent in ["alpha", "beta"] {
        app.agent(agent).beat().await;
    }
    let client = app.client();
    let of_agents = client.read("/api/agents?limit=1").await["nextCursor"].clone();
    let cursor = of_agents.as_str().expect("a cursor");
    for target in ["/api/repositories", "/api/agents/alpha/runs", "/api/passes"] {
        assert_eq!(mistaken(&client.get(&format!("{target}?cursor={cursor}")).await), "cursor");
    }
    let filtered = client.get(&format!("/api/agents?state=new&cursor={cursor}")).await;
    assert_eq!(mistaken(&filtered), "cursor");
    assert_eq!(client.get(&format!("/api/agents?limit=7&cursor={cursor}")).await.status, 200);
}

#[tokio::test]
async fn next_page_is_linked_by_query_alone() {
    let app = TestApp::tracking(&["acme/api", "acme/web"]).start().await;
    let reply = app.client().get("/api/repositories?limit=1").await;
    let cursor = reply.body["nextCursor"].as_str().expect("a cursor");
    assert_eq!(reply.headers["link"], format!("<?limit=1&cursor={cursor}>; rel=\"next\""));
    let last = app.client().get(&format!("/api/repositories?limit=1&cursor={cursor}")).await;
    assert_eq!((last.headers.get("link"), &last.body["nextCursor"]), (None, &Value::Null));
}

#[tokio::test]
async fn what_a_client_has_already_is_not_sent_again() {
    let app = TestApp::after_a_first_beat().await;
    let client = app.client();
    for path in OF_THE_FLEET.into_iter().chain(OF_ALPHA).filter(|path| !path.ends_with("/0")) {
        let first = client.get(path).await;
        assert_eq!(first.headers["cache-control"], "no-store");
        let tag = &first.headers["etag"];
        let opaque = tag.trim_start_matches("W/");
        for known in [opaque.to_owned(), format!("\"other\", W/{opaque}"), "*".to_owned()] {
            let again = client.get_unless(path, Some(&known)).await;
            assert_eq!((again.status, &again.headers["etag"]), (304, tag), "{path} {known}");
            assert_eq!(*again.body, Value::Null);
        }
        assert_eq!(client.get_unless(path, Some("\"other\"")).await.status, 200);
    }
    let before = client.get("/api/status").await.headers["etag"].clone();
    app.agent("alpha").beat().await;
    assert_eq!(client.get_unless("/api/status", Some(&before)).await.status, 200);
}

#[tokio::test]
async fn reads_have_a_rate_of_their_own() {
    let app = TestApp::tracking(&["acme/api"]).with("READS_PER_MINUTE", "3").start().await;
    let client = app.client();
    for _ in 0..3 {
        assert_eq!(client.get("/api/status").await.status, 200);
    }
    let refused = client.get("/api/agents").await;
    assert_eq!((refused.status, refused.headers["retry-after"].as_str()), (429, "60"));
    app.agent("alpha").beat().await;
    app.pass_time(60);
    assert_eq!(client.get("/api/agents").await.status, 200);
}

#[tokio::test]
async fn unavailable_table_is_503_and_nothing_is_invented() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.agent("alpha").beat().await;
    for path in [
        "/api/status",
        "/api/metrics",
        "/api/agents",
        "/api/agents/alpha",
        "/api/repositories",
        "/api/passes",
        "/api/issues",
    ] {
        app.world.dynamodb.fault(On::anything(), Fault::AccessDenied);
        let reply = app.client().get(path).await;
        assert_eq!((reply.status, reply.headers["retry-after"].as_str()), (503, "10"), "{path}");
    }
}

#[tokio::test]
async fn read_writes_nothing_and_asks_github_for_nothing() {
    let app = TestApp::after_a_first_beat().await;
    app.clear_requests();
    for path in OF_THE_FLEET.into_iter().chain(OF_ALPHA) {
        app.client_with(AGENT_TOKEN).get(path).await;
    }
    assert_eq!(app.requests_to_github(), [""; 0]);
    let operations = ["GetItem", "Query", "BatchGetItem"];
    for exchange in app.world.dynamodb.requests() {
        assert!(operations.contains(&exchange.operation.as_str()), "{exchange:?}");
    }
}
