//! The calls of one pass, each within its deadline, repeated as the retry rule says, and metered.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use backon::Retryable as _;
use jiff::Timestamp;
use reqwest::header::{ACCEPT, CONTENT_TYPE, DATE, HeaderMap, LINK, LOCATION};
use reqwest::{RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use url::Url;

use crate::domain::{Api, Fingerprint};
use crate::telemetry::{Count, Measure};

use super::installation::Attempts;
use super::meter::{self, GraphqlLimits, header, http_date};
use super::received::Received;
use super::usage::{Asked, Usage};
use super::{
    Account, Failure, GitHub, GitHubError, Reading, Token, Unauthorized, forbidden, foreign, link, retry,
};

/// The version of the REST API that answers are understood in.
const API_VERSION: &str = "2022-11-28";

/// The calls of one pass. None is sent after its deadline, or against a limit.
#[derive(Debug)]
pub struct Session<'a> {
    pub(super) github: &'a GitHub,
    deadline: Timestamp,
    usage: Mutex<Usage>,
    first_date: OnceLock<Timestamp>,
    pub(super) attempts: Attempts,
    /// The accounts as which GitHub was asked last for the repositories of these owners, by their logins in lower
    /// case.
    accounts: Mutex<HashMap<String, Fingerprint>>,
    /// Whom GitHub refused, without a newer token: asking on would only look like an attack.
    refused: Mutex<HashMap<Fingerprint, Unauthorized>>,
}

/// One question.
#[derive(Clone, Debug)]
pub(super) enum Question {
    /// To the REST API.
    Get(Url),
    /// To the REST API, for something new.
    Post(Url),
    /// To the GraphQL API: the body with the document and its variables.
    Query(String),
}

