//! GitHub's GraphQL: validates documents and executes them on the state that REST answers from.
//!
//! A real engine does both with the part of GitHub's schema in `schema.graphql`, so a document that GitHub rejects is
//! rejected here. [`Query`] is the request, [`Cost`](cost::Cost) its cost, `resolvers.rs` has the data. Senders, faults
//! and HTTP are elsewhere, as for REST.

mod cost;
mod error;
mod execution;
mod faults;
mod missing_fields;
mod query;
mod resolvers;
mod service;

use std::sync::LazyLock;

use apollo_compiler::Schema;
use apollo_compiler::validation::Valid;

pub use self::faults::Partial;
pub(super) use self::query::Query;
pub use self::service::Poison;
pub(super) use self::service::{Service, timed_out};

/// The part of GitHub's schema that is simulated.
pub(super) const SCHEMA: &str = include_str!("schema.graphql");

static PARSED: LazyLock<Valid<Schema>> = LazyLock::new(|| {
    Schema::parse_and_validate(SCHEMA, "schema.graphql").expect("the contract test compares it with GitHub's")
});

/// The schema, parsed when it is first needed.
pub(super) fn schema() -> &'static Valid<Schema> {
    &PARSED
}
