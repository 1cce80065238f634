//! The endpoint: which requests are heartbeats, and how every other one is refused.

use serde_json::{Value, json};
use test_world::AGENT_TOKEN;

use crate::support::app::{Reply, TestApp};
use crate::support::roles::invoke;

const MAX_BODY: usize = 64 * 1024;

async fn app() -> TestApp {
    TestApp::tracking(&["acme/api"]).start().await
}

/// Sends a request for this path through an HTTP API, with a valid token.
fn ask(event: &mut Value, method: &str, path: &str) {
    event["rawPath"] = path.into();
    event["requestContext"]["http"]["path"] = path.into();
    event["requestContext"]["http"]["method"] = method.into();
}

/// A refusal is a problem document with RFC 9457's members and `error` only.
fn assert_refused(reply: &Reply, status: u16, title: &str) {
    assert_eq!(reply.status, status, "{reply:#?}");
    assert_eq!(reply.headers["content-type"], "application/problem+json");
    let detail = reply.body["detail"].as_str().expect("a detail");
    assert!(!detail.is_empty());
    let expected =
        json!({"type": "about:blank", "title": title, "status": status, "error": title, "detail": detail});
    assert_eq!(reply.body, expected);
}

/// The headers of every answer, for browsers and proxies.
fn assert_hardened(reply: &Reply) {
    let headers = [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ("cross-origin-resource-policy", "same-origin"),
        ("referrer-policy", "no-referrer"),
        ("strict-transport-security", "max-age=31536000"),
    ];
    for (name, value) in headers {
        assert_eq!(reply.headers.get(name).map(String::as_str), Some(value), "{name}: {reply:#?}");
    }
}

#[tokio::test]
async fn answers_have_the_headers_that_forbid_caching_and_embedding() {
    let app = TestApp::tracking(&["acme/api"]).with("BEATS_PER_MINUTE", "1").start().await;
    for (method, path, token, body, status) in [
        ("POST", "/api/agents/alpha/heartbeat", AGENT_TOKEN, "", 200),
        ("GET", "/api/health", AGENT_TOKEN, "", 200),
        ("POST", "/api/agents/a%2Fb/heartbeat", AGENT_TOKEN, "", 400),
        ("POST", "/api/agents/alpha/heartbeat", AGENT_TOKEN, "[]", 400),
        ("POST", "/api/agents/alpha/heartbeat", "wrong", "", 401),
        ("POST", "/nowhere", AGENT_TOKEN, "", 404),
        ("GET", "/api/agents/alpha/heartbeat", AGENT_TOKEN, "", 405),
        ("POST", "/api/agents/alpha/heartbeat", AGENT_TOKEN, &"x".repeat(MAX_BODY + 1), 413),
        ("POST", "/api/agents/alpha/heartbeat", AGENT_TOKEN, "", 429),
    ] {
        let reply = app
            .stranger()
            .sends_changed(|event| {
                ask(event, method, path);
                event["headers"]["authorization"] = format!("Bearer {token}").into();
                event["body"] = body.into();
            })
            .await;
        assert_eq!(reply.status, status, "{method} {path}");
        assert_hardened(&reply);
    }
}

#[tokio::test]
async fn health_is_public_and_has_only_status_and_version() {
    let app = app().await;
    let reply = app
        .stranger()
        .sends_changed(|event| {
            ask(event, "GET", "/api/health");
            event["headers"].as_object_mut().expect("headers").remove("authorization");
        })
        .await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body, json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}));
    assert_eq!(app.world.secrets.requests(), []);
    assert_eq!(app.world.dynamodb.requests(), []);
}

#[tokio::test]
async fn valid_bearer_token_gets_an_uncached_answer() {
    let app = app().await;
    let reply = app.stranger().sends_changed(|_| {}).await;
    assert_eq!((reply.status, &reply.body["status"]), (200, &json!("ok")));
    assert_eq!(reply.headers["content-type"], "application/json");
    assert_eq!(reply.headers["cache-control"], "no-store");
    let scheme_in_lower_case = app
        .stranger()
        .sends_changed(|event| event["headers"]["authorization"] = format!("bearer {AGENT_TOKEN}").into())
        .await;
    assert_eq!(scheme_in_lower_case.status, 200);
}

