//! The cached issues, as lists and one by one.
//!
//! A list is ordered by repository, as configured, and then by number. Neither ever changes, so whoever reads page by
//! page sees every issue that stays, once, whatever passes do meanwhile. A list of open issues is read from their index
//! alone, any other from the rows.
//!
//! A list's tag follows from the fleet's state: whoever has the current list pays for one read of the state. Everything
//! is read consistently, so that a tag never covers older issues than the state says.

use std::collections::{HashMap, HashSet, VecDeque};

use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::domain::{
    Fingerprint, IssueNumber, IssueState, RepositoryId, RepositoryName, has_label_in, optional_millis,
};
use crate::store::{FleetState, ListedIssue, StoreError};

use super::changes;
use super::issue_filter::{IssueFilter, StateFilter};
use super::issue_view::{IssueDetail, IssueView};
use super::page::{self, MAX_BYTES, MAX_LIMIT, PageRequest, Position, Reading};
use super::read_error::ReadError;
use super::repositories::{self, FailureView, Freshness, RepositoryState, RepositoryView};

/// How many repositories are read at the same time.
const AT_ONCE: usize = 32;

/// No read of issues starts after the previous ones have cost this many read units. The page is short then.
const MAX_READ_UNITS: f64 = 40.0;

/// What a read of open issues costs beside the issues, and for each of them, in read units: an entry of the index has
/// about 250 bytes, and a read unit is 4 KB.
const COST: (f64, f64) = (1.0, 0.06);

/// What a read of a page of rows may cost, in read units. How many closed issues a repository has is not known.
const COST_OF_ROWS: f64 = 10.0;

/// A page of issues.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuePage {
    /// The issues, by repository as configured, and then by number.
    pub issues: Vec<IssueView>,
    /// The `cursor` of the next page; null on the last page. A filter may leave a page short, or empty, although there
    /// is a next one.
    #[schema(required)]
    pub next_cursor: Option<String>,
    /// Everything that GitHub showed until then is in the list; null if that has not been so yet. A client that gets
    /// `304 Not Modified` keeps an older time; `/api/status` has the current one.
    #[serde(with = "optional_millis")]
    #[schema(required)]
    pub fresh_at: Option<Timestamp>,
    /// The repositories that may have issues or changes that the list lacks.
    pub incomplete: Vec<IncompleteView>,
}

/// A repository that may have issues or changes that a list lacks, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Incomplete)]
pub struct IncompleteView {
    /// `owner/name` of the repository.
    #[schema(value_type = String)]
    pub repository: RepositoryName,
    /// How it stands.
    pub state: RepositoryState,
    /// Why it cannot be read; null if it is only not read to the end.
    #[schema(required)]
    pub failure: Option<FailureView>,
}

/// A place in a list: the repository's place in `REPOSITORIES`, and an issue's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    repository: usize,
    number: IssueNumber,
}

impl Position for Place {
    fn to_text(&self) -> String {
        format!("{}:{}", self.repository, self.number)
    }

    fn from_text(text: &str) -> Option<Self> {
        let (repository, number) = text.split_once(':')?;
        let place = Self { repository: repository.parse().ok()?, number: IssueNumber(number.parse().ok()?) };
        (place.to_text() == text).then_some(place)
    }
}

/// Repositories with their places in `REPOSITORIES`.
type Views = Vec<(usize, RepositoryView)>;

/// A repository whose issues a list shows.
#[derive(Clone, Debug)]
struct Source {
    place: usize,
    id: RepositoryId,
    /// How many open issues it has, or more.
    open_count: u64,
    /// After which issue to read.
    after: Option<IssueNumber>,
}

/// A page while it is read.
struct Reader<'a> {
    app: &'a App,
    filter: &'a IssueFilter,
    limit: usize,
    /// The issues of the page, with the places of their repositories.
    shown: Vec<(usize, IssueState, ListedIssue)>,
    /// About how many bytes of JSON they take.
    bytes: usize,
    read_units: f64,
    /// Everything up to there was looked at.
    reached: Option<Place>,
}

