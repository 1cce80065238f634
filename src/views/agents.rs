//! The agents: who sends heartbeats, and who has been silent since when.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::domain::{AgentName, Fingerprint, Presence, Status, is_quiet, optional_millis};
use crate::store::{AgentRecord, AgentsFrom};

use super::page::{self, PageRequest, Position};
use super::read_error::ReadError;

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Agent)]
pub struct AgentView {
    /// Its name.
    pub name: String,
    /// Whether it is still there.
    pub state: Presence,
    /// Whether no heartbeat has come for twice the interval that the service suggests (`HEARTBEAT_INTERVAL_SECONDS`).
    pub is_quiet: bool,
    /// When its last heartbeat was answered; null before the first one.
    #[serde(with = "optional_millis")]
    #[schema(required)]
    pub last_heartbeat_at: Option<Timestamp>,
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
}

/// Which agents a list shows.
#[derive(Clone, Debug)]
pub struct AgentFilter<'a> {
    /// Only agents with this presence.
    pub state: Option<Presence>,
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

/// Lists the agents that the client may read.
///
/// # Errors
/// [`ReadError`] if the cursor is not one of this list, or if DynamoDB fails.
pub async fn agents(
    app: &App,
    filter: &AgentFilter<'_>,
    readable: Readable<'_>,
    request: &PageRequest,
) -> Result<AgentPage, ReadError> {
    let list = format!("agents {}", filter.state.map_or("", Presence::as_str));
    let from = request.after(&list)?.or_else(|| (readable.next)(None).map(AgentsFrom::At));
    let read = app.store.agents(from.as_ref(), request.limit).await?;
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
            let view = AgentView::of(app, name, *record);
            filter.state.is_none_or(|state| state == view.state).then_some(view)
        },
    );
    Ok(AgentPage { agents: shown, next_cursor })
}

/// One agent, which `is_named` if a token names it.
///
/// # Errors
/// [`ReadError::NotFound`] if it has never sent a heartbeat and no token names it; [`ReadError::Store`] if DynamoDB
/// fails.
pub async fn agent(app: &App, name: &AgentName, is_named: bool) -> Result<AgentView, ReadError> {
    match app.store.agent(name).await? {
        None if !is_named => Err(ReadError::NotFound("this agent has never sent a heartbeat")),
        record => Ok(AgentView::of(app, name, record.as_ref())),
    }
}

impl AgentView {
    fn of(app: &App, name: &AgentName, record: Option<&AgentRecord>) -> Self {
        let now = app.clock.now();
        let last_heartbeat_at = record.and_then(|record| record.last_beat_at);
        let interval = app.config.heartbeat_interval;
        Self {
            name: name.to_string(),
            state: Presence::of(last_heartbeat_at, now),
            is_quiet: last_heartbeat_at.is_some_and(|last| is_quiet(last, interval, now)),
            last_heartbeat_at,
            last_status: record.and_then(|record| record.last_status),
            last_run_id: record.and_then(|record| record.last_run_id),
            token_fingerprint: record.and_then(|record| record.token_fingerprint.clone()),
        }
    }
}
