//! The round trips of a row that have to wait for each other, whatever the service does at the same time: the
//! shortest that its work can take at these distances. Counted by hand, each with its reason; nothing measured.

use std::time::Duration;

use serde::Serialize;

use crate::world::{DYNAMODB_DELAY, GRAPHQL_DELAY, REST_DELAY};

/// Where a round trip goes.
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
    /// A limit of another kind that the work cannot pass either, when it is longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    or: Option<Limit>,
}

#[derive(Clone, Debug, Serialize)]
struct Limit {
    millis: u64,
    why: &'static str,
}

impl Chain {
    /// What every beat begins with.
    pub fn of_a_beat() -> Self {
        Self::default().then(To::DynamoDb, 1, "the state tells what to do; the agent's item is read with it")
    }

    /// What every pass begins with.
    pub fn of_a_pass() -> Self {
        Self::of_a_beat().then(To::DynamoDb, 1, "the claim comes before anything is asked of GitHub").then(
            To::GraphQl,
            1,
            "the probe; those of further hundreds of repositories go with it",
        )
    }

    /// One more.
    pub fn then(mut self, to: To, times: u32, why: &'static str) -> Self {
        self.steps.push(Step { to, times, why });
        self
    }

    /// The end of a pass.
    pub fn ends_the_pass(self) -> Self {
        self.then(To::DynamoDb, 1, "the state is written when all else of the pass is")
    }

    /// The end of a beat.
    pub fn ends_the_beat(self) -> Self {
        self.then(To::DynamoDb, 1, "the run is recorded with what is told").then(
            To::DynamoDb,
            1,
            "the agent's position moves when the run is recorded",
        )
    }

    /// No shorter than so long, for another reason.
    pub fn but_no_shorter_than(mut self, limit: Duration, why: &'static str) -> Self {
        let millis = u64::try_from(limit.as_millis()).expect("a short time");
        self.or = Some(Limit { millis, why });
        self
    }

    /// How long it takes.
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