#[tokio::test]
async fn request_without_a_token_is_unauthorized_and_nothing_runs() {
    let app = app().await;
    let reply = app
        .stranger()
        .sends_changed(|event| {
            event["headers"].as_object_mut().expect("headers").remove("authorization");
        })
        .await;
    assert_eq!(reply.headers["www-authenticate"], "Bearer");
    assert_eq!(reply.headers["content-type"], "application/problem+json");
    insta::assert_json_snapshot!(reply.body, @r#"
    {
      "detail": "missing or invalid agent token; send exactly one header `Authorization: Bearer <token>`",
      "error": "Unauthorized",
      "status": 401,
      "title": "Unauthorized",
      "type": "about:blank"
    }
    "#);
    assert_eq!(app.world.dynamodb.requests(), []);
    assert_eq!(app.world.github.requests(), []);
}

#[tokio::test]
async fn malformed_authorization_is_unauthorized() {
    let app = app().await;
    let joined = format!("Bearer {AGENT_TOKEN},Bearer {AGENT_TOKEN}");
    let joined_with_space = format!("Bearer {AGENT_TOKEN}, Bearer {AGENT_TOKEN}");
    for header in [
        json!("Bearer this-token-was-never-issued"),
        json!(format!("Bearer {AGENT_TOKEN}x")),
        json!(format!("Bearer {}", &AGENT_TOKEN[..AGENT_TOKEN.len() - 1])),
        json!(format!("Basic {AGENT_TOKEN}")),
        json!(AGENT_TOKEN),
        json!("Bearer"),
        json!("Bearer "),
        json!(""),
        json!(joined),
        json!(joined_with_space),
        json!([format!("Bearer {AGENT_TOKEN}"), format!("Bearer {AGENT_TOKEN}")]),
    ] {
        let reply =
            app.stranger().sends_changed(|event| event["headers"]["authorization"] = header.clone()).await;
        assert_refused(&reply, 401, "Unauthorized");
        assert_eq!(reply.headers["www-authenticate"], "Bearer", "{header}");
    }
    assert_eq!(app.world.dynamodb.requests(), []);
}

#[tokio::test]
async fn invalid_agent_name_is_a_bad_request() {
    let app = app().await;
    let too_long = "x".repeat(65);
    for name in [
        "",
        "a%2Fb",
        &too_long,
        "агент",
        "%D0%B0%D0%B3%D0%B5%D0%BD%D1%82",
        "a%20b",
        "a%00",
        ".alpha",
        "-alpha",
        "a%25b",
        "%FF",
    ] {
        let path = format!("/api/agents/{name}/heartbeat");
        let reply = app.stranger().sends_changed(|event| ask(event, "POST", &path)).await;
        assert_refused(&reply, 400, "Bad Request");
    }
    assert_eq!(app.world.dynamodb.requests(), []);
}

#[tokio::test]
async fn valid_agent_name_is_accepted_percent_encoded_or_not() {
    let app = app().await;
    let longest = "x".repeat(64);
    for (sent, name) in
        [("Agent.7_b-c", "Agent.7_b-c"), ("0", "0"), (&longest, &longest), ("al%70ha", "alpha")]
    {
        let path = format!("/api/agents/{sent}/heartbeat");
        let reply = app.stranger().sends_changed(|event| ask(event, "POST", &path)).await;
        assert_eq!((reply.status, &reply.body["agentName"]), (200, &json!(name)));
        assert_eq!(app.runs(name).len(), 1);
    }
}

#[tokio::test]
async fn request_without_a_token_does_not_learn_what_is_valid() {
    let app = app().await;
    let reply = app
        .stranger()
        .sends_changed(|event| {
            ask(event, "POST", "/api/agents/a%2Fb/heartbeat");
            event["headers"]["authorization"] = "Bearer wrong".into();
            event["body"] = "x".repeat(MAX_BODY + 1).into();
        })
        .await;
    assert_refused(&reply, 401, "Unauthorized");
}

#[tokio::test]
async fn body_must_be_empty_or_a_json_object() {
    let app = app().await;
    for body in [json!(null), json!(""), json!(" \r\n"), json!("{}"), json!("{\"a\": [1]}\n")] {
        let reply = app.stranger().sends_changed(|event| event["body"] = body.clone()).await;
        assert_eq!(reply.status, 200, "{body}: {reply:#?}");
    }
    for body in ["{", "not JSON", "[]", "[{}]", "null", "7", "\"{}\"", "{} {}", "{}x"] {
        let reply = app.stranger().sends_changed(|event| event["body"] = body.into()).await;
        assert_refused(&reply, 400, "Bad Request");
    }
}

#[tokio::test]
async fn base64_body_is_decoded() {
    let app = app().await;
    // `{}`, `[]` and a byte that is invalid in UTF-8.
    for (body, status) in [("e30=", 200), ("W10=", 400), ("/w==", 400)] {
        let reply = app
            .stranger()
            .sends_changed(|event| {
                event["body"] = body.into();
                event["isBase64Encoded"] = true.into();
            })
            .await;
        assert_eq!(reply.status, status, "{body}");
    }
}

#[tokio::test]
async fn body_above_64_kib_is_too_large() {
    let app = app().await;
    let body = |length: usize| format!("{{{}}}", " ".repeat(length - 2));
    let longest = app.stranger().sends_changed(|event| event["body"] = body(MAX_BODY).into()).await;
    assert_eq!(longest.status, 200);
    let longer = app.stranger().sends_changed(|event| event["body"] = body(MAX_BODY + 1).into()).await;
    assert_refused(&longer, 413, "Payload Too Large");
}

#[tokio::test]
async fn unknown_path_is_not_found() {
    let app = app().await;
    for path in [
        "//",
        "/fleet/",
        "/api",
        "/api/agents/a/b/heartbeat",
        "/API/agents/alpha/heartbeat",
        "/api/health/x",
        "/fleet/api",
        "/fleetapi/agents/alpha/heartbeat",
        "/fleet/agents/alpha/heartbeat",
        "/api/agents/a/api/agents/alpha/heartbeat",
        "/api/api/agents/alpha/heartbeat",
        "/fl%65et/api/agents/alpha/heartbeat",
        "/x/../api/agents/alpha/heartbeat",
        "/./api/agents/alpha/heartbeat",
        "/api/x/../agents/alpha/heartbeat",
        "/api/agents/alpha/heartbeat/.",
    ] {
        let reply = app.stranger().sends_changed(|event| ask(event, "POST", path)).await;
        assert_refused(&reply, 404, "Not Found");
    }
}

#[tokio::test]
async fn other_method_is_not_allowed_and_the_answer_names_the_allowed_one() {
    let app = app().await;
    for (method, path, allowed) in [
        ("GET", "/api/agents/alpha/heartbeat", "POST"),
        ("PUT", "/api/agents/alpha/heartbeat", "POST"),
        ("DELETE", "/api/agents/alpha/heartbeat", "POST"),
        ("OPTIONS", "/api/agents/alpha/heartbeat", "POST"),
        ("POST", "/api/health", "GET,HEAD"),
        ("POST", "/api/agents/alpha", "GET,HEAD"),
        ("POST", "/api/agents/heartbeat", "GET,HEAD"),
        ("POST", "/api/agents/alpha%2Fheartbeat", "GET,HEAD"),
        ("DELETE", "/api/issues", "GET,HEAD"),
        ("POST", "/", "GET,HEAD"),
        ("POST", "/api/board", "GET,HEAD"),
        ("OPTIONS", "/api/session", "POST,DELETE"),
    ] {
        let reply = app.stranger().sends_changed(|event| ask(event, method, path)).await;
        assert_refused(&reply, 405, "Method Not Allowed");
        assert_eq!(reply.headers["allow"], allowed, "{method} {path}");
    }
}

#[tokio::test]
async fn beat_is_accepted_through_each_kind_of_http_trigger() {
    let app = app().await;
    for file in ["heartbeat.json", "heartbeat-rest-api.json", "heartbeat-function-url.json"] {
        let reply = app.stranger().sends(&TestApp::event(file)).await;
        assert_eq!((reply.status, &reply.body["agentName"]), (200, &json!("alpha")), "{file}");
    }
    assert_eq!(app.runs("alpha").len(), 3);
}

#[tokio::test]
async fn routes_behind_any_stage_are_the_same() {
    let app = app().await;
    for stage in ["prod", "v1.0", "api"] {
        let http_api = app
            .stranger()
            .sends_changed(|event| {
                ask(event, "POST", &format!("/{stage}/api/agents/alpha/heartbeat"));
                event["requestContext"]["stage"] = stage.into();
            })
            .await;
        assert_eq!(http_api.status, 200, "HTTP API, stage {stage}: {http_api:#?}");
        let mut event = TestApp::event("heartbeat-rest-api.json");
        event["requestContext"]["stage"] = stage.into();
        event["requestContext"]["path"] = format!("/{stage}/api/agents/alpha/heartbeat").into();
        let rest_api = app.stranger().sends(&event).await;
        assert_eq!(rest_api.status, 200, "REST API, stage {stage}: {rest_api:#?}");
    }
}

/// The events for one path: from an HTTP API or a Function URL, a REST API, and a load balancer.
fn fronts(path: &str) -> [(&'static str, Value); 3] {
    let mut http_api = TestApp::event("heartbeat.json");
    ask(&mut http_api, "POST", path);
    let mut rest_api = TestApp::event("heartbeat-rest-api.json");
    rest_api["path"] = path.into();
    rest_api["requestContext"]["path"] = path.into();
    let mut load_balancer = load_balancer_event();
    load_balancer["path"] = path.into();
    [("HTTP API", http_api), ("REST API", rest_api), ("load balancer", load_balancer)]
}

/// The event of a load balancer without multi-value headers
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html>).
fn load_balancer_event() -> Value {
    json!({
        "requestContext": {
            "elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/api/0123"},
        },
        "httpMethod": "POST",
        "path": "/api/agents/alpha/heartbeat",
        "queryStringParameters": {},
        "headers": {"authorization": format!("Bearer {AGENT_TOKEN}"), "host": "agents.example"},
        "body": "",
        "isBase64Encoded": false,
    })
}

