//! Which token a request is sent with. The token of a GitHub App's installation is requested as the App, and is valid
//! for an hour.
//!
//! Its lifetime is measured by GitHub's clock: `expires_at` minus the `Date` of the same answer. Our clock only
//! measures how much of it has passed, so both clocks need not agree.
//!
//! For some seconds not all of GitHub's servers know a new token. They answer 401 while they do not find it, and 403
//! while they do not know its permissions (octokit/auth-app.js issues 65 and 589). So it is sent again before another
//! is requested, and the pass that renews a token continues with the old one.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;

use crate::domain::{Api, Fingerprint};
use crate::secrets::Secret;

use super::answer::Answer;
use super::credentials::{Account, Installation, Token};
use super::effort::Effort;
use super::error::{GitHubError, Policy, Unauthorized};
use super::exchange::{Exchange, Request};
use super::failure::Failure;
use super::installation::{BETWEEN_RENEWALS, Issued, later};
use super::wire;

/// How long before its expiry a token is renewed.
const RENEWED_AHEAD: Duration = Duration::from_secs(300);

/// How long after its issue a token may be refused because it is new.
const NEW_FOR: Duration = Duration::from_secs(10);

/// Chooses the token of each request of one pass, and requests tokens of installations.
#[derive(Debug)]
pub(super) struct Tokens<'a> {
    pub(super) exchange: Exchange<'a>,
    attempts: Attempts,
}

/// The attempts of a pass to get tokens. It repeats none of them; the next pass may.
#[derive(Debug, Default)]
struct Attempts {
    /// The installations whose token GitHub refused and that got a new one.
    renewed: Mutex<HashSet<Fingerprint>>,
    /// Tokens that this pass renewed early. It continues to use the old ones.
    serving: Mutex<HashMap<Fingerprint, Issued>>,
    /// The installations without a token, and why.
    failed: Mutex<Vec<(Installation, GitHubError)>>,
    /// Locked while a token is requested with a key that GitHub may refuse, or to replace one that is still valid. So
    /// an App that GitHub refuses sends one request, however many installations it has.
    as_app: tokio::sync::Mutex<()>,
}

impl Attempts {
    /// The old token of an installation whose token was renewed in this pass, if it is still valid.
    fn serving(&self, installation: &Installation, now: Timestamp) -> Option<Token> {
        let serving = self.serving.lock().expect(NOTHING_PANICS);
        serving
            .get(&installation.account)
            .filter(|issued| now < issued.expires_at)
            .map(|old| old.token.clone())
    }

    /// Why this installation has no token: GitHub refused one for it with this key, or refused the App itself.
    fn failure_of(&self, installation: &Installation) -> Option<GitHubError> {
        let failed = self.failed.lock().expect(NOTHING_PANICS);
        let concerns = |(failed, error): &&(Installation, GitHubError)| {
            Arc::ptr_eq(&failed.key, &installation.key)
                && (failed.account == installation.account || is_refusal_of_app(error))
        };
        failed.iter().find(concerns).map(|(_, error)| error.clone())
    }

    fn note_failure(&self, installation: &Installation, error: &GitHubError) {
        self.failed.lock().expect(NOTHING_PANICS).push((installation.clone(), error.clone()));
    }
}

fn is_refusal_of_app(error: &GitHubError) -> bool {
    *error == GitHubError::Unauthorized(Unauthorized::App)
}

impl<'a> Tokens<'a> {
    pub(super) fn new(exchange: Exchange<'a>) -> Self {
        Self { exchange, attempts: Attempts::default() }
    }

    /// The token for a request to this API. None is requested while a limit blocks that API.
    pub(super) async fn token(&self, account: &Account, api: Api) -> Result<Token, GitHubError> {
        match account {
            Account::Token(token) => Ok(token.clone()),
            Account::Installation(installation) => {
                self.exchange.check_not_blocked(&installation.account, api)?;
                self.installation_token(installation).await
            }
        }
    }

    /// Sends a request with this token. If GitHub refuses a new token, the request is sent again after each wait, while
    /// the token is new and there is time.
    pub(super) async fn send_with(
        &self,
        token: &Token,
        request: &Request,
        effort: Effort,
    ) -> Result<Answer, GitHubError> {
        let mut answered = self.exchange.send(request, token, effort).await;
        for wait in self.exchange.github.retry.new_token_waits() {
            let is_refused =
                matches!(answered, Err(GitHubError::Unauthorized(_) | GitHubError::Forbidden { .. }));
            let is_new = token.new_until.is_some_and(|until| self.exchange.now() < until);
            if !(is_refused && is_new && wait < self.exchange.left_until(effort.until)) {
                break;
            }
            tokio::time::sleep(wait).await;
            answered = self.exchange.send(request, token, effort).await;
        }
        answered
    }

