//! The description of the reading routes compared with their answers, in both directions.

use serde_json::{Value, json};
use test_world::secrets::{Fault as Broken, On as Secrets};
use test_world::{AGENT_TOKEN, AGENT_TOKENS_SECRET_ID};

use crate::support::app::TestApp;
use crate::support::described::{Description, names, operation};

const ALPHAS: &str = "alphas-token-not-a-secret-0123456789";

/// A route, and a request that it answers with 200.
struct Route {
    path: &'static str,
    good: String,
    /// A request for something that does not exist; `None` if there is no such request.
    unknown: Option<&'static str>,
    /// Whether a token that may only send alpha's heartbeats is refused.
    is_refused: bool,
}

async fn routes(app: &TestApp) -> Vec<Route> {
    let run = app.agent("beta").beat().await.0["runId"].as_str().expect("an id").to_owned();
    let pass = app.client().read("/api/passes").await["passes"][0]["passId"].clone();
    let route =
        |path, good: &str, unknown, is_refused| Route { path, good: good.to_owned(), unknown, is_refused };
    vec![
        route("/api/status", "/api/status", None, true),
        route("/api/metrics", "/api/metrics", None, true),
        route("/api/agents", "/api/agents", None, false),
        route("/api/agents/{agentName}", "/api/agents/beta", Some("/api/agents/nobody"), true),
        route("/api/agents/{agentName}/runs", "/api/agents/beta/runs", None, true),
        Route {
            path: "/api/agents/{agentName}/runs/{runId}",
            good: format!("/api/agents/beta/runs/{run}"),
            unknown: Some("/api/agents/beta/runs/0"),
            is_refused: true,
        },
        route("/api/passes", "/api/passes", None, true),
        Route {
            path: "/api/passes/{passId}",
            good: format!("/api/passes/{}", pass.as_str().expect("an id")),
            unknown: Some("/api/passes/0"),
            is_refused: true,
        },
        route("/api/repositories", "/api/repositories?limit=1", None, true),
        route(
            "/api/repositories/{owner}/{name}",
            "/api/repositories/acme/api",
            Some("/api/repositories/acme/none"),
            true,
        ),
        route("/api/changes", "/api/changes", None, true),
        route("/api/issues", "/api/issues?limit=1", None, true),
        route(
            "/api/repositories/{owner}/{name}/issues/{number}",
            "/api/repositories/acme/api/issues/1",
            Some("/api/repositories/acme/api/issues/99"),
            true,
        ),
    ]
}

#[tokio::test]
async fn every_reading_route_answers_as_described_and_with_each_described_status() {
    let app = TestApp::tracking(&["acme/api", "acme/web"]).with("READS_PER_MINUTE", "60000").start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 2));
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| {
        github.close_issue("acme/api", 1);
        github.hide_repository("acme/web");
    });
    let tokens = json!({ "tokens": [
        { "token": AGENT_TOKEN, "agents": ["*"], "may": ["beat", "read"] },
        { "token": ALPHAS, "agents": ["alpha"] },
    ]});
    app.world.secrets.put_secret(AGENT_TOKENS_SECRET_ID, &tokens.to_string());
    app.pass_time(3_600);
    let mut description = Description::served(&app).await;
    let routes = routes(&app).await;
    let client = app.client();
    for route in &routes {
        let operation = operation("get", route.path);
        let good = client.get(&route.good).await;
        assert_eq!(good.status, 200, "{}: {good:#?}", route.good);
        description.covers(&operation, &good);
        let tag = good.headers["etag"].clone();
        description.covers(&operation, &client.get_unless(&route.good, Some(&tag)).await);
        let path = route.good.split('?').next().expect("a path");
        description.covers(&operation, &client.get(&format!("{path}?typo=1")).await);
        description.covers(&operation, &app.client_with("wrong").get(&route.good).await);
        if let Some(unknown) = route.unknown {
            description.covers(&operation, &client.get(unknown).await);
        }
        let others = app.client_with(ALPHAS).get(&route.good).await;
        assert_eq!(others.status, if route.is_refused { 403 } else { 200 }, "{}", route.good);
        description.covers(&operation, &others);
    }
    // The cursor of another table's life.
    let later = app.world.clock.now() + jiff::SignedDuration::from_secs(1);
    let other = TestApp::tracking(&["acme/api"]).beginning(later).start().await;
    other.agent("alpha").beat().await;
    let cursor = other.client().read("/api/changes").await["nextCursor"].clone();
    let gone = client.get(&format!("/api/changes?after={}", cursor.as_str().expect("a cursor"))).await;
    assert_eq!(gone.status, 410);
    description.covers(&operation("get", "/api/changes"), &gone);
    let mut slow = TestApp::tracking(&["acme/api"]).with("READS_PER_MINUTE", "1").start().await;
    slow.client().get("/api/agents").await;
    for route in &routes {
        let refused = slow.client().get(&route.good).await;
        assert_eq!(refused.status, 429);
        description.covers(&operation("get", route.path), &refused);
    }
    slow.restart_with("READS_PER_MINUTE", "600");
    slow.world.secrets.fault(Secrets::anything(), Broken::AccessDenied.forever());
    for route in &routes {
        let down = slow.client().get(&route.good).await;
        assert_eq!(down.status, 503);
        let operation = operation("get", route.path);
        description.covers(&operation, &down);
        description.assert_statuses_met(&operation);
    }
}

