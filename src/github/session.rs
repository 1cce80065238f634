//! The requests of one pass: each is sent with the account that the secret names for the repository's owner.

use std::collections::HashMap;
use std::sync::Mutex;

use jiff::Timestamp;
use url::Url;

use crate::domain::{AccountLimits, Fingerprint, Usage};
use crate::telemetry::Measure;

use super::answer::Answer;
use super::client::GitHub;
use super::credentials::{Account, ParsedCredentials};
use super::effort::Effort;
use super::error::{GitHubError, Unauthorized};
use super::exchange::{Exchange, Request};
use super::failure::Failure;
use super::foreign;
use super::tokens::Tokens;

/// The requests of one pass. None is sent after its deadline or while a limit blocks it.
#[derive(Debug)]
pub struct Session<'a> {
    tokens: Tokens<'a>,
    /// The account that was used last for the repositories of an owner, by the owner's login in lower case.
    accounts: Mutex<HashMap<String, Fingerprint>>,
    /// The accounts that GitHub refused and that have no newer token. More requests would only look like an attack.
    refused: Mutex<HashMap<Fingerprint, Unauthorized>>,
}

impl GitHub {
    /// The requests of one pass. None is sent after `deadline`, or while one of the limits blocks it that are `known`
    /// from other execution environments.
    pub fn session(&self, deadline: Timestamp, known: &[AccountLimits]) -> Session<'_> {
        self.learn(known);
        Session {
            tokens: Tokens::new(Exchange::new(self, deadline)),
            accounts: Mutex::default(),
            refused: Mutex::default(),
        }
    }
}

