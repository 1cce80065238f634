//! The agents: who sends heartbeats, and who has been silent since when.

use std::collections::BTreeSet;

use futures_util::FutureExt as _;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::domain::{
    ActiveIssue, AgentName, BeatsPerHour, Fingerprint, HeartbeatsPerHour, Hold, IssueAddress, Judged,
    Listening, Presence, Status, Steady, Verdict, Watch, Work, optional_millis,
};
use crate::names;
use crate::store::{AgentRecord, AgentsFrom, FleetState};

use super::agents_tag::QuietPage;
use super::page::{self, PageRequest, Position, Reading};
use super::read_error::ReadError;
use super::repositories;

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Agent)]
pub struct AgentView {
    /// Its name.
    pub name: String,
    /// Whether it is still there. It follows from its heartbeats and what it declared, and is not stored.
    pub state: Presence,
    /// Whether its work goes on, whatever its `state` is.
    pub work: Work,
    /// Whether no heartbeat has come for twice the interval that the service suggests (`HEARTBEAT_INTERVAL_SECONDS`).
    pub is_quiet: bool,
    /// When `state`, `work` or `isQuiet` changes if no heartbeat comes; null if they stay.
    #[serde(with = "optional_millis")]
    #[schema(required)]
    pub next_change_at: Option<Timestamp>,
    /// When its last heartbeat was answered; null before the first one.
    #[serde(with = "optional_millis")]
    #[schema(required)]
    pub last_heartbeat_at: Option<Timestamp>,
    /// How many of its heartbeats were answered in each of the 24 hours up to that of its last heartbeat; null if none was
    /// counted.
    #[schema(required)]
    pub heartbeats_per_hour: Option<HeartbeatsPerHour>,
    /// The result of its last heartbeat.
    #[schema(required)]
    pub last_status: Option<Status>,
    /// The AgentRun of its last heartbeat.
    #[schema(required)]
    pub last_run_id: Option<Uuid>,
    /// The fingerprint of the token of its last heartbeat: the first 64 bits of the token's SHA-256. A token that no
    /// agent's fingerprint names is no longer used.
    #[schema(required, value_type = Option<String>)]
    pub token_fingerprint: Option<Fingerprint>,
    /// What it has promised; null if nothing, or if it has left.
    #[schema(required)]
    pub watch: Option<Watch>,
    /// The issues that it works on, in the order of its declaration, at most twelve.
    #[schema(max_items = 12)]
    pub active_issues: Vec<AgentIssueView>,
    /// Since when each of its heartbeats has said stop about one of them; null if none does.
    #[serde(with = "optional_millis")]
    #[schema(required)]
    pub stop_since: Option<Timestamp>,
    /// What it does, in its own words.
    #[schema(required)]
    pub progress: Option<String>,
    /// When its progress or its active issues last changed.
    #[serde(with = "optional_millis")]
    #[schema(required)]
    pub progress_at: Option<Timestamp>,
    /// Its login at GitHub, as it declared it.
    #[schema(required)]
    pub login: Option<String>,
    /// The program that sends its heartbeats, as it declared it.
    #[schema(required)]
    pub client: Option<String>,
    /// The operator's hold on it; null if there is none.
    #[schema(required)]
    pub hold: Option<Hold>,
}

/// An issue that an agent works on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AgentIssue)]
pub struct AgentIssueView {
    /// Its page on GitHub; null if its repository is no longer tracked.
    #[schema(required)]
    pub url: Option<String>,
    /// What the agent's last heartbeat said about it, apart from a hold.
    pub verdict: Verdict,
}

/// Which agents a list shows.
#[derive(Clone, Debug)]
pub struct AgentFilter<'a> {
    /// Only agents with this presence.
    pub state: Option<Presence>,
    /// Only agents whose work is in this state.
    pub work: Option<Work>,
    /// Only agents that work on this issue.
    pub issue: Option<&'a IssueAddress>,
    /// The agents that tokens name, whether or not they have ever sent a heartbeat.
    pub named: &'a BTreeSet<&'a AgentName>,
}

/// A page of agents.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentPage {
    /// The agents, ascending by name.
    pub agents: Vec<AgentView>,
    /// The `cursor` of the next page; null on the last page. A filter may leave a page short, or empty, although there
    /// is a next one.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// The agents that a client may read.
#[derive(Clone, Copy)]
pub struct Readable<'a> {
    /// Whether it may read this one.
    pub covers: &'a (dyn Fn(&AgentName) -> bool + Sync),
    /// Where those that it may read go on after one that it may not, or where they begin; `None` if nowhere, or if it
    /// may read all. A cursor names none that it may not read, and such agents are not read page by page.
    pub next: &'a (dyn Fn(Option<&AgentName>) -> Option<AgentName> + Sync),
    /// All that it may read, as a text: clients with equal texts may read the same agents.
    pub coverage: &'a str,
}

