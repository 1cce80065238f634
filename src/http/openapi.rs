//! The description of the API for programs (OpenAPI 3.1), made of the types that are answered and of what stands at the
//! routes' handlers. It is public, as `README.md` is, which says the same to people.

use axum::Json;
use utoipa::openapi::RefOr;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::router;

#[derive(OpenApi)]
#[openapi(
    info(title = "agent-heartbeat"),
    paths(router::heartbeat, router::health),
    modifiers(&AgentToken, &OptionalBody),
)]
struct Description;

/// How agents show who they are.
struct AgentToken;

impl Modify for AgentToken {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = description.components.get_or_insert_default();
        components.add_security_scheme("agentToken", SecurityScheme::Http(bearer));
    }
}

/// A beat's body may be left out. Its attribute takes an optional type for that, but then describes `null` too.
struct OptionalBody;

impl Modify for OptionalBody {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let beats = description.paths.paths.values_mut().filter_map(|path| path.post.as_mut());
        for body in beats.filter_map(|beat| beat.request_body.as_mut()) {
            if let RefOr::T(body) = body {
                body.required = None;
            }
        }
    }
}

/// Answers with the description.
pub(super) async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(Description::openapi())
}
