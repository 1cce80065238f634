//! The reading routes, each with its description for the OpenAPI document.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, Uri};
use axum::response::Response;
use utoipa::ToSchema;

use crate::app::App;
use crate::domain::{IssueNumber, Presence, RepositoryName, WorkStatus};
use crate::views::{
    self, AgentFilter, AgentPage, AgentView, Assignee, ChangePage, FleetStatus, IssueDetail, IssueFilter,
    IssuePage, PassPage, PassView, Readable, Reading, RepositoryPage, RepositoryView, RunPage, RunStatus,
    RunView, StateFilter,
};

use super::auth::{AgentReader, FleetReader, Reader};
use super::query;
use super::read_answers::{Forbidden, Refusals};
use super::refusal::{ProblemDetails, Refusal};
use super::shown::{KnownTags, linked, page, shown, tagged, unchanged};

/// When polling again makes sense, as in GitHub's own feeds.
const POLL_INTERVAL: HeaderName = HeaderName::from_static("x-poll-interval");

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
        ("limit" = Option<u16>, Query, description = "The most items of a page, 1 to 200; 50 by default",
            minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "The `nextCursor` of the page before"),
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
    let (state, request) =
        query::read(uri.query(), |query| (query.one("state", query::one_of(&states)), query.page()))?;
    let named = reader.named_agents(app.clock.now());
    let filter = AgentFilter { state, named: &named };
    let readable =
        Readable { covers: &|name| reader.covers(name), next: &|after| reader.next_covered(after).cloned() };
    let agents = views::agents(&app, &filter, readable, &request).await?;
    Ok(page(&headers, &uri, &agents, agents.next_cursor.as_deref()))
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
        (
            status = 404, description = "There is no such thing",
            body = ProblemDetails, content_type = "application/problem+json",
        ),
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
        ("limit" = Option<u16>, Query, description = "The most items of a page, 1 to 200; 50 by default",
            minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "The `nextCursor` of the page before"),
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
        (
            status = 404, description = "There is no such thing",
            body = ProblemDetails, content_type = "application/problem+json",
        ),
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

/// List the passes
///
/// Lists the passes that changed something, had a problem, or deferred a repository, the newest first.
#[utoipa::path(
    get,
    path = "/api/passes",
    tag = "reading",
    security(("agentToken" = [])),
    params(
        ("limit" = Option<u16>, Query, description = "The most items of a page, 1 to 200; 50 by default",
            minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "The `nextCursor` of the page before"),
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
        (
            status = 404, description = "There is no such thing",
            body = ProblemDetails, content_type = "application/problem+json",
        ),
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
        ("limit" = Option<u16>, Query, description = "The most items of a page, 1 to 200; 50 by default",
            minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "The `nextCursor` of the page before"),
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
        (
            status = 404, description = "There is no such thing",
            body = ProblemDetails, content_type = "application/problem+json",
        ),
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

/// List issues
///
/// Lists cached issues, by repository as configured, and then by number. Issues with an excluded label never appear. A
/// list of open issues costs the least; closed ones are read a few hundred at a time, so pages may be short.
#[utoipa::path(
    get,
    path = "/api/issues",
    tag = "reading",
    security(("agentToken" = [])),
    params(
        ("repository" = Option<String>, Query, description = "Only issues of this repository: `owner/name`"),
        ("label" = Option<Vec<String>>, Query, style = Form, explode,
            description = "Only issues with this label; repeated, only those with all of them"),
        ("status" = Option<IssueStatus>, Query, description = "Only issues with this status of the work"),
        ("assignee" = Option<String>, Query,
            description = "Only issues assigned to this login; `none` for those without assignee, `*` for those with one"),
        ("state" = Option<IssueStates>, Query,
            description = "`open` by default. Issues that were closed before their repository was tracked are not cached"),
        ("limit" = Option<u16>, Query, description = "The most items of a page, 1 to 200; 50 by default",
            minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "The `nextCursor` of the page before"),
    ),
    responses(
        (
            status = 200, description = "A page of issues", body = IssuePage,
            headers(
                ("ETag" = String, description = "Identifies this version"),
                ("Link" = Option<String>, description = "The next page, with `rel=\"next\"`; absent on the last one"),
            ),
        ),
        Refusals,
        Forbidden,
    ),
)]
pub(super) async fn issues(
    _reader: FleetReader,
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (filter, request) = query::read(uri.query(), |query| {
        let filter = IssueFilter {
            repository: query.one("repository", RepositoryName::parse),
            labels: query.all("label", query::text),
            status: query.one("status", query::one_of(&IssueStatus::NAMES)),
            assignee: query.one("assignee", Assignee::parse),
            state: query.one("state", query::one_of(&IssueStates::NAMES)).unwrap_or_default(),
        };
        (filter, query.page())
    })?;
    let known = KnownTags::of(&headers);
    Ok(match views::issues(&app, &filter, &request, |tag| known.has(tag)).await? {
        Reading::Unchanged { tag } => unchanged(&tag),
        Reading::Read { tag, page } => linked(tagged(&tag, &page), &uri, page.next_cursor.as_deref()),
    })
}