/// Some issues of one repository.
struct Chunk {
    issues: Vec<(IssueState, ListedIssue)>,
    /// The number of the last issue that was read, whether or not a list may show it.
    last: Option<IssueNumber>,
    is_end: bool,
    read_units: f64,
}

/// Lists issues, unless `is_known` says of the list's tag that the client has it.
///
/// # Errors
/// [`ReadError`] if the cursor is not one of this list, the filter names a repository that is not tracked, or DynamoDB
/// fails.
pub async fn issues(
    app: &App,
    filter: &IssueFilter,
    request: &PageRequest,
    is_known: impl Fn(&str) -> bool,
) -> Result<Reading<IssuePage>, ReadError> {
    let list = identity(app, filter);
    let after: Option<Place> = request.after(&list)?;
    let state = app.store.state().await?;
    let tag = tag(&list, request, &state);
    if is_known(&tag) {
        return Ok(Reading::Unchanged { tag });
    }
    let mut reader = Reader {
        app,
        filter,
        limit: request.limit.into(),
        shown: Vec::new(),
        bytes: 0,
        read_units: 0.0,
        reached: None,
    };
    let (repositories, is_end) = match &filter.repository {
        Some(name) => reader.read_one(name, &state, after).await?,
        None => reader.read_all(&state, after).await?,
    };
    let reached = reader.reached.or(after).filter(|_| !is_end);
    let names: HashMap<usize, &RepositoryName> =
        repositories.iter().map(|(place, view)| (*place, &view.name)).collect();
    let server = &app.config.github_server_url;
    let shown = reader.shown.into_iter();
    let page = IssuePage {
        next_cursor: reached.map(|reached| page::cursor_after(&list, &reached)),
        issues: shown
            .map(|(place, state, issue)| IssueView::of(issue, state, names[&place], server))
            .collect(),
        fresh_at: repositories.iter().map(|(_, view)| view.fresh_at).min().flatten(),
        incomplete: repositories.iter().filter_map(|(_, view)| IncompleteView::of(view)).collect(),
    };
    Ok(Reading::Read { tag: Some(tag), page })
}

/// One issue, by the name of its repository and its number. Two read units.
///
/// # Errors
/// [`ReadError::NotFound`] if the repository is not tracked or the issue is not in the table, or if it has an excluded
/// label; [`ReadError::Store`] if DynamoDB fails.
pub async fn issue(
    app: &App,
    repository: &RepositoryName,
    number: IssueNumber,
) -> Result<IssueDetail, ReadError> {
    let none = ReadError::NotFound("the table has no such issue of this repository");
    let id = repositories::find_id(app, repository).await?.ok_or(none.clone())?;
    let row = app.store.issue(id, number).await?.ok_or(none.clone())?;
    if row.has_label_in(&app.config.excluded_labels) {
        return Err(none);
    }
    let named = changes::repository_of(&row.url, &app.config.github_server_url);
    Ok(IssueDetail::of(row, named.unwrap_or_else(|| repository.clone())))
}

/// Everything that determines what the list contains, except the table.
fn identity(app: &App, filter: &IssueFilter) -> String {
    let mut excluded: Vec<&String> = app.config.excluded_labels.iter().collect();
    excluded.sort_unstable();
    let (names, server) = (repositories::names(app), &app.config.github_server_url);
    let repository = filter.repository.as_ref().map(RepositoryName::key);
    let IssueFilter { labels, status, assignee, state, .. } = filter;
    format!(
        "issues {repository:?} {labels:?} {status:?} {assignee:?} {state:?} {names} {excluded:?} {server}"
    )
}

