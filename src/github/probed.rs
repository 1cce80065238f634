//! The probe's input from a pass, and its result.

use jiff::Timestamp;

use crate::domain::{Backoff, Fingerprint, ProbeMemory, QueryLimit};

use super::{GitHubError, NoGraphql, Repository};

/// The time that the probe may take, and what earlier passes learned.
#[derive(Clone, Debug)]
pub struct ProbeTerms<'a> {
    /// The probe waits for no answer after this time.
    pub until: Timestamp,
    /// The accounts' limits.
    pub memory: &'a ProbeMemory,
    /// Until when each repository is left to REST, in the order of the names.
    pub by_rest: &'a [Option<Backoff>],
}

/// The result of the probe.
#[derive(Debug)]
pub struct Probed {
    /// One result per repository, in the order of the names.
    pub results: Vec<Result<Repository, NotProbed>>,
    /// The accounts' limits from now on.
    pub limits: Vec<Learned>,
}

/// An account's limit, before the probe and after it.
#[derive(Clone, Debug)]
pub struct Learned {
    /// The account.
    pub account: Fingerprint,
    /// Its limit before the probe.
    pub before: Option<QueryLimit>,
    /// Its limit from now on.
    pub now: Option<QueryLimit>,
    /// Whether the new limit holds only if REST answers. If REST fails too, GraphQL is not the cause.
    pub needs_proof: bool,
}

/// Why the probe has no data of a repository.
#[derive(Clone, Debug)]
pub enum NotProbed {
    /// GitHub's answer about it, or an error that REST would meet as well.
    Final(GitHubError),
    /// GraphQL did not answer, but REST may.
    ByRest {
        /// The error of the query.
        why: GitHubError,
        /// Why GraphQL cannot be used for any repository of the account.
        no_graphql: Option<NoGraphql>,
        /// Whether this repository may be the cause.
        fails_on_it: bool,
    },
}

impl NotProbed {
    pub(super) fn by_rest(why: GitHubError, no_graphql: Option<NoGraphql>, fails_on_it: bool) -> Self {
        Self::ByRest { why, no_graphql, fails_on_it }
    }
}