/// An answer that is worth reading.
#[derive(Debug)]
pub(super) struct Answer {
    /// As whom it was asked for.
    pub(super) account: Fingerprint,
    pub(super) received: Received,
    pub(super) status: StatusCode,
    pub(super) date: Timestamp,
    pub(super) next: Option<Url>,
    /// Until when limits hold, should one of the body's errors be about one.
    pub(super) limits: GraphqlLimits,
    location: Option<Url>,
    body: Vec<u8>,
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
            Self::Get(_) | Self::Post(_) => Api::Rest,
            Self::Query(_) => Api::GraphQl,
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
        self.ask(&[owner], Question::Get(url), |_| true).await
    }

    /// Asks as whom these owners' repositories are asked for, and once more with a newer token, where there is one,
    /// when GitHub refuses the one at hand. `heals` tells which failures another attempt may heal.
    pub(super) async fn ask(
        &self,
        owners: &[&str],
        question: Question,
        heals: fn(Failure) -> bool,
    ) -> Result<Answer, GitHubError> {
        let credentials = &self.github.credentials;
        let mut version = credentials.current().await?;
        let mut account = self.account_of_all(&version.says, owners)?;
        if let Some(why) = self.refusal_of(account) {
            return Err(why.into());
        }
        let mut answered = self.ask_as(account, &question, heals).await;
        if matches!(answered, Err(GitHubError::Unauthorized(_)))
            && let Some(newer) = credentials.instead_of(&version).await
        {
            version = newer;
            account = self.account_of_all(&version.says, owners)?;
            answered = self.ask_as(account, &question, heals).await;
        }
        if let Err(GitHubError::Unauthorized(why)) = answered {
            self.refused.lock().expect(NOTHING_PANICS).insert(account.whom(why).clone(), why);
        }
        answered
    }

    /// As whom this version of the secret has an owner's repositories asked for.
    pub(super) fn account_in<'r>(
        &self,
        reading: &'r Reading,
        owner: &str,
    ) -> Result<&'r Account, GitHubError> {
        let account = reading.as_ref().map_err(Clone::clone)?.account(owner)?;
        let mut accounts = self.accounts.lock().expect(NOTHING_PANICS);
        accounts.insert(owner.to_ascii_lowercase(), account.fingerprint().clone());
        Ok(account)
    }

    /// As whom it has all these owners' asked for. They are put together because they share an account; should the
    /// secret have changed since, and they do not any more, that is for the next pass.
    fn account_of_all<'r>(&self, reading: &'r Reading, owners: &[&str]) -> Result<&'r Account, GitHubError> {
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
        heals: fn(Failure) -> bool,
    ) -> Result<Answer, GitHubError> {
        let token = self.token(account, question.api()).await?;
        let answered = self.ask_with(&token, question, heals).await;
        if !matches!(answered, Err(GitHubError::Unauthorized(_))) {
            return answered;
        }
        match self.renewed(account, &token).await? {
            Some(renewed) => self.ask_with(&renewed, question, heals).await,
            None => answered,
        }
    }

    /// Asks again and again, as the retry rule says, while there is time.
    pub(super) async fn ask_patiently(
        &self,
        question: &Question,
        token: &Token,
        heals: fn(Failure) -> bool,
    ) -> Result<Answer, GitHubError> {
        let github = self.github;
        let (mut attempts, mut last_failure) = (1, None);
        let answered = (|| self.attempt(question, token))
            .retry(github.retry.waits(github.clock.random()))
            .sleep(tokio::time::sleep)
            .when(|why| matches!(why, NoAnswer::Failed(failure) if heals(*failure)))
            .adjust(|_, wait| wait.filter(|wait| *wait < self.remaining()))
            .notify(|why, _| {
                attempts += 1;
                if let NoAnswer::Failed(failure) = why {
                    last_failure = Some(*failure);
                }
            })
            .await;
        let origin = || self.address(question).origin().ascii_serialization();
        answered.map_err(|why| match (why, last_failure) {
            (NoAnswer::Failed(failure), _) => {
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
        self.github.with_limits(account, |limits| limits.closed_until(api, self.now()))
    }

    async fn attempt(&self, question: &Question, token: &Token) -> Result<Answer, NoAnswer> {
        let github = self.github;
        let (api, now) = (question.api(), github.clock.now());
        self.check_open(&token.account, api).map_err(NoAnswer::Refused)?;
        let remaining = self.remaining();
        if remaining.is_zero() {
            return Err(NoAnswer::Refused(GitHubError::Deadline));
        }
        // What is beyond the rate waits like what there is no time for.
        if !github.with_limits(&token.account, |limits| limits.admit(api, now)) {
            return Err(NoAnswer::Refused(GitHubError::Deadline));
        }
        let patience = github.retry.attempt_timeout.min(remaining);
        // Our own time being up says nothing of GitHub.
        let failed = |error: reqwest::Error| {
            let is_cut = error.is_timeout() && !error.is_connect() && patience < github.retry.attempt_timeout;
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
            .header("x-github-api-version", API_VERSION)
            .timeout(patience)
            .send()
            .await
            .map_err(failed)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let received = Received::of(status, &headers);
        let refused = |error| Err(NoAnswer::Refused(received.failed(error)));
        let body = answer.bytes().await.map_err(|error| {
            received.log_failure(&"the answer broke off");
            failed(error)
        })?;
        let body = Vec::from(body);
        // A token that is refused has no budget of its own.
        let budget = meter::budget(&headers, now).filter(|_| status != StatusCode::UNAUTHORIZED);
        if let Some(budget) = budget {
            github.with_limits(&token.account, |limits| limits.note(api, budget));
        }
        if let Some(failure) = retry::healable_status(status.as_u16()) {
            received.log_failure(&"an error of GitHub's own");
            return Err(NoAnswer::Failed(failure));
        }
        if let Some(limit) = meter::limit(status, &headers, &body, now) {
            github.with_limits(&token.account, |limits| limit.close(limits, api));
            return refused(GitHubError::RateLimited { until: limit.until(), api });
        }
        // Without GraphQL the REST API is asked, and tells more.
        if api == Api::Rest
            && let Some(what) = foreign::what_it_is(status, &body)
        {
            return refused(GitHubError::Unexpected(what));
        }
        match status {
            StatusCode::UNAUTHORIZED => refused(token.refused.into()),
            StatusCode::FORBIDDEN | StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => {
                refused(forbidden::why(status, &headers, &body))
            }
            _ => self.understood(token, status, received, &headers, body).map_err(NoAnswer::Refused),
        }
    }

    fn address<'q>(&'q self, question: &'q Question) -> &'q Url {
        match question {
            Question::Get(url) | Question::Post(url) => url,
            Question::Query(_) => &self.github.graphql_url,
        }
    }

    fn request(&self, question: &Question) -> RequestBuilder {
        let address = self.address(question).clone();
        match question {
            Question::Get(_) => self.github.http.get(address),
            Question::Post(_) => self.github.http.post(address),
            Question::Query(body) => {
                self.github.http.post(address).header(CONTENT_TYPE, "application/json").body(body.clone())
            }
        }
    }

    fn understood(
        &self,
        token: &Token,
        status: StatusCode,
        received: Received,
        headers: &HeaderMap,
        body: Vec<u8>,
    ) -> Result<Answer, GitHubError> {
        let date = header(headers, DATE.as_str()).and_then(http_date);
        let date =
            date.ok_or_else(|| received.failed(GitHubError::Unexpected("it bears no Date".to_owned())))?;
        let _ = self.first_date.set(date);
        Ok(Answer {
            account: token.account.clone(),
            received,
            status,
            date,
            next: header(headers, LINK.as_str()).and_then(link::next),
            limits: GraphqlLimits::read(headers, self.github.clock.now()),
            location: header(headers, LOCATION.as_str()).and_then(|location| Url::parse(location).ok()),
            body,
        })
    }

    pub(super) fn count(&self, account: &Fingerprint, add: impl FnOnce(&mut Asked)) {
        let mut usage = self.usage.lock().expect(NOTHING_PANICS);
        let asked = usage.of_mut(account);
        let before = *asked;
        add(asked);
        Count::GitHubRequests.add(asked.requests() - before.requests());
        Count::GitHubPoints.add(asked.points - before.points);
    }

    /// Whether there is no time for another request.
    pub(super) fn is_over(&self) -> bool {
        self.remaining().is_zero()
    }

    pub(super) fn remaining(&self) -> Duration {
        Duration::try_from(self.deadline.duration_since(self.now())).unwrap_or_default()
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

impl Answer {
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, GitHubError> {
        // serde's message tells the place and the kind of the mismatch; it can quote the text, which must not
        // reach a caller.
        serde_json::from_slice(&self.body).map_err(|error| {
            let what = if error.is_data() { "JSON of another shape" } else { "not JSON" };
            let place = format!("{what} (line {}, column {})", error.line(), error.column());
            let place = if foreign::is_json(&self.body) { place } else { foreign::hinted(&place) };
            self.received.failed(GitHubError::Unexpected(place))
        })
    }

    pub(super) fn redirect(&self) -> Option<Url> {
        self.location.clone().filter(|_| self.status.is_redirection())
    }

    pub(super) fn unexpected(&self) -> GitHubError {
        let what = foreign::what_it_is(self.status, &self.body);
        let what = what.unwrap_or_else(|| format!("status {}", self.status.as_u16()));
        self.received.failed(GitHubError::Unexpected(what))
    }
}

const NOTHING_PANICS: &str = "nothing panics while it counts or notes";
