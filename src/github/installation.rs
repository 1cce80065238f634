//! The tokens of a GitHub App's installation: asked for as the App, good for an hour, shared by the whole sandbox.
//!
//! How long one is good is GitHub's word by GitHub's clock, `expires_at` less the `Date` of the same answer. Our clock
//! only counts that off, so it need not agree with GitHub's.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;

use crate::domain::{Api, Fingerprint};
use crate::secrets::Secret;

use super::app_key::AppKey;
use super::credentials::{Identity, Installation, Reading, Token};
use super::error::Unauthorized;
use super::session::Question;
use super::{Failure, GitHubError, Session, wire};

/// So long before it expires a token is renewed.
const AHEAD: Duration = Duration::from_secs(300);

/// At least so long lies between two renewals of a token that still serves.
const BETWEEN_RENEWALS: Duration = Duration::from_secs(30);

/// What a sandbox knows of its installation's token.
#[derive(Debug, Default)]
pub(super) struct InstallationTokens {
    current: Mutex<Option<Issued>>,
    // Held while a token is asked for, so that many callers cause one request.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug)]
struct Issued {
    token: Token,
    /// From then on it is to be renewed, and serves on.
    due_at: Timestamp,
    expires_at: Timestamp,
}

/// What a pass has tried to get a token. It tries nothing twice: the next pass may.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    /// Whether a token that GitHub refused was renewed.
    has_renewed: AtomicBool,
    /// The key with which no token was to be had, and why.
    failed: Mutex<Option<(Arc<AppKey>, GitHubError)>>,
}

impl InstallationTokens {
    /// The token at hand, if it is this installation's and good now.
    fn at_hand(&self, installation: &Installation, now: Timestamp) -> Option<Issued> {
        let current = self.current.lock().expect(NOTHING_PANICS);
        current.clone().filter(|issued| issued.token.owner == installation.owner && now < issued.expires_at)
    }

    fn keep(&self, issued: Issued) {
        *self.current.lock().expect(NOTHING_PANICS) = Some(issued);
    }

    /// It could not be renewed yet.
    fn put_off(&self, owner: &Fingerprint, now: Timestamp) {
        let mut current = self.current.lock().expect(NOTHING_PANICS);
        if let Some(issued) = current.as_mut().filter(|issued| issued.token.owner == *owner) {
            issued.due_at = later(now, BETWEEN_RENEWALS);
        }
    }
}

impl Attempts {
    fn failure_with(&self, key: &Arc<AppKey>) -> Option<GitHubError> {
        let failed = self.failed.lock().expect(NOTHING_PANICS);
        failed.as_ref().filter(|(failed, _)| Arc::ptr_eq(failed, key)).map(|(_, error)| error.clone())
    }

    fn failed_with(&self, key: &Arc<AppKey>, error: &GitHubError) {
        *self.failed.lock().expect(NOTHING_PANICS) = Some((Arc::clone(key), error.clone()));
    }
}

impl Session<'_> {
    /// What to ask this API of GitHub with. None is asked for that a limit would leave without use.
    pub(super) async fn token(&self, reading: &Reading, api: Api) -> Result<Token, GitHubError> {
        match reading {
            Ok(Identity::Token(token)) => Ok(token.clone()),
            Ok(Identity::Installation(installation)) => {
                self.check_open(&installation.owner, api)?;
                self.installation_token(installation).await
            }
            Err(bad) => Err(bad.clone().into()),
        }
    }

    /// Another token of the same identity than the one that GitHub refused; none where there is no other to be had.
    pub(super) async fn renewed(
        &self,
        reading: &Reading,
        refused: &Token,
    ) -> Result<Option<Token>, GitHubError> {
        let Ok(Identity::Installation(installation)) = reading else {
            return Ok(None);
        };
        let tokens = &self.github.installation_tokens;
        let _alone = tokens.asking.lock().await;
        let at_hand = tokens.at_hand(installation, self.now());
        if let Some(other) = at_hand.filter(|issued| issued.token.token != refused.token) {
            return Ok(Some(other.token));
        }
        if self.attempts.has_renewed.swap(true, Ordering::Relaxed) {
            return self.attempts.failure_with(&installation.key).map_or(Ok(None), Err);
        }
        self.new_token(installation).await.map(Some)
    }

    async fn installation_token(&self, installation: &Installation) -> Result<Token, GitHubError> {
        let tokens = &self.github.installation_tokens;
        let Some(issued) = tokens.at_hand(installation, self.now()) else {
            let _alone = tokens.asking.lock().await;
            // Who waited finds what the one before got.
            return match tokens.at_hand(installation, self.now()) {
                Some(issued) => Ok(issued.token),
                None => self.new_token(installation).await,
            };
        };
        if self.now() < issued.due_at {
            return Ok(issued.token);
        }
        // One renews it; the others go on with what serves.
        let Ok(_alone) = tokens.asking.try_lock() else {
            return Ok(issued.token);
        };
        match self.ask_for_token(installation, |_| false).await {
            Ok(renewed) => Ok(renewed),
            Err(error) => {
                tracing::warn!(cause = %error, "The token of the App's installation was not renewed yet.");
                tokens.put_off(&installation.owner, self.now());
                Ok(issued.token)
            }
        }
    }

    /// Without this one nothing can be asked.
    async fn new_token(&self, installation: &Installation) -> Result<Token, GitHubError> {
        if let Some(error) = self.attempts.failure_with(&installation.key) {
            return Err(error);
        }
        let asked = self.ask_for_token(installation, |_| true).await;
        if let Err(error) = &asked {
            self.attempts.failed_with(&installation.key, error);
        }
        asked
    }

    async fn ask_for_token(
        &self,
        installation: &Installation,
        heals: fn(Failure) -> bool,
    ) -> Result<Token, GitHubError> {
        let Installation { id, owner, key, app } = installation;
        let asked_at = self.now();
        let as_app = Token { token: key.sign(asked_at), owner: app.clone(), refused: Unauthorized::App };
        let question = Question::Post(self.url(&format!("app/installations/{id}/access_tokens")));
        let answer = self.ask_patiently(&question, &as_app, heals).await?;
        match answer.status {
            StatusCode::CREATED => {}
            StatusCode::NOT_FOUND => return Err(Unauthorized::NoInstallation(*id).into()),
            _ => return Err(answer.unexpected()),
        }
        let wire::InstallationToken { token, expires_at } = answer.json()?;
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(GitHubError::Unexpected("a token that cannot stand in a header".to_owned()));
        }
        let good_for = Duration::try_from(expires_at.duration_since(answer.date)).unwrap_or_default();
        let token = Token {
            token: Secret::new(&token),
            owner: owner.clone(),
            refused: Unauthorized::InstallationToken,
        };
        self.github.installation_tokens.keep(Issued {
            token: token.clone(),
            due_at: later(asked_at, good_for.saturating_sub(AHEAD).max(BETWEEN_RENEWALS)),
            expires_at: later(asked_at, good_for),
        });
        Ok(token)
    }
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(at)
}

const NOTHING_PANICS: &str = "nothing panics while it holds a token";
