//! The API's description compared with the actual answers, in both directions.

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::Validator;
use serde_json::{Value, json};
use test_world::github::{Fault, Matching};
use test_world::secrets::{Fault as Broken, On};
use test_world::{AGENT_TOKEN, AGENT_TOKENS_SECRET_ID};

use crate::support::app::{Reply, TestApp, until_held};
use crate::support::audits::{INTERVAL, tracking};
use crate::support::installations;

const BEAT: &str = "/paths/~1api~1agents~1{agentName}~1heartbeat/post";
const HEALTH: &str = "/paths/~1api~1health/get";
const REPLAYED: &str = "idempotency-replayed";
const BOUND: &str = "the-bound-token-not-a-secret-0123456789";

/// The described statuses and fields, and those that answers have had.
struct Description {
    document: Value,
    statuses: BTreeSet<String>,
    /// By the names of the schemas' fields.
    members: BTreeMap<&'static str, BTreeSet<String>>,
}

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

fn names(object: &Value) -> BTreeSet<String> {
    object.as_object().expect("an object").keys().cloned().collect()
}

impl Description {
    /// The description as it is served to everybody.
    async fn served(app: &TestApp) -> Self {
        let reply = ask(app, "GET", "/api/openapi.json", None, "").await;
        assert_eq!((reply.status, reply.headers["content-type"].as_str()), (200, "application/json"));
        Self { document: reply.body.into_value(), statuses: BTreeSet::new(), members: BTreeMap::new() }
    }

    /// The schema at this place, closed to additional fields.
    fn validator(&self, schema: &Value) -> Validator {
        let mut components = self.document["components"].clone();
        for schema in components["schemas"].as_object_mut().expect("schemas").values_mut() {
            if schema["properties"].is_object() {
                schema["additionalProperties"] = false.into();
            }
        }
        let mut root = schema.clone();
        root["components"] = components;
        jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .should_validate_formats(true)
            .build(&root)
            .expect("a schema")
    }

    /// Compares an answer with the description of its status.
    fn covers(&mut self, operation: &str, reply: &Reply) {
        let status = reply.status.to_string();
        let described = &self.document.pointer(operation).expect("it is described")["responses"][&status];
        let schema = &described["content"][&reply.headers["content-type"]]["schema"];
        assert!(schema.is_object(), "{operation} does not describe {reply:#?}");
        let errors: Vec<String> =
            self.validator(schema).iter_errors(&reply.body).map(|error| error.to_string()).collect();
        assert_eq!(errors, [""; 0], "{:#}", reply.body);
        let headers = described["headers"].as_object().into_iter().flatten();
        let headers: BTreeSet<String> = headers.map(|(name, _)| name.to_lowercase()).collect();
        for header in ["retry-after", "www-authenticate", REPLAYED] {
            let is_there = reply.headers.contains_key(header);
            // Only a repeated answer has this header.
            let is_missing = headers.contains(header) && !is_there && header != REPLAYED;
            let is_not_described = is_there && !headers.contains(header);
            assert!(!is_missing && !is_not_described, "{header}: {reply:#?}");
        }
        if operation == BEAT {
            self.meets(reply);
            self.statuses.insert(status);
        }
    }

    fn meets(&mut self, reply: &Reply) {
        let list = |name: &str| (*reply.body)[name].as_array().cloned().unwrap_or_default();
        let schema = if reply.status == 200 { "AgentHeartbeatResponse" } else { "ProblemDetails" };
        self.members.entry(schema).or_default().extend(names(&reply.body));
        for (schema, values) in [("Problem", list("problems")), ("Touch", list("touched"))] {
            self.members.entry(schema).or_default().extend(values.iter().flat_map(names));
        }
    }

    /// Fails if anything is described that no answer has had.
    fn assert_met_whole(&self) {
        let beat = self.document.pointer(BEAT).expect("it is described");
        assert_eq!(self.statuses, names(&beat["responses"]));
        for (schema, met) in &self.members {
            let mut described = names(&self.document["components"]["schemas"][schema]["properties"]);
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
    description.covers(HEALTH, &ask(&app, "GET", "/api/health", None, "").await);
    // A first pass, a coalesced beat, and changed issues, one of them moved to another repository.
    description.covers(BEAT, &beat(&app).await);
    description.covers(BEAT, &beat(&app).await);
    app.pass_time(150);
    beat(&app).await;
    app.pass_time(INTERVAL);
    app.world.github.arrange(|github| {
        github.close_issue("acme/api", 1);
        github.transfer_issue("acme/api", 2, "acme/web");
    });
    let touched = beat(&app).await;
    assert!(touched.body["touchedCount"].as_u64() > Some(1), "{:#}", touched.body);
    description.covers(BEAT, &touched);
    app.pass_time(150);
    let moved = beat(&app).await;
    description.covers(BEAT, &moved);
    // Problems of one repository, of all repositories, and of one owner.
    app.world.github.arrange(|github| github.hide_repository("acme/web"));
    app.pass_time(150);
    description.covers(BEAT, &beat(&app).await);
    let limit =
        Fault::Answer { status: 429, headers: vec![("retry-after", "90".to_owned())], body: "{}".to_owned() };
    app.world.github.fault(Matching::graphql(), limit);
    app.pass_time(150);
    description.covers(BEAT, &beat(&app).await);
    let of_two_owners = installations::two_owners().await;
    let of_one = Matching::graphql().containing("globex/web");
    of_two_owners.world.github.fault(of_one, Fault::secondary_limit(Some("90")));
    description.covers(BEAT, &beat(&of_two_owners).await);
    app.world.dynamodb.fault(
        test_world::dynamodb::On::operation("BatchGetItem").containing("STATE"),
        test_world::dynamodb::Fault::AccessDenied,
    );
    description.covers(BEAT, &beat(&app).await);

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
        description.covers(BEAT, &reply);
    }
    let keyed = |body| app.agent("beta").with_key("a-key").with_body(body);
    app.pass_time(150);
    let mut held = app.world.github.hold(Matching::graphql());
    let first = keyed("{}");
    let mut first = Box::pin(first.knock());
    assert!(until_held(&mut first, &mut held).await.is_none());
    let running = keyed("{}").knock().await;
    assert_eq!(running.status, 409);
    description.covers(BEAT, &running);
    held.release();
    description.covers(BEAT, &first.await);
    let replayed = keyed("{}").knock().await;
    assert!(replayed.headers.contains_key(REPLAYED), "{replayed:#?}");
    description.covers(BEAT, &replayed);
    let other = keyed(r#"{"another":"request"}"#).knock().await;
    assert_eq!(other.status, 422);
    description.covers(BEAT, &other);
    let mut last = beat(&app).await;
    while last.status == 200 {
        last = beat(&app).await;
    }
    assert_eq!(last.status, 429);
    description.covers(BEAT, &last);
    let bound = json!({"tokens": [{"token": BOUND, "agents": ["beta"]}]});
    app.world.secrets.put_secret(AGENT_TOKENS_SECRET_ID, &bound.to_string());
    app.pass_time(60);
    let bound = ask(&app, "POST", path, Some(BOUND), "").await;
    assert_eq!(bound.status, 403);
    description.covers(BEAT, &bound);
    app.world.secrets.fault(On::anything(), Broken::AccessDenied.forever());
    app.pass_time(3_600);
    let down = ask(&app, "POST", path, Some(BOUND), "").await;
    assert_eq!(down.status, 503);
    description.covers(BEAT, &down);
    description.assert_met_whole();
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
