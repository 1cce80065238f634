//! Which token a request is sent with. The token of a GitHub App's installation is requested as the App, and is valid for
//! an hour.
//!
//! How long one is good is GitHub's word by GitHub's clock, `expires_at` less the `Date` of the same answer. Our clock
//! only counts that off, so it need not agree with GitHub's.
//!
//! For some seconds a new token is not known to all of GitHub's servers. They answer 401 while they do not find it, and
//! 403 while they do not know its permissions (octokit/auth-app.js issues 65 and 589). So it is sent again before
//! another is asked for, and in the pass that renews a token the old one serves on.

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
use super::exchange::{Exchange, Question};
use super::failure::Failure;
use super::installation::{BETWEEN_RENEWALS, Issued, later};
use super::wire;

/// So long before it expires a token is renewed.
const AHEAD: Duration = Duration::from_secs(300);

/// For so long after it was issued a token may be refused because it is new.
const NEW_FOR: Duration = Duration::from_secs(10);

/// Chooses the token of each request of one pass, and requests new ones.
#[derive(Debug)]
pub(super) struct Tokens<'a> {
    pub(super) exchange: Exchange<'a>,
    attempts: Attempts,
}

/// What a pass has tried to get a token. It tries nothing twice: the next pass may.
#[derive(Debug, Default)]
struct Attempts {
    /// The installations whose token GitHub refused, and that was renewed.
    renewed: Mutex<HashSet<Fingerprint>>,
    /// The tokens that were renewed in this pass and serve on in it.
    serving: Mutex<HashMap<Fingerprint, Issued>>,
    /// The installations that no token was to be had for, and why.
    failed: Mutex<Vec<(Installation, GitHubError)>>,
    // Held while a token is asked for with a key that GitHub may refuse, or in place of one that still serves, so that an
    // App which is refused asks once, however many installations it has.
    as_app: tokio::sync::Mutex<()>,
}

impl Attempts {
    /// The token that was renewed in this pass, if it is good now.
    fn serving(&self, installation: &Installation, now: Timestamp) -> Option<Token> {
        let serving = self.serving.lock().expect(NOTHING_PANICS);
        serving
            .get(&installation.account)
            .filter(|issued| now < issued.expires_at)
            .map(|old| old.token.clone())
    }

    /// Why no token is to be had for this installation: it was refused one with this key, or the App was as such.
    fn failure_of(&self, installation: &Installation) -> Option<GitHubError> {
        let failed = self.failed.lock().expect(NOTHING_PANICS);
        let concerns = |(failed, error): &&(Installation, GitHubError)| {
            Arc::ptr_eq(&failed.key, &installation.key)
                && (failed.account == installation.account || is_of_the_app(error))
        };
        failed.iter().find(concerns).map(|(_, error)| error.clone())
    }

    fn note_failure(&self, installation: &Installation, error: &GitHubError) {
        self.failed.lock().expect(NOTHING_PANICS).push((installation.clone(), error.clone()));
    }
}

fn is_of_the_app(error: &GitHubError) -> bool {
    *error == GitHubError::Unauthorized(Unauthorized::App)
}

impl<'a> Tokens<'a> {
    pub(super) fn new(exchange: Exchange<'a>) -> Self {
        Self { exchange, attempts: Attempts::default() }
    }

    /// What to ask this API of GitHub with. None is asked for that a limit would leave without use.
    pub(super) async fn token(&self, account: &Account, api: Api) -> Result<Token, GitHubError> {
        match account {
            Account::Token(token) => Ok(token.clone()),
            Account::Installation(installation) => {
                self.exchange.check_open(&installation.account, api)?;
                self.installation_token(installation).await
            }
        }
    }

    /// Sends a question with this token. A new one that GitHub refuses is sent again after each wait, while it is new and
    /// there is time.
    pub(super) async fn ask_with(
        &self,
        token: &Token,
        question: &Question,
        effort: Effort,
    ) -> Result<Answer, GitHubError> {
        let mut answered = self.exchange.ask_patiently(question, token, effort).await;
        for wait in self.exchange.github.retry.new_token_waits() {
            let is_refused =
                matches!(answered, Err(GitHubError::Unauthorized(_) | GitHubError::Forbidden { .. }));
            let is_new = token.new_until.is_some_and(|until| self.exchange.now() < until);
            if !(is_refused && is_new && wait < self.exchange.left_until(effort.until)) {
                break;
            }
            tokio::time::sleep(wait).await;
            answered = self.exchange.ask_patiently(question, token, effort).await;
        }
        answered
    }

