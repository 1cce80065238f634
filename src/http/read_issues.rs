//! The routes of issues and their changes, each with its description for the OpenAPI document.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, Uri};
use axum::response::Response;
use utoipa::ToSchema;

use crate::app::App;
use crate::domain::{IssueNumber, RepositoryName, WorkStatus};
use crate::views::{self, Assignee, ChangePage, IssueDetail, IssueFilter, IssuePage, StateFilter};

use super::auth::FleetReader;
use super::query;
use super::read_answers::{Forbidden, NotFound, PageParameters, Refusals};
use super::read_fleet::repository_name;
use super::refusal::{ProblemDetails, Refusal};
use super::shown::{KnownTags, reading, shown};

/// When polling again makes sense, as in GitHub's own feeds.
const POLL_INTERVAL: HeaderName = HeaderName::from_static("x-poll-interval");

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
        ("repository" = Option<String>, Query, description = "Only issues of this tracked repository: `owner/name`",
            pattern = "^[A-Za-z0-9_-]{1,39}/[A-Za-z0-9._-]{1,100}$"),
        ("label" = Option<Vec<Label>>, Query, style = Form, explode,
            description = "Only issues with this label; repeated, only those with all of them"),
        ("status" = Option<IssueStatus>, Query, description = "Only issues with this status of the work"),
        ("assignee" = Option<String>, Query,
            description = "Only issues assigned to this login; `none` for those without assignee, `*` for those with one",
            pattern = r"^([A-Za-z0-9_\[\]-]{1,100}|\*)$"),
        ("state" = Option<IssueStates>, Query,
            description = "`open` by default. Issues that were closed before their repository was tracked are not cached"),
        PageParameters,
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
    let issues = views::issues(&app, &filter, &request, |tag| known.has(tag)).await?;
    Ok(reading(&headers, &uri, issues, |page| page.next_cursor.as_deref()))
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
        NotFound,
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
        ("after" = Option<String>, Query, description = "The `nextCursor` of the response before", min_length = 1),
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

/// A label's name.
#[derive(ToSchema)]
#[schema(min_length = 1)]
#[expect(dead_code, reason = "the description alone uses it")]
pub(super) struct Label(String);

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
