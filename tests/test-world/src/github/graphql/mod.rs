//! GitHub's GraphQL: documents are validated and executed over the same state that REST answers from.
//!
//! A real engine does it, with the part of GitHub's schema in `schema.graphql`, so a document that GitHub
//! would refuse is refused here. [`Query`] is what a request asks for, [`Cost`](cost::Cost) what it takes,
//! `resolvers.rs` what it gets. Who asks, faults and HTTP are decided elsewhere, as for REST.

mod cost;
mod error;
mod execution;
mod faults;
mod lacks;
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

/// What this GitHub answers of GitHub's schema.
pub(super) const SCHEMA: &str = include_str!("schema.graphql");

static PARSED: LazyLock<Valid<Schema>> = LazyLock::new(|| {
    Schema::parse_and_validate(SCHEMA, "schema.graphql").expect("the contract test holds it against GitHub's")
});

/// The schema, parsed when it is first needed.
pub(super) fn schema() -> &'static Valid<Schema> {
    &PARSED
}
