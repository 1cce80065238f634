//! What a heartbeat is called with, how a call can end, and what an admitted heartbeat carries through its steps.

use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::{
    AgentName, Attempt, Declaration, Fingerprint, HeartbeatBody, IdempotencyKey, KeyRefused, KeyedRequest,
    RateLimitExceeded, RepositoryName, RunType,
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
    /// When that token expires; `None` if it does not.
    pub(crate) token_expires_at: Option<Timestamp>,
    /// What the agent declares.
    pub(crate) body: &'a HeartbeatBody,
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

impl Heartbeat<'_> {
    /// What the agent has declared once this heartbeat is answered at `at`; `None` for a scheduled heartbeat.
    pub(super) fn declaration(&self, at: Timestamp) -> Option<Declaration> {
        let sender = self.origin.sender()?;
        let before = self.known.as_ref().map(|known| known.declaration.clone()).unwrap_or_default();
        Some(before.after(sender.body, None, at))
    }
}

/// Who sent a heartbeat.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin<'a> {
    /// An agent.
    Agent(Sender<'a>),
    /// EventBridge Scheduler or an operator. Nothing is delivered to them.
    Schedule {
        /// The repository whose audit on hold an operator confirms.
        confirmed: Option<&'a RepositoryName>,
    },
}

/// What an agent sends with its heartbeat.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender<'a> {
    /// The token that it authenticated with.
    pub(super) token: &'a Fingerprint,
    /// When that token expires; `None` if it does not.
    pub(super) token_expires_at: Option<Timestamp>,
    /// What the agent declares.
    pub(super) body: &'a HeartbeatBody,
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

    /// What the agent sends; `None` for a scheduled heartbeat, which declares nothing.
    pub(super) fn sender(self) -> Option<Sender<'a>> {
        match self {
            Self::Agent(sender) => Some(sender),
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
