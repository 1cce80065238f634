//! What a heartbeat is called with, how a call can end, and what an admitted heartbeat carries through its steps.

use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::{
    AgentName, Attempt, Fingerprint, IdempotencyKey, KeyRefused, KeyedRequest, RateLimitExceeded,
    RepositoryName, RunType,
};
use crate::store::Agent;

use super::contract::AgentHeartbeatResponse;

/// A heartbeat that an agent sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeartbeatRequest<'a> {
    /// The agent that sends it.
    pub(crate) agent: &'a AgentName,
    /// The token that the agent authenticated with.
    pub(crate) token: &'a Fingerprint,
    /// When the invocation ends, if known.
    pub(crate) deadline: Option<Timestamp>,
    /// The idempotency key and the body, if the client may repeat the request.
    pub(crate) keyed: Option<&'a KeyedRequest>,
}

/// A heartbeat that EventBridge Scheduler or an operator sends. It is recorded under `SCHEDULE_AGENT_NAME`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScheduledRequest<'a> {
    /// When the invocation ends, if known.
    pub(crate) deadline: Option<Timestamp>,
    /// The repository whose audit on hold the operator confirms. Such a heartbeat runs a pass even if the last one is
    /// fresh.
    pub(crate) confirmed: Option<&'a RepositoryName>,
}

/// How an agent's request is answered.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// By a new heartbeat.
    Answered(Box<AgentHeartbeatResponse>),
    /// By the stored response to an earlier copy of the same request: JSON, exactly as it was sent.
    Replayed(String),
}

/// Why a request is rejected without running a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// The agent exceeds its rate limit.
    RateLimitExceeded(RateLimitExceeded),
    /// The idempotency key is in use.
    Key(KeyRefused),
}

/// An admitted heartbeat.
pub(super) struct Heartbeat<'a> {
    pub(super) agent: &'a AgentName,
    pub(super) origin: Origin<'a>,
    pub(super) run_id: Uuid,
    pub(super) started_at: Timestamp,
    /// When the invocation ends, if known.
    pub(super) deadline: Option<Timestamp>,
    /// What is stored about the agent. `None` at its first heartbeat, for scheduled heartbeats, and if the table could
    /// not be read.
    pub(super) known: Option<Agent>,
    pub(super) recording: Recording<'a>,
}

/// Who sent a heartbeat.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin<'a> {
    /// An agent, with this token.
    Agent(&'a Fingerprint),
    /// EventBridge Scheduler or an operator. Nothing is delivered to them.
    Schedule {
        /// The repository whose audit on hold an operator confirms.
        confirmed: Option<&'a RepositoryName>,
    },
}

impl<'a> Origin<'a> {
    pub(super) fn run_type(self) -> RunType {
        match self {
            Self::Agent(_) => RunType::Heartbeat,
            Self::Schedule { .. } => RunType::Scheduled,
        }
    }

    pub(super) fn is_agent(self) -> bool {
        matches!(self, Self::Agent(_))
    }

    pub(super) fn token(self) -> Option<&'a Fingerprint> {
        match self {
            Self::Agent(token) => Some(token),
            Self::Schedule { .. } => None,
        }
    }

    pub(super) fn confirmed(self) -> Option<&'a RepositoryName> {
        match self {
            Self::Agent(_) => None,
            Self::Schedule { confirmed } => confirmed,
        }
    }
}

/// How a heartbeat is recorded.
#[derive(Clone, Debug)]
pub(super) enum Recording<'a> {
    /// As a run of its own.
    Plain,
    /// As an attempt at a request. The response is stored under the request's key.
    Attempt(&'a IdempotencyKey, Attempt),
    /// Not at all: the table could not be read or written, so an earlier copy of the same request may have an answer.
    Off,
}
