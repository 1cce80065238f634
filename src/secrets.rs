//! Secrets from AWS Secrets Manager, cached in the execution environment, and never printed.
//!
//! Only the current version (`AWSCURRENT`) is ever read, so that a rotation revokes within one cache lifetime. What
//! a version says is parsed when it is read, not when it is used: nobody can make that expensive.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::domain::unwrapped;
use crate::telemetry;

/// A secret's text. It cannot be printed; [`Secret::expose`] marks each place that uses it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a text.
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

/// Why one reading of a secret failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ReadFailed(String);

/// How long a secret is believed.
#[derive(Clone, Copy, Debug)]
pub struct SecretLifetimes {
    /// Younger than this, the cached text is used without a look.
    pub fresh: Duration,
    /// Up to this age it serves while Secrets Manager does not answer.
    pub stale: Duration,
    /// The shortest time between two reads that a caller's doubt or a failure causes, so that nobody can
    /// make us hammer Secrets Manager.
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
    // Held while reading, so that many callers cause one read.
    state: Mutex<State<T>>,
}

/// A version of a secret, as it was read.
#[derive(Debug)]
pub struct Version<T> {
    text: Secret,
    /// What it says.
    pub says: T,
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

    /// Reads the secret ahead of its first use. A failure is forgotten: the first [`CachedSecret::get`] then reads
    /// as if nobody had tried.
    pub async fn prefetch(&self) -> Result<Arc<Version<T>>, ReadFailed> {
        let mut state = self.state.lock().await;
        let now = self.clock.now();
        let version = self.fetch(&state).await?;
        state.cached = Some((Arc::clone(&version), now));
        Ok(version)
    }

    /// The secret as it was read at most a minute ago, or up to an hour ago while Secrets Manager is down.
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

    /// The secret read afresh because `doubted` did not serve: a rotation works at once. None when it is still
    /// the same, or was read for a doubt less than ten seconds ago.
    pub async fn reread(&self, doubted: &Version<T>) -> Option<Arc<Version<T>>> {
        let mut state = self.state.lock().await;
        let now = self.clock.now();
        // Another caller may have doubted the same version and read the new one meanwhile.
        if let Some((version, _)) = &state.cached
            && version.text != doubted.text
        {
            return Some(Arc::clone(version));
        }
        if state.reread_at.is_some_and(|at| is_younger(at, now, self.lifetimes.between_rereads)) {
            return None;
        }
        state.reread_at = Some(now);
        self.read(&mut state, now).await.ok().filter(|version| version.text != doubted.text)
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
                    tracing::error!(secret.id = self.secret_id, cause = %error, "The secret could not be read.");
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
        let asked = self.client.get_secret_value().secret_id(&self.secret_id).send().await;
        let answer = asked.map_err(|error| ReadFailed(telemetry::causes(&error)))?;
        let text = answer.secret_string().ok_or_else(|| ReadFailed("it holds no text".to_owned()))?;
        let text = Secret::new(&unwrapped(text));
        let known = state.cached.as_ref().filter(|(version, _)| version.text == text);
        Ok(match known {
            Some((version, _)) => Arc::clone(version),
            None => Arc::new(Version { says: (self.parse)(&text), text }),
        })
    }
}

fn is_younger(at: Timestamp, now: Timestamp, than: Duration) -> bool {
    now.duration_since(at).unsigned_abs() < than
}
