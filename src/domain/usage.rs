//! What was asked of GitHub, counted as GitHub counts it: by account.

use std::collections::HashMap;
use std::ops::AddAssign;

use super::digest::Fingerprint;
use super::limits::Api;

/// What was asked of GitHub, repeated requests included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// Requests to the REST API.
    pub rest: u64,
    /// Requests to the GraphQL API.
    pub graphql: u64,
    /// What those cost, in points.
    pub points: u64,
}

impl RequestCounts {
    /// Requests to both APIs.
    pub fn requests(self) -> u64 {
        self.rest + self.graphql
    }

    /// What is counted against the budget of an API.
    pub fn of(self, api: Api) -> u64 {
        match api {
            Api::Rest => self.rest,
            Api::GraphQl => self.points,
        }
    }
}

impl AddAssign for RequestCounts {
    fn add_assign(&mut self, other: Self) {
        self.rest += other.rest;
        self.graphql += other.graphql;
        self.points += other.points;
    }
}

/// What was asked of GitHub, by the account as which it was.
#[derive(Clone, Debug, Default)]
pub struct Usage(HashMap<Fingerprint, RequestCounts>);

impl Usage {
    /// As all accounts together.
    pub fn total(&self) -> RequestCounts {
        self.0.values().fold(RequestCounts::default(), |mut total, asked| {
            total += *asked;
            total
        })
    }

    /// As this one.
    pub fn of(&self, account: &Fingerprint) -> RequestCounts {
        self.0.get(account).copied().unwrap_or_default()
    }

    /// Counts in what was asked at another time.
    pub fn add(&mut self, other: &Self) {
        for (account, asked) in &other.0 {
            *self.of_mut(account) += *asked;
        }
    }

    /// The counts of this account.
    pub fn of_mut(&mut self, account: &Fingerprint) -> &mut RequestCounts {
        self.0.entry(account.clone()).or_default()
    }
}
