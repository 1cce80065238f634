//! The tracked repositories: how far each has been read, and what is wrong with it.

use futures_util::FutureExt as _;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::domain::{
    AuditOnHold, IssueNumber, ProblemCode, RepositoryFailure, RepositoryId, RepositoryName,
    TrackedRepository, optional_millis,
};
use crate::store::{ConfiguredName, Fleet, FleetState, NameTarget};

use super::page::{self, PageRequest, Position};
use super::read_error::ReadError;

/// How a repository stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RepositoryState {
    /// The table agreed with GitHub when it was last read.
    InSync,
    /// Its first listing is unfinished, so issues are missing.
    Backfilling,
    /// A listing was cut short. The next passes read the rest.
    CatchingUp,
    /// GitHub counts another number of open issues than the table has. An audit finds out why, or is on hold.
    Drifted,
    /// It cannot be read: see `failure`.
    Failing,
    /// No pass has read it yet.
    Waiting,
}

/// A tracked repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Repository)]
pub struct RepositoryView {
    /// `owner/name` on GitHub when it was last read; before that as configured.
    #[schema(value_type = String)]
    pub name: RepositoryName,
    /// `owner/name` in `REPOSITORIES`. It differs from `name` after a rename or a transfer.
    #[schema(value_type = String)]
    pub configured_name: RepositoryName,
    /// GitHub's id; null before it was read for the first time.
    #[schema(required, value_type = Option<u64>)]
    pub id: Option<RepositoryId>,
    /// How it stands.
    pub state: RepositoryState,
    /// Everything that GitHub showed until then is in the table; null if that has not been so yet.
    #[serde(with = "optional_millis")]
    #[schema(required)]
    pub fresh_at: Option<Timestamp>,
    /// The number of open issues in the table, including those with an excluded label.
    pub open_issues: u64,
    /// Why it cannot be read, and since when; null if it can.
    #[schema(required)]
    pub failure: Option<FailureView>,
    /// When its last audit was completed; null before the first one.
    #[serde(with = "optional_millis")]
    #[schema(required)]
    pub audited_at: Option<Timestamp>,
    /// What the last audit found, if it is on hold until an operator confirms it.
    #[schema(required)]
    pub audit_on_hold: Option<AuditOnHoldView>,
    /// The issues that GitHub lists in a form that cannot be read.
    #[schema(value_type = Vec<u64>)]
    pub unread_issues: Vec<IssueNumber>,
    /// Whether the table may have more open issues than `open_issues` says.
    #[serde(skip)]
    pub(super) is_count_unsure: bool,
}

/// Why a repository cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = RepositoryFailure)]
pub struct FailureView {
    /// The kind of problem.
    pub code: ProblemCode,
    /// Since when; null if an older version of the service noticed it.
    #[serde(with = "optional_millis")]
    #[schema(required)]
    pub since: Option<Timestamp>,
}

/// An audit on hold. Nothing was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = AuditOnHold)]
pub struct AuditOnHoldView {
    /// The number of open issues in the table that are missing from GitHub's listing.
    pub absent: u64,
    /// The number of open issues in the table.
    pub of: u64,
}

/// A page of repositories.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryPage {
    /// The repositories, in the order of `REPOSITORIES`.
    pub repositories: Vec<RepositoryView>,
    /// The `cursor` of the next page; null on the last page. Long items may leave a page short.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// The place of a repository in `REPOSITORIES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place(usize);

impl Position for Place {
    fn to_text(&self) -> String {
        self.0.to_string()
    }

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().map(Self).filter(|place| place.to_text() == text)
    }
}

/// Lists the tracked repositories. Reads all of them, whatever the page: they are in one partition, in another order.
///
/// # Errors
/// [`ReadError`] if the cursor is not one of this list, or if DynamoDB fails.
pub async fn repositories(app: &App, request: &PageRequest) -> Result<RepositoryPage, ReadError> {
    let list = format!("repositories {}", names(app));
    let after: Option<Place> = request.after(&list)?;
    let (state, fleet) = futures_util::join!(app.store.state().boxed(), app.store.fleet().boxed());
    let (state, fleet) = (state?, fleet?);
    let freshness = Freshness::read(app, &state).await?;
    let first = after.map_or(0, |Place(last)| last.saturating_add(1));
    let read: Vec<_> = app.config.repositories.iter().enumerate().skip(first).collect();
    let show =
        |(_, name): &(usize, &RepositoryName)| Some(RepositoryView::in_fleet(name, &fleet, &freshness));
    let (repositories, next_cursor) =
        page::cut(read, None, request.limit, &list, |(place, _)| Place(*place), show);
    Ok(RepositoryPage { repositories, next_cursor })
}

/// One tracked repository, by its configured name or by the one that it has on GitHub.
///
/// # Errors
/// [`ReadError::NotFound`] if no tracked repository has this name; [`ReadError::Store`] if DynamoDB fails.
pub async fn repository(app: &App, name: &RepositoryName) -> Result<RepositoryView, ReadError> {
    let (state, found) = futures_util::join!(app.store.state().boxed(), find(app, name).boxed());
    view_of(app, found?, &state?).await
}

/// How a repository stands that was asked for.
pub(super) async fn view_of(
    app: &App,
    found: Found,
    state: &FleetState,
) -> Result<RepositoryView, ReadError> {
    let id = found.id();
    let tracked = async {
        match (found.tracked, id) {
            (None, Some(id)) => app.store.repository(id).await,
            (tracked, _) => Ok(tracked),
        }
    };
    let (tracked, freshness) = futures_util::join!(tracked.boxed(), Freshness::read(app, state).boxed());
    Ok(RepositoryView::of(&found.configured, found.known.as_ref(), tracked?.as_ref(), &freshness?))
}