impl Position for AgentsFrom {
    fn to_text(&self) -> String {
        match self {
            Self::After(name) => name.to_string(),
            Self::At(name) => format!("={name}"),
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        match text.strip_prefix('=') {
            Some(name) => AgentName::parse(name).ok().map(Self::At),
            None => AgentName::parse(text).ok().map(Self::After),
        }
    }
}

/// Lists the agents that the client may read, unless one of its tags (`known`, each with its quotation marks and without
/// its mark of weakness) is of the current page and follows from the fleet's state. Two read units then.
///
/// # Errors
/// [`ReadError`] if the cursor is not one of this list, or if DynamoDB fails.
pub async fn agents(
    app: &App,
    filter: &AgentFilter<'_>,
    readable: Readable<'_>,
    request: &PageRequest,
    known: &[&str],
) -> Result<Reading<AgentPage>, ReadError> {
    let list = filter.list();
    let from = request.after(&list)?.or_else(|| (readable.next)(None).map(AgentsFrom::At));
    // The state comes before the agents: see `agents_tag.rs`.
    let mut moment = Moment::read(app).await?;
    let quiet = moment.quiet_page(app, &list, filter, readable, request);
    if let Some(tag) = quiet.as_ref().and_then(|quiet| quiet.current_of(known, moment.now)) {
        return Ok(Reading::Unchanged { tag: tag.to_owned() });
    }
    let (read, issue) = futures_util::join!(
        app.store.agents(from.as_ref(), request.limit, quiet.is_some()).boxed(),
        moment.find(app, filter.issue).boxed()
    );
    let (read, issue) = (read?, issue?);
    moment.issue = issue;
    moment.learn_pages(app, &read.agents).await?;
    let upto = read.agents.last().map(|last| last.name.clone()).filter(|_| !read.is_end);
    let is_in_page = |name: &AgentName| match &from {
        None => true,
        Some(AgentsFrom::After(after)) => name > after,
        Some(AgentsFrom::At(first)) => name >= first,
    };
    let is_new = |name: &AgentName| {
        is_in_page(name)
            && upto.as_ref().is_none_or(|upto| name < upto)
            && read.agents.iter().all(|stored| stored.name != *name)
    };
    let new = filter.named.iter().filter(|name| is_new(name)).map(|name| ((*name).clone(), None));
    let stored = read.agents.iter().map(|record| (record.name.clone(), Some(record)));
    let mut all: Vec<(AgentName, Option<&AgentRecord>)> = stored.chain(new).collect();
    all.retain(|(name, _)| (readable.covers)(name));
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    let tag = quiet.map(|quiet| {
        let records = all.iter().filter_map(|(_, record)| *record);
        quiet.tag(records.map(|record| moment.steady(app, record)).fold(Steady::ALWAYS, Steady::and))
    });
    let rest = upto.and_then(|upto| match (readable.covers)(&upto) {
        true => Some(AgentsFrom::After(upto)),
        false => (readable.next)(Some(&upto)).map(AgentsFrom::At),
    });
    let (shown, next_cursor) = page::cut(
        all,
        rest,
        request.limit,
        &list,
        |(name, _)| AgentsFrom::After(name.clone()),
        |(name, record)| {
            let is_at_work = |issue: ActiveIssue| {
                record.is_some_and(|record| record.declaration.active_issues.verdict(issue).is_some())
            };
            let works_on_it = filter.issue.is_none() || moment.issue.is_some_and(is_at_work);
            let view = AgentView::of(app, &moment, name, *record);
            let is_wanted = filter.state.is_none_or(|state| state == view.state)
                && filter.work.is_none_or(|work| work == view.work)
                && works_on_it;
            is_wanted.then_some(view)
        },
    );
    Ok(Reading::Read { tag, page: AgentPage { agents: shown, next_cursor } })
}

/// One agent, which `is_named` if a token names it.
///
/// # Errors
/// [`ReadError::NotFound`] if it has never sent a heartbeat and no token names it; [`ReadError::Store`] if DynamoDB
/// fails.
pub async fn agent(app: &App, name: &AgentName, is_named: bool) -> Result<AgentView, ReadError> {
    let (record, moment) = futures_util::join!(app.store.agent(name).boxed(), Moment::read(app).boxed());
    let (record, moment) = (record?, moment?);
    if record.is_none() && !is_named {
        return Err(ReadError::NotFound("this agent has never sent a heartbeat"));
    }
    moment.learn_pages(app, record.as_slice()).await?;
    Ok(AgentView::of(app, &moment, name, record.as_ref()))
}

impl AgentFilter<'_> {
    /// The list's name with its filters.
    fn list(&self) -> String {
        let state = self.state.map_or("", Presence::as_str);
        let work = self.work.map_or("", Work::as_str);
        let issue = self.issue.map(|issue| format!("{}#{}", issue.repository.key(), issue.number));
        format!("agents state={state} work={work} issue={}", issue.unwrap_or_default())
    }
}

