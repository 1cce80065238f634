//! The routes.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use lambda_runtime::{Context, LambdaEvent};
use serde::Serialize;
use serde_json::value::RawValue;
use tower::util::ServiceExt as _;

use crate::app::App;
use crate::domain::RunType;
use crate::heartbeat::{self, BeatRequest};

use super::event::{self, EventAnswer};
use super::{Authorized, Refusal};

/// The longest body, in bytes.
pub(super) const LONGEST_BODY: usize = 64 * 1024;

/// Answers Lambda's HTTP events, whatever they hold.
pub fn service(
    app: Arc<App>,
) -> impl tower::Service<
    LambdaEvent<Box<RawValue>>,
    Response = EventAnswer,
    Error = Infallible,
    Future: Future<Output = Result<EventAnswer, Infallible>> + Send,
> + Clone {
    let router = router(app);
    tower::service_fn(move |LambdaEvent { payload, context }: LambdaEvent<Box<RawValue>>| {
        let router = router.clone();
        async move {
            let response = match event::request(&payload) {
                Ok(mut request) => {
                    request.extensions_mut().insert(context);
                    router.oneshot(request).await?
                }
                Err(refusal) => refusal.into_response(),
            };
            Ok(event::answer(response).await)
        }
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
