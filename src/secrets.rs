//! Secrets from AWS Secrets Manager, cached in the sandbox, and never printed.
//!
//! Only the current version (`AWSCURRENT`) is ever read, so that a rotation revokes within one cache lifetime.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::clock::Clock;
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

/// Why a secret cannot be had. The cause is in the log; it may name the secret but never tells its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret cannot be read from Secrets Manager")]
pub struct SecretUnavailable;

/// Why one reading of a secret failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ReadingFailed(String);

/// How long a secret is believed.
#[derive(Clone, Copy, Debug)]
pub struct SecretLifetimes {
    /// Younger than this, the cached text is used without a look.
    pub fresh: Duration,
    /// Up to this age it serves while Secrets Manager does not answer.
    pub stale: Duration,
    /// At least so long lies between two reads that a caller's doubt or a failure causes, so that nobody can
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

/// One secret, read when it is first asked for and cached from then on.
#[derive(Debug)]
pub struct CachedSecret {
    client: Client,
    secret_id: String,
    lifetimes: SecretLifetimes,
    clock: Clock,
    // Held while reading, so that many callers cause one read.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    cached: Option<(Secret, Timestamp)>,
    failed_at: Option<Timestamp>,
    reread_at: Option<Timestamp>,
}

impl CachedSecret {
    /// A secret by its name or ARN. Nothing is read yet.
    pub fn new(client: Client, secret_id: &str, lifetimes: SecretLifetimes, clock: Clock) -> Self {
        Self { client, secret_id: secret_id.to_owned(), lifetimes, clock, state: Mutex::default() }
    }

    /// Reads the secret ahead of its first use. A failure is forgotten: the first [`CachedSecret::get`] then reads
    /// as if nobody had tried.
    pub async fn prefetch(&self) -> Result<(), ReadingFailed> {
        let mut state = self.state.lock().await;
        let now = self.clock.now();
        let secret = self.ask().await?;
        state.cached = Some((secret, now));
        Ok(())
    }

    /// The secret as it was read at most a minute ago, or up to an hour ago while Secrets Manager is down.
    pub async fn get(&self) -> Result<Secret, SecretUnavailable> {
        let mut state = self.state.lock().await;
        let now = self.clock.now();
        match &state.cached {
            Some((secret, read_at)) if is_younger(*read_at, now, self.lifetimes.fresh) => Ok(secret.clone()),
            _ => self.read(&mut state, now).await,
        }
    }

    /// The secret read afresh because `doubted` did not serve: a rotation works at once. None when it is still
    /// the same, or was read for a doubt less than ten seconds ago.
    pub async fn reread(&self, doubted: &Secret) -> Option<Secret> {
        let mut state = self.state.lock().await;
        let now = self.clock.now();
        // Another caller may have doubted the same text and read the new one meanwhile.
        if let Some((secret, _)) = &state.cached
            && secret != doubted
        {
            return Some(secret.clone());
        }
        if state.reread_at.is_some_and(|at| is_younger(at, now, self.lifetimes.between_rereads)) {
            return None;
        }
        state.reread_at = Some(now);
        self.read(&mut state, now).await.ok().filter(|secret| secret != doubted)
    }

    async fn read(&self, state: &mut State, now: Timestamp) -> Result<Secret, SecretUnavailable> {
        let has_just_failed =
            state.failed_at.is_some_and(|at| is_younger(at, now, self.lifetimes.between_rereads));
        if !has_just_failed {
            match self.ask().await {
                Ok(secret) => {
                    *state = State { cached: Some((secret.clone(), now)), failed_at: None, ..*state };
                    return Ok(secret);
                }
                Err(error) => {
                    tracing::error!(secret.id = self.secret_id, cause = %error, "The secret could not be read.");
                    state.failed_at = Some(now);
                }
            }
        }
        match &state.cached {
            Some((secret, read_at)) if is_younger(*read_at, now, self.lifetimes.stale) => Ok(secret.clone()),
            _ => Err(SecretUnavailable),
        }
    }

    async fn ask(&self) -> Result<Secret, ReadingFailed> {
        let asked = self.client.get_secret_value().secret_id(&self.secret_id).send().await;
        let answer = asked.map_err(|error| ReadingFailed(telemetry::causes(&error)))?;
        let text = answer.secret_string().ok_or_else(|| ReadingFailed("it holds no text".to_owned()))?;
        Ok(Secret::new(text.trim()))
    }
}

fn is_younger(at: Timestamp, now: Timestamp, than: Duration) -> bool {
    now.duration_since(at).unsigned_abs() < than
}
