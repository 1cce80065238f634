//! One beat: runs the pass or joins one that another beat ran, tells the agent what changed since its last
//! beat, and records the run.
//!
//! A beat is always answered. What goes wrong on the way becomes a problem in the answer.

mod admission;
mod answer;
mod backlog;
mod passes;
mod record;
mod sources;
mod summary;
mod touches;

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use crate::app::App;
use crate::domain::{
    AgentName, Attempt, Fingerprint, IdempotencyKey, KeyedRequest, Outcome, Phase, Position, Problem,
    ProblemCode, RepositoryName, RunType, Status,
};
use crate::store::{Agent, FleetState, LastPass, LeaseLost, StoreError};

pub use admission::{Rejected, Reply, beat, beat_if_admitted};
pub use answer::AgentHeartbeatResponse;

use answer::{ChangePage, coalesced_summary};
use summary::Passes;

/// How long after its freshness has run out the last pass is called stale.
const STALE_AFTER: Duration = Duration::from_secs(60);

/// A beat on its way to its answer.
struct Beat<'a> {
    app: &'a App,
    agent: &'a AgentName,
    token: Option<&'a Fingerprint>,
    run_type: RunType,
    run_id: Uuid,
    started_at: Timestamp,
    /// What was remembered of the agent when it came; `None` at its first beat, and for the schedule.
    known: Option<Agent>,
    outcome: Outcome,
    recording: Recording<'a>,
    /// The passes that it ran.
    passes: Passes,
    /// The repository whose held audit an operator confirms; none once a pass has heard of it.
    confirmed: Option<&'a RepositoryName>,
}

/// A beat to answer.
#[derive(Clone, Copy, Debug)]
pub struct BeatRequest<'a> {
    /// Who beats.
    pub agent: &'a AgentName,
    /// With which token; none when the schedule beats.
    pub token: Option<&'a Fingerprint>,
    /// What for.
    pub run_type: RunType,
    /// When the invocation ends, where that is known.
    pub deadline: Option<Timestamp>,
    /// The repository whose held audit an operator confirms. Such a beat runs a pass, however fresh the last one is.
    pub confirmed: Option<&'a RepositoryName>,
    /// The request, where its client may repeat it.
    pub keyed: Option<&'a KeyedRequest>,
}

/// How a beat is recorded.
#[derive(Clone, Debug)]
enum Recording<'a> {
    /// As one of its own.
    Plain,
    /// As an attempt at a request, under whose key its answer is kept.
    Attempt(&'a IdempotencyKey, Attempt),
    /// Not at all: the table does not say what became of its request before.
    Off,
}

/// What a beat has to go by once there is a pass to speak of, or none.
struct Served {
    /// How the last pass ended; none before the first.
    ended: Option<LastPass>,
    /// The pass that this beat ran, also when it failed, or joined; none when there was none.
    pass_id: Option<Uuid>,
    /// What was done. A coalesced beat's summary goes on with what changed.
    summary: String,
    /// Whether another beat ran the pass.
    coalesced: bool,
    /// The position of an agent that beats for the first time: what came before is not told.
    first_position: Position,
    /// Until when another beat's pass may run; none when there is none.
    claimed_until: Option<Timestamp>,
    /// Whether a pass served it that succeeded, and that is fresh.
    is_fresh: bool,
}