impl<'a> Session<'a> {
    /// Where single requests are sent.
    pub(super) fn exchange(&self) -> &Exchange<'a> {
        &self.tokens.exchange
    }

    pub(super) fn github(&self) -> &'a GitHub {
        self.exchange().github
    }

    /// The requests so far.
    pub fn usage(&self) -> Usage {
        self.exchange().usage()
    }

    /// The `Date` of the first answer.
    pub fn first_date(&self) -> Option<Timestamp> {
        self.exchange().first_date()
    }

    /// How GitHub failed last, even if another attempt succeeded. `None` if it never failed.
    pub fn failure(&self) -> Option<Failure> {
        self.exchange().failure()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.exchange().now()
    }

    pub(super) fn effort(&self, is_transient: fn(Failure) -> bool) -> Effort {
        self.exchange().effort(is_transient)
    }

    pub(super) fn url(&self, path: &str) -> Url {
        self.exchange().url(path)
    }

    /// The account last used for this owner's repositories. `None` if not queried yet or no account is configured.
    pub fn account(&self, owner: &str) -> Option<Fingerprint> {
        self.accounts.lock().expect(NOTHING_PANICS).get(&owner.to_ascii_lowercase()).cloned()
    }

    /// Sends one GET with this owner's account, and returns an answer with 2xx, 3xx, 404, 410 or 422. The token goes
    /// only to the configured API, whatever address an answer names: an Enterprise Server has its users' pages on the
    /// same host.
    pub(super) async fn get(&self, owner: &str, url: Url) -> Result<Answer, GitHubError> {
        self.get_with(owner, url, self.effort(|_| true)).await
    }

    /// As [`Self::get`], with this effort.
    pub(super) async fn get_with(
        &self,
        owner: &str,
        url: Url,
        effort: Effort,
    ) -> Result<Answer, GitHubError> {
        self.check_address(&url)?;
        self.send(&[owner], Request::Get(url), effort).await
    }

    /// As [`Self::get`], for a page of a listing. Failures that are `is_transient` are repeated.
    pub(super) async fn list(
        &self,
        owner: &str,
        url: Url,
        is_transient: fn(Failure) -> bool,
    ) -> Result<Answer, GitHubError> {
        self.check_address(&url)?;
        self.send(&[owner], Request::List(url), self.effort(is_transient)).await
    }

    fn check_address(&self, url: &Url) -> Result<(), GitHubError> {
        let api = &self.github().api_url;
        let is_below = url.path().strip_prefix(api.path().trim_end_matches('/'));
        // A user name in the address would be sent as another authorization.
        let is_anonymous = url.username().is_empty() && url.password().is_none();
        if url.origin() != api.origin()
            || !is_anonymous
            || !is_below.is_some_and(|rest| rest.starts_with('/'))
        {
            return Err(GitHubError::Unexpected(foreign::redirect_elsewhere()));
        }
        Ok(())
    }

    /// Sends a request with the account of these owners. If GitHub refuses the token and the secret has a newer one,
    /// the request is sent once more.
    pub(super) async fn send(
        &self,
        owners: &[&str],
        request: Request,
        effort: Effort,
    ) -> Result<Answer, GitHubError> {
        let credentials = &self.github().credentials;
        let mut version = credentials.current().await?;
        let mut account = self.account_of_all(&version.parsed, owners)?;
        if let Some(why) = self.refusal_of(account) {
            return Err(why.into());
        }
        let mut answered = self.send_as(account, &request, effort).await;
        if matches!(answered, Err(GitHubError::Unauthorized(_)))
            && let Some(newer) = credentials.newer_than(&version).await
        {
            version = newer;
            account = self.account_of_all(&version.parsed, owners)?;
            answered = self.send_as(account, &request, effort).await;
        }
        if let Err(GitHubError::Unauthorized(why)) = answered {
            self.refused.lock().expect(NOTHING_PANICS).insert(account.refused_account(why).clone(), why);
        }
        answered
    }

    /// The account that this version of the secret names for an owner.
    pub(super) fn account_in<'r>(
        &self,
        parsed: &'r ParsedCredentials,
        owner: &str,
    ) -> Result<&'r Account, GitHubError> {
        let account = parsed.as_ref().map_err(Clone::clone)?.account(owner)?;
        let mut accounts = self.accounts.lock().expect(NOTHING_PANICS);
        accounts.insert(owner.to_ascii_lowercase(), account.fingerprint().clone());
        Ok(account)
    }

    /// The account of all these owners. They share a query because they share an account. If the secret has changed
    /// since and they no longer do, the query waits for the next pass.
    fn account_of_all<'r>(
        &self,
        parsed: &'r ParsedCredentials,
        owners: &[&str],
    ) -> Result<&'r Account, GitHubError> {
        let mut accounts = owners.iter().map(|owner| self.account_in(parsed, owner));
        let first = accounts.next().ok_or(GitHubError::Deadline)??;
        for other in accounts {
            if other?.fingerprint() != first.fingerprint() {
                return Err(GitHubError::Deadline);
            }
        }
        Ok(first)
    }

    fn refusal_of(&self, account: &Account) -> Option<Unauthorized> {
        let refused = self.refused.lock().expect(NOTHING_PANICS);
        refused.iter().find(|(other, _)| account.is_or_belongs_to(other)).map(|(_, why)| *why)
    }

    /// Sends a request with this account. If GitHub refuses the token of an installation, the request is sent once more
    /// with a new one.
    async fn send_as(
        &self,
        account: &Account,
        request: &Request,
        effort: Effort,
    ) -> Result<Answer, GitHubError> {
        let token = self.tokens.token(account, request.api()).await?;
        let answered = self.tokens.send_with(&token, request, effort).await;
        if !matches!(answered, Err(GitHubError::Unauthorized(_))) {
            return answered;
        }
        match self.tokens.renewed(account, &token).await? {
            Some(renewed) => self.tokens.send_with(&renewed, request, effort).await,
            None => answered,
        }
    }
}

/// However a pass ends, the remaining budget is measured: that of the account with the smallest share left.
impl Drop for Session<'_> {
    fn drop(&mut self) {
        let now = self.now();
        let accounts = std::mem::take(self.accounts.get_mut().expect(NOTHING_PANICS));
        let left = accounts
            .values()
            .filter_map(|account| self.github().with_limits(account, |limits| limits.share_left(now)));
        if let Some(left) = left.reduce(f64::min) {
            Measure::GitHubBudgetRemaining.record(left * 100.0);
        }
    }
}

const NOTHING_PANICS: &str = "nothing panics while it counts or notes";
