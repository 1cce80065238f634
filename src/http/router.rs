//! The routes.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

use crate::app::App;

use super::body::MAX_BODY;
use super::handlers::{health, heartbeat};
use super::openapi::openapi;
use super::reading;
use super::refusal::Refusal;

/// The routes. Their responses have no security headers yet: `lambda.rs` adds them to each one.
pub(super) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/api/agents/{agent_name}/heartbeat", post(heartbeat))
        .route("/api/status", get(reading::status))
        .route("/api/agents", get(reading::agents))
        .route("/api/agents/{agent_name}", get(reading::agent))
        .route("/api/agents/{agent_name}/runs", get(reading::runs))
        .route("/api/agents/{agent_name}/runs/{run_id}", get(reading::run))
        .route("/api/passes", get(reading::passes))
        .route("/api/passes/{pass_id}", get(reading::pass))
        .route("/api/repositories", get(reading::repositories))
        .route("/api/repositories/{owner}/{name}", get(reading::repository))
        .route("/api/repositories/{owner}/{name}/issues/{number}", get(reading::issue))
        .route("/api/issues", get(reading::issues))
        .route("/api/changes", get(reading::changes))
        .route("/api/health", get(health))
        .route("/api/openapi.json", get(openapi))
        .fallback(async || Refusal::NotFound)
        .method_not_allowed_fallback(async || Refusal::MethodNotAllowed)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(app)
}
