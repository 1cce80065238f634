//! Decides whether a request becomes a heartbeat: whether its agent exceeds the rate limit, and whether the same
//! request was sent before.

use jiff::Timestamp;

use crate::app::App;
use crate::domain::{KeyDecision, KeyRefused, KeyedRequest};
use crate::store::{AttemptStart, FleetState, InitialState, StoreError};

use super::request::{Heartbeat, HeartbeatRequest, Origin, Recording, Rejected, ScheduledRequest, Sender};

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
    match (app.store.initial_state(request.agent, key).await, request.keyed) {
        (Ok(initial), None) => {
            arrival.check_rate(&initial)?;
            Ok(arrival.admitted(Ok(initial), Recording::Plain))
        }
        (Ok(initial), Some(keyed)) => arrival.admit_keyed(initial, keyed).await,
        // The agent's rate is unknown, so it is not limited.
        (Err(error), None) => Ok(arrival.admitted(Err(error), Recording::Plain)),
        (Err(error), Some(_)) => Ok(arrival.admitted(Err(error), Recording::Off)),
    }
}

/// Admits a scheduled heartbeat, which no limit applies to.
pub(super) async fn admit_scheduled<'a>(app: &'a App, request: ScheduledRequest<'a>) -> Admitted<'a> {
    let (agent, started_at) = (&app.config.schedule_agent_name, app.clock.now());
    let initial = app.store.initial_state(agent, None).await;
    let heartbeat = Heartbeat {
        agent,
        origin: Origin::Schedule { confirmed: request.confirmed },
        run_id: app.clock.new_id(),
        started_at,
        deadline: request.deadline,
        known: None,
        recording: Recording::Plain,
    };
    Admitted { heartbeat, state: initial.map(|initial| initial.state) }
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
        initial: InitialState,
        keyed: &'r KeyedRequest,
    ) -> Result<Admission<'r>, Rejected> {
        let (agent, id) = (self.request.agent, self.app.clock.new_id());
        let mut stored = initial.request.clone();
        for _ in 0..MAX_TRIES {
            let attempt = match keyed.judge(stored.as_ref(), self.at, id, self.attempt_ends()) {
                KeyDecision::Try(attempt) => attempt,
                KeyDecision::Refused(why) => return Err(Rejected::Key(why)),
                KeyDecision::Answered { run_id, answer } => {
                    tracing::info!(
                        agent.name = %agent,
                        run.id = %run_id,
                        "The stored response of run {run_id} was replayed."
                    );
                    return Ok(Admission::Replayed(answer));
                }
            };
            self.check_rate(&initial)?;
            match self.app.store.start_attempt(agent, &keyed.key, stored.as_ref(), &attempt).await {
                Ok(AttemptStart::Started) => {
                    return Ok(self.admitted(Ok(initial), Recording::Attempt(&keyed.key, attempt)));
                }
                Ok(AttemptStart::RequestChanged(now)) => stored = now,
                Err(error) => return Ok(self.admitted(Err(error), Recording::Off)),
            }
        }
        Err(Rejected::Key(KeyRefused::Running { retry_after_seconds: 1 }))
    }

    fn check_rate(&self, initial: &InitialState) -> Result<(), Rejected> {
        let rate = initial.agent.as_ref().and_then(|agent| agent.rate);
        let limit = self.app.config.beats_per_minute;
        rate.map_or(Ok(()), |rate| rate.check(limit, self.at)).map_err(Rejected::RateLimitExceeded)
    }

    /// When an attempt has ended, whether answered or not: at the invocation's deadline, or after the duration of a
    /// lease. A deadline in the past comes from a test environment and is ignored.
    fn attempt_ends(&self) -> Timestamp {
        let latest = self.at.checked_add(self.app.timing.lease).unwrap_or(self.at);
        let deadline = self.request.deadline.filter(|deadline| *deadline > self.at);
        deadline.map_or(latest, |deadline| deadline.min(latest))
    }

    fn admitted(&self, initial: Result<InitialState, StoreError>, recording: Recording<'r>) -> Admission<'r> {
        let run_id = match &recording {
            Recording::Attempt(_, attempt) => attempt.run_id,
            Recording::Plain | Recording::Off => self.app.clock.new_id(),
        };
        let HeartbeatRequest { token, token_expires_at, body, .. } = self.request;
        let heartbeat = Heartbeat {
            agent: self.request.agent,
            origin: Origin::Agent(Sender { token, token_expires_at, body }),
            run_id,
            started_at: self.at,
            deadline: self.request.deadline,
            known: initial.as_ref().ok().and_then(|initial| initial.agent.clone()),
            recording,
        };
        Admission::Admitted(Box::new(Admitted { heartbeat, state: initial.map(|initial| initial.state) }))
    }
}
