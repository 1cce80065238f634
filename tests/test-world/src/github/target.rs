//! The target of a request, parsed once.
//!
//! The log, faults and answers all use it, so that `/repos/acme/api/issues` and `/repositories/1001/issues` are the
//! same listing for each of them.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::Query;
use axum::http::{Method, Uri};

use super::graphql::Query as GraphQlQuery;
use super::world::{Named, World};

/// A request without its headers.
#[derive(Clone, Debug)]
pub(super) struct IncomingRequest {
    pub(super) method: Method,
    pub(super) path: String,
    /// The query as sent, without the question mark.
    pub(super) query: String,
    /// The query's pairs, decoded.
    pub(super) pairs: Vec<(String, String)>,
    pub(super) body: Bytes,
    pub(super) target: Target,
    /// The query, if this is a call of GraphQL.
    pub(super) graphql: Option<Arc<GraphQlQuery>>,
}

/// What this GitHub serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Root,
    RateLimit,
    GraphQl,
    /// The tokens of an App's installation.
    InstallationTokens(u64),
    Repository(Address, Part),
    Unknown,
}

/// The two ways to address a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Name(String),
    Id(u64),
}

/// The part of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Itself,
    Issues,
    Issue(u64),
}

impl IncomingRequest {
    pub(super) fn new(method: Method, uri: &Uri, body: Bytes) -> Self {
        let Query(pairs) = Query::try_from_uri(uri).unwrap_or_default();
        let target = Target::parse(uri.path());
        let query = uri.query().unwrap_or_default().to_owned();
        let is_graphql = target == Target::GraphQl && method == Method::POST;
        let graphql = is_graphql.then(|| Arc::new(GraphQlQuery::parse(&body)));
        Self { method, path: uri.path().to_owned(), query, pairs, body, target, graphql }
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Path and query, as sent.
    pub(super) fn path_and_query(&self) -> String {
        if self.query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, self.query) }
    }

    /// The id of the requested repository, by id, current or former name, if it exists.
    pub(super) fn repository_id(&self, world: &World) -> Option<u64> {
        let Target::Repository(address, _) = &self.target else {
            return None;
        };
        match address {
            Address::Id(id) => world.repositories.contains_key(id).then_some(*id),
            Address::Name(name) => match world.named(name) {
                Named::Current(id) | Named::Former(id) => Some(id),
                Named::Unknown => None,
            },
        }
    }
}

impl Target {
    fn parse(path: &str) -> Self {
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (address, rest) = match segments.as_slice() {
            [""] => return Self::Root,
            ["rate_limit"] => return Self::RateLimit,
            ["graphql"] => return Self::GraphQl,
            ["app", "installations", id, "access_tokens"] => {
                return id.parse().map_or(Self::Unknown, Self::InstallationTokens);
            }
            ["repos", owner, name, rest @ ..] => (Address::Name(format!("{owner}/{name}")), rest),
            ["repositories", id, rest @ ..] => match id.parse() {
                Ok(id) => (Address::Id(id), rest),
                Err(_) => return Self::Unknown,
            },
            _ => return Self::Unknown,
        };
        match rest {
            [] => Self::Repository(address, Part::Itself),
            ["issues"] => Self::Repository(address, Part::Issues),
            ["issues", number] => match number.parse() {
                Ok(number) => Self::Repository(address, Part::Issue(number)),
                Err(_) => Self::Unknown,
            },
            _ => Self::Unknown,
        }
    }
}
