//! The calls of one pass, each within its deadline, repeated as the retry rule says, and metered.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};

use backon::Retryable as _;
use futures_util::FutureExt as _;
use jiff::Timestamp;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, DATE, HeaderMap};
use reqwest::{RequestBuilder, StatusCode};
use url::Url;

use crate::domain::{Api, Fingerprint};
use crate::telemetry::{Count, Measure};

use super::answer::Answer;
use super::body::{self, Body, BodyFailed, Held, Wanted};
use super::effort::Effort;
use super::installation::Attempts;
use super::meter::{self, GraphqlLimits, header, http_date};
use super::received::Received;
use super::usage::{Asked, Usage};
use super::{
    Account, Failure, GitHub, GitHubError, ParsedCredentials, Token, Unauthorized, forbidden, foreign, retry,
};

/// The version of the REST API that answers are understood in.
pub(super) const API_VERSION: &str = "2022-11-28";

/// The calls of one pass. None is sent after its deadline, or against a limit.
#[derive(Debug)]
pub struct Session<'a> {
    pub(super) github: &'a GitHub,
    pub(super) deadline: Timestamp,
    usage: Mutex<Usage>,
    first_date: OnceLock<Timestamp>,
    pub(super) attempts: Attempts,
    /// The accounts as which GitHub was asked last for the repositories of these owners, by their logins in lower
    /// case.
    accounts: Mutex<HashMap<String, Fingerprint>>,
    /// Whom GitHub refused, without a newer token: asking on would only look like an attack.
    refused: Mutex<HashMap<Fingerprint, Unauthorized>>,
    /// How GitHub failed last, even if another attempt healed it.
    pub(super) failure: Mutex<Option<Failure>>,
}

/// One question.
#[derive(Clone, Debug)]
pub(super) enum Question {
    /// To the REST API.
    Get(Url),
    /// To the REST API, for a page of a listing.
    List(Url),
    /// To the REST API, for something new.
    Post(Url),
    /// To the GraphQL API: the body with the document and its variables.
    Query(String),
}

/// Why an attempt brought no answer.
#[derive(Debug)]
enum NoAnswer {
    /// Another attempt would meet the same.
    Refused(GitHubError),
    /// Another attempt may fare better.
    Failed(Failure),
}

impl Question {
    fn api(&self) -> Api {
        match self {
            Self::Get(_) | Self::List(_) | Self::Post(_) => Api::Rest,
            Self::Query(_) => Api::GraphQl,
        }
    }

    /// What is wanted of an answer of this status.
    fn wants(&self, status: StatusCode) -> Wanted {
        match self {
            Self::List(_) if status == StatusCode::OK => Wanted::Page,
            _ if status.is_success() => Wanted::Whole,
            _ => Wanted::Words,
        }
    }
}

impl<'a> Session<'a> {
    pub(super) fn new(github: &'a GitHub, deadline: Timestamp) -> Self {
        Self {
            github,
            deadline,
            usage: Mutex::default(),
            first_date: OnceLock::new(),
            attempts: Attempts::default(),
            accounts: Mutex::default(),
            refused: Mutex::default(),
            failure: Mutex::default(),
        }
    }

    /// What was asked so far.
    pub fn usage(&self) -> Usage {
        self.usage.lock().expect(NOTHING_PANICS).clone()
    }

    /// As whom GitHub was asked last for this owner's repositories; none when it was not, or there is nobody to be.
    pub fn account(&self, owner: &str) -> Option<Fingerprint> {
        self.accounts.lock().expect(NOTHING_PANICS).get(&owner.to_ascii_lowercase()).cloned()
    }

    /// The `Date` of the first answer.
    pub fn first_date(&self) -> Option<Timestamp> {
        self.first_date.get().copied()
    }

