//! A row's chain: its round trips that depend on each other, whatever the service does at the same time. It is the
//! shortest time that the work can take at these distances. It is counted by hand, each step with its reason, and not
//! measured.

use std::time::Duration;

use serde::Serialize;

use crate::world::{DYNAMODB_DELAY, GRAPHQL_DELAY, REST_DELAY};

/// The destination of a round trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum To {
    /// GitHub's REST API.
    Rest,
    /// GitHub's GraphQL API.
    GraphQl,
    /// DynamoDB.
    DynamoDb,
}

/// Round trips that follow each other.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    to: To,
    times: u32,
    why: &'static str,
}

/// A row's chain.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Chain {
    steps: Vec<Step>,
    /// A limit of another kind, which counts if it is longer than the round trips.
    #[serde(skip_serializing_if = "Option::is_none")]
    or: Option<Limit>,
}

#[derive(Clone, Debug, Serialize)]
struct Limit {
    millis: u64,
    why: &'static str,
}

impl Chain {
    /// The start of every heartbeat.
    pub fn of_a_heartbeat() -> Self {
        Self::default().then(
            To::DynamoDb,
            1,
            "the state decides what to do; the agent's item is read with it",
        )
    }

    /// The start of every pass.
    pub fn of_a_pass() -> Self {
        Self::of_a_heartbeat().then(To::DynamoDb, 1, "the lease comes before any request to GitHub").then(
            To::GraphQl,
            1,
            "the probe; the queries for further hundreds of repositories are concurrent",
        )
    }

    /// Adds round trips.
    pub fn then(mut self, to: To, times: u32, why: &'static str) -> Self {
        self.steps.push(Step { to, times, why });
        self
    }

    /// Adds the end of a pass.
    pub fn ends_the_pass(self) -> Self {
        self.then(To::DynamoDb, 1, "the state is written after everything else of the pass")
    }

    /// Adds the end of a heartbeat.
    pub fn ends_the_heartbeat(self) -> Self {
        self.then(To::DynamoDb, 1, "the run is recorded with the reported changes").then(
            To::DynamoDb,
            1,
            "the agent's delivery cursor moves after the run is recorded",
        )
    }

    /// Adds a lower limit that has another reason.
    pub fn but_no_shorter_than(mut self, limit: Duration, why: &'static str) -> Self {
        let millis = u64::try_from(limit.as_millis()).expect("a short time");
        self.or = Some(Limit { millis, why });
        self
    }

    /// The shortest time that the work can take.
    pub fn duration(&self) -> Duration {
        let trips = self.steps.iter().map(|step| step.to.delay() * step.times).sum();
        self.or.as_ref().map_or(trips, |limit| trips.max(Duration::from_millis(limit.millis)))
    }
}

impl To {
    fn delay(self) -> Duration {
        match self {
            Self::Rest => REST_DELAY,
            Self::GraphQl => GRAPHQL_DELAY,
            Self::DynamoDb => DYNAMODB_DELAY,
        }
    }
}
