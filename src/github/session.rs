//! The requests of one pass: by owner, as the account that the secret names for the owner.

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
use super::exchange::{Exchange, Question};
use super::failure::Failure;
use super::foreign;
use super::tokens::Tokens;

/// The requests of one pass. None is sent after its deadline, or against a limit.
#[derive(Debug)]
pub struct Session<'a> {
    tokens: Tokens<'a>,
    /// The account that was used last for the repositories of an owner, by the owner's login in lower case.
    accounts: Mutex<HashMap<String, Fingerprint>>,
    /// The accounts that GitHub refused, without a newer token: to ask on would only look like an attack.
    refused: Mutex<HashMap<Fingerprint, Unauthorized>>,
}

impl GitHub {
    /// The requests of one pass. None is sent after `deadline`, nor against the limits that are `known` from other
    /// execution environments.
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
    /// Sends single requests, and knows the time and the deadline.
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

    /// As whom GitHub was asked last for this owner's repositories; none when it was not, or there is nobody to be.
    pub fn account(&self, owner: &str) -> Option<Fingerprint> {
        self.accounts.lock().expect(NOTHING_PANICS).get(&owner.to_ascii_lowercase()).cloned()
    }

    /// Sends one GET, as whom this owner's repositories are asked for, and returns what can be understood: 2xx,
    /// 3xx, 404, 410 and 422. The token goes to the configured API only, wherever GitHub's answers lead: an
    /// Enterprise Server has people's pages on the same host.
    pub(super) async fn get(&self, owner: &str, url: Url) -> Result<Answer, GitHubError> {
        self.get_with(owner, url, self.effort(|_| true)).await
    }

    /// The same, tried as hard as `effort` says.
    pub(super) async fn get_with(
        &self,
        owner: &str,
        url: Url,
        effort: Effort,
    ) -> Result<Answer, GitHubError> {
        self.check_address(&url)?;
        self.ask(&[owner], Question::Get(url), effort).await
    }

    /// As [`Self::get`], for a page of a listing. `is_transient` tells which failures another attempt at it may heal.
    pub(super) async fn list(
        &self,
        owner: &str,
        url: Url,
        is_transient: fn(Failure) -> bool,
    ) -> Result<Answer, GitHubError> {
        self.check_address(&url)?;
        self.ask(&[owner], Question::List(url), self.effort(is_transient)).await
    }

    fn check_address(&self, url: &Url) -> Result<(), GitHubError> {
        let api = &self.github().api_url;
        let is_below = url.path().strip_prefix(api.path().trim_end_matches('/'));
        // A name in the address would be sent along, as another authorization.
        let is_anonymous = url.username().is_empty() && url.password().is_none();
        if url.origin() != api.origin()
            || !is_anonymous
            || !is_below.is_some_and(|rest| rest.starts_with('/'))
        {
            return Err(GitHubError::Unexpected(foreign::elsewhere()));
        }
        Ok(())
    }

    /// Asks as whom these owners' repositories are asked for, and once more with a newer token, where there is one,
    /// when GitHub refuses the one at hand.
    pub(super) async fn ask(
        &self,
        owners: &[&str],
        question: Question,
        effort: Effort,
    ) -> Result<Answer, GitHubError> {
        let credentials = &self.github().credentials;
        let mut version = credentials.current().await?;
        let mut account = self.account_of_all(&version.says, owners)?;
        if let Some(why) = self.refusal_of(account) {
            return Err(why.into());
        }
        let mut answered = self.ask_as(account, &question, effort).await;
        if matches!(answered, Err(GitHubError::Unauthorized(_)))
            && let Some(newer) = credentials.instead_of(&version).await
        {
            version = newer;
            account = self.account_of_all(&version.says, owners)?;
            answered = self.ask_as(account, &question, effort).await;
        }
        if let Err(GitHubError::Unauthorized(why)) = answered {
            self.refused.lock().expect(NOTHING_PANICS).insert(account.whom(why).clone(), why);
        }
        answered
    }

    /// As whom this version of the secret has an owner's repositories asked for.
    pub(super) fn account_in<'r>(
        &self,
        reading: &'r ParsedCredentials,
        owner: &str,
    ) -> Result<&'r Account, GitHubError> {
        let account = reading.as_ref().map_err(Clone::clone)?.account(owner)?;
        let mut accounts = self.accounts.lock().expect(NOTHING_PANICS);
        accounts.insert(owner.to_ascii_lowercase(), account.fingerprint().clone());
        Ok(account)
    }

    /// As whom it has all these owners' asked for. They are put together because they share an account; should the
    /// secret have changed since, and they do not any more, that is for the next pass.
    fn account_of_all<'r>(
        &self,
        reading: &'r ParsedCredentials,
        owners: &[&str],
    ) -> Result<&'r Account, GitHubError> {
        let mut accounts = owners.iter().map(|owner| self.account_in(reading, owner));
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
        refused.iter().find(|(whom, _)| account.is_or_is_of(whom)).map(|(_, why)| *why)
    }

    /// Asks as this account, and once more with a new token where it has none that lasts.
    async fn ask_as(
        &self,
        account: &Account,
        question: &Question,
        effort: Effort,
    ) -> Result<Answer, GitHubError> {
        let token = self.tokens.token(account, question.api()).await?;
        let answered = self.tokens.ask_with(&token, question, effort).await;
        if !matches!(answered, Err(GitHubError::Unauthorized(_))) {
            return answered;
        }
        match self.tokens.renewed(account, &token).await? {
            Some(renewed) => self.tokens.ask_with(&renewed, question, effort).await,
            None => answered,
        }
    }
}

/// However a pass ends, what is left of the budget is told: of the account that has the smallest share.
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