impl Beat<'_> {
    /// Runs the pass if it is this beat's to run; joins the last one otherwise.
    async fn basis(&mut self, state: FleetState, deadline: Option<Timestamp>) -> Served {
        let now = self.app.clock.now();
        let is_served = state.is_fresh(now) && self.confirmed.is_none();
        if is_served || state.is_claimed(now) {
            return self.join(state).await;
        }
        match self.claim(state.clone()).await {
            Ok(Ok(claim)) => {
                self.record_running(&claim).await;
                self.run_passes(claim, deadline).await
            }
            Ok(Err(LeaseLost(state))) => self.join(state).await,
            Err(error) => self.failed(state, &error),
        }
    }

    /// Answers from the last pass that ended, without waiting for one that runs.
    async fn join(&mut self, state: FleetState) -> Served {
        let now = self.app.clock.now();
        let claimed_until = state.claimed_until(now);
        let Some(ended) = state.ended else {
            self.outcome.add(Problem::warning(
                ProblemCode::FirstPassRunning,
                Phase::Sync,
                "the first pass is still running; beat again in a few seconds",
            ));
            return Served {
                ended: None,
                pass_id: None,
                summary: "Joined the first pass, which is still running.".to_owned(),
                coalesced: true,
                first_position: Position::after(0),
                claimed_until,
                is_fresh: false,
            };
        };
        let age = Duration::try_from(now.duration_since(ended.at)).unwrap_or_default();
        if age > Duration::from_secs(ended.freshness_seconds) + STALE_AFTER {
            let message =
                format!("the last pass ended {} s ago, and the next has not ended yet", age.as_secs());
            self.outcome.add(Problem::warning(ProblemCode::Stale, Phase::Sync, message));
        }
        if let Some(pass_id) = ended.problems_from {
            self.add_problems_of(pass_id, age).await;
        }
        Served {
            summary: coalesced_summary(age),
            coalesced: true,
            first_position: Position::after(ended.fence.saturating_sub(1)),
            pass_id: Some(ended.pass_id),
            is_fresh: now < ended.fresh_until() && ended.status != Status::Error,
            ended: Some(ended),
            claimed_until,
        }
    }

    /// Adds the problems of a pass that ended so long ago, which is taken off what there was to wait.
    async fn add_problems_of(&mut self, pass_id: Uuid, age: Duration) {
        match self.app.store.pass(pass_id).await {
            Ok(Some(record)) => {
                for problem in record.problems {
                    let wait = problem.retry_after_seconds;
                    let left = wait.and_then(|wait| wait.checked_sub(age.as_secs()));
                    self.outcome.add(problem.retry_after(left.filter(|left| *left > 0)));
                }
            }
            Ok(None) => {}
            Err(error) => self.outcome.add(table_problem(&error)),
        }
    }

    fn failed(&mut self, state: FleetState, error: &StoreError) -> Served {
        self.outcome.add(table_problem(error));
        Served::without_pass(state, "The pass did not end.")
    }

    async fn finish(mut self, basis: Served) -> AgentHeartbeatResponse {
        let position = self.known.map_or(basis.first_position, |agent| agent.told);
        let mut told = match self.tell(&basis, position).await {
            Ok(told) => told,
            Err(error) => {
                self.outcome.add(table_problem(&error));
                ChangePage::nothing(position)
            }
        };
        // The schedule delivers to nobody: it reports what its own passes changed, and nothing later.
        let is_delivered = self.run_type == RunType::Heartbeat;
        told.is_left &= is_delivered;
        let position = is_delivered.then_some(told.position);
        self.close(&basis, &told, position).await
    }

    /// What the agent was told before is not known: its position stays, and the next beat tells what is new.
    async fn without_table(mut self, error: &StoreError) -> AgentHeartbeatResponse {
        self.outcome.add(table_problem(error));
        let basis = Served::without_pass(FleetState::default(), "Synced nothing: the table cannot be used.");
        let told = ChangePage::nothing(basis.first_position);
        self.close(&basis, &told, None).await
    }
}

impl Served {
    fn without_pass(state: FleetState, summary: &str) -> Self {
        Self {
            first_position: Position::after(state.ended_fence()),
            pass_id: None,
            ended: state.ended,
            summary: summary.to_owned(),
            coalesced: false,
            claimed_until: None,
            is_fresh: false,
        }
    }
}

fn table_problem(error: &StoreError) -> Problem {
    let message = format!("{error}; check TABLE_NAME and the function's access to it, then beat again");
    Problem::error(ProblemCode::StoreUnavailable, Phase::Sync, message)
}