/// What agents are judged by beside their own items.
struct Moment {
    now: Timestamp,
    listening: Listening,
    state: FleetState,
    /// The version of the repositories' names.
    names: String,
    /// The issue that was asked for, if its repository is tracked.
    issue: Option<ActiveIssue>,
}

impl Moment {
    async fn read(app: &App) -> Result<Self, ReadError> {
        let (state, listening) =
            futures_util::join!(app.store.state().boxed(), app.store.listening().boxed());
        let (state, listening) = (state?, listening?);
        let names = state.ended.as_ref().map(|ended| ended.named.clone()).unwrap_or_default();
        names::known(app).keep(&names);
        Ok(Self { now: app.clock.now(), listening, state, names, issue: None })
    }

    /// What a page of agents follows from; `None` if this moment is not quiet.
    fn quiet_page(
        &self,
        app: &App,
        list: &str,
        filter: &AgentFilter<'_>,
        readable: Readable<'_>,
        request: &PageRequest,
    ) -> Option<QuietPage> {
        let version = env!("CARGO_PKG_VERSION");
        let (named, coverage, listening) = (filter.named, readable.coverage, self.listening);
        let (suggested, server) = (app.config.heartbeat_interval, &app.config.github_server_url);
        let repositories = repositories::names(app);
        let rest = format!(
            "{version} {list} {request:?} {named:?} {coverage} {listening:?} {suggested:?} {server} {repositories}"
        );
        QuietPage::of(&self.state, self.now, &rest)
    }

    /// The issue with this address, if its repository is tracked.
    async fn find(&self, app: &App, issue: Option<&IssueAddress>) -> Result<Option<ActiveIssue>, ReadError> {
        let Some(IssueAddress { repository, number }) = issue else { return Ok(None) };
        let ids = names::ids(app, &self.names, std::iter::once(repository)).await?;
        Ok(ids.get(&repository.key()).map(|id| ActiveIssue { repository: *id, number: *number }))
    }

    /// The time in which this agent is judged as it is now.
    fn steady(&self, app: &App, record: &AgentRecord) -> Steady {
        let suggested = app.config.heartbeat_interval;
        record.last_beat_at.map_or(Steady::ALWAYS, |last| {
            Judged::steady(&record.declaration, last, self.listening, suggested, self.now)
        })
    }

    /// Reads where the pages of these agents' issues are, as far as this execution environment does not know.
    async fn learn_pages(&self, app: &App, agents: &[AgentRecord]) -> Result<(), ReadError> {
        let issues = agents.iter().flat_map(|agent| agent.declaration.active_issues.iter());
        Ok(names::learn_pages(app, &self.names, issues.map(|(issue, _)| issue)).await?)
    }
}

impl AgentView {
    fn of(app: &App, moment: &Moment, name: &AgentName, record: Option<&AgentRecord>) -> Self {
        let last_heartbeat_at = record.and_then(|record| record.last_beat_at);
        let declaration = record.map(|record| record.declaration.clone()).unwrap_or_default();
        let suggested = app.config.heartbeat_interval;
        let judged = last_heartbeat_at.map_or(Judged::NEW, |last| {
            Judged::of(&declaration, last, moment.listening, suggested, moment.now)
        });
        let next_change_at = last_heartbeat_at.and_then(|last| {
            Judged::next_change(&declaration, last, moment.listening, suggested, moment.now)
        });
        let shown = |(issue, verdict)| AgentIssueView { url: names::page(app, issue), verdict };
        Self {
            name: name.to_string(),
            state: judged.presence,
            work: judged.work,
            is_quiet: judged.is_quiet,
            next_change_at,
            last_heartbeat_at,
            heartbeats_per_hour: record.and_then(|record| record.beats_per_hour).and_then(BeatsPerHour::view),
            last_status: record.and_then(|record| record.last_status),
            last_run_id: record.and_then(|record| record.last_run_id),
            token_fingerprint: record.and_then(|record| record.token_fingerprint.clone()),
            watch: last_heartbeat_at.and_then(|last| declaration.watch(last, moment.listening.since)),
            active_issues: declaration.active_issues.iter().map(shown).collect(),
            stop_since: declaration.stop_at,
            progress: declaration.progress,
            progress_at: declaration.progress_at,
            login: declaration.login,
            client: declaration.client,
            hold: moment.state.holds.of(name).cloned(),
        }
    }
}
