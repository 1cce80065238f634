//! Compares answers with the response schemas of GitHub's OpenAPI description.

use std::collections::BTreeMap;

use jsonschema::Validator;
use reqwest::Method;
use serde_json::{Value, json};
use test_world::github::{LinkStyle, World, app_jwt};

use crate::published;
use crate::{Answered, Scene};

/// A method and a path of the description.
type Route = (&'static str, &'static str);

const ROOT: Route = ("get", "/");
const RATE_LIMIT: Route = ("get", "/rate_limit");
const REPOSITORY: Route = ("get", "/repos/{owner}/{repo}");
const LISTING: Route = ("get", "/repos/{owner}/{repo}/issues");
const OPENING: Route = ("post", "/repos/{owner}/{repo}/issues");
const ISSUE: Route = ("get", "/repos/{owner}/{repo}/issues/{issue_number}");
const TOKEN: Route = ("post", "/app/installations/{installation_id}/access_tokens");
const CHANGING: Route = ("patch", "/repos/{owner}/{repo}/issues/{issue_number}");

/// GitHub's description and the validators created from it so far.
struct Description {
    document: Value,
    validators: BTreeMap<(Route, u16), Validator>,
}

impl Description {
    fn read() -> Self {
        Self { document: published::description(), validators: BTreeMap::new() }
    }

    /// Panics unless `answered` has the status and GitHub's schema for it on this route.
    fn check(&mut self, route: Route, status: u16, answered: &Answered) {
        assert_eq!(answered.status, status, "{route:?}: {}", answered.body);
        let document = &self.document;
        let validator = self
            .validators
            .entry((route, status))
            .or_insert_with(|| validator(document, response_schema(document, route, status)));
        let errors: Vec<String> = validator
            .iter_errors(&answered.body)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{route:?}, {status}:\n{}\n{:#}", errors.join("\n"), answered.body);
        if status >= 400 {
            // Optional in the description, but present in every error of GitHub.
            assert_eq!(answered.body["status"], status.to_string());
            assert!(answered.body["message"].is_string() && answered.body["documentation_url"].is_string());
        }
    }
}

/// The schema of a route's answer. Routes do not describe all statuses that every route may have: their bodies are
/// GitHub's basic error.
fn response_schema(document: &Value, route @ (method, path): Route, status: u16) -> &Value {
    let responses = &document["paths"][path][method]["responses"];
    let response = &responses[status.to_string()];
    let response = match response["$ref"].as_str() {
        Some(reference) => at(document, reference),
        None => response,
    };
    match &response["content"]["application/json"]["schema"] {
        Value::Null if status >= 400 && responses.is_object() => {
            at(document, "#/components/schemas/basic-error")
        }
        Value::Null => panic!("{status} of {route:?} is not described"),
        schema => schema,
    }
}

fn at<'a>(document: &'a Value, reference: &str) -> &'a Value {
    let pointer = reference.strip_prefix('#').expect("the description refers only to itself");
    document.pointer(pointer).unwrap_or_else(|| panic!("{reference} does not exist in the description"))
}

fn validator(document: &Value, schema: &Value) -> Validator {
    let mut schemas = BTreeMap::new();
    collect_references(document, schema, &mut schemas);
    let mut root = as_json_schema(schema);
    // The description is large, so a validator gets only the schemas that it needs.
    let reachable = schemas.into_iter().map(|(name, schema)| (name.to_owned(), as_json_schema(schema)));
    root["components"] = json!({ "schemas": Value::Object(reachable.collect()) });
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .should_validate_formats(true)
        .build(&root)
        .expect("GitHub's description is a schema")
}