#[tokio::test]
async fn every_answer_has_an_example_of_its_schema() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    let description = Description::served(&app).await;
    for (path, item) in description.document["paths"].as_object().expect("paths") {
        for operation in item.as_object().expect("operations").values() {
            let responses = &operation["responses"];
            if responses["204"].is_object() {
                continue;
            }
            let bodies = responses["200"]["content"].as_object().expect("bodies");
            let body = bodies.values().next().expect("a body");
            let validator = description.validator(&body["schema"]);
            let errors: Vec<String> =
                validator.iter_errors(&body["example"]).map(|error| error.to_string()).collect();
            assert_eq!(errors, [""; 0], "{path}");
        }
    }
}

/// Answers always have all fields, so a client needs no defaults. Problems leave out what does not apply, as in the
/// answers to heartbeats, and so do problem details.
#[tokio::test]
async fn every_field_of_a_view_is_required() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    let document = Description::served(&app).await.document;
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    for (name, schema) in schemas.iter().filter(|(_, schema)| schema["properties"].is_object()) {
        if ["Problem", "ProblemDetails", "Touch", "AgentHeartbeatResponse"].contains(&name.as_str()) {
            continue;
        }
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let required = required.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        assert_eq!(names(&schema["properties"]), required, "{name}");
    }
}

#[tokio::test]
async fn filters_are_valid_exactly_as_described() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    let description = Description::served(&app).await;
    let operation = description.document.pointer(&operation("get", "/api/issues")).expect("it is described");
    let parameters = operation["parameters"].as_array().expect("parameters");
    for (name, text, is_good) in [
        ("repository", json!("acme/api"), true),
        ("repository", json!("acme"), false),
        ("repository", json!("acme/a/b"), false),
        ("label", json!(["bug", "good first issue"]), true),
        ("label", json!(["bug", ""]), false),
        ("status", json!("in-progress"), true),
        ("status", json!("none"), true),
        ("status", json!("in_progress"), false),
        ("assignee", json!("dependabot[bot]"), true),
        ("assignee", json!("none"), true),
        ("assignee", json!("*"), true),
        ("assignee", json!("**"), false),
        ("assignee", json!("a b"), false),
        ("state", json!("all"), true),
        ("state", json!("any"), false),
        ("limit", json!(200), true),
        ("limit", json!(201), false),
        ("cursor", json!(""), false),
    ] {
        let parameter =
            parameters.iter().find(|parameter| parameter["name"] == name).expect("it is described");
        let is_described = description.validator(&parameter["schema"]).is_valid(&text);
        let values = text.as_array().cloned().unwrap_or_else(|| vec![text.clone()]);
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for value in &values {
            query.append_pair(name, &value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
        let reply = app.client().get(&format!("/api/issues?{}", query.finish())).await;
        assert_eq!((is_described, reply.status == 200), (is_good, is_good), "{name} {text}");
    }
}
