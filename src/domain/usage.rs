//! How many requests were sent to GitHub, by account: GitHub counts them so.

use std::collections::HashMap;
use std::ops::AddAssign;

use super::digest::Fingerprint;
use super::limits::Api;

/// Requests to GitHub, including retries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// Requests to the REST API.
    pub rest: u64,
    /// Requests to the GraphQL API.
    pub graphql: u64,
    /// The cost of the GraphQL requests, in points.
    pub points: u64,
}

impl RequestCounts {
    /// Requests to both APIs.
    pub fn requests(self) -> u64 {
        self.rest + self.graphql
    }

    /// What counts against an API's budget: requests for REST, points for GraphQL.
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

/// Requests to GitHub, by the account that sent them.
#[derive(Clone, Debug, Default)]
pub struct Usage(HashMap<Fingerprint, RequestCounts>);

impl Usage {
    /// The sum over all accounts.
    pub fn total(&self) -> RequestCounts {
        self.0.values().fold(RequestCounts::default(), |mut total, counts| {
            total += *counts;
            total
        })
    }

    /// The requests of one account.
    pub fn of(&self, account: &Fingerprint) -> RequestCounts {
        self.0.get(account).copied().unwrap_or_default()
    }

    /// Adds other requests.
    pub fn add(&mut self, other: &Self) {
        for (account, counts) in &other.0 {
            *self.of_mut(account) += *counts;
        }
    }

    /// The counts of this account.
    pub fn of_mut(&mut self, account: &Fingerprint) -> &mut RequestCounts {
        self.0.entry(account.clone()).or_default()
    }
}
