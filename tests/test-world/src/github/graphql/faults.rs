//! Faults inside GraphQL calls: answers of 200 with errors and some or no data.
//!
//! Statuses and cut connections are the same as for REST.

use serde_json::json;

use super::super::faults::Fault;
use super::error::Failure;

/// An answer that lacks some data and has errors about it.
#[derive(Clone, Debug)]
pub struct Partial {
    pub(super) lack: Lack,
    pub(super) failure: Failure,
}

/// The missing data.
#[derive(Clone, Debug)]
pub(super) enum Lack {
    /// This repository, by any of its names: null.
    Repository(String),
    /// The nodes of all connections of the repositories behind the first ones, whose number this is.
    NodesBehind(usize),
    /// The node with this index in every connection of the first repository: null.
    Node(usize),
}

impl Fault {
    /// This repository is null with an error of this type; the others are answered. Types are `FORBIDDEN`, `INTERNAL`,
    /// or none, as in GitHub's transient errors.
    pub fn repository_error(repository: &str, kind: impl Into<Option<&'static str>>) -> Self {
        let failure = Failure::new(kind, "Something went wrong while executing your query.");
        Self::Partial(Partial { lack: Lack::Repository(repository.to_owned()), failure })
    }

    /// The same with this message.
    pub fn repository_refusal(
        repository: &str,
        kind: impl Into<Option<&'static str>>,
        message: &str,
    ) -> Self {
        let failure = Failure::new(kind, message);
        Self::Partial(Partial { lack: Lack::Repository(repository.to_owned()), failure })
    }

    /// The query exceeds GitHub's resource limits: behind the first `answered` repositories every list of nodes is
    /// null, with an error of type `RESOURCE_LIMITS_EXCEEDED` each.
    pub fn resource_limits(answered: usize) -> Self {
        let failure = Failure::new("RESOURCE_LIMITS_EXCEEDED", "Resource limits for this query exceeded.");
        Self::Partial(Partial { lack: Lack::NodesBehind(answered), failure })
    }

    /// The node with this index in the first repository's connections is null, with an error without a type at its
    /// first non-null field.
    pub fn node_error(place: usize) -> Self {
        let failure = Failure::new(None, "Something went wrong while executing your query.");
        Self::Partial(Partial { lack: Lack::Node(place), failure })
    }

    /// The budget of points is used up: 200 without data. GitHub writes the `kind` as `RATE_LIMITED` or `RATE_LIMIT`.
    pub fn graphql_limit(kind: &str) -> Self {
        let message = "API rate limit already exceeded for user ID 1001.";
        Self::errors(Vec::new(), &json!([{ "type": kind, "message": message }]))
    }

    /// A secondary rate limit in a 200. The message identifies it, and a `Retry-After` if given. GitHub also answers
    /// GraphQL calls with [`Fault::secondary_limit`].
    pub fn graphql_secondary_limit(retry_after: Option<&str>) -> Self {
        let headers = retry_after.map(|value| ("retry-after", value.to_owned())).into_iter().collect();
        let message =
            "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
        Self::errors(headers, &json!([{ "message": message }]))
    }

    /// The document is not executed: 200 with these errors and without data.
    pub fn not_executed(errors: &serde_json::Value) -> Self {
        let headers = vec![("content-type", "application/json; charset=utf-8".to_owned())];
        Self::Answer { status: 200, headers, body: json!({ "errors": errors }).to_string() }
    }

    fn errors(mut headers: Vec<(&'static str, String)>, errors: &serde_json::Value) -> Self {
        headers.push(("content-type", "application/json; charset=utf-8".to_owned()));
        Self::Answer { status: 200, headers, body: json!({ "data": null, "errors": errors }).to_string() }
    }
}
