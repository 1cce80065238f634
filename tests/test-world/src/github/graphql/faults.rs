//! What can go wrong inside a GraphQL call: errors in an answer of 200, with some of the data or none.
//!
//! What goes wrong on the way (statuses, cut connections) is the same for REST and GraphQL.

use serde_json::json;

use super::super::faults::Fault;
use super::error::Failure;

/// An answer that is right but for something lacking, and whose errors say why.
#[derive(Clone, Debug)]
pub struct Partial {
    pub(super) lack: Lack,
    pub(super) failure: Failure,
}

/// What is lacking.
#[derive(Clone, Debug)]
pub(super) enum Lack {
    /// This repository, by any of its names: its alias is null.
    Repository(String),
    /// The nodes of every connection of the repositories after this number of them in the call.
    NodesBehind(usize),
    /// One node in every connection of the first repository, by its place: it is null.
    Node(usize),
}

impl Fault {
    /// The call's other repositories are answered, and this one's alias is null with an error of this type:
    /// `FORBIDDEN`, `INTERNAL`, or none for the transient ones that GitHub leaves without.
    pub fn repository_error(repository: &str, kind: impl Into<Option<&'static str>>) -> Self {
        let failure = Failure::new(kind, "Something went wrong while executing your query.");
        Self::Partial(Partial { lack: Lack::Repository(repository.to_owned()), failure })
    }

    /// The same in these words, of this type.
    pub fn repository_refusal(repository: &str, kind: impl Into<Option<&'static str>>, words: &str) -> Self {
        let failure = Failure::new(kind, words);
        Self::Partial(Partial { lack: Lack::Repository(repository.to_owned()), failure })
    }

    /// The query takes too much: of the repositories behind the first `answered` every list of nodes is null,
    /// with an error of type `RESOURCE_LIMITS_EXCEEDED` for each.
    pub fn resource_limits(answered: usize) -> Self {
        let failure = Failure::new("RESOURCE_LIMITS_EXCEEDED", "Resource limits for this query exceeded.");
        Self::Partial(Partial { lack: Lack::NodesBehind(answered), failure })
    }

    /// One node of the first repository's connections is null, with an error without a type at the first field
    /// of it that cannot be.
    pub fn node_error(place: usize) -> Self {
        let failure = Failure::new(None, "Something went wrong while executing your query.");
        Self::Partial(Partial { lack: Lack::Node(place), failure })
    }

    /// The points are used up, says a 200 without data. `kind` is `RATE_LIMITED`, or `RATE_LIMIT`, which
    /// GitHub writes too.
    pub fn graphql_limit(kind: &str) -> Self {
        let message = "API rate limit already exceeded for user ID 1001.";
        Self::errors(Vec::new(), &json!([{ "type": kind, "message": message }]))
    }

    /// A secondary rate limit in a 200, shown by its words, and by a `Retry-After` if one is given. GitHub
    /// also answers [`Fault::secondary_limit`] to GraphQL.
    pub fn graphql_secondary_limit(retry_after: Option<&str>) -> Self {
        let headers = retry_after.map(|value| ("retry-after", value.to_owned())).into_iter().collect();
        let message =
            "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
        Self::errors(headers, &json!([{ "message": message }]))
    }

    /// The document is not executed at all: a 200 with these errors and without data.
    pub fn not_executed(errors: &serde_json::Value) -> Self {
        let headers = vec![("content-type", "application/json; charset=utf-8".to_owned())];
        Self::Answer { status: 200, headers, body: json!({ "errors": errors }).to_string() }
    }

    fn errors(mut headers: Vec<(&'static str, String)>, errors: &serde_json::Value) -> Self {
        headers.push(("content-type", "application/json; charset=utf-8".to_owned()));
        Self::Answer { status: 200, headers, body: json!({ "data": null, "errors": errors }).to_string() }
    }
}