/// Read one issue
///
/// Also shows what became of an issue that GitHub no longer has in the repository.
#[utoipa::path(
    get,
    path = "/api/repositories/{owner}/{name}/issues/{number}",
    tag = "reading",
    security(("agentToken" = [])),
    params(
        ("owner" = String, Path, description = "The repository's owner", pattern = "^[A-Za-z0-9_-]{1,39}$"),
        ("name" = String, Path, description = "The repository's name", pattern = "^[A-Za-z0-9._-]{1,100}$"),
        ("number" = u64, Path, description = "The issue's number"),
    ),
    responses(
        (
            status = 200, description = "The issue", body = IssueDetail,
            headers(("ETag" = String, description = "Identifies this version")),
        ),
        (
            status = 404, description = "There is no such thing",
            body = ProblemDetails, content_type = "application/problem+json",
        ),
        Refusals,
        Forbidden,
    ),
)]
pub(super) async fn issue(
    _reader: FleetReader,
    State(app): State<Arc<App>>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    query::read(uri.query(), |_| ())?;
    let Path((owner, name, number)) = path.map_err(|_| Refusal::Path)?;
    let number =
        number.parse().map_err(|_| Refusal::NoSuchThing("the number of an issue must be a whole number"))?;
    let issue = views::issue(&app, &repository_name(&owner, &name)?, IssueNumber(number)).await?;
    Ok(shown(&headers, &issue))
}

/// Follow the changes
///
/// Lists the issues that changed after a cursor. Without one it starts now: with an empty page and the present cursor.
/// Whoever passes on each `nextCursor` sees every issue that changes, at least with its latest change.
#[utoipa::path(
    get,
    path = "/api/changes",
    tag = "reading",
    security(("agentToken" = [])),
    params(
        ("after" = Option<String>, Query, description = "The `nextCursor` of the response before"),
        ("limit" = Option<u16>, Query, description = "The most items of a page, 1 to 200; 50 by default",
            minimum = 1, maximum = 200),
    ),
    responses(
        (
            status = 200, description = "A page of changes", body = ChangePage,
            headers(
                ("ETag" = String, description = "Identifies this version"),
                ("X-Poll-Interval" = u64, description = "After how many seconds new changes may be there"),
            ),
        ),
        (
            status = 410, description = "The cursor is of a table that was replaced or restored since",
            body = ProblemDetails, content_type = "application/problem+json",
        ),
        Refusals,
        Forbidden,
        (
            status = 304, description = "Nothing has changed since the version that `If-None-Match` names",
            headers(
                ("ETag" = String, description = "Identifies the current version"),
                ("X-Poll-Interval" = u64, description = "After how many seconds new changes may be there"),
            ),
        ),
    ),
)]
pub(super) async fn changes(
    _reader: FleetReader,
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (after, limit) = query::read(uri.query(), |query| (query.one("after", query::text), query.limit()))?;
    let page = views::changes(&app, after.as_deref(), limit).await?;
    let mut response = shown(&headers, &page);
    response.headers_mut().insert(POLL_INTERVAL, page.poll_seconds.into());
    Ok(response)
}

/// The values of `status`: the work's statuses, and `none`.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
#[expect(dead_code, reason = "the description alone uses its variants")]
pub(super) enum IssueStatus {
    InProgress,
    InReview,
    Ready,
    Backlog,
    Done,
    None,
}

impl IssueStatus {
    const NAMES: [(&str, Option<WorkStatus>); 6] = [
        ("in-progress", Some(WorkStatus::InProgress)),
        ("in-review", Some(WorkStatus::InReview)),
        ("ready", Some(WorkStatus::Ready)),
        ("backlog", Some(WorkStatus::Backlog)),
        ("done", Some(WorkStatus::Done)),
        ("none", None),
    ];
}

/// The values of `state`.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "the description alone uses its variants")]
pub(super) enum IssueStates {
    Open,
    Closed,
    All,
}

impl IssueStates {
    const NAMES: [(&str, StateFilter); 3] =
        [("open", StateFilter::Open), ("closed", StateFilter::Closed), ("all", StateFilter::All)];
}

/// A repository's name in a path.
fn repository_name(owner: &str, name: &str) -> Result<RepositoryName, Refusal> {
    RepositoryName::parse(&format!("{owner}/{name}"))
        .map_err(|_| Refusal::NoSuchThing("this repository is not tracked"))
}
