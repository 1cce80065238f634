//! The routes.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use lambda_http::Context;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::domain::{IdempotencyKey, InvalidIdempotencyKey, KeyedRequest, RunType};
use crate::heartbeat::{self, AgentHeartbeatResponse, BeatRequest, Reply};

use super::openapi::openapi;
use super::refusal::ProblemDetails;
use super::{Authorized, Refusal};

/// The longest body, in bytes.
pub(super) const MAX_BODY: usize = 64 * 1024;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// On answers that the same request got before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The routes. An answer has no security headers yet: `lambda.rs` adds them to each one.
pub(super) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/api/agents/{agent_name}/heartbeat", post(heartbeat))
        .route("/api/health", get(health))
        .route("/api/openapi.json", get(openapi))
        .fallback(async || Refusal::NotFound)
        .method_not_allowed_fallback(async || Refusal::MethodNotAllowed)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(app)
}

/// Beat
///
/// Brings the copy of the tracked repositories' issues up to date, unless another beat has just done so or does, and
/// tells what changed since this agent's previous beat. How it went is in `status`.
#[utoipa::path(
    post,
    path = "/api/agents/{agentName}/heartbeat",
    security(("agentToken" = [])),
    params(
        (
            "agentName" = String, Path, description = "The name that the agent beats under",
            pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        ),
        (
            "Idempotency-Key" = Option<String>, Header,
            description = "Names this request, so that it can be sent again: for 24 hours the same one gets the same \
                answer, and makes no other beat",
            pattern = r#"^([!#-+\--:<-\[\]-~]{1,255}|"[!#-+\--:<-\[\]-~]{1,255}")$"#,
        ),
    ),
    request_body(
        content = Object,
        description = "Nothing, or an object, whose members say nothing yet; 64 KiB at most",
        content_type = "application/json",
    ),
    responses(
        (
            status = 200, description = "The beat's answer", body = AgentHeartbeatResponse,
            headers(("Idempotency-Replayed" = String, description = "`true` where the same request got it before")),
        ),
        (
            status = 400, description = "The name is no agent's, the body is no JSON object, or the key is none",
            body = ProblemDetails, content_type = "application/problem+json",
        ),
        (
            status = 401, description = "No token, or a wrong one",
            body = ProblemDetails, content_type = "application/problem+json",
            headers(("WWW-Authenticate" = String, description = "`Bearer`")),
        ),
        (
            status = 403, description = "The token is not for this agent",
            body = ProblemDetails, content_type = "application/problem+json",
        ),
        (
            status = 409, description = "The first request with this key is not answered yet",
            body = ProblemDetails, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds until another try makes sense")),
        ),
        (
            status = 413, description = "The body is too long",
            body = ProblemDetails, content_type = "application/problem+json",
        ),
        (
            status = 422, description = "Another request has come with this key",
            body = ProblemDetails, content_type = "application/problem+json",
        ),
        (
            status = 429, description = "This agent beats too often",
            body = ProblemDetails, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds until it may beat again")),
        ),
        (
            status = 503, description = "The agents' tokens cannot be read at the moment",
            body = ProblemDetails, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds until another try makes sense")),
        ),
    ),
)]
async fn heartbeat(
    authorized: Authorized,
    State(app): State<Arc<App>>,
    context: Option<axum::Extension<Context>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let body = body.map_err(|_| Refusal::TooLarge)?;
    check_body(&body)?;
    let keyed = idempotency_key(&headers)?.map(|key| KeyedRequest::new(key, &body));
    let deadline = context
        .and_then(|context| i64::try_from(context.deadline).ok())
        .and_then(|millis| Timestamp::from_millisecond(millis).ok());
    let request = BeatRequest {
        agent: authorized.agent(),
        token: Some(authorized.token()),
        run_type: RunType::Heartbeat,
        deadline,
        keyed: keyed.as_ref(),
        confirmed: None,
    };
    Ok(match heartbeat::beat_if_admitted(&app, request).await? {
        Reply::Beat(answer) => Json(answer).into_response(),
        Reply::Replayed(answer) => {
            let json = HeaderValue::from_static("application/json");
            ([(header::CONTENT_TYPE, json), (REPLAYED, HeaderValue::from_static("true"))], answer)
                .into_response()
        }
    })
}

/// The key of the request, if it has one. API Gateway joins two headers with a comma, which no key has.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Refusal> {
    let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
    match (given.next(), given.next()) {
        (None, _) => Ok(None),
        (Some(only), None) => Ok(Some(IdempotencyKey::parse(only.to_str().unwrap_or_default())?)),
        (Some(_), Some(_)) => Err(InvalidIdempotencyKey.into()),
    }
}

/// The body says nothing yet; it is checked so that it can say something one day.
fn check_body(body: &[u8]) -> Result<(), Refusal> {
    if body.trim_ascii().is_empty() {
        return Ok(());
    }
    let object: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_slice(body);
    object.map(drop).map_err(|_| Refusal::Body)
}

#[derive(Serialize, ToSchema)]
struct Health {
    /// Always `ok`.
    status: &'static str,
    /// The service's.
    version: &'static str,
}

/// Health
///
/// Says that the service runs. Asks nothing of what it depends on.
#[utoipa::path(get, path = "/api/health", responses((status = 200, description = "It runs", body = Health)))]
async fn health() -> Json<Health> {
    Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") })
}
