//! The routes.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use lambda_http::request::RequestContext;
use lambda_http::{Context, RequestExt as _};
use serde::Serialize;
use tower::util::ServiceExt as _;

use crate::app::App;
use crate::domain::RunType;
use crate::heartbeat::{self, BeatRequest};

use super::{Authorized, Refusal};

/// The longest body, in bytes.
pub(super) const LONGEST_BODY: usize = 64 * 1024;

/// Answers Lambda's HTTP events: API Gateway's of both kinds and Function URLs'.
pub fn service(
    app: Arc<App>,
) -> impl tower::Service<
    lambda_http::Request,
    Response = Response,
    Error = Infallible,
    Future: Future<Output = Result<Response, Infallible>> + Send,
> + Clone {
    let router = router(app);
    tower::service_fn(move |request: lambda_http::Request| {
        let router = router.clone();
        async move { router.oneshot(without_stage(request)).await }
    })
}

fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/api/agents/{agent_name}/heartbeat", post(heartbeat))
        .route("/api/health", get(health))
        .fallback(async || Refusal::NotFound)
        .method_not_allowed_fallback(async || Refusal::MethodNotAllowed)
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .with_state(app)
}

async fn heartbeat(
    authorized: Authorized,
    State(app): State<Arc<App>>,
    context: Option<axum::Extension<Context>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    check_body(&body.map_err(|_| Refusal::TooLarge)?)?;
    let deadline = context
        .and_then(|context| i64::try_from(context.deadline).ok())
        .and_then(|millis| Timestamp::from_millisecond(millis).ok());
    let request = BeatRequest {
        agent: authorized.agent(),
        token: Some(authorized.token()),
        run_type: RunType::Heartbeat,
        deadline,
        confirmed: None,
    };
    let answer = heartbeat::beat(&app, request).await;
    Ok(uncached(Json(answer)))
}

/// The body says nothing yet; it is checked so that it can say something one day.
fn check_body(body: &[u8]) -> Result<(), Refusal> {
    if body.trim_ascii().is_empty() {
        return Ok(());
    }
    let object: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_slice(body);
    object.map(drop).map_err(|_| Refusal::Body)
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
}

async fn health() -> Response {
    uncached(Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") }))
}

fn uncached(body: impl IntoResponse) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], body).into_response()
}

/// API Gateway puts a named stage before the path; the routes know nothing of stages. Every route is below
/// `/api/`, which tells a stage of that very name from the path's own first part.
fn without_stage(request: lambda_http::Request) -> Request {
    let stage = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => context.stage.clone(),
        Some(RequestContext::ApiGatewayV2(context)) => context.stage.clone(),
        _ => None,
    };
    let path = request.uri().path();
    let path = stage
        .and_then(|stage| path.strip_prefix('/')?.strip_prefix(stage.as_str()))
        .filter(|rest| rest.starts_with("/api/"))
        .unwrap_or(path);
    let uri = Uri::try_from(path).unwrap_or_else(|_| Uri::from_static("/"));
    let (mut parts, body) = request.into_parts();
    parts.uri = uri;
    let body = match body {
        lambda_http::Body::Text(text) => Body::from(text),
        lambda_http::Body::Binary(bytes) => Body::from(bytes),
        _ => Body::empty(),
    };
    Request::from_parts(parts, body)
}
