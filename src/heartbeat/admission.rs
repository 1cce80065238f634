//! What is decided when a beat comes: whether its agent beats too often, and whether the same request came before.

use jiff::Timestamp;

use crate::app::App;
use crate::domain::{KeyRefused, KeyedRequest, Outcome, RunType, TooOften, Verdict};
use crate::pass;
use crate::store::{Beginning, Moved, StoreError};

use super::summary::Passes;
use super::{AgentHeartbeatResponse, Beat, BeatRequest, Recording};

/// So often an attempt is decided on anew because what is kept of its request has changed in between. Once would do,
/// unless an item expires at that moment.
const TRIES: usize = 3;

/// What a request gets.
#[derive(Clone, Debug)]
pub enum Reply {
    /// The answer to its beat.
    Beat(Box<AgentHeartbeatResponse>),
    /// The answer that the same request got before, as it was sent.
    Replayed(String),
}

/// Why a request gets no beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Its agent beats too often.
    #[error(transparent)]
    TooOften(#[from] TooOften),
    /// Its key does not let it.
    #[error(transparent)]
    Key(#[from] KeyRefused),
}

/// A request for a beat that has come.
struct IncomingHeartbeat<'a> {
    app: &'a App,
    request: BeatRequest<'a>,
    at: Timestamp,
}

/// Answers a beat, however many came before it.
pub async fn beat(app: &App, request: BeatRequest<'_>) -> AgentHeartbeatResponse {
    let came = IncomingHeartbeat { app, request, at: app.clock.now() };
    let beginning = came.read().await;
    came.answer(beginning, Recording::Plain).await
}

/// Answers a request for a beat, unless its agent beats too often or the same request is still being answered. One that
/// is refused costs the two read units that every beat begins with, and one more if it has a key. One that was answered
/// before costs the same; it is no beat and not counted as one.
pub async fn beat_if_admitted(app: &App, request: BeatRequest<'_>) -> Result<Reply, Rejected> {
    IncomingHeartbeat { app, request, at: app.clock.now() }.reply().await
}

impl<'a> IncomingHeartbeat<'a> {
    async fn read(&self) -> Result<Beginning, StoreError> {
        self.app.store.begin(self.request.agent, self.request.keyed.map(|keyed| &keyed.key)).await
    }

    async fn reply(&self) -> Result<Reply, Rejected> {
        match (self.read().await, self.request.keyed) {
            (Ok(beginning), None) => {
                self.check_pace(&beginning)?;
                Ok(self.beat(Ok(beginning), Recording::Plain).await)
            }
            (Ok(beginning), Some(keyed)) => self.reply_to_keyed(beginning, keyed).await,
            // Nothing is known of an agent whose item cannot be read, so nothing is held against it.
            (Err(error), None) => Ok(self.beat(Err(error), Recording::Plain).await),
            (Err(error), Some(_)) => Ok(self.beat(Err(error), Recording::Off).await),
        }
    }

    async fn reply_to_keyed(&self, beginning: Beginning, keyed: &'a KeyedRequest) -> Result<Reply, Rejected> {
        let (agent, id) = (self.request.agent, self.app.clock.new_id());
        let mut kept = beginning.request.clone();
        for _ in 0..TRIES {
            let attempt = match keyed.judge(kept.as_ref(), self.at, id, self.attempt_ends()) {
                Verdict::Try(attempt) => attempt,
                Verdict::Refused(why) => return Err(why.into()),
                Verdict::Answered { run_id, answer } => {
                    tracing::info!(agent.name = %agent, run.id = %run_id, "An answer was sent once more.");
                    return Ok(Reply::Replayed(answer));
                }
            };
            self.check_pace(&beginning)?;
            match self.app.store.begin_attempt(agent, &keyed.key, kept.as_ref(), &attempt).await {
                Ok(Ok(())) => {
                    return Ok(self.beat(Ok(beginning), Recording::Attempt(&keyed.key, attempt)).await);
                }
                Ok(Err(Moved(now))) => kept = now,
                Err(error) => return Ok(self.beat(Err(error), Recording::Off).await),
            }
        }
        Err(KeyRefused::Running { retry_after_seconds: 1 }.into())
    }

    fn check_pace(&self, beginning: &Beginning) -> Result<(), TooOften> {
        let pace = beginning.agent.and_then(|agent| agent.pace);
        pace.map_or(Ok(()), |pace| pace.check(self.app.config.beats_per_minute, self.at))
    }

    /// When an attempt is over, answered or not: Lambda ends it, or what a claim lasts is past. A deadline that has passed
    /// already is a stand-in's.
    fn attempt_ends(&self) -> Timestamp {
        let longest = self.at.checked_add(self.app.timing.claim).unwrap_or(self.at);
        let deadline = self.request.deadline.filter(|deadline| *deadline > self.at);
        deadline.map_or(longest, |deadline| deadline.min(longest))
    }

    async fn beat(&self, beginning: Result<Beginning, StoreError>, recording: Recording<'a>) -> Reply {
        Reply::Beat(Box::new(self.answer(beginning, recording).await))
    }

    async fn answer(
        &self,
        beginning: Result<Beginning, StoreError>,
        recording: Recording<'a>,
    ) -> AgentHeartbeatResponse {
        let BeatRequest { agent, token, run_type, deadline, confirmed, .. } = self.request;
        let run_id = match &recording {
            Recording::Attempt(_, attempt) => attempt.run_id,
            Recording::Plain | Recording::Off => self.app.clock.new_id(),
        };
        let mut beat = Beat {
            app: self.app,
            agent,
            token,
            run_type,
            run_id,
            started_at: self.at,
            known: None,
            outcome: Outcome::default(),
            recording,
            passes: Passes::default(),
            confirmed,
        };
        match beginning {
            Ok(Beginning { state, agent, .. }) => {
                beat.known = agent.filter(|_| run_type == RunType::Heartbeat);
                let basis = beat.basis(state, deadline).await;
                if let Some(unheard) = beat.confirmed {
                    let why = "no pass could be run for it now; confirm it again in a minute";
                    beat.outcome.add(pass::not_confirmed(unheard, why));
                }
                beat.finish(basis).await
            }
            Err(error) => beat.without_table(&error).await,
        }
    }
}