#[tokio::test]
async fn path_behind_a_base_path_or_with_surplus_slashes_is_routed() {
    let app = TestApp::tracking(&["acme/api"]).with("BEATS_PER_MINUTE", "6000").start().await;
    for path in [
        "/fleet/api/agents/alpha/heartbeat",
        "/fleet/v1/api/agents/alpha/heartbeat",
        "/v1.0_$x+!*'()/api/agents/alpha/heartbeat",
        "//api/agents/alpha/heartbeat",
        "/api//agents///alpha//heartbeat",
        "/api/agents/alpha/heartbeat/",
        "//fleet//api//agents//alpha//heartbeat//",
    ] {
        for (front, event) in fronts(path) {
            let reply = app.stranger().sends(&event).await;
            assert_eq!((reply.status, &reply.body["agentName"]), (200, &json!("alpha")), "{front}: {path}");
        }
    }
    for (front, event) in fronts("/fleet/api/agents/api/heartbeat") {
        let reply = app.stranger().sends(&event).await;
        assert_eq!((reply.status, &reply.body["agentName"]), (200, &json!("api")), "{front}");
    }
    for (front, event) in fronts("/fleet/api/agents//heartbeat") {
        assert_eq!(app.stranger().sends(&event).await.status, 400, "{front}: an empty name");
    }
    let mut event = TestApp::event("heartbeat-rest-api.json");
    event["path"] = "/api/api/agents/alpha/heartbeat".into();
    event["pathParameters"] = json!({"proxy": "api/agents/alpha/heartbeat"});
    let mapped = app.stranger().sends(&event).await;
    assert_eq!(mapped.status, 200, "a mapping called api: {mapped:#?}");
}

