//! The routes.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

use crate::app::App;

use super::body::MAX_BODY;
use super::handlers::{health, heartbeat};
use super::openapi::openapi;
use super::refusal::Refusal;
use super::{board, metrics_text, read_agents, read_fleet, read_issues, session};

/// The routes. Their responses have no security headers yet: `lambda.rs` adds them to each one.
pub(super) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/api/agents/{agent_name}/heartbeat", post(heartbeat))
        .route("/api/status", get(read_fleet::status))
        .route("/api/agents", get(read_agents::agents))
        .route("/api/agents/{agent_name}", get(read_agents::agent))
        .route("/api/agents/{agent_name}/runs", get(read_agents::runs))
        .route("/api/agents/{agent_name}/runs/{run_id}", get(read_agents::run))
        .route("/api/passes", get(read_fleet::passes))
        .route("/api/passes/{pass_id}", get(read_fleet::pass))
        .route("/api/repositories", get(read_fleet::repositories))
        .route("/api/repositories/{owner}/{name}", get(read_fleet::repository))
        .route("/api/repositories/{owner}/{name}/issues/{number}", get(read_issues::issue))
        .route("/api/issues", get(read_issues::issues))
        .route("/api/changes", get(read_issues::changes))
        // A slash at the end of a path is ignored, so at `/api/board/` the page's relative references lead below it.
        .route("/api/board", get(board::html))
        .route("/api/board.css", get(board::css))
        .route("/api/board.js", get(board::js))
        .route("/api/board/board.css", get(board::css))
        .route("/api/board/board.js", get(board::js))
        .route("/", get(board::redirect))
        .route("/api/session", post(session::begin).delete(session::end))
        .route("/api/metrics", get(metrics_text::metrics))
        .route("/api/problems", get(read_fleet::problems))
        .route("/api/health", get(health))
        .route("/api/openapi.json", get(openapi))
        .fallback(async || Refusal::NotFound)
        .method_not_allowed_fallback(async || Refusal::MethodNotAllowed)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(app)
}