fn collect_references<'a>(document: &'a Value, schema: &'a Value, into: &mut BTreeMap<&'a str, &'a Value>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.strip_prefix("#/components/schemas/").expect("schemas refer to schemas");
        let schema = at(document, reference);
        if into.insert(name, schema).is_none() {
            collect_references(document, schema, into);
        }
    }
    match schema {
        Value::Object(fields) => fields.values().for_each(|value| collect_references(document, value, into)),
        Value::Array(values) => values.iter().for_each(|value| collect_references(document, value, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// OpenAPI 3.0 says `nullable` where JSON Schema has a type `null`.
fn as_json_schema(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let inner = fields
                .iter()
                // Examples are data, and may look like schemas.
                .filter(|(name, _)| !matches!(name.as_str(), "example" | "examples") && *name != "nullable")
                .map(|(name, value)| (name.clone(), as_json_schema(value)))
                .collect();
            match fields.get("nullable") {
                Some(Value::Bool(true)) => json!({ "anyOf": [{ "type": "null" }, Value::Object(inner)] }),
                _ => Value::Object(inner),
            }
        }
        Value::Array(values) => Value::Array(values.iter().map(as_json_schema).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => schema.clone(),
    }
}

/// Issues of every shape: open, closed for each reason, reopened, labelled, assigned, a ghost's, a pull
/// request, open and closed.
fn all_shapes(world: &mut World) {
    let repository = "acme/api";
    world.create_repository(repository);
    world.open_issues(repository, 6);
    world.close_issue(repository, 1);
    world.close_issue_as(repository, 2, "not_planned");
    world.close_issue_as(repository, 3, "duplicate");
    world.close_issue(repository, 4);
    world.reopen_issue(repository, 4);
    world.add_label(repository, 5, "status/in progress");
    world.assign(repository, 5, "hubert");
    world.comment(repository, 5);
    world.edit_issue(repository, 6, |issue| {
        issue.user = None;
        issue.title = "𝄞 \u{0} \"quoted\"".to_owned();
        issue.body = Some("A body\r\nof two lines".to_owned());
    });
    world.open_pull_request(repository, "Open");
    let closed = world.open_pull_request(repository, "Closed");
    world.close_issue(repository, closed);
}

#[tokio::test]
async fn successful_answers_are_as_described() {
    let (scene, mut description) = (Scene::new().await, Description::read());
    scene.github.arrange(all_shapes);
    let id = scene.github.world().repository_id("acme/api");

    description.check(ROOT, 200, &scene.get("/").await);
    description.check(RATE_LIMIT, 200, &scene.get("/rate_limit").await);
    description.check(REPOSITORY, 200, &scene.get("/repos/acme/api").await);
    description.check(REPOSITORY, 200, &scene.get(&format!("/repositories/{id}")).await);
    for path in ["/repos/acme/api".to_owned(), format!("/repositories/{id}")] {
        let listing = scene.get(&format!("{path}/issues?state=all")).await;
        assert_eq!(listing.body.as_array().map(Vec::len), Some(8));
        description.check(LISTING, 200, &listing);
        description.check(ISSUE, 200, &scene.get(&format!("{path}/issues/5")).await);
    }
}

#[tokio::test]
async fn redirects_are_as_described() {
    let (scene, mut description) = (Scene::new().await, Description::read());
    scene.github.arrange(|world| {
        all_shapes(world);
        world.create_repository("acme/web");
        world.transfer_issue("acme/api", 5, "acme/web");
    });
    description.check(ISSUE, 301, &scene.get("/repos/acme/api/issues/5").await);
    scene.github.world().rename_repository("acme/api", "acme/core");
    description.check(REPOSITORY, 301, &scene.get("/repos/acme/api").await);
    description.check(LISTING, 301, &scene.get("/repos/acme/api/issues").await);
    description.check(ISSUE, 301, &scene.get("/repos/acme/api/issues/1").await);
}

#[tokio::test]
async fn refusals_are_as_described() {
    let (scene, mut description) = (Scene::new().await, Description::read());
    scene.github.arrange(|world| {
        all_shapes(world);
        world.links = LinkStyle::After;
        world.delete_issue("acme/api", 1);
        world.hide_issue("acme/api", 2);
    });
    description.check(ISSUE, 410, &scene.get("/repos/acme/api/issues/1").await);
    description.check(ISSUE, 404, &scene.get("/repos/acme/api/issues/2").await);
    description.check(LISTING, 422, &scene.get("/repos/acme/api/issues?page=2").await);
    description.check(LISTING, 422, &scene.get("/repos/acme/api/issues?sort=loudest").await);
    scene.github.world().disable_issues("acme/api");
    description.check(LISTING, 410, &scene.get("/repos/acme/api/issues").await);
    description.check(ISSUE, 410, &scene.get("/repos/acme/api/issues/3").await);
    scene.github.world().disable("acme/api");
    description.check(LISTING, 403, &scene.get("/repos/acme/api/issues").await);
    scene.github.world().hide_repository("acme/api");
    description.check(REPOSITORY, 404, &scene.get("/repos/acme/api").await);
    description.check(LISTING, 404, &scene.get("/repos/acme/api/issues").await);

    scene.github.world().accept_only(["another-token"]);
    description.check(LISTING, 401, &scene.get("/repos/acme/api/issues").await);
    scene.github.arrange(|world| {
        world.accept_only(["a-token"]);
        world.set_budget(5_000, 0, world.now() + std::time::Duration::from_secs(60));
    });
    description.check(REPOSITORY, 403, &scene.get("/repos/acme/api").await);
}

#[tokio::test]
async fn answers_to_edits_are_as_described() {
    let (scene, mut description) = (Scene::new().await, Description::read());
    scene.github.arrange(all_shapes);
    let issues = "/repos/acme/api/issues";
    let issue = "/repos/acme/api/issues/5";
    description.check(OPENING, 201, &scene.send(Method::POST, issues, r#"{"title": "New"}"#).await);
    description.check(OPENING, 400, &scene.send(Method::POST, issues, "no JSON").await);
    description.check(OPENING, 422, &scene.send(Method::POST, issues, "{}").await);
    description.check(CHANGING, 200, &scene.send(Method::PATCH, issue, r#"{"state": "closed"}"#).await);
    description.check(CHANGING, 422, &scene.send(Method::PATCH, issue, r#"{"state": "ajar"}"#).await);
    scene.github.world().archive("acme/api");
    description.check(OPENING, 403, &scene.send(Method::POST, issues, r#"{"title": "New"}"#).await);
    scene.github.world().delete_issue("acme/api", 5);
    description.check(ISSUE, 410, &scene.get(issue).await);
}

#[tokio::test]
async fn answers_to_apps_are_as_described() {
    let (scene, mut description) = (Scene::new().await, Description::read());
    let now = scene.github.world().now().as_second();
    let jwt = app_jwt(&json!({ "iat": now - 60, "exp": now + 540, "iss": 4_711 }));
    let token = "/app/installations/7/access_tokens";
    scene.github.arrange(|world| {
        all_shapes(world);
        world.install_app(4_711, 7);
    });
    let given = scene.send_as(&jwt, Method::POST, token, "").await;
    description.check(TOKEN, 201, &given);
    let given = given.body["token"].as_str().expect("a token").to_owned();
    description.check(LISTING, 200, &scene.send_as(&given, Method::GET, "/repos/acme/api/issues", "").await);
    description.check(TOKEN, 401, &scene.send(Method::POST, token, "").await);
    scene.github.world().forbid_issues(7);
    description.check(LISTING, 403, &scene.send_as(&given, Method::GET, "/repos/acme/api/issues", "").await);
    scene.github.world().suspend_installation(7);
    description.check(TOKEN, 403, &scene.send_as(&jwt, Method::POST, token, "").await);
    scene.github.world().uninstall_app(7);
    description.check(TOKEN, 404, &scene.send_as(&jwt, Method::POST, token, "").await);
    description.check(LISTING, 401, &scene.send_as(&given, Method::GET, "/repos/acme/api/issues", "").await);
    scene.github.world().delete_app(4_711);
    description.check(TOKEN, 404, &scene.send_as(&jwt, Method::POST, token, "").await);
}
