//! Which requests an order of faults, edits or holds is about.

use axum::http::Method;

use super::target::{Address, Asked, Part, Target};
use super::world::{Named, World};

/// A choice of requests: `Matching::listing("acme/api").query("state", "open").nth(2)`.
///
/// Repositories may be given by any name they have or had; requests match by whichever address they use.
#[derive(Clone, Debug)]
pub struct Matching {
    what: What,
    query: Vec<(String, String)>,
    containing: Vec<String>,
    longer_than: Option<u64>,
    pub(super) nth: u64,
}

#[derive(Clone, Debug)]
enum What {
    Anything,
    Path(String),
    AnyListing,
    AnyOf(String),
    Repository(String),
    Listing(String),
    Issue(String, u64),
    GraphQl,
    TokenRequest,
}

impl Matching {
    /// Every request.
    pub fn anything() -> Self {
        Self::new(What::Anything)
    }

    /// Requests for exactly this path.
    pub fn path(path: &str) -> Self {
        Self::new(What::Path(path.to_owned()))
    }

    /// Every request about a repository: itself, its listings, its issues, reading or not.
    pub fn any_of(repository: &str) -> Self {
        Self::new(What::AnyOf(repository.to_owned()))
    }

    /// Requests for a repository itself.
    pub fn repository(repository: &str) -> Self {
        Self::new(What::Repository(repository.to_owned()))
    }

    /// Requests for the pages of any repository's listing.
    pub fn any_listing() -> Self {
        Self::new(What::AnyListing)
    }

    /// Requests for the pages of a repository's listing.
    pub fn listing(repository: &str) -> Self {
        Self::new(What::Listing(repository.to_owned()))
    }

    /// Requests for one issue.
    pub fn issue(repository: &str, number: u64) -> Self {
        Self::new(What::Issue(repository.to_owned(), number))
    }

    /// Calls of GraphQL.
    pub fn graphql() -> Self {
        Self::new(What::GraphQl)
    }

    /// Requests of an App for a token of one of its installations.
    pub fn token_request() -> Self {
        Self::new(What::TokenRequest)
    }

    /// Of those, only calls of GraphQL that ask for this repository, maybe among others.
    pub fn containing(mut self, repository: &str) -> Self {
        self.containing.push(repository.to_owned());
        self
    }

    /// Of those, only requests with this query parameter.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Of those, only requests with this `page` in their query. A first page has none.
    pub fn page(self, page: u64) -> Self {
        self.query("page", &page.to_string())
    }

    /// Of those, only requests for pages of more than this number of issues, by either API. People report repositories whose
    /// pages of 100 fail where shorter ones do not: by REST chaoss/grimoirelab-perceval#755, by GraphQL
    /// renovatebot/renovate#45460 (100, 50 and 25 fail, 10 and 5 do not).
    pub fn longer_than(mut self, issues: u64) -> Self {
        self.longer_than = Some(issues);
        self
    }

    /// Of those, only the `n`th and what comes after it, counted from 1 since the order was given.
    pub fn nth(mut self, n: u64) -> Self {
        self.nth = n;
        self
    }

    fn new(what: What) -> Self {
        Self { what, query: Vec::new(), containing: Vec::new(), longer_than: None, nth: 1 }
    }

    /// Whether a request is one of these, not looking at its turn.
    pub(super) fn covers(&self, asked: &Asked, world: &World) -> bool {
        let part = match &asked.target {
            Target::Repository(_, part) => Some(*part),
            _ => None,
        };
        let of = |name: &str| part.is_some() && leads_to(asked, name, world);
        let reads = |wanted: Part| part == Some(wanted) && asked.method == Method::GET;
        let covered = match &self.what {
            What::Anything => true,
            What::Path(path) => asked.path == *path,
            What::AnyOf(name) => of(name),
            What::AnyListing => reads(Part::Issues),
            What::Repository(name) => reads(Part::Itself) && of(name),
            What::Listing(name) => reads(Part::Issues) && of(name),
            What::Issue(name, number) => reads(Part::Issue(*number)) && of(name),
            What::GraphQl => asked.graphql.is_some(),
            What::TokenRequest => matches!(asked.target, Target::InstallationTokens(_)),
        };
        let contains = |name: &String| {
            let call = asked.graphql.as_ref();
            call.is_some_and(|call| call.repositories.iter().any(|asked| world.same_repository(asked, name)))
        };
        let length = || match &asked.graphql {
            Some(call) => call.logged().variables["first"].as_u64(),
            None => asked.parameter("per_page").and_then(|length| length.parse().ok()),
        };
        covered
            && self.longer_than.is_none_or(|most| length().is_some_and(|length| length > most))
            && self.containing.iter().all(contains)
            && self.query.iter().all(|(name, value)| asked.parameter(name) == Some(value))
    }
}

fn leads_to(asked: &Asked, name: &str, world: &World) -> bool {
    match world.named(name) {
        Named::Current(id) | Named::Former(id) => asked.repository_id(world) == Some(id),
        // Also what GitHub does not have can be asked for.
        Named::Unknown => match &asked.target {
            Target::Repository(Address::Name(asked), _) => asked.eq_ignore_ascii_case(name),
            _ => false,
        },
    }
}
