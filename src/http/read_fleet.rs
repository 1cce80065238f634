//! The routes of the fleet: its status, passes and repositories, each with its description for the OpenAPI document.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;

use crate::app::App;
use crate::domain::RepositoryName;
use crate::views::{self, FleetStatus, PassPage, PassView, ProblemWords, RepositoryPage, RepositoryView};

use super::auth::FleetReader;
use super::query;
use super::read_answers::{Forbidden, NotFound, PageParameters, Refusals};
use super::refusal::{ProblemDetails, Refusal};
use super::shown::{page, shown};

/// Read the fleet's status
///
/// Says whether the cached issues can be relied on and, if not, why. Needs a token with the right `read`.
#[utoipa::path(
    get,
    path = "/api/status",
    tag = "reading",
    security(("agentToken" = [])),
    responses(
        (
            status = 200, description = "The status", body = FleetStatus,
            headers(("ETag" = String, description = "Identifies this version")),
        ),
        Refusals,
        Forbidden,
    ),
)]
pub(super) async fn status(
    _reader: FleetReader,
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    query::read(uri.query(), |_| ())?;
    Ok(shown(&headers, &views::status(&app).await?))
}

/// List the passes
///
/// Lists the passes that changed something, had a problem, or deferred a repository, the newest first.
#[utoipa::path(
    get,
    path = "/api/passes",
    tag = "reading",
    security(("agentToken" = [])),
    params(
        PageParameters,
    ),
    responses(
        (
            status = 200, description = "A page of passes", body = PassPage,
            headers(
                ("ETag" = String, description = "Identifies this version"),
                ("Link" = Option<String>, description = "The next page, with `rel=\"next\"`; absent on the last one"),
            ),
        ),
        Refusals,
        Forbidden,
    ),
)]
pub(super) async fn passes(
    _reader: FleetReader,
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let request = query::read(uri.query(), query::Query::page)?;
    let passes = views::passes(&app, &request).await?;
    Ok(page(&headers, &uri, &passes, passes.next_cursor.as_deref()))
}

/// Read one pass
#[utoipa::path(
    get,
    path = "/api/passes/{passId}",
    tag = "reading",
    security(("agentToken" = [])),
    params(("passId" = Uuid, Path, description = "The pass's id")),
    responses(
        (
            status = 200, description = "The pass", body = PassView,
            headers(("ETag" = String, description = "Identifies this version")),
        ),
        NotFound,
        Refusals,
        Forbidden,
    ),
)]
pub(super) async fn pass(
    _reader: FleetReader,
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    query::read(uri.query(), |_| ())?;
    let Path(id) = path.map_err(|_| Refusal::Path)?;
    let id = id.parse().map_err(|_| Refusal::NoSuchThing("no pass has this id: it must be a UUID"))?;
    Ok(shown(&headers, &views::pass(&app, id).await?))
}

/// List the tracked repositories
///
/// Lists the repositories in the order of `REPOSITORIES`, and says how fresh each is and what is wrong with it.
#[utoipa::path(
    get,
    path = "/api/repositories",
    tag = "reading",
    security(("agentToken" = [])),
    params(
        PageParameters,
    ),
    responses(
        (
            status = 200, description = "A page of repositories", body = RepositoryPage,
            headers(
                ("ETag" = String, description = "Identifies this version"),
                ("Link" = Option<String>, description = "The next page, with `rel=\"next\"`; absent on the last one"),
            ),
        ),
        Refusals,
        Forbidden,
    ),
)]
pub(super) async fn repositories(
    _reader: FleetReader,
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let request = query::read(uri.query(), query::Query::page)?;
    let repositories = views::repositories(&app, &request).await?;
    Ok(page(&headers, &uri, &repositories, repositories.next_cursor.as_deref()))
}

/// Read one tracked repository
#[utoipa::path(
    get,
    path = "/api/repositories/{owner}/{name}",
    tag = "reading",
    security(("agentToken" = [])),
    params(
        ("owner" = String, Path, description = "The repository's owner", pattern = "^[A-Za-z0-9_-]{1,39}$"),
        ("name" = String, Path, description = "The repository's name", pattern = "^[A-Za-z0-9._-]{1,100}$"),
    ),
    responses(
        (
            status = 200, description = "The repository", body = RepositoryView,
            headers(("ETag" = String, description = "Identifies this version")),
        ),
        NotFound,
        Refusals,
        Forbidden,
    ),
)]
pub(super) async fn repository(
    _reader: FleetReader,
    State(app): State<Arc<App>>,
    path: Result<Path<(String, String)>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    query::read(uri.query(), |_| ())?;
    let Path((owner, name)) = path.map_err(|_| Refusal::Path)?;
    Ok(shown(&headers, &views::repository(&app, &repository_name(&owner, &name)?).await?))
}

/// Explain the codes of problems
///
/// Says for each code what it means and what to do about it, in words for people. Needs no token.
#[utoipa::path(
    get,
    path = "/api/problems",
    tag = "reading",
    responses(
        (
            status = 200, description = "Every code", body = ProblemWords,
            headers(("ETag" = String, description = "Identifies this version")),
        ),
        (
            status = 304, description = "The client has the current version: its `If-None-Match` names it",
            headers(("ETag" = String, description = "Identifies the current version")),
        ),
        (
            status = 400, description = "An invalid query",
            body = ProblemDetails, content_type = "application/problem+json",
        ),
    ),
)]
pub(super) async fn problems(uri: Uri, headers: HeaderMap) -> Result<Response, Refusal> {
    query::read(uri.query(), |_| ())?;
    Ok(shown(&headers, &views::problem_words()))
}

/// A repository's name in a path.
pub(super) fn repository_name(owner: &str, name: &str) -> Result<RepositoryName, Refusal> {
    RepositoryName::parse(&format!("{owner}/{name}"))
        .map_err(|_| Refusal::NoSuchThing("this repository is not tracked"))
}
