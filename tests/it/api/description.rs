//! The API's description compared with the actual answers, in both directions.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use test_world::github::{Fault, Matching};
use test_world::secrets::{Fault as Broken, On};
use test_world::{AGENT_TOKEN, AGENT_TOKENS_SECRET_ID};

use crate::support::app::{Reply, TestApp, until_held};
use crate::support::audits::{INTERVAL, tracking};
use crate::support::described::{Description, REPLAYED, names};
use crate::support::installations;

const BEAT: &str = "/paths/~1api~1agents~1{agentName}~1heartbeat/post";
const HEALTH: &str = "/paths/~1api~1health/get";
const BOUND: &str = "the-bound-token-not-a-secret-0123456789";

/// The fields that answers have had, by the names of their schemas.
#[derive(Default)]
struct Members(BTreeMap<&'static str, BTreeSet<String>>);

async fn ask(app: &TestApp, method: &str, path: &str, token: Option<&str>, body: &str) -> Reply {
    let changed = |event: &mut Value| {
        event["rawPath"] = path.into();
        event["requestContext"]["http"]["path"] = path.into();
        event["requestContext"]["http"]["method"] = method.into();
        let headers = event["headers"].as_object_mut().expect("headers");
        headers.remove("authorization");
        headers.extend(token.map(|token| ("authorization".to_owned(), format!("Bearer {token}").into())));
        event["body"] = body.into();
    };
    app.stranger().sends_changed(changed).await
}

async fn beat(app: &TestApp) -> Reply {
    app.agent("alpha").knock().await
}

impl Members {
    fn meets(&mut self, reply: &Reply) {
        let list = |name: &str| (*reply.body)[name].as_array().cloned().unwrap_or_default();
        let schema = if reply.status == 200 { "AgentHeartbeatResponse" } else { "ProblemDetails" };
        self.0.entry(schema).or_default().extend(names(&reply.body));
        for (schema, values) in [("Problem", list("problems")), ("Touch", list("touched"))] {
            self.0.entry(schema).or_default().extend(values.iter().flat_map(names));
        }
    }

    /// Fails if a field is described that no answer has had.
    fn assert_met_whole(&self, description: &Description) {
        for (schema, met) in &self.0 {
            let mut described = names(&description.document["components"]["schemas"][schema]["properties"]);
            // A heartbeat's query is ignored, so no mistakes in parameters are met here.
            if *schema == "ProblemDetails" {
                assert!(described.remove("errors"));
            }
            assert_eq!(*met, described, "{schema}");
        }
    }
}

#[tokio::test]
async fn answers_and_their_descriptions_match_in_both_directions() {
    let app = tracking(&["acme/api", "acme/web"]).with("BEATS_PER_MINUTE", "4").start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 3));
    let mut description = Description::served(&app).await;
    let mut members = Members::default();
    let mut covers = |description: &mut Description, reply: &Reply| {
        description.covers(BEAT, reply);
        members.meets(reply);
    };
    description.covers(HEALTH, &ask(&app, "GET", "/api/health", None, "").await);
    // A first pass, a coalesced beat, and changed issues, one of them moved to another repository.
    covers(&mut description, &beat(&app).await);
    covers(&mut description, &beat(&app).await);
    app.pass_time(150);
    beat(&app).await;
    app.pass_time(INTERVAL);
    app.world.github.arrange(|github| {
        github.close_issue("acme/api", 1);
        github.transfer_issue("acme/api", 2, "acme/web");
    });
    let touched = beat(&app).await;
    assert!(touched.body["touchedCount"].as_u64() > Some(1), "{:#}", touched.body);
    covers(&mut description, &touched);
    app.pass_time(150);
    let moved = beat(&app).await;
    covers(&mut description, &moved);
    // Problems of one repository, of all repositories, and of one owner.
    app.world.github.arrange(|github| github.hide_repository("acme/web"));
    app.pass_time(150);
    covers(&mut description, &beat(&app).await);
    let limit =
        Fault::Answer { status: 429, headers: vec![("retry-after", "90".to_owned())], body: "{}".to_owned() };
    app.world.github.fault(Matching::graphql(), limit);
    app.pass_time(150);
    covers(&mut description, &beat(&app).await);
    let of_two_owners = installations::two_owners().await;
    let of_one = Matching::graphql().containing("globex/web");
    of_two_owners.world.github.fault(of_one, Fault::secondary_limit(Some("90")));
    covers(&mut description, &beat(&of_two_owners).await);
    app.world.dynamodb.fault(
        test_world::dynamodb::On::operation("BatchGetItem").containing("STATE"),
        test_world::dynamodb::Fault::AccessDenied,
    );
    covers(&mut description, &beat(&app).await);

    let path = "/api/agents/alpha/heartbeat";
    for (path, token, body, status) in [
        ("/api/agents/.alpha/heartbeat", Some(AGENT_TOKEN), "", 400),
        (path, Some(AGENT_TOKEN), "[]", 400),
        (path, None, "", 401),
        (path, Some("wrong"), "", 401),
        (path, Some(AGENT_TOKEN), &"x".repeat(64 * 1024 + 1), 413),
    ] {
        let reply = ask(&app, "POST", path, token, body).await;
        assert_eq!(reply.status, status);
        covers(&mut description, &reply);
    }
    let keyed = |body| app.agent("beta").with_key("a-key").with_body(body);
    app.pass_time(150);
    let mut held = app.world.github.hold(Matching::graphql());
    let first = keyed("{}");
    let mut first = Box::pin(first.knock());
    assert!(until_held(&mut first, &mut held).await.is_none());
    let running = keyed("{}").knock().await;
    assert_eq!(running.status, 409);
    covers(&mut description, &running);
    held.release();
    covers(&mut description, &first.await);
    let replayed = keyed("{}").knock().await;
    assert!(replayed.headers.contains_key(REPLAYED), "{replayed:#?}");
    covers(&mut description, &replayed);
    let other = keyed(r#"{"another":"request"}"#).knock().await;
    assert_eq!(other.status, 422);
    covers(&mut description, &other);
    let mut last = beat(&app).await;
    while last.status == 200 {
        last = beat(&app).await;
    }
    assert_eq!(last.status, 429);
    covers(&mut description, &last);
    let bound = json!({"tokens": [{"token": BOUND, "agents": ["beta"]}]});
    app.world.secrets.put_secret(AGENT_TOKENS_SECRET_ID, &bound.to_string());
    app.pass_time(60);
    let bound = ask(&app, "POST", path, Some(BOUND), "").await;
    assert_eq!(bound.status, 403);
    covers(&mut description, &bound);
    app.world.secrets.fault(On::anything(), Broken::AccessDenied.forever());
    app.pass_time(3_600);
    let down = ask(&app, "POST", path, Some(BOUND), "").await;
    assert_eq!(down.status, 503);
    covers(&mut description, &down);
    description.assert_statuses_met(BEAT);
    members.assert_met_whole(&description);
}

