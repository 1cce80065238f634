//! Secrets from AWS Secrets Manager, cached in the execution environment, and never printed.
//!
//! Only the current version (`AWSCURRENT`) is ever read, so a rotation revokes the old value within one cache lifetime.
//! A version is parsed when it is read, not when it is used, so callers cannot cause repeated parsing.
//!
//! [`Secret`] is our own: the crate `secrecy` would add zeroing of memory, which cannot reach the copies in the SDK's
//! answer, in JSON and in headers, and lacks the cheap clones and the comparison of versions that are needed here.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::domain::unwrapped;
use crate::telemetry;

/// A secret's text. It cannot be printed, and [`Secret::expose`] shows each place that uses it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// A secret with this text.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why a secret cannot be read. The cause is in the log; it may name the secret and never contains its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret cannot be read from Secrets Manager")]
pub struct SecretUnavailable;

/// Why a read of a secret failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ReadFailed(String);

/// How long a cached secret is used.
#[derive(Clone, Copy, Debug)]
pub struct SecretLifetimes {
    /// Up to this age the cached version is used without a read.
    pub fresh: Duration,
    /// Up to this age it is used while Secrets Manager does not answer.
    pub stale: Duration,
    /// The shortest time between two reads after a rejected value or a failure, so that callers cannot flood Secrets
    /// Manager.
    pub between_rereads: Duration,
}

impl Default for SecretLifetimes {
    fn default() -> Self {
        Self {
            fresh: Duration::from_secs(60),
            stale: Duration::from_secs(3_600),
            between_rereads: Duration::from_secs(10),
        }
    }
}

/// One secret, read at its first use and cached from then on.
#[derive(Debug)]
pub struct CachedSecret<T> {
    client: Client,
    secret_id: String,
    parse: fn(&Secret) -> T,
    lifetimes: SecretLifetimes,
    clock: Clock,
    /// Locked during a read, so that many callers cause one read.
    state: Mutex<State<T>>,
}

/// A version of a secret, as it was read.
#[derive(Debug)]
pub struct Version<T> {
    text: Secret,
    /// The parsed text.
    pub parsed: T,
}

#[derive(Debug)]
struct State<T> {
    cached: Option<(Arc<Version<T>>, Timestamp)>,
    failed_at: Option<Timestamp>,
    reread_at: Option<Timestamp>,
}

impl<T> CachedSecret<T> {
    /// A secret by its name or ARN. `parse` reads each version once. No request is sent yet.
    pub fn new(
        client: Client,
        secret_id: &str,
        parse: fn(&Secret) -> T,
        lifetimes: SecretLifetimes,
        clock: Clock,
    ) -> Self {
        let state = Mutex::new(State { cached: None, failed_at: None, reread_at: None });
        Self { client, secret_id: secret_id.to_owned(), parse, lifetimes, clock, state }
    }

    /// Reads the secret before its first use.
    ///
    /// # Errors
    /// [`ReadFailed`] if Secrets Manager returns no text. The failure is not remembered: the first
    /// [`CachedSecret::get`] reads again.
    pub async fn prefetch(&self) -> Result<Arc<Version<T>>, ReadFailed> {
        let mut state = self.state.lock().await;
        let now = self.clock.now();
        let version = self.fetch(&state).await?;
        state.cached = Some((Arc::clone(&version), now));
        Ok(version)
    }

    /// The secret as it was read at most a minute ago, or up to an hour ago while Secrets Manager is down.
    ///
    /// # Errors
    /// [`SecretUnavailable`] if there is no such version.
    pub async fn get(&self) -> Result<Arc<Version<T>>, SecretUnavailable> {
        let mut state = self.state.lock().await;
        let now = self.clock.now();
        match &state.cached {
            Some((version, read_at)) if is_younger(*read_at, now, self.lifetimes.fresh) => {
                Ok(Arc::clone(version))
            }
            _ => self.read(&mut state, now).await,
        }
    }

    /// Reads the secret again because the value of `rejected` was not accepted, so that a rotation takes effect at
    /// once. `None` if it has not changed, or was read again for this reason less than ten seconds ago.
    pub async fn reread(&self, rejected: &Version<T>) -> Option<Arc<Version<T>>> {
        let mut state = self.state.lock().await;
        let now = self.clock.now();
        // Another caller may have read the new version meanwhile.
        if let Some((version, _)) = &state.cached
            && version.text != rejected.text
        {
            return Some(Arc::clone(version));
        }
        if state.reread_at.is_some_and(|at| is_younger(at, now, self.lifetimes.between_rereads)) {
            return None;
        }
        state.reread_at = Some(now);
        self.read(&mut state, now).await.ok().filter(|version| version.text != rejected.text)
    }

    async fn read(&self, state: &mut State<T>, now: Timestamp) -> Result<Arc<Version<T>>, SecretUnavailable> {
        let has_just_failed =
            state.failed_at.is_some_and(|at| is_younger(at, now, self.lifetimes.between_rereads));
        if !has_just_failed {
            match self.fetch(state).await {
                Ok(version) => {
                    state.cached = Some((Arc::clone(&version), now));
                    state.failed_at = None;
                    return Ok(version);
                }
                Err(error) => {
                    tracing::error!(
                        secret.id = self.secret_id,
                        cause = %error,
                        "Failed to read the secret {} from Secrets Manager.",
                        self.secret_id
                    );
                    state.failed_at = Some(now);
                }
            }
        }
        match &state.cached {
            Some((version, read_at)) if is_younger(*read_at, now, self.lifetimes.stale) => {
                Ok(Arc::clone(version))
            }
            _ => Err(SecretUnavailable),
        }
    }

    /// The current version: the cached one where that is still the same.
    async fn fetch(&self, state: &State<T>) -> Result<Arc<Version<T>>, ReadFailed> {
        let response = self.client.get_secret_value().secret_id(&self.secret_id).send().await;
        let response = response.map_err(|error| ReadFailed(telemetry::causes(&error)))?;
        let text = response.secret_string().ok_or_else(|| ReadFailed("it has no text value".to_owned()))?;
        let text = Secret::new(&unwrapped(text));
        let known = state.cached.as_ref().filter(|(version, _)| version.text == text);
        Ok(match known {
            Some((version, _)) => Arc::clone(version),
            None => Arc::new(Version { parsed: (self.parse)(&text), text }),
        })
    }
}

fn is_younger(at: Timestamp, now: Timestamp, than: Duration) -> bool {
    now.duration_since(at).unsigned_abs() < than
}
