//! The client: what all passes of this execution environment share.

use std::sync::Mutex;
use std::time::Duration;

use url::Url;

use crate::clock::Clock;
use crate::domain::{AccountLimits, Fingerprint};
use crate::secrets::ReadFailed;
use crate::telemetry;
use crate::transport::{Transport, TransportError};

use super::body::MemoryBudget;
use super::closing_down::ClosingDown;
use super::credentials::Credentials;
use super::installation::InstallationTokens;
use super::retry::RetryPolicy;
use super::web::Web;

/// Why no connection to GitHub could be opened.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(String);

/// The client for one GitHub: github.com or an Enterprise Server.
#[derive(Debug)]
pub struct GitHub {
    pub(super) http: reqwest::Client,
    pub(super) api_url: Url,
    pub(super) graphql_url: Url,
    pub(super) web: Web,
    pub(super) credentials: Credentials,
    pub(super) installation_tokens: InstallationTokens,
    pub(super) retry: RetryPolicy,
    pub(super) clock: Clock,
    pub(super) closing_down: ClosingDown,
    /// The known limits of each account.
    limits: Mutex<Vec<AccountLimits>>,
    /// The memory for all answers together.
    pub(super) memory: MemoryBudget,
}

/// Where GitHub's two APIs are.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The REST API's, without a slash at the end.
    pub api: Url,
    /// The GraphQL API's.
    pub graphql: Url,
    /// The web site's: issues' pages are below it.
    pub server: Url,
}

impl GitHub {
    /// A client. Nothing is sent yet.
    ///
    /// # Errors
    /// [`TransportError`] if the HTTP client cannot be built.
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
            // GitHub allows 100 concurrent requests; a pass has far fewer in flight.
            .pool_idle_timeout(Duration::from_secs(50))
            .build()?;
        let Addresses { api, graphql, server } = addresses;
        Ok(Self {
            http,
            web: Web::new(&server),
            api_url: api,
            graphql_url: graphql,
            credentials,
            installation_tokens: InstallationTokens::default(),
            retry,
            clock,
            closing_down: ClosingDown::default(),
            limits: Mutex::default(),
            memory: MemoryBudget::default(),
        })
    }

    /// Reads the secret with the credentials before its first use.
    ///
    /// # Errors
    /// [`ReadFailed`] if Secrets Manager returns no text. The first use reads again.
    pub async fn prefetch_credentials(&self) -> Result<(), ReadFailed> {
        self.credentials.prefetch().await
    }

    /// Opens a connection for the first pass. Any answer will do. No token is sent, so no budget is used.
    ///
    /// # Errors
    /// [`Unreachable`] if GitHub does not answer.
    pub async fn connect(&self) -> Result<(), Unreachable> {
        match self.http.head(self.api_url.clone()).send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(Unreachable(telemetry::causes(&error.without_url()))),
        }
    }

    /// The limits that other execution environments must know. GitHub's first answer shows them everything else.
    pub(super) fn limits_to_share(&self) -> Vec<AccountLimits> {
        let now = self.clock.now();
        let limits = self.limits.lock().expect(NOTHING_PANICS);
        limits.iter().filter(|limits| limits.holds_back(now)).cloned().collect()
    }

    /// Merges the limits that another execution environment knows, and drops expired ones, since tokens change.
    pub(super) fn learn(&self, known: &[AccountLimits]) {
        let now = self.clock.now();
        let mut limits = self.limits.lock().expect(NOTHING_PANICS);
        for known in known {
            match limits.iter_mut().find(|limits| limits.is_same_account(known)) {
                Some(limits) => limits.merge(known),
                None => limits.push(known.clone()),
            }
        }
        limits.retain(|limits| limits.is_in_force(now));
    }

    /// Reads or notes the limits of an account.
    pub(super) fn with_limits<T>(
        &self,
        account: &Fingerprint,
        act: impl FnOnce(&mut AccountLimits) -> T,
    ) -> T {
        let mut limits = self.limits.lock().expect(NOTHING_PANICS);
        let place = limits.iter().position(|limits| limits.belongs_to(account)).unwrap_or_else(|| {
            limits.push(AccountLimits::of(account));
            limits.len() - 1
        });
        act(&mut limits[place])
    }
}

const NOTHING_PANICS: &str = "nothing panics while it holds the limits";
