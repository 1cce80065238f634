//! The sweep: finds agents that have gone silent, and sends one message about all of them.
//!
//! It decides purely (`decide.rs`), then writes. A message is stored before it is published, and its agents are marked
//! after it. So a sweep may die anywhere, or overlap another one: each silence is in one message id, which is published
//! once more for each sweep that dies between publishing and marking.

mod decide;
mod message;
mod news;
mod topic;

use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use futures_util::{FutureExt as _, TryFutureExt as _};
use jiff::Timestamp;

use crate::app::App;
use crate::domain::Transition;
use crate::store::{StoreError, SweepState, Unsent};
use crate::telemetry::{Count, Measure};

use decide::{Counted, Decision, Rules, Seen, count, decide, recheck};

pub use topic::{NotPublished, Topic};

/// How many agents are marked at the same time.
const MARKED_AT_ONCE: usize = 16;

/// Why a sweep failed. The next one does what this one has left.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SweepFailed {
    /// DynamoDB failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// SNS did not confirm the message.
    #[error(transparent)]
    NotPublished(#[from] NotPublished),
    /// It took too long.
    #[error("it took longer than {0:?}; the next sweep continues")]
    TimedOut(Duration),
}

/// What a sweep works with.
#[derive(Clone, Copy)]
struct Context<'a> {
    app: &'a App,
    topic: &'a Topic,
    state: &'a SweepState,
    counted: Counted,
    now: Timestamp,
}

/// Finds agents that have gone silent or stalled, or are back, and reports them. Without a topic it reports nothing and
/// marks nothing.
///
/// # Errors
/// [`SweepFailed`] if DynamoDB or SNS fails, or if it takes longer than [`Timing::sweep`](crate::app::Timing::sweep).
pub async fn sweep(app: &App, topic: Option<&Topic>) -> Result<(), SweepFailed> {
    let limit = app.timing.sweep;
    let swept = tokio::time::timeout(limit, run(app, topic)).await;
    let swept = swept.unwrap_or(Err(SweepFailed::TimedOut(limit)));
    if let Err(error) = &swept {
        Count::AgentsMessageFailed.add(1);
        tracing::error!(cause = %error, "The sweep for silent agents failed: {error}.");
    }
    swept
}

async fn run(app: &App, topic: Option<&Topic>) -> Result<(), SweepFailed> {
    let (agents, state, last_run) = futures_util::join!(
        app.store.watched_agents().boxed(),
        app.store.sweep_state().boxed(),
        app.store.last_scheduled_run(&app.config.schedule_agent_name).boxed(),
    );
    let (agents, state, last_run) = (agents?, state?, last_run?);
    let now = app.clock.now();
    let rules = Rules {
        schedule: app.config.schedule,
        suggested: app.config.heartbeat_interval,
        beats_per_minute: app.config.beats_per_minute,
    };
    let seen = Seen { agents: &agents, watch: state.watch, last_run, holds: &state.state.holds, rules, now };
    let counted = count(&seen);
    #[expect(clippy::cast_precision_loss, reason = "there are fewer agents")]
    for (measure, agents) in [
        (Measure::AgentsUp, counted.up),
        (Measure::AgentsLate, counted.late),
        (Measure::AgentsDown, counted.down),
    ] {
        measure.record(agents as f64);
    }
    let decision = decide(&seen);
    if decision == Decision::Listen {
        app.store.listen_from(now).await?;
    }
    let Some(topic) = topic else { return without_topic(app, decision, now).await };
    let context = Context { app, topic, state: &state, counted, now };
    if let Some(unsent) = &state.unsent {
        return context.take_over(unsent).await;
    }
    match decision {
        Decision::Nothing | Decision::Listen => Ok(()),
        Decision::Report(transitions) => context.report(transitions).await,
        Decision::Check { blind_since, is_known, transitions } => {
            match check(app, blind_since, is_known, now).await? {
                true => context.report(transitions).await,
                false => Ok(()),
            }
        }
    }
}

/// Notes whether the service can be reached, and nothing else.
async fn without_topic(app: &App, decision: Decision, now: Timestamp) -> Result<(), SweepFailed> {
    if let Decision::Check { blind_since, is_known, .. } = decision {
        check(app, blind_since, is_known, now).await?;
    }
    Ok(())
}

