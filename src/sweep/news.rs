//! Gathers the facts of a message: what agents promised, when they were last heard, which issues they work on.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use serde::Serialize;

use crate::app::App;
use crate::domain::{AgentChange, AgentName, Fingerprint, Transition, millis};
use crate::names;
use crate::store::{StoreError, SweepState, WatchedAgent};

use super::decide::Counted;

/// Of how many agents the active issues are listed: with more, a message could exceed SNS's 256 KiB.
const WITH_ISSUES: usize = 10;

/// The facts of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    pub(super) down: Vec<Down>,
    pub(super) up: Vec<Up>,
    pub(super) stalled: Vec<Stalled>,
    pub(super) moving: Vec<Moving>,
    /// The agents that have promised a heartbeat and have not left.
    pub(super) watched: u64,
    /// Those of them that are down, whether reported before or not.
    pub(super) all_down: u64,
    /// The token of all agents in `down`, if they share one that is not valid any more.
    pub(super) invalid_token: Option<Fingerprint>,
    /// The address of the API, if it is known.
    pub(super) api: Option<String>,
}

/// An agent whose heartbeat has not come in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Down {
    pub(super) agent: String,
    /// Its last heartbeat.
    #[serde(with = "millis")]
    pub(super) since: Timestamp,
    /// When it counted as down: by its promise, or later if the service could not hear it.
    #[serde(with = "millis")]
    pub(super) down_at: Timestamp,
    pub(super) interval_seconds: u64,
    pub(super) grace_seconds: u64,
    /// How many heartbeats have not come.
    pub(super) missed_beats: u64,
    pub(super) active_issue_urls: Vec<String>,
}

/// An agent that was reported as down and is back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Up {
    pub(super) agent: String,
    /// Its last heartbeat.
    #[serde(with = "millis")]
    pub(super) since: Timestamp,
    /// Its last heartbeat before it was down: `since` in the message that reported it as down.
    #[serde(with = "millis")]
    pub(super) down_since: Timestamp,
}

/// An agent that makes no progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stalled {
    pub(super) agent: String,
    /// Its last progress.
    #[serde(with = "millis")]
    pub(super) progress_at: Timestamp,
    pub(super) stalled_after_seconds: u64,
}

/// An agent that was reported as stalled, and is not any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Moving {
    pub(super) agent: String,
}

/// The facts about these transitions. `agents` are the agents as they are stored now.
///
/// # Errors
/// [`StoreError`] if the names of the repositories of their active issues cannot be read.
pub(super) async fn gather(
    app: &App,
    SweepState { state, watch, .. }: &SweepState,
    transitions: &[Transition],
    agents: &[WatchedAgent],
    counted: Counted,
) -> Result<News, StoreError> {
    let by_name: HashMap<&AgentName, &WatchedAgent> =
        agents.iter().map(|agent| (&agent.name, agent)).collect();
    let of = |change: AgentChange| {
        let ours = transitions.iter().filter(move |transition| transition.change == change);
        ours.filter_map(|transition| Some((transition.since, *by_name.get(&transition.agent)?)))
    };
    let now = app.clock.now();
    let listening = watch.and_then(|watch| watch.listening().since).unwrap_or(Timestamp::MIN);
    let silent: Vec<&WatchedAgent> = of(AgentChange::Down).map(|(_, agent)| agent).collect();
    let version = state.ended.as_ref().map(|ended| ended.named.as_str()).unwrap_or_default();
    let active = silent.iter().take(WITH_ISSUES).flat_map(|agent| agent.declaration.active_issues.iter());
    names::learn_pages(app, version, active.map(|(issue, _)| issue)).await?;
    let down = of(AgentChange::Down).enumerate().filter_map(|(n, (since, agent))| {
        let promise = agent.declaration.promise()?;
        let issues =
            agent.declaration.active_issues.iter().take(if n < WITH_ISSUES { usize::MAX } else { 0 });
        let silence = now.duration_since(since).as_secs().max(0).unsigned_abs();
        Some(Down {
            agent: agent.name.to_string(),
            since,
            down_at: promise.down_at(since.max(listening)),
            interval_seconds: promise.interval.as_secs(),
            grace_seconds: promise.grace.as_secs(),
            missed_beats: silence.checked_div(promise.interval.as_secs()).unwrap_or_default(),
            active_issue_urls: issues.filter_map(|(issue, _)| names::page(app, issue)).collect(),
        })
    });
    let up = of(AgentChange::Up).map(|(down_since, agent)| Up {
        agent: agent.name.to_string(),
        since: agent.last_beat_at,
        down_since,
    });
    let stalled = of(AgentChange::Stalled).filter_map(|(progress_at, agent)| {
        let stalled_after_seconds = agent.declaration.stalled_after()?.as_secs();
        Some(Stalled { agent: agent.name.to_string(), progress_at, stalled_after_seconds })
    });
    let moving = of(AgentChange::Moving).map(|(_, agent)| Moving { agent: agent.name.to_string() });
    Ok(News {
        down: down.collect(),
        up: up.collect(),
        stalled: stalled.collect(),
        moving: moving.collect(),
        watched: counted.watched(),
        all_down: counted.down,
        invalid_token: invalid_token(app, &silent, now).await,
        api: app.config.api_url.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned()),
    })
}

/// The token that all of these agents sent, if it is not valid any more. `None` if the secret cannot be read.
async fn invalid_token(app: &App, agents: &[&WatchedAgent], now: Timestamp) -> Option<Fingerprint> {
    let tokens: BTreeSet<Option<&Fingerprint>> = agents.iter().map(|agent| agent.token.as_ref()).collect();
    let only = tokens.first().copied().flatten().filter(|_| tokens.len() == 1)?;
    let secret = app.agent_tokens.get().await.ok()?;
    (!secret.parsed.has_valid(only, now)).then(|| only.clone())
}