/// The tag of a page. Weak, because a later reading of the same list may have a later `freshAt`.
fn tag(list: &str, request: &PageRequest, state: &FleetState) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let listed = match &state.ended {
        None => format!("{}", state.fence),
        Some(ended) => format!(
            "{:?} {} {} {}",
            state.generation, ended.last_change_fence, ended.search_all_fence, ended.listed
        ),
    };
    let digest = Fingerprint::of(&format!("{version} {list} {request:?} {listed}"));
    format!("W/\"{}\"", digest.as_str())
}

/// About how many bytes of JSON an issue takes.
fn size(issue: &ListedIssue) -> usize {
    let names = issue.labels.iter().chain(&issue.assignees).map(|name| name.len() + 3);
    500 + issue.title.len() + names.sum::<usize>()
}

/// What to read of a repository; `None` if the list has passed it.
fn source(place: usize, id: RepositoryId, open_count: u64, after: Option<Place>) -> Option<Source> {
    let after = match after {
        Some(after) if after.repository > place => return None,
        Some(after) if after.repository == place => Some(after.number),
        _ => None,
    };
    Some(Source { place, id, open_count, after })
}

impl Reader<'_> {
    /// Reads the issues of one repository, and at the same time how it stands.
    async fn read_one(
        &mut self,
        name: &RepositoryName,
        state: &FleetState,
        after: Option<Place>,
    ) -> Result<(Views, bool), ReadError> {
        let found = repositories::find(self.app, name).await.map_err(|error| match error {
            ReadError::NotFound(_) => ReadError::Parameter {
                name: "repository",
                detail: "is not tracked; GET /api/repositories lists those that are",
            },
            error => error,
        })?;
        let place =
            self.app.config.repositories.iter().position(|name| *name == found.configured).unwrap_or(0);
        let source = found.id().and_then(|id| source(place, id, u64::MAX, after));
        let app = self.app;
        let (view, is_end) = futures_util::join!(
            repositories::view_of(app, found, state).boxed(),
            self.read(source.into_iter().collect()).boxed()
        );
        Ok((vec![(place, view?)], is_end?))
    }

    /// Reads the issues of all repositories. Two names of one repository count once.
    async fn read_all(
        &mut self,
        state: &FleetState,
        after: Option<Place>,
    ) -> Result<(Views, bool), ReadError> {
        let app = self.app;
        let (fleet, freshness) =
            futures_util::join!(app.store.fleet().boxed(), Freshness::read(app, state).boxed());
        let (fleet, freshness) = (fleet?, freshness?);
        let (mut views, mut ids, mut sources) = (Vec::new(), HashSet::new(), VecDeque::new());
        for (place, name) in app.config.repositories.iter().enumerate() {
            let view = RepositoryView::in_fleet(name, &fleet, &freshness);
            if view.id.is_some_and(|id| !ids.insert(id)) {
                continue;
            }
            let is_empty = self.filter.state == StateFilter::Open
                && view.open_issues == 0
                && view.state == RepositoryState::InSync
                && !view.is_count_unsure;
            if let Some(id) = view.id.filter(|_| !is_empty) {
                sources.extend(source(place, id, view.open_issues, after));
            }
            views.push((place, view));
        }
        let is_end = self.read(sources).await?;
        Ok((views, is_end))
    }

    /// Reads until the page is full, the repositories are read, or it has cost enough. Returns whether nothing is left.
    async fn read(&mut self, mut sources: VecDeque<Source>) -> Result<bool, StoreError> {
        while !sources.is_empty() {
            if self.is_full() || self.read_units >= MAX_READ_UNITS {
                return Ok(false);
            }
            let next: Vec<Source> = sources.drain(..self.needed(&sources)).collect();
            let this = &*self;
            let chunks: Vec<(Source, Chunk)> = futures_util::stream::iter(next)
                .map(|source| async move {
                    let chunk = this.chunk(&source).await?;
                    Ok::<_, StoreError>((source, chunk))
                })
                .buffered(AT_ONCE)
                .try_collect()
                .await?;
            self.read_units += chunks.iter().map(|(_, chunk)| chunk.read_units).sum::<f64>();
            for (source, chunk) in chunks {
                if !self.show_all(source, chunk).await? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Shows the rest of a repository. Returns false if the page ends before it does.
    async fn show_all(&mut self, mut source: Source, mut chunk: Chunk) -> Result<bool, StoreError> {
        loop {
            for (state, issue) in chunk.issues {
                if self.is_full() {
                    return Ok(false);
                }
                self.reached = Some(Place { repository: source.place, number: issue.number });
                if self.filter.shows(state, &issue) {
                    self.bytes += size(&issue);
                    self.shown.push((source.place, state, issue));
                }
            }
            if chunk.is_end {
                self.reached = Some(Place { repository: source.place + 1, number: IssueNumber(0) });
                return Ok(true);
            }
            source.after = chunk.last.or(source.after);
            self.reached = source.after.map(|number| Place { repository: source.place, number });
            if self.read_units >= MAX_READ_UNITS {
                return Ok(false);
            }
            chunk = self.chunk(&source).await?;
            self.read_units += chunk.read_units;
        }
    }

    fn is_full(&self) -> bool {
        self.shown.len() >= self.limit || self.bytes >= MAX_BYTES
    }

    /// How many of the next repositories are read at once: as many as the page needs, if that is known, and as many as
    /// may be paid for.
    fn needed(&self, sources: &VecDeque<Source>) -> usize {
        let mut issues = (self.limit - self.shown.len()) as u64;
        let mut units = MAX_READ_UNITS - self.read_units;
        let is_needed = |source: &&Source| {
            let is_needed = units > 0.0 && (issues > 0 || !self.filter.shows_all_open());
            issues = issues.saturating_sub(source.open_count);
            units -= match self.filter.state {
                StateFilter::Open => COST.0 + COST.1 * source.open_count.min(MAX_LIMIT.into()) as f64,
                StateFilter::Closed | StateFilter::All => COST_OF_ROWS,
            };
            is_needed
        };
        sources.iter().take(AT_ONCE).take_while(is_needed).count().max(1)
    }

    /// The next issues of a repository: one more than the page needs, so that its end is known; with a filter, as many
    /// as a page can have.
    async fn chunk(&self, source: &Source) -> Result<Chunk, StoreError> {
        let left = self.limit - self.shown.len();
        let limit = if self.filter.shows_all_open() { left + 1 } else { MAX_LIMIT.into() };
        let limit = u16::try_from(limit).unwrap_or(MAX_LIMIT);
        let Source { id, after, .. } = *source;
        let (mut issues, last, is_end, read_units): (Vec<(IssueState, ListedIssue)>, _, _, _) =
            match self.filter.state {
                StateFilter::Open => {
                    let read = self.app.store.open_page(id, after, limit).await?;
                    let last = read.issues.last().map(|last| last.number);
                    let open = read.issues.into_iter().map(|issue| (IssueState::Open, issue));
                    (open.collect(), last, read.is_end, read.read_units)
                }
                StateFilter::Closed | StateFilter::All => {
                    let read = self.app.store.issue_page(id, after, limit).await?;
                    let last = read.issues.last().map(|last| last.number);
                    let here = read.issues.into_iter().filter(|row| row.gone.is_none());
                    (here.map(|row| (row.state, row.into())).collect(), last, read.is_end, read.read_units)
                }
            };
        issues.retain(|(_, issue)| !has_label_in(&issue.labels, &self.app.config.excluded_labels));
        Ok(Chunk { issues, last, is_end, read_units })
    }
}

impl IncompleteView {
    fn of(view: &RepositoryView) -> Option<Self> {
        let is_whole = view.state == RepositoryState::InSync && view.unread_issues.is_empty();
        let (repository, state, failure) = (view.name.clone(), view.state, view.failure);
        (!is_whole).then_some(Self { repository, state, failure })
    }
}
