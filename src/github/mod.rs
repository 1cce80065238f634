//! The client for GitHub's REST API: what we read of it, one request at a time, within a deadline.
//!
//! It follows no redirect unasked, since a redirect tells of a rename or a transfer; it knows GitHub's limits
//! and repeats what can heal. It decides nothing about issues.

mod credentials;
mod error;
mod listing;
mod retry;
mod session;
mod wire;

use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use url::Url;

pub use credentials::Credentials;
pub use error::{Failure, GitHubError};
pub use listing::{Complete, Listing, Page, Scope};
pub use retry::RetryPolicy;
pub use session::{IssueAnswer, Repository, Session};

use crate::clock::Clock;
use crate::secrets::ReadingFailed;
use crate::telemetry;
use crate::transport::{Transport, TransportError};

/// Why no connection to GitHub could be opened.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(String);

/// GitHub's REST API at one address, with one token.
#[derive(Debug)]
pub struct GitHub {
    http: reqwest::Client,
    api_url: Url,
    credentials: Credentials,
    retry: RetryPolicy,
    clock: Clock,
    /// Until when GitHub told us to stay away.
    limited_until: Mutex<Option<Timestamp>>,
}

impl GitHub {
    /// A client. Nothing is sent yet.
    pub fn new(
        transport: &Transport,
        api_url: Url,
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
        Ok(Self { http, api_url, credentials, retry, clock, limited_until: Mutex::new(None) })
    }

    /// The calls of one pass: none is sent after `deadline`.
    pub fn session(&self, deadline: Timestamp) -> Session<'_> {
        Session::new(self, deadline)
    }

    /// Reads the token's secret ahead of its first use.
    pub async fn prefetch_credentials(&self) -> Result<(), ReadingFailed> {
        self.credentials.prefetch().await
    }

    /// Opens a connection that the first pass will find. Whatever GitHub answers will do; no token is sent, so
    /// that nothing of its budget is spent.
    pub async fn connect(&self) -> Result<(), Unreachable> {
        match self.http.head(self.api_url.clone()).send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(Unreachable(telemetry::causes(&error.without_url()))),
        }
    }

    fn limit(&self) -> Option<Timestamp> {
        *self.limited_until.lock().expect("nothing panics while holding the limit")
    }

    fn set_limit(&self, until: Timestamp) {
        let mut limited_until = self.limited_until.lock().expect("nothing panics while holding the limit");
        *limited_until = (*limited_until).max(Some(until));
    }
}
