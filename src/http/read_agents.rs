//! The routes of agents and their runs, each with its description for the OpenAPI document.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;

use crate::app::App;
use crate::domain::{IssueAddress, Presence, Work};
use crate::views::{
    self, AgentFilter, AgentPage, AgentView, MAX_AGENTS, Readable, RunPage, RunStatus, RunView,
};

use super::auth::{AgentReader, Reader};
use super::query;
use super::read_answers::{Forbidden, NotFound, PageParameters, Refusals};
use super::refusal::Refusal;
use super::shown::{KnownTags, page, reading, shown};

/// List the agents
///
/// Lists the agents that the token covers: those that have sent a heartbeat, and those that a token names.
#[utoipa::path(
    get,
    path = "/api/agents",
    tag = "reading",
    security(("agentToken" = [])),
    params(
        ("state" = Option<Presence>, Query, description = "Only agents with this state"),
        ("work" = Option<Work>, Query, description = "Only agents whose work is in this state"),
        ("issue" = Option<String>, Query, format = "uri",
            description = "Only agents that work on the issue whose page has this address"),
        ("limit" = Option<u16>, Query, description = "The most items of a page, 1 to 500; 50 by default",
            minimum = 1, maximum = 500),
        ("cursor" = Option<String>, Query, description = "The `nextCursor` of the page before",
            min_length = 1, max_length = 256),
    ),
    responses(
        (
            status = 200, description = "A page of agents", body = AgentPage,
            headers(
                ("ETag" = String, description = "Identifies this version"),
                ("Link" = Option<String>, description = "The next page, with `rel=\"next\"`; absent on the last one"),
            ),
        ),
        Refusals,
    ),
)]
pub(super) async fn agents(
    reader: Reader,
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let states = Presence::ALL.map(|state| (state.as_str(), state));
    let works = Work::ALL.map(|work| (work.as_str(), work));
    let web = &app.config.github_server_url;
    let issue = |text: &str| {
        IssueAddress::parse(text, web)
            .ok_or_else(|| format!("must be the address of an issue's page on {web}"))
    };
    let (state, work, issue, request) = query::read(uri.query(), |query| {
        let state = query.one("state", query::one_of(&states));
        (
            state,
            query.one("work", query::one_of(&works)),
            query.one("issue", issue),
            query.page_up_to(MAX_AGENTS),
        )
    })?;
    let named = reader.named_agents(app.clock.now());
    let filter = AgentFilter { state, work, issue: issue.as_ref(), named: &named };
    let readable = Readable {
        covers: &|name| reader.covers(name),
        next: &|after| reader.next_covered(after).cloned(),
        coverage: &reader.coverage(),
    };
    let known = KnownTags::of(&headers);
    let agents = views::agents(&app, &filter, readable, &request, known.opaque()).await?;
    Ok(reading(&headers, &uri, agents, |page| page.next_cursor.as_deref()))
}

/// Read one agent
#[utoipa::path(
    get,
    path = "/api/agents/{agentName}",
    tag = "reading",
    security(("agentToken" = [])),
    params(("agentName" = String, Path, description = "The agent's name",
        pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")),
    responses(
        (
            status = 200, description = "The agent", body = AgentView,
            headers(("ETag" = String, description = "Identifies this version")),
        ),
        NotFound,
        Refusals,
        Forbidden,
    ),
)]
pub(super) async fn agent(
    reader: AgentReader,
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    query::read(uri.query(), |_| ())?;
    let is_named = reader.reader().named_agents(app.clock.now()).contains(reader.agent());
    Ok(shown(&headers, &views::agent(&app, reader.agent(), is_named).await?))
}

/// List an agent's runs
///
/// Lists the records of the agent's heartbeats, the newest first.
#[utoipa::path(
    get,
    path = "/api/agents/{agentName}/runs",
    tag = "reading",
    security(("agentToken" = [])),
    params(
        ("agentName" = String, Path, description = "The agent's name",
            pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"),
        ("status" = Option<RunStatus>, Query, description = "Only runs with this status"),
        PageParameters,
    ),
    responses(
        (
            status = 200, description = "A page of runs", body = RunPage,
            headers(
                ("ETag" = String, description = "Identifies this version"),
                ("Link" = Option<String>, description = "The next page, with `rel=\"next\"`; absent on the last one"),
            ),
        ),
        Refusals,
        Forbidden,
    ),
)]
pub(super) async fn runs(
    reader: AgentReader,
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let statuses = RunStatus::ALL.map(|status| (status.as_str(), status));
    let (status, request) =
        query::read(uri.query(), |query| (query.one("status", query::one_of(&statuses)), query.page()))?;
    let runs = views::runs(&app, reader.agent(), status, &request).await?;
    Ok(page(&headers, &uri, &runs, runs.next_cursor.as_deref()))
}

/// Read one run
#[utoipa::path(
    get,
    path = "/api/agents/{agentName}/runs/{runId}",
    tag = "reading",
    security(("agentToken" = [])),
    params(
        ("agentName" = String, Path, description = "The agent's name",
            pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"),
        ("runId" = Uuid, Path, description = "The run's id"),
    ),
    responses(
        (
            status = 200, description = "The run", body = RunView,
            headers(("ETag" = String, description = "Identifies this version")),
        ),
        NotFound,
        Refusals,
        Forbidden,
    ),
)]
pub(super) async fn run(
    reader: AgentReader,
    State(app): State<Arc<App>>,
    path: Result<Path<(String, String)>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    query::read(uri.query(), |_| ())?;
    let Path((_, id)) = path.map_err(|_| Refusal::Path)?;
    let id = id.parse().map_err(|_| Refusal::NoSuchThing("no run has this id: it must be a UUID"))?;
    Ok(shown(&headers, &views::run(&app, reader.agent(), id).await?))
}