/// The id of a tracked repository; `None` before it was read. One read, if it has its configured name.
///
/// # Errors
/// As [`repository`].
pub(super) async fn find_id(app: &App, name: &RepositoryName) -> Result<Option<RepositoryId>, ReadError> {
    Ok(find(app, name).await?.id())
}

/// A tracked repository that was asked for.
pub(super) struct Found {
    /// Its configured name.
    pub(super) configured: RepositoryName,
    /// What is stored of that name; `None` before it was looked up.
    known: Option<ConfiguredName>,
    /// Its checkpoints and health, if they were read on the way.
    tracked: Option<TrackedRepository>,
}

impl Found {
    /// Its id; `None` before it was read.
    pub(super) fn id(&self) -> Option<RepositoryId> {
        self.known.as_ref().and_then(ConfiguredName::id)
    }
}

/// Finds a tracked repository by its configured name with one read, or by its name on GitHub with one of all
/// repositories.
pub(super) async fn find(app: &App, name: &RepositoryName) -> Result<Found, ReadError> {
    let is_it = |configured: &&RepositoryName| configured.key() == name.key();
    if let Some(configured) = app.config.repositories.iter().find(is_it) {
        let known = app.store.name(name).await?;
        return Ok(Found { configured: configured.clone(), known, tracked: None });
    }
    let fleet = app.store.fleet().await?;
    let has_name = |configured: &&RepositoryName| {
        let tracked = fleet.tracked_as(configured);
        tracked.is_some_and(|tracked| tracked.name.key() == name.key())
    };
    let configured = app.config.repositories.iter().find(has_name);
    let configured = configured.ok_or(ReadError::NotFound("this repository is not tracked"))?;
    Ok(Found {
        configured: configured.clone(),
        known: fleet.names.get(&configured.key()).copied(),
        tracked: fleet.tracked_as(configured).cloned(),
    })
}

/// The configured names, as part of a list's identity.
pub(super) fn names(app: &App) -> String {
    let names: Vec<&str> = app.config.repositories.iter().map(RepositoryName::as_str).collect();
    names.join(",")
}

/// Up to when repositories were read.
pub(super) struct Freshness {
    /// For all repositories that the last pass did not read.
    fleet: Option<Timestamp>,
    /// When the last pass began, if its record tells which repositories it did not read.
    last_pass: Option<(Timestamp, Vec<RepositoryName>)>,
}

impl Freshness {
    /// Reads the record of the last pass, if that had problems.
    pub(super) async fn read(app: &App, state: &FleetState) -> Result<Self, ReadError> {
        let ended = state.ended.as_ref();
        let record = match ended.and_then(|ended| ended.problems_from) {
            Some(id) => app.store.pass(id).await?,
            None => None,
        };
        Ok(Self {
            fleet: ended.and_then(|ended| ended.fresh_at),
            last_pass: record.map(|record| (record.started_at, record.deferred)),
        })
    }

    fn of(&self, tracked: &TrackedRepository, configured: &RepositoryName) -> Option<Timestamp> {
        if tracked.backfill.is_some() {
            return None;
        }
        match (&self.last_pass, tracked.failure) {
            (_, Some(failure)) => self.fleet.map(|fleet| fleet.min(failure.since)),
            // The last pass saw another number of open issues at GitHub, which only an audit can explain.
            _ if tracked.has_drifted() => self.fleet,
            (Some((started_at, deferred)), None) if !deferred.contains(configured) => Some(*started_at),
            _ => self.fleet,
        }
    }
}

impl RepositoryView {
    pub(super) fn in_fleet(configured: &RepositoryName, fleet: &Fleet, freshness: &Freshness) -> Self {
        let known = fleet.names.get(&configured.key());
        Self::of(configured, known, fleet.tracked_as(configured), freshness)
    }

    fn of(
        configured: &RepositoryName,
        known: Option<&ConfiguredName>,
        tracked: Option<&TrackedRepository>,
        freshness: &Freshness,
    ) -> Self {
        let waiting = Self {
            name: configured.clone(),
            configured_name: configured.clone(),
            id: known.and_then(ConfiguredName::id),
            state: RepositoryState::Waiting,
            fresh_at: None,
            open_issues: 0,
            failure: None,
            audited_at: None,
            audit_on_hold: None,
            unread_issues: Vec::new(),
            is_count_unsure: true,
        };
        let Some(tracked) = tracked else {
            return match known.map(|known| known.target) {
                Some(NameTarget::Missing { why, since }) => Self {
                    state: RepositoryState::Failing,
                    failure: Some(FailureView { code: why, since }),
                    ..waiting
                },
                _ => waiting,
            };
        };
        Self {
            name: tracked.name.clone(),
            id: Some(tracked.id),
            state: RepositoryState::of(tracked),
            fresh_at: freshness.of(tracked, configured),
            open_issues: tracked.open_count,
            failure: tracked.failure.map(FailureView::from),
            audited_at: tracked.audited_at,
            audit_on_hold: tracked.held.map(|AuditOnHold { absent, of }| AuditOnHoldView { absent, of }),
            unread_issues: tracked.unread.iter().map(|unread| unread.number).collect(),
            is_count_unsure: tracked.recount,
            ..waiting
        }
    }
}

impl RepositoryState {
    fn of(tracked: &TrackedRepository) -> Self {
        if tracked.failure.is_some() {
            Self::Failing
        } else if tracked.backfill.is_some() {
            Self::Backfilling
        } else if tracked.cut_short {
            Self::CatchingUp
        } else if tracked.has_drifted() {
            Self::Drifted
        } else {
            Self::InSync
        }
    }
}

impl From<RepositoryFailure> for FailureView {
    fn from(RepositoryFailure { code, since }: RepositoryFailure) -> Self {
        Self { code, since: Some(since) }
    }
}
