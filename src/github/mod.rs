//! The client for GitHub: what we read of its REST and GraphQL APIs, one request at a time, within a deadline.
//!
//! It follows no redirect unasked, since a redirect tells of a rename or a transfer; it knows GitHub's limits
//! and repeats what can heal. It decides nothing about issues.

mod app_key;
mod credentials;
mod error;
mod forbidden;
mod graphql;
mod installation;
mod listing;
mod meter;
mod open_issues;
mod probe;
mod repository;
mod retry;
mod session;
mod web;
mod wire;

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use jiff::Timestamp;
use url::Url;

pub use credentials::{Credentials, Identity, Installation, Reading, Token};
pub use error::{BadCredentials, Failure, GitHubError, NoGraphql, Unauthorized};
pub use listing::{Complete, Listing, Page, Scope};
pub use open_issues::{OpenIssues, OpenPage, SeenOpen};
pub use repository::{IssueAnswer, Probe, Repository};
pub use retry::RetryPolicy;
pub use session::{Asked, Session};

use crate::clock::Clock;
use crate::domain::{Api, Fingerprint, TokenLimits};
use crate::secrets::ReadingFailed;
use crate::telemetry;
use crate::transport::{Transport, TransportError};

use installation::InstallationTokens;
use meter::Limit;
use web::Web;

/// Why no connection to GitHub could be opened.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(String);

/// GitHub at one address, asked as one identity.
#[derive(Debug)]
pub struct GitHub {
    http: reqwest::Client,
    api_url: Url,
    graphql_url: Url,
    web: Web,
    credentials: Credentials,
    installation_tokens: InstallationTokens,
    retry: RetryPolicy,
    clock: Clock,
    /// What is known of the limits of the last tokens' owners, the one that was used last first.
    limits: Mutex<Vec<TokenLimits>>,
    /// How many repositories a probe asks for at once: fewer while so many are too much for GitHub.
    probe_batch: AtomicUsize,
}

/// Where GitHub's two APIs are.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The REST API's, without a slash at the end.
    pub api: Url,
    /// The GraphQL API's.
    pub graphql: Url,
}

impl GitHub {
    /// A client. Nothing is sent yet.
    pub fn new(
        transport: &Transport,
        addresses: Addresses,
        credentials: Credentials,
        retry: RetryPolicy,
        clock: Clock,
    ) -> Result<Self, TransportError> {
        let http = transport
            .client()
            // GitHub refuses requests without one.
            .user_agent(concat!("agent-heartbeat/", env!("CARGO_PKG_VERSION")))
            // GitHub allows 100 concurrent requests; a pass has far fewer under way.
            .pool_idle_timeout(Duration::from_secs(50))
            .build()?;
        let Addresses { api, graphql } = addresses;
        Ok(Self {
            http,
            web: Web::beside(&api),
            api_url: api,
            graphql_url: graphql,
            credentials,
            installation_tokens: InstallationTokens::default(),
            retry,
            clock,
            limits: Mutex::default(),
            probe_batch: AtomicUsize::new(probe::BATCH),
        })
    }

    /// The calls of one pass: none is sent after `deadline`, nor against the limits that are `known` from other
    /// sandboxes.
    pub fn session(&self, deadline: Timestamp, known: &[TokenLimits]) -> Session<'_> {
        self.learn(known);
        Session::new(self, deadline)
    }

    /// Reads the credentials' secret ahead of its first use.
    pub async fn prefetch_credentials(&self) -> Result<(), ReadingFailed> {
        self.credentials.prefetch().await
    }

    /// Gets the token of an App's installation ahead of its first use, until `deadline` at the latest. A lasting token
    /// needs nothing.
    pub async fn prefetch_token(&self, deadline: Timestamp) -> Result<(), GitHubError> {
        let version = self.credentials.current().await?;
        self.session(deadline, &[]).token(&version.says, Api::GraphQl).await.map(drop)
    }

    /// Opens a connection that the first pass will find. Whatever GitHub answers will do; no token is sent, so
    /// that nothing of its budget is spent.
    pub async fn connect(&self) -> Result<(), Unreachable> {
        match self.http.head(self.api_url.clone()).send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(Unreachable(telemetry::causes(&error.without_url()))),
        }
    }

    fn limits(&self) -> Vec<TokenLimits> {
        self.limits.lock().expect(NOTHING_PANICS).clone()
    }

    /// Reads the limits of the token that was used last; none before one was used.
    fn in_use<T>(&self, read: impl FnOnce(&TokenLimits) -> Option<T>) -> Option<T> {
        self.limits.lock().expect(NOTHING_PANICS).first().and_then(read)
    }

    /// Takes in what another sandbox knows.
    fn learn(&self, known: &[TokenLimits]) {
        let mut limits = self.limits.lock().expect(NOTHING_PANICS);
        for known in known {
            match limits.iter_mut().find(|limits| limits.are_those_of(known)) {
                Some(limits) => limits.merge(known),
                None => limits.push(known.clone()),
            }
        }
        limits.truncate(MOST_TOKENS);
    }

    /// Reads or notes the limits of whom the token at hand is of.
    fn with_limits<T>(&self, owner: &Fingerprint, act: impl FnOnce(&mut TokenLimits) -> T) -> T {
        let mut limits = self.limits.lock().expect(NOTHING_PANICS);
        let place = limits.iter().position(|limits| limits.are_of(owner));
        let known = place.map(|place| limits.remove(place)).unwrap_or_else(|| TokenLimits::of(owner));
        limits.insert(0, known);
        limits.truncate(MOST_TOKENS);
        act(&mut limits[0])
    }

    /// Notes a limit of the token that was used last.
    fn close(&self, limit: Limit, asked: Api) {
        if let Some(limits) = self.limits.lock().expect(NOTHING_PANICS).first_mut() {
            limit.close(limits, asked);
        }
    }
}

/// While a token is rotated two are in use: some sandboxes still have the old one. So are an App and its installation.
const MOST_TOKENS: usize = 2;

const NOTHING_PANICS: &str = "nothing panics while it holds the limits";