    pub(super) fn url(&self, path: &str) -> Url {
        let base = self.github.api_url.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}/{path}")).expect("a checked base and a checked path make a URL")
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
        let api = &self.github.api_url;
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
        let credentials = &self.github.credentials;
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
        let token = self.token(account, question.api()).await?;
        let answered = self.ask_with(&token, question, effort).await;
        if !matches!(answered, Err(GitHubError::Unauthorized(_))) {
            return answered;
        }
        match self.renewed(account, &token).await? {
            Some(renewed) => self.ask_with(&renewed, question, effort).await,
            None => answered,
        }
    }

    /// Asks again and again, as the retry rule says, while there is time.
    pub(super) async fn ask_patiently(
        &self,
        question: &Question,
        token: &Token,
        effort: Effort,
    ) -> Result<Answer, GitHubError> {
        let github = self.github;
        let (mut attempts, mut last_failure) = (1, None);
        // Boxed, as are the steps of a pass: the futures of all layers in one take more than a thread's stack in tests.
        let answered = (|| self.attempt(question, token, effort).boxed())
            .retry(github.retry.waits(github.clock.random()))
            .sleep(tokio::time::sleep)
            .when(|why| {
                matches!(why, NoAnswer::Failed(failure)
                    if retry::is_repeatable(*failure) && (effort.is_transient)(*failure))
            })
            .adjust(|_, wait| wait.filter(|wait| *wait < self.left_until(effort.until)))
            .notify(|why, _| {
                attempts += 1;
                if let NoAnswer::Failed(failure) = why {
                    last_failure = Some(*failure);
                    self.note_failure(*failure);
                }
            })
            .await;
        let origin = || self.address(question).origin().ascii_serialization();
        answered.map_err(|why| match (why, last_failure) {
            (NoAnswer::Failed(failure), _) => {
                self.note_failure(failure);
                GitHubError::Unavailable { failure, attempts, origin: origin() }
            }
            // What was met before the time was up is worth telling; else this waits for the next pass.
            (NoAnswer::Refused(GitHubError::Deadline), Some(failure)) => {
                GitHubError::Unavailable { failure, attempts: attempts - 1, origin: origin() }
            }
            (NoAnswer::Refused(error), _) => error,
        })
    }

    /// Nothing is asked of this API while a limit of whoever asks is in force.
    pub(super) fn check_open(&self, account: &Fingerprint, api: Api) -> Result<(), GitHubError> {
        let closed_until = self.closed_until(account, api);
        closed_until.map_or(Ok(()), |until| Err(GitHubError::RateLimited { until, api }))
    }

    /// Until when nothing may be asked of this API; none when it may.
    pub(super) fn closed_until(&self, account: &Fingerprint, api: Api) -> Option<Timestamp> {
        self.github.with_limits(account, |limits| limits.blocked_until(api, self.now()))
    }

    async fn attempt(&self, question: &Question, token: &Token, effort: Effort) -> Result<Answer, NoAnswer> {
        let github = self.github;
        let (api, now) = (question.api(), github.clock.now());
        self.check_open(&token.account, api).map_err(NoAnswer::Refused)?;
        let remaining = self.left_until(effort.until);
        if remaining.is_zero() {
            return Err(NoAnswer::Refused(GitHubError::Deadline));
        }
        // What is beyond the rate waits like what there is no time for.
        if !github.with_limits(&token.account, |limits| limits.admit(api, now)) {
            return Err(NoAnswer::Refused(GitHubError::Deadline));
        }
        // Before anything is sent, so that no answer waits for room.
        let wanted = question.wants(StatusCode::OK);
        let Ok(held) = tokio::time::timeout(remaining, github.room.reserve(wanted)).await else {
            return Err(NoAnswer::Refused(GitHubError::Deadline));
        };
        let remaining = self.left_until(effort.until);
        let patience = effort.patience.min(remaining);
        // Our own time being up says nothing of GitHub, unless it had half of the time that an answer may take.
        let was_soon = patience < effort.patience.min(github.retry.attempt_timeout / 2);
        let failed = |error: reqwest::Error| {
            let is_cut = error.is_timeout() && !error.is_connect() && was_soon;
            if is_cut {
                NoAnswer::Refused(GitHubError::Deadline)
            } else {
                NoAnswer::Failed(retry::healable_error(&error))
            }
        };
        self.count(&token.account, |asked| match api {
            Api::Rest => asked.rest += 1,
            Api::GraphQl => asked.graphql += 1,
        });
        let answer = self
            .request(question)
            .bearer_auth(token.token.expose())
            .header(ACCEPT, "application/vnd.github+json")
            .header(ACCEPT_ENCODING, "gzip")
            .header("x-github-api-version", API_VERSION)
            .timeout(patience)
            .send()
            .await
            .map_err(failed)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let received = Received::of(status, &headers);
        let refused = |error| Err(NoAnswer::Refused(received.failed(error)));
        let body = body::read(answer, question.wants(status), &github.web).await;
        let body = body.inspect_err(|why| received.log_failure(why));
        github.closing_down.note(&headers);
        // A token that is refused has no budget of its own.
        let budget = meter::budget(&headers, now).filter(|_| status != StatusCode::UNAUTHORIZED);
        if let Some(budget) = budget {
            github.with_limits(&token.account, |limits| limits.note(api, budget));
        }
        if let Some(failure) = retry::healable_status(status.as_u16()) {
            received.log_failure(&"an error of GitHub's own");
            return Err(NoAnswer::Failed(failure));
        }
        let body = body.map_err(|why| match why {
            BodyFailed::Network(error) => failed(error),
            BodyFailed::Failed(failure) => NoAnswer::Failed(failure),
        })?;
        let words = body.bytes();
        if let Some(limit) = meter::limit(status, &headers, words, now) {
            github.with_limits(&token.account, |limits| limit.close(limits, api));
            return refused(GitHubError::RateLimited { until: limit.until(), api });
        }
        // Without GraphQL the REST API is asked, and tells more.
        if api == Api::Rest
            && let Some(what) = foreign::what_it_is(status, words)
        {
            return refused(GitHubError::Unexpected(what));
        }
        match status {
            StatusCode::UNAUTHORIZED => refused(token.refused.into()),
            StatusCode::FORBIDDEN | StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => {
                refused(forbidden::why(status, &headers, words))
            }
            _ => {
                let answer = self.understood(token, (status, received), &headers, (body, held));
                answer.map_err(NoAnswer::Refused)
            }
        }
    }

    fn address<'q>(&'q self, question: &'q Question) -> &'q Url {
        match question {
            Question::Get(url) | Question::List(url) | Question::Post(url) => url,
            Question::Query(_) => &self.github.graphql_url,
        }
    }

    fn request(&self, question: &Question) -> RequestBuilder {
        let address = self.address(question).clone();
        match question {
            Question::Get(_) | Question::List(_) => self.github.http.get(address),
            Question::Post(_) => self.github.http.post(address),
            Question::Query(body) => {
                self.github.http.post(address).header(CONTENT_TYPE, "application/json").body(body.clone())
            }
        }
    }

    fn understood(
        &self,
        token: &Token,
        (status, received): (StatusCode, Received),
        headers: &HeaderMap,
        (body, held): (Body, Held),
    ) -> Result<Answer, GitHubError> {
        let date = header(headers, DATE.as_str()).and_then(http_date);
        let date =
            date.ok_or_else(|| received.failed(GitHubError::Unexpected("it bears no Date".to_owned())))?;
        let _ = self.first_date.set(date);
        let limits = GraphqlLimits::read(headers, self.github.clock.now());
        Ok(Answer::new(token.account.clone(), (status, received), headers, date, limits, (body, held)))
    }

    pub(super) fn count(&self, account: &Fingerprint, add: impl FnOnce(&mut Asked)) {
        let mut usage = self.usage.lock().expect(NOTHING_PANICS);
        let asked = usage.of_mut(account);
        let before = *asked;
        add(asked);
        Count::GitHubRequests.add(asked.requests() - before.requests());
        Count::GitHubPoints.add(asked.points - before.points);
    }

    pub(super) fn now(&self) -> Timestamp {
        self.github.clock.now()
    }
}

/// However a pass ends, what is left of the budget is told: of the account that has the smallest share.
impl Drop for Session<'_> {
    fn drop(&mut self) {
        let now = self.github.clock.now();
        let accounts = std::mem::take(self.accounts.get_mut().expect(NOTHING_PANICS));
        let left = accounts
            .values()
            .filter_map(|account| self.github.with_limits(account, |limits| limits.share_left(now)));
        if let Some(left) = left.reduce(f64::min) {
            Measure::GitHubBudgetRemaining.record(left * 100.0);
        }
    }
}

const NOTHING_PANICS: &str = "nothing panics while it counts or notes";