#[tokio::test]
async fn names_keys_and_bodies_are_valid_exactly_as_described() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    let description = Description::served(&app).await;
    let beat = description.document.pointer(BEAT).expect("it is described");
    let name = description.validator(&beat["parameters"][0]["schema"]);
    let (longest, longer) = ("x".repeat(64), "x".repeat(65));
    for (text, is_good) in [
        ("a", true),
        ("Agent.7_b-c", true),
        (&longest, true),
        (&longer, false),
        (".a", false),
        ("-a", false),
        ("a~b", false),
        ("a*", false),
    ] {
        let reply = ask(&app, "POST", &format!("/api/agents/{text}/heartbeat"), Some(AGENT_TOKEN), "").await;
        assert_eq!((name.is_valid(&text.into()), reply.status == 200), (is_good, is_good), "{text}");
    }
    let key = description.validator(&beat["parameters"][1]["schema"]);
    let (longest, longer) = ("x".repeat(255), "x".repeat(256));
    for (text, is_good) in [
        ("a", true),
        ("8e03978e-40d5-43dd-bc93-6894a57f9324", true),
        ("\"a/b+c:d=e\"", true),
        (&longest, true),
        (&longer, false),
        (&format!("\"{longest}\""), true),
        ("", false),
        ("\"\"", false),
        ("\"a", false),
        ("a\"", false),
        ("a b", false),
        ("a,b", false),
        ("a;b", false),
        ("a\\b", false),
    ] {
        let reply = app.agent("alpha").with_key(text).knock().await;
        assert_eq!((key.is_valid(&text.into()), reply.status == 200), (is_good, is_good), "{text}");
    }
    assert_ne!(beat["parameters"][1]["required"], true);
    assert_ne!(beat["requestBody"]["required"], true);
    let body = description.validator(&beat["requestBody"]["content"]["application/json"]["schema"]);
    for (value, is_good) in [
        (json!({}), true),
        (json!({"a": [1]}), true),
        (json!([]), false),
        (json!("{}"), false),
        (json!(7), false),
        (json!(null), false),
    ] {
        let path = "/api/agents/alpha/heartbeat";
        let reply = ask(&app, "POST", path, Some(AGENT_TOKEN), &value.to_string()).await;
        assert_eq!((body.is_valid(&value), reply.status == 200), (is_good, is_good), "{value}");
    }
}

#[tokio::test]
async fn description_is_public_and_states_how_agents_authenticate() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    let Description { document, .. } = Description::served(&app).await;
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")), "{document:#}");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(document.pointer(BEAT).expect("it is described")["security"], json!([{ "agentToken": [] }]));
    let scheme = &document["components"]["securitySchemes"]["agentToken"];
    assert_eq!(scheme, &json!({ "type": "http", "scheme": "bearer" }));
    assert!(document.pointer(HEALTH).expect("it is described")["security"].is_null());
    assert_eq!(app.world.secrets.requests(), []);
    assert_eq!(app.world.dynamodb.requests(), []);
}