/// Finds out whether agents can reach the service, and keeps what has changed. Returns whether silent agents can be
/// reported.
async fn check(
    app: &App,
    blind_since: Timestamp,
    is_known: bool,
    now: Timestamp,
) -> Result<bool, SweepFailed> {
    match (reach(app).await, is_known) {
        (Ok(()), false) => return Ok(true),
        (Ok(()), true) => app.store.listen_from(now).await?,
        (Err(cause), _) => {
            Count::ApiUnreachable.add(1);
            tracing::error!(
                cause,
                "Nobody was heard, and the service cannot be reached: {cause}. Silent agents are not reported."
            );
            if !is_known {
                app.store.blind_from(blind_since).await?;
            }
        }
    }
    Ok(false)
}

/// Does what a heartbeat needs first: reaches the API by its address, and reads the agents' tokens.
async fn reach(app: &App) -> Result<(), String> {
    let secret =
        app.agent_tokens.prefetch().map_err(|error| format!("the agents' tokens cannot be read: {error}"));
    let (health, secret) = futures_util::join!(health(app).boxed(), secret.boxed());
    health.and(secret.map(drop))
}

async fn health(app: &App) -> Result<(), String> {
    let Some(api) = &app.config.api_url else { return Ok(()) };
    let mut url = api.clone();
    url.set_path(&format!("{}/api/health", api.path().trim_end_matches('/')));
    let mut cause = String::new();
    for _ in 0..2 {
        match app.transport.status_of(url.clone(), app.timing.own_api).await {
            Ok(200) => return Ok(()),
            Ok(status) => cause = format!("GET {url}: HTTP status {status}"),
            Err(error) => cause = format!("GET {url}: {error}"),
        }
    }
    Err(cause)
}

impl Context<'_> {
    /// Stores a new message, then sends it.
    async fn report(&self, transitions: Vec<Transition>) -> Result<(), SweepFailed> {
        if transitions.is_empty() {
            return Ok(());
        }
        let id = self.app.clock.new_id();
        let unsent = Unsent { id, owner: id, owned_until: self.owned_until(), transitions };
        if self.app.store.begin_sending(&unsent).await? {
            self.send(unsent, false).await?;
        }
        Ok(())
    }

    /// Sends a message whose sweep has died, or could not publish it.
    async fn take_over(&self, unsent: &Unsent) -> Result<(), SweepFailed> {
        if unsent.owned_until > self.now {
            return Ok(());
        }
        let owner = self.app.clock.new_id();
        if self.app.store.take_over_sending(unsent, owner, self.owned_until()).await? {
            self.send(unsent.clone(), true).await?;
        }
        Ok(())
    }

    fn owned_until(&self) -> Timestamp {
        self.now.checked_add(self.app.timing.sending).unwrap_or(Timestamp::MAX)
    }

    /// Publishes a message, marks its agents, and removes it. An earlier sweep may have published it: then agents that are
    /// back since are marked, too, so that their return is reported.
    async fn send(&self, unsent: Unsent, may_be_published: bool) -> Result<(), SweepFailed> {
        let store = &self.app.store;
        let names: Vec<_> = unsent.transitions.iter().map(|transition| &transition.agent).collect();
        let agents = store.watched(&distinct(names)).await?;
        // A hold that was set meanwhile mutes its agents; what is not reported is found again after it.
        let holds = &self.state.state.holds;
        let free = unsent.transitions.into_iter().filter(|transition| holds.of(&transition.agent).is_none());
        let (mut reported, outdated) = recheck(free.collect(), &agents);
        if !reported.is_empty() {
            let news = news::gather(self.app, self.state, &reported, &agents, self.counted);
            let message = message::render(&news.await?, unsent.id);
            self.topic.publish(&message).await?;
            tracing::info!(message.id = %unsent.id, "Sent a message about agents: {}.", message.subject);
            store.sent_message(self.now).await?;
        }
        if may_be_published {
            reported.extend(outdated);
        }
        let marks = stream::iter(&reported).map(|transition| store.mark_reported(transition));
        marks.buffer_unordered(MARKED_AT_ONCE).try_collect::<()>().await?;
        store.end_sending(unsent.id).await?;
        Ok(())
    }
}

fn distinct<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort_unstable();
    values.dedup();
    values
}
