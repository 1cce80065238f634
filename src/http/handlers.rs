//! Handles the requests, and describes each of them for the OpenAPI document.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use lambda_http::Context;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::domain::{HeartbeatBody, IdempotencyKey, InvalidIdempotencyKey, KeyedRequest};
use crate::heartbeat::{self, AgentHeartbeatResponse, HeartbeatRequest, Reply};

use super::auth::Authorized;
use super::body;
use super::refusal::{ProblemDetails, Refusal};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Set on replayed responses.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A body with a wrong member is valid: that member is ignored, and `problems` names it and its limit. So no member has a
/// type here.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "domain::HeartbeatBody reads bodies")]
struct DescribedBody {
    /// In how many seconds the agent sends its next heartbeat: a whole number from 30 to 86400. It makes the agent a
    /// watched one.
    #[schema(value_type = Value, required = false)]
    interval_seconds: (),
    /// How many seconds late a heartbeat may be: a whole number from 0 to 86400. By default the interval, but at least 60
    /// and at most 3600.
    #[schema(value_type = Value, required = false)]
    grace_seconds: (),
    /// The addresses of the issues that the agent works on: a list of at most 50 texts of at most 300 bytes.
    #[schema(value_type = Value, required = false)]
    active_issue_urls: (),
    /// What the agent does: a text of at most 80 bytes without control characters.
    #[schema(value_type = Value, required = false)]
    progress: (),
    /// After how many seconds without progress the agent counts as stalled: a whole number from 60 to 604800.
    #[schema(value_type = Value, required = false)]
    stalled_after_seconds: (),
    /// The agent's login at GitHub: 1 to 39 characters.
    #[schema(value_type = Value, required = false)]
    login: (),
    /// The program that sends the heartbeats: 1 to 40 printable ASCII characters.
    #[schema(value_type = Value, required = false)]
    client: (),
    /// `true` if this is the agent's last heartbeat for now. It holds for this heartbeat alone.
    #[schema(value_type = Value, required = false)]
    leaving: (),
}

/// Send a heartbeat
///
/// Syncs the cached issues of the tracked repositories with GitHub, unless another heartbeat has just done so or is
/// doing so, and reports the issues that changed since this agent's previous heartbeat. `status` says whether that
/// succeeded.
#[utoipa::path(
    post,
    path = "/api/agents/{agentName}/heartbeat",
    security(("agentToken" = [])),
    params(
        (
            "agentName" = String, Path, description = "The agent's name",
            pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        ),
        (
            "Idempotency-Key" = Option<String>, Header,
            description = "Makes the request safe to retry: for 24 hours, a request with the same key and body gets the \
                same response and runs no further heartbeat",
            pattern = r#"^([!#-+\--:<-\[\]-~]{1,255}|"[!#-+\--:<-\[\]-~]{1,255}")$"#,
        ),
    ),
    request_body(
        content = inline(DescribedBody),
        description = "What the agent declares: empty or a JSON object, at most 64 KiB. It is a merge patch (RFC 7396): an \
            absent member changes nothing, null forgets, a value replaces",
        content_type = "application/json",
    ),
    responses(
        (
            status = 200, description = "The heartbeat was answered", body = AgentHeartbeatResponse,
            headers(("Idempotency-Replayed" = String, description = "`true` if a stored response is replayed")),
        ),
        (
            status = 400, description = "Invalid agent name, body or idempotency key",
            body = ProblemDetails, content_type = "application/problem+json",
        ),
        (
            status = 401, description = "Missing or invalid agent token",
            body = ProblemDetails, content_type = "application/problem+json",
            headers(("WWW-Authenticate" = String, description = "`Bearer`")),
        ),
        (
            status = 403, description = "The token is not valid for this agent, or may not send heartbeats",
            body = ProblemDetails, content_type = "application/problem+json",
        ),
        (
            status = 409, description = "A request with this idempotency key is still running",
            body = ProblemDetails, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds until a retry makes sense")),
        ),
        (
            status = 413, description = "The body is too long",
            body = ProblemDetails, content_type = "application/problem+json",
        ),
        (
            status = 422, description = "The idempotency key was used with another body",
            body = ProblemDetails, content_type = "application/problem+json",
        ),
        (
            status = 429, description = "This agent exceeds its rate limit",
            body = ProblemDetails, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds until the limit resets")),
        ),
        (
            status = 503, description = "The agent tokens cannot be read",
            body = ProblemDetails, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds until a retry makes sense")),
        ),
    ),
)]
pub(super) async fn heartbeat(
    authorized: Authorized,
    State(app): State<Arc<App>>,
    context: Option<axum::Extension<Context>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let (body, members) = body::checked(body)?;
    let declared = HeartbeatBody::read(&members);
    let keyed = idempotency_key(&headers)?.map(|key| KeyedRequest::new(key, &body));
    let deadline = context
        .and_then(|context| i64::try_from(context.deadline).ok())
        .and_then(|millis| Timestamp::from_millisecond(millis).ok());
    let request = HeartbeatRequest {
        agent: authorized.agent(),
        token: authorized.token(),
        token_expires_at: authorized.token_expires_at(),
        body: &declared,
        deadline,
        keyed: keyed.as_ref(),
    };
    Ok(match heartbeat::handle(&app, request).await? {
        Reply::Answered(response) => Json(response).into_response(),
        Reply::Replayed(response) => {
            let json = HeaderValue::from_static("application/json");
            ([(header::CONTENT_TYPE, json), (REPLAYED, HeaderValue::from_static("true"))], response)
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

#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    /// Always `ok`.
    status: &'static str,
    /// The version of the service.
    version: &'static str,
}

/// Check the service's health
///
/// Confirms that the service runs. Calls none of its dependencies.
#[utoipa::path(
    get,
    path = "/api/health",
    responses((status = 200, description = "The service runs", body = Health)),
)]
pub(super) async fn health() -> Json<Health> {
    Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") })
}
