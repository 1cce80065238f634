//! Whether this GitHub's GraphQL works at all: lasting troubles that tests arrange.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::super::answer::Answer;
use super::super::world::{Named, World};
use super::lacks::Lacks;
use super::query::Query;

/// The troubles of GraphQL, none at first.
#[derive(Debug, Default)]
pub(in crate::github) struct Service {
    absent: bool,
    most_repositories: Option<usize>,
    /// What is wrong with those that ask for more; without it they take too long.
    too_many: Option<Value>,
    too_slow: BTreeSet<u64>,
    /// How calls fail that ask for a repository, by its id, and until when.
    poisoned: BTreeMap<u64, (Poison, Timestamp)>,
    pub(super) lacks: Lacks,
}

/// How GitHub fails for every call that asks for one repository. Public reports: ossf/pvtr-github-repo-scanner#85 (502,
/// sometimes), cli/cli#12715, semantic-release/github#1017 (the same words with 502 and with 200).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poison {
    /// 502, after it took too long.
    TimedOut,
    /// 200 with an error that names no part of the query.
    NotExecuted,
}

/// How a call ends before it is executed.
pub(super) enum Trouble {
    Absent,
    TimedOut,
    NotExecuted(Value),
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

    /// Executes no call that asks for more than `most` repositories, and answers these errors.
    pub fn refuse_batches_above(&mut self, most: usize, errors: Value) {
        self.graphql.most_repositories = Some(most);
        self.graphql.too_many = Some(errors);
    }

    /// Answers 502 to every call that asks for this repository.
    pub fn time_out_batches_with(&mut self, repository: &str) {
        let id = self.repository_id(repository);
        self.graphql.too_slow.insert(id);
    }

    /// Fails until then for every call that asks for this repository, also under its later names.
    pub fn poison_graphql(&mut self, repository: &str, poison: Poison, until: Timestamp) {
        let id = self.repository_id(repository);
        self.graphql.poisoned.insert(id, (poison, until));
    }

    /// Makes this an older Enterprise Server, whose schema does not have this field of this type yet.
    pub fn lack_field(&mut self, type_name: &str, field: &str) {
        self.graphql.lacks.0.insert((type_name.to_owned(), field.to_owned()));
    }

    /// Ends all troubles of GraphQL.
    pub fn heal_graphql(&mut self) {
        self.graphql = Service::default();
    }

    /// What a query meets.
    pub(super) fn graphql_trouble(&self, query: &Query) -> Option<Trouble> {
        let repositories = &query.repositories;
        let Service { absent, most_repositories, too_many, too_slow, poisoned, .. } = &self.graphql;
        let id = |name: &String| match self.named(name) {
            Named::Current(id) | Named::Former(id) => Some(id),
            Named::Unknown => None,
        };
        let slow = |name: &String| id(name).is_some_and(|id| too_slow.contains(&id));
        let now = self.now();
        let poison = repositories
            .iter()
            .filter_map(id)
            .find_map(|id| poisoned.get(&id).filter(|(_, until)| now < *until).map(|(poison, _)| *poison));
        if *absent {
            Some(Trouble::Absent)
        } else if most_repositories.is_some_and(|most| repositories.len() > most) {
            Some(too_many.clone().map_or(Trouble::TimedOut, Trouble::NotExecuted))
        } else if repositories.iter().any(slow) || poison == Some(Poison::TimedOut) {
            Some(Trouble::TimedOut)
        } else {
            let errors = || Trouble::NotExecuted(serde_json::json!([{ "message": WENT_WRONG }]));
            poison.filter(|poison| *poison == Poison::NotExecuted).map(|_| errors())
        }
    }
}

/// What GitHub says of a query that it gave up.
const WENT_WRONG: &str = "Something went wrong while executing your query. This may be the result of a timeout, or it \
                          could be a GitHub bug.";

/// The answer to a query that took too long.
pub(in crate::github) fn timed_out() -> Answer {
    Answer::json(502, &serde_json::json!({ "data": null, "errors": [{ "message": WENT_WRONG }] }))
}
