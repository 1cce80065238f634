//! Whether this GitHub's GraphQL works at all: lasting troubles that tests arrange.

use std::collections::BTreeSet;

use super::super::answer::Answer;
use super::super::world::{Named, World};
use super::query::Query;

/// The troubles of GraphQL, none at first.
#[derive(Debug, Default)]
pub(in crate::github) struct Service {
    absent: bool,
    most_repositories: Option<usize>,
    too_slow: BTreeSet<u64>,
}

/// How a call ends before it is executed.
pub(super) enum Trouble {
    Absent,
    TimedOut,
}

impl World {
    /// Answers 404 to GraphQL, as servers do that have none.
    pub fn remove_graphql(&mut self) {
        self.graphql.absent = true;
    }

    /// Answers 502 to every call that asks for more than `most` repositories.
    pub fn time_out_batches_above(&mut self, most: usize) {
        self.graphql.most_repositories = Some(most);
    }

    /// Answers 502 to every call that asks for this repository.
    pub fn time_out_batches_with(&mut self, repository: &str) {
        let id = self.repository_id(repository);
        self.graphql.too_slow.insert(id);
    }

    /// Ends all troubles of GraphQL.
    pub fn heal_graphql(&mut self) {
        self.graphql = Service::default();
    }

    /// What a query meets.
    pub(super) fn graphql_trouble(&self, query: &Query) -> Option<Trouble> {
        let repositories = &query.repositories;
        let Service { absent, most_repositories, too_slow } = &self.graphql;
        let slow = |name: &String| match self.named(name) {
            Named::Current(id) | Named::Former(id) => too_slow.contains(&id),
            Named::Unknown => false,
        };
        if *absent {
            Some(Trouble::Absent)
        } else if most_repositories.is_some_and(|most| repositories.len() > most)
            || repositories.iter().any(slow)
        {
            Some(Trouble::TimedOut)
        } else {
            None
        }
    }
}

/// The answer to a query that took too long.
pub(super) fn timed_out() -> Answer {
    let message = "Something went wrong while executing your query. This may be the result of a timeout, or it \
                   could be a GitHub bug.";
    Answer::json(502, &serde_json::json!({ "data": null, "errors": [{ "message": message }] }))
}
