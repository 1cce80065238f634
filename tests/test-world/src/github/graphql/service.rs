//! Lasting failures of GraphQL that tests arrange.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::super::answer::Answer;
use super::super::world::{Named, World};
use super::missing_fields::MissingFields;
use super::query::Query;

/// The lasting failures of GraphQL. By default there are none.
#[derive(Debug, Default)]
pub(in crate::github) struct Service {
    absent: bool,
    max_repositories: Option<usize>,
    /// The errors for calls with more repositories; `None`: they time out.
    too_many: Option<Value>,
    too_slow: BTreeSet<u64>,
    /// How calls with a repository fail and until when, by its id.
    poisoned: BTreeMap<u64, (Poison, Timestamp)>,
    pub(super) missing_fields: MissingFields,
}

/// How every call fails that contains one repository. Public reports: ossf/pvtr-github-repo-scanner#85 (502,
/// sometimes), cli/cli#12715, semantic-release/github#1017 (the same message with 502 and with 200).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poison {
    /// 502: the query took too long.
    TimedOut,
    /// 200 with an error about the whole query.
    NotExecuted,
}

/// How a call ends before it is executed.
pub(super) enum Failing {
    Absent,
    TimedOut,
    NotExecuted(Value),
}

impl World {
    /// Answers GraphQL calls with 404, as servers without GraphQL do.
    pub fn remove_graphql(&mut self) {
        self.graphql.absent = true;
    }

    /// Answers every call with more than `most` repositories with 502.
    pub fn time_out_batches_above(&mut self, most: usize) {
        self.graphql.max_repositories = Some(most);
    }

    /// Answers every call with more than `most` repositories with these errors, and does not execute it.
    pub fn refuse_batches_above(&mut self, most: usize, errors: Value) {
        self.graphql.max_repositories = Some(most);
        self.graphql.too_many = Some(errors);
    }

    /// Answers every call with this repository with 502.
    pub fn time_out_batches_with(&mut self, repository: &str) {
        let id = self.repository_id(repository);
        self.graphql.too_slow.insert(id);
    }

    /// Fails every call with this repository until then, also under later names.
    pub fn poison_graphql(&mut self, repository: &str, poison: Poison, until: Timestamp) {
        let id = self.repository_id(repository);
        self.graphql.poisoned.insert(id, (poison, until));
    }

    /// Makes this an older Enterprise Server, whose schema lacks this field of this type.
    pub fn lack_field(&mut self, type_name: &str, field: &str) {
        self.graphql.missing_fields.0.insert((type_name.to_owned(), field.to_owned()));
    }

    /// Ends all lasting failures of GraphQL.
    pub fn heal_graphql(&mut self) {
        self.graphql = Service::default();
    }

    /// How a query fails, if it does.
    pub(super) fn graphql_failure(&self, query: &Query) -> Option<Failing> {
        let repositories = &query.repositories;
        let Service { absent, max_repositories, too_many, too_slow, poisoned, .. } = &self.graphql;
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
            Some(Failing::Absent)
        } else if max_repositories.is_some_and(|most| repositories.len() > most) {
            Some(too_many.clone().map_or(Failing::TimedOut, Failing::NotExecuted))
        } else if repositories.iter().any(slow) || poison == Some(Poison::TimedOut) {
            Some(Failing::TimedOut)
        } else {
            let errors = || Failing::NotExecuted(serde_json::json!([{ "message": WENT_WRONG }]));
            poison.filter(|poison| *poison == Poison::NotExecuted).map(|_| errors())
        }
    }
}

/// GitHub's message about an aborted query.
const WENT_WRONG: &str = "Something went wrong while executing your query. This may be the result of a timeout, or it \
                          could be a GitHub bug.";

/// The answer to a query that took too long.
pub(in crate::github) fn timed_out() -> Answer {
    Answer::json(502, &serde_json::json!({ "data": null, "errors": [{ "message": WENT_WRONG }] }))
}
