//! Decides whether a request becomes a heartbeat: whether its agent exceeds the rate limit, and whether the same
//! request was sent before.

use jiff::Timestamp;

use crate::app::App;
use crate::domain::{KeyRefused, KeyedRequest, Verdict};
use crate::store::{Beginning, FleetState, Moved, StoreError};

use super::request::{Heartbeat, HeartbeatRequest, Origin, Recording, Rejected, ScheduledRequest};

/// How often the decision is repeated if the stored request changes in between. One repetition is enough, unless the
/// item expires at that moment.
const MAX_TRIES: usize = 3;

/// A request that is not rejected.
pub(super) enum Admission<'a> {
    Admitted(Box<Admitted<'a>>),
    /// The same request was answered before; this is its stored response.
    Replayed(String),
}

/// A heartbeat to run.
pub(super) struct Admitted<'a> {
    pub(super) heartbeat: Heartbeat<'a>,
    /// The fleet's state as the heartbeat found it.
    pub(super) state: Result<FleetState, StoreError>,
}

/// Admits an agent's heartbeat unless the agent exceeds its rate limit or the same request is still running. A rejected
/// or replayed request costs the two read units that every heartbeat starts with, and one more if it has a key. Neither
/// counts towards the rate limit.
pub(super) async fn admit<'a>(app: &App, request: HeartbeatRequest<'a>) -> Result<Admission<'a>, Rejected> {
    let arrival = Arrival { app, request, at: app.clock.now() };
    let key = request.keyed.map(|keyed| &keyed.key);
    match (app.store.begin(request.agent, key).await, request.keyed) {
        (Ok(beginning), None) => {
            arrival.check_rate(&beginning)?;
            Ok(arrival.admitted(Ok(beginning), Recording::Plain))
        }
        (Ok(beginning), Some(keyed)) => arrival.admit_keyed(beginning, keyed).await,
        // The agent's rate is unknown, so it is not limited.
        (Err(error), None) => Ok(arrival.admitted(Err(error), Recording::Plain)),
        (Err(error), Some(_)) => Ok(arrival.admitted(Err(error), Recording::Off)),
    }
}

/// Admits a scheduled heartbeat, which no limit applies to.
pub(super) async fn admit_scheduled<'a>(app: &'a App, request: ScheduledRequest<'a>) -> Admitted<'a> {
    let (agent, started_at) = (&app.config.schedule_agent_name, app.clock.now());
    let beginning = app.store.begin(agent, None).await;
    let heartbeat = Heartbeat {
        agent,
        origin: Origin::Schedule { confirmed: request.confirmed },
        run_id: app.clock.new_id(),
        started_at,
        deadline: request.deadline,
        known: None,
        recording: Recording::Plain,
    };
    Admitted { heartbeat, state: beginning.map(|beginning| beginning.state) }
}

/// An agent's request that has arrived.
struct Arrival<'a, 'r> {
    app: &'a App,
    request: HeartbeatRequest<'r>,
    at: Timestamp,
}

impl<'r> Arrival<'_, 'r> {
    async fn admit_keyed(
        &self,
        beginning: Beginning,
        keyed: &'r KeyedRequest,
    ) -> Result<Admission<'r>, Rejected> {
        let (agent, id) = (self.request.agent, self.app.clock.new_id());
        let mut stored = beginning.request.clone();
        for _ in 0..MAX_TRIES {
            let attempt = match keyed.judge(stored.as_ref(), self.at, id, self.attempt_ends()) {
                Verdict::Try(attempt) => attempt,
                Verdict::Refused(why) => return Err(Rejected::Key(why)),
                Verdict::Answered { run_id, answer } => {
                    tracing::info!(
                        agent.name = %agent,
                        run.id = %run_id,
                        "The stored response of run {run_id} was replayed."
                    );
                    return Ok(Admission::Replayed(answer));
                }
            };
            self.check_rate(&beginning)?;
            match self.app.store.begin_attempt(agent, &keyed.key, stored.as_ref(), &attempt).await {
                Ok(Ok(())) => {
                    return Ok(self.admitted(Ok(beginning), Recording::Attempt(&keyed.key, attempt)));
                }
                Ok(Err(Moved(now))) => stored = now,
                Err(error) => return Ok(self.admitted(Err(error), Recording::Off)),
            }
        }
        Err(Rejected::Key(KeyRefused::Running { retry_after_seconds: 1 }))
    }

    fn check_rate(&self, beginning: &Beginning) -> Result<(), Rejected> {
        let rate = beginning.agent.and_then(|agent| agent.pace);
        let limit = self.app.config.beats_per_minute;
        rate.map_or(Ok(()), |rate| rate.check(limit, self.at)).map_err(Rejected::TooOften)
    }

    /// When an attempt has ended, whether answered or not: at the invocation's deadline, or after the duration of a
    /// lease. A deadline in the past comes from a test environment and is ignored.
    fn attempt_ends(&self) -> Timestamp {
        let latest = self.at.checked_add(self.app.timing.lease).unwrap_or(self.at);
        let deadline = self.request.deadline.filter(|deadline| *deadline > self.at);
        deadline.map_or(latest, |deadline| deadline.min(latest))
    }

    fn admitted(&self, beginning: Result<Beginning, StoreError>, recording: Recording<'r>) -> Admission<'r> {
        let run_id = match &recording {
            Recording::Attempt(_, attempt) => attempt.run_id,
            Recording::Plain | Recording::Off => self.app.clock.new_id(),
        };
        let heartbeat = Heartbeat {
            agent: self.request.agent,
            origin: Origin::Agent(self.request.token),
            run_id,
            started_at: self.at,
            deadline: self.request.deadline,
            known: beginning.as_ref().ok().and_then(|beginning| beginning.agent),
            recording,
        };
        Admission::Admitted(Box::new(Admitted {
            heartbeat,
            state: beginning.map(|beginning| beginning.state),
        }))
    }
}