    /// A new token of the same account, to replace the one that GitHub refused. `None` if there is none.
    pub(super) async fn renewed(
        &self,
        account: &Account,
        refused: &Token,
    ) -> Result<Option<Token>, GitHubError> {
        let Account::Installation(installation) = account else {
            return Ok(None);
        };
        self.attempts.serving.lock().expect(NOTHING_PANICS).remove(&installation.account);
        let known = self.exchange.github.installation_tokens.of(installation);
        let _alone = known.requesting.lock().await;
        if let Some(other) =
            known.unexpired(self.exchange.now()).filter(|issued| issued.token.token != refused.token)
        {
            return Ok(Some(other.token));
        }
        let is_first =
            self.attempts.renewed.lock().expect(NOTHING_PANICS).insert(installation.account.clone());
        if !is_first {
            return self.attempts.failure_of(installation).map_or(Ok(None), Err);
        }
        self.new_token(installation).await.map(Some)
    }

    async fn installation_token(&self, installation: &Installation) -> Result<Token, GitHubError> {
        if let Some(token) = self.attempts.serving(installation, self.exchange.now()) {
            return Ok(token);
        }
        let known = self.exchange.github.installation_tokens.of(installation);
        let Some(issued) = known.unexpired(self.exchange.now()) else {
            let _alone = known.requesting.lock().await;
            // Another caller may have requested a token while this one waited.
            return match known.unexpired(self.exchange.now()) {
                Some(issued) => Ok(issued.token),
                None => self.new_token(installation).await,
            };
        };
        if self.exchange.now() < issued.due_at {
            return Ok(issued.token);
        }
        // One caller renews it, one token at a time; the others continue with the valid one.
        let (Ok(_alone), Ok(_as_app)) = (known.requesting.try_lock(), self.attempts.as_app.try_lock()) else {
            return Ok(issued.token);
        };
        if self.attempts.failure_of(installation).is_some() {
            return Ok(issued.token);
        }
        match self.request_token(installation, |_| false).await {
            Ok(_) => {
                // The next pass begins with the new one.
                let token = issued.token.clone();
                self.attempts
                    .serving
                    .lock()
                    .expect(NOTHING_PANICS)
                    .insert(installation.account.clone(), issued);
                Ok(token)
            }
            Err(error) => {
                tracing::warn!(
                    github.installation_id = installation.id,
                    cause = %error,
                    "Failed to renew the token of installation {} of the GitHub App; the current one is still valid.",
                    installation.id
                );
                if is_refusal_of_app(&error) {
                    self.attempts.note_failure(installation, &error);
                }
                known.postpone_renewal(self.exchange.now());
                Ok(issued.token)
            }
        }
    }

    /// Requests a token for an installation that has none.
    async fn new_token(&self, installation: &Installation) -> Result<Token, GitHubError> {
        let key = &installation.key;
        let _first = match key.was_tried() {
            true => None,
            // A caller that waited for the first request does not wait for others.
            false => Some(self.attempts.as_app.lock().await).filter(|_| !key.was_tried()),
        };
        if let Some(error) = self.attempts.failure_of(installation) {
            return Err(error);
        }
        let token = self.request_token(installation, |_| true).await;
        if let Err(error) = &token {
            self.attempts.note_failure(installation, error);
        }
        if !token.as_ref().is_err_and(|error| is_refusal_of_app(error) || *error == GitHubError::Deadline) {
            key.note_tried();
        }
        token
    }

    /// Requests a token as the App, and keeps it for later passes.
    async fn request_token(
        &self,
        installation: &Installation,
        is_transient: fn(Failure) -> bool,
    ) -> Result<Token, GitHubError> {
        let Installation { id, account, key, app } = installation;
        let requested_at = self.exchange.now();
        let as_app = Token {
            token: key.sign(requested_at),
            account: app.clone(),
            refused: Unauthorized::App,
            new_until: None,
        };
        let request = Request::Post(self.exchange.url(&format!("app/installations/{id}/access_tokens")));
        let answer = self.exchange.send(&request, &as_app, self.exchange.effort(is_transient)).await;
        // A 403 here forbids the token itself, not one of the requests that it is for.
        let answer = answer.map_err(|error| match error {
            GitHubError::Forbidden { .. } => Policy::AppToken.into(),
            error => error,
        })?;
        match answer.status {
            StatusCode::CREATED => {}
            StatusCode::NOT_FOUND if answer.is_githubs_error() => {
                return Err(answer.received.logged(Unauthorized::NoInstallation(*id).into()));
            }
            _ => return Err(answer.unexpected()),
        }
        let wire::InstallationToken { token, expires_at } = answer.json()?;
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let why = "a token that is not valid in a header".to_owned();
            return Err(answer.received.logged(GitHubError::Unexpected(why)));
        }
        let valid_for = Duration::try_from(expires_at.duration_since(answer.date)).unwrap_or_default();
        let token = Token {
            token: Secret::new(&token),
            account: account.clone(),
            refused: Unauthorized::InstallationToken,
            new_until: Some(later(requested_at, NEW_FOR)),
        };
        self.exchange.github.installation_tokens.of(installation).keep(Issued {
            token: token.clone(),
            due_at: later(requested_at, valid_for.saturating_sub(RENEWED_AHEAD).max(BETWEEN_RENEWALS)),
            expires_at: later(requested_at, valid_for),
        });
        Ok(token)
    }
}

const NOTHING_PANICS: &str = "nothing panics while it holds a token";
