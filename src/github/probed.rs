//! What the pass hands to the probe, and what it gets back.

use jiff::Timestamp;

use crate::domain::{Backoff, Fingerprint, ProbeMemory, QueryLimit};

use super::{GitHubError, NoGraphql, Repository};

/// What the pass grants the probe, and what is known from earlier passes.
#[derive(Clone, Debug)]
pub struct ProbeTerms<'a> {
    /// No answer is waited for any more then.
    pub until: Timestamp,
    /// The accounts' limits.
    pub memory: &'a ProbeMemory,
    /// Until when each repository is left to REST, in the order of the names.
    pub by_rest: &'a [Option<Backoff>],
}

/// What the probe came to.
#[derive(Debug)]
pub struct Probed {
    /// What was seen, in the order of the names.
    pub looks: Vec<Result<Repository, NotProbed>>,
    /// The accounts' limits from now on.
    pub limits: Vec<Learned>,
}

/// An account's limit, before the probe and after it.
#[derive(Clone, Debug)]
pub struct Learned {
    /// The account.
    pub account: Fingerprint,
    /// What was known.
    pub before: Option<QueryLimit>,
    /// What is known now.
    pub now: Option<QueryLimit>,
    /// Whether that holds only if REST answers: else GitHub itself fails, and not its GraphQL API.
    pub needs_proof: bool,
}

/// Why a repository was not seen.
#[derive(Clone, Debug)]
pub enum NotProbed {
    /// GitHub's answer, or what REST would meet as well.
    Final(GitHubError),
    /// GraphQL did not answer: REST may.
    ByRest {
        /// What was met.
        why: GitHubError,
        /// Why GraphQL cannot be used for any repository of the account.
        no_graphql: Option<NoGraphql>,
        /// Whether it may lie with this repository.
        fails_on_it: bool,
    },
}

impl NotProbed {
    pub(super) fn by_rest(why: GitHubError, no_graphql: Option<NoGraphql>, fails_on_it: bool) -> Self {
        Self::ByRest { why, no_graphql, fails_on_it }
    }
}