/// As clients send it, valid for a route with parameters or not.
#[tokio::test]
async fn query_of_a_route_without_parameters_is_ignored() {
    let app = TestApp::tracking(&["acme/api"]).with("BEATS_PER_MINUTE", "6000").start().await;
    for (name, value) in [("x", "1"), ("limit", "0"), ("", ""), ("%zz", "%FF"), ("a b", "<é🐛#?&=>")] {
        for (front, mut event) in fronts("/api/agents/alpha/heartbeat") {
            event["rawQueryString"] = format!("{name}={value}&{name}={value}").into();
            event["queryStringParameters"] = json!({name: value});
            assert_eq!(app.stranger().sends(&event).await.status, 200, "{front}: {name}={value}");
            event["multiValueQueryStringParameters"] = json!({name: [value, value]});
            let reply = app.stranger().sends(&event).await;
            assert_eq!(
                (reply.status, &reply.body["agentName"]),
                (200, &json!("alpha")),
                "{front}: {name}={value}"
            );
        }
        for path in ["/api/health", "/api/openapi.json"] {
            let changed = |event: &mut Value| {
                ask(event, "GET", path);
                event["rawQueryString"] = format!("{name}={value}").into();
            };
            assert_eq!(app.stranger().sends_changed(changed).await.status, 200, "{path}: {name}={value}");
        }
    }
}

#[tokio::test]
async fn load_balancer_gets_its_answer_in_the_form_of_its_event() {
    let app = app().await;
    let single = load_balancer_event();
    let mut multiple = single.clone();
    let headers = multiple["headers"].take();
    for (name, value) in headers.as_object().expect("headers") {
        multiple["multiValueHeaders"][name] = json!([value]);
    }
    for (event, member) in [(single, "headers"), (multiple, "multiValueHeaders")] {
        let answer = invoke(app.app.clone(), event.to_string(), None).await;
        assert_eq!((&answer["statusCode"], &answer["statusDescription"]), (&json!(200), &json!("200 OK")));
        let first = |value: &Value| value.as_array().map_or(value, |values| &values[0]).clone();
        assert_eq!(first(&answer[member]["content-type"]), "application/json", "{answer:#}");
        let mut refused = event.clone();
        refused["body"] = json!(7);
        let answer = invoke(app.app.clone(), refused.to_string(), None).await;
        assert_eq!(answer["statusCode"], 400);
        assert_eq!(first(&answer[member]["content-type"]), "application/problem+json", "{answer:#}");
    }
    let mut twice = load_balancer_event();
    twice["multiValueHeaders"] = json!({"authorization": [format!("Bearer {AGENT_TOKEN}"), "Bearer other"]});
    assert_eq!(app.stranger().sends(&twice).await.status, 401);
}