    /// Another token of the same account than the one that GitHub refused; none where there is no other to be had.
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
        let _alone = known.asking.lock().await;
        if let Some(other) =
            known.at_hand(self.exchange.now()).filter(|issued| issued.token.token != refused.token)
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
        let Some(issued) = known.at_hand(self.exchange.now()) else {
            let _alone = known.asking.lock().await;
            // Who waited finds what the one before got.
            return match known.at_hand(self.exchange.now()) {
                Some(issued) => Ok(issued.token),
                None => self.new_token(installation).await,
            };
        };
        if self.exchange.now() < issued.due_at {
            return Ok(issued.token);
        }
        // One renews it, and one at a time of those that are due; the others go on with what serves.
        let (Ok(_alone), Ok(_as_app)) = (known.asking.try_lock(), self.attempts.as_app.try_lock()) else {
            return Ok(issued.token);
        };
        if self.attempts.failure_of(installation).is_some() {
            return Ok(issued.token);
        }
        match self.ask_for_token(installation, |_| false).await {
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
                tracing::warn!(cause = %error, "The token of the App's installation was not renewed yet.");
                if is_of_the_app(&error) {
                    self.attempts.note_failure(installation, &error);
                }
                known.put_off(self.exchange.now());
                Ok(issued.token)
            }
        }
    }

    /// Without this one nothing can be asked.
    async fn new_token(&self, installation: &Installation) -> Result<Token, GitHubError> {
        let key = &installation.key;
        let _first = match key.was_tried() {
            true => None,
            // Who waited for the first one does not wait for the next.
            false => Some(self.attempts.as_app.lock().await).filter(|_| !key.was_tried()),
        };
        if let Some(error) = self.attempts.failure_of(installation) {
            return Err(error);
        }
        let asked = self.ask_for_token(installation, |_| true).await;
        if let Err(error) = &asked {
            self.attempts.note_failure(installation, error);
        }
        if !asked.as_ref().is_err_and(|error| is_of_the_app(error) || *error == GitHubError::Deadline) {
            key.note_tried();
        }
        asked
    }

    async fn ask_for_token(
        &self,
        installation: &Installation,
        is_transient: fn(Failure) -> bool,
    ) -> Result<Token, GitHubError> {
        let Installation { id, account, key, app } = installation;
        let asked_at = self.exchange.now();
        let as_app = Token {
            token: key.sign(asked_at),
            account: app.clone(),
            refused: Unauthorized::App,
            new_until: None,
        };
        let question = Question::Post(self.exchange.url(&format!("app/installations/{id}/access_tokens")));
        let answer =
            self.exchange.ask_patiently(&question, &as_app, self.exchange.effort(is_transient)).await;
        // What is forbidden here is the token, not what would be asked with it.
        let answer = answer.map_err(|error| match error {
            GitHubError::Forbidden { .. } => Policy::AppToken.into(),
            error => error,
        })?;
        match answer.status {
            StatusCode::CREATED => {}
            StatusCode::NOT_FOUND if answer.is_githubs_error() => {
                return Err(answer.received.failed(Unauthorized::NoInstallation(*id).into()));
            }
            _ => return Err(answer.unexpected()),
        }
        let wire::InstallationToken { token, expires_at } = answer.json()?;
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let why = "a token that cannot stand in a header".to_owned();
            return Err(answer.received.failed(GitHubError::Unexpected(why)));
        }
        let good_for = Duration::try_from(expires_at.duration_since(answer.date)).unwrap_or_default();
        let token = Token {
            token: Secret::new(&token),
            account: account.clone(),
            refused: Unauthorized::InstallationToken,
            new_until: Some(later(asked_at, NEW_FOR)),
        };
        self.exchange.github.installation_tokens.of(installation).keep(Issued {
            token: token.clone(),
            due_at: later(asked_at, good_for.saturating_sub(AHEAD).max(BETWEEN_RENEWALS)),
            expires_at: later(asked_at, good_for),
        });
        Ok(token)
    }
}

const NOTHING_PANICS: &str = "nothing panics while it holds a token";
