//! The OpenAPI 3.1 description of the API. It is public: it says nothing that `docs/api.md` does not say.
//!
//! It follows from the response types and the attributes of the handlers ([`description`]). The service serves it as the
//! text `docs/openapi.json`, which a test compares with them. So the function carries the text, which takes 9 KB of its
//! zip, and not the code that makes it, which took 155 KB.

use std::collections::HashMap;

use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{handlers, metrics_text, read_agents, read_fleet, read_issues, session};

#[derive(OpenApi)]
#[openapi(
    info(title = "agent-heartbeat"),
    paths(
        handlers::heartbeat,
        read_fleet::status,
        read_agents::agents,
        read_agents::agent,
        read_agents::runs,
        read_agents::run,
        read_fleet::passes,
        read_fleet::pass,
        read_fleet::repositories,
        read_fleet::repository,
        read_issues::issues,
        read_issues::issue,
        read_issues::changes,
        session::begin,
        session::end,
        metrics_text::metrics,
        read_fleet::problems,
        handlers::health,
    ),
    // What only parameters refer to is not found by itself.
    components(schemas(read_issues::Label, read_issues::IssueStatus, read_issues::IssueStates)),
    modifiers(&AgentToken, &OptionalBody, &Examples),
)]
struct Description;

/// How agents authenticate.
struct AgentToken;

impl Modify for AgentToken {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = description.components.get_or_insert_default();
        components.add_security_scheme("agentToken", SecurityScheme::Http(bearer));
    }
}

/// Describes a heartbeat's body as optional. An optional type in the handler's attribute would describe `null` too. The only
/// other body, of a sign-in, is required.
struct OptionalBody;

impl Modify for OptionalBody {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let paths = description.paths.paths.iter_mut().filter(|(path, _)| path.ends_with("/heartbeat"));
        let posts = paths.filter_map(|(_, item)| item.post.as_mut());
        for body in posts.filter_map(|post| post.request_body.as_mut()) {
            if let RefOr::T(body) = body {
                body.required = None;
            }
        }
    }
}

/// Adds an example to each answer with the status 200: answers of the local world, shortened.
struct Examples;

impl Modify for Examples {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let examples: HashMap<String, Value> =
            serde_json::from_str(include_str!("examples.json")).expect("examples are JSON, by path");
        for (path, item) in &mut description.paths.paths {
            for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
                if let Some(RefOr::T(answer)) = operation.responses.responses.get_mut("200") {
                    for body in answer.content.values_mut() {
                        if let RefOr::T(body) = body {
                            body.example = examples.get(path).cloned();
                        }
                    }
                }
            }
        }
    }
}

/// The description as the types and handlers state it. `make openapi` writes it to `docs/openapi.json`.
pub fn description() -> utoipa::openapi::OpenApi {
    Description::openapi()
}

/// Serves the description.
pub(super) async fn openapi() -> impl IntoResponse {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], include_str!("../../docs/openapi.json"))
}
