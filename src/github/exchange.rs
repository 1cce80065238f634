//! One request with one token: within its deadline, repeated by the retry rule, metered, and never against a limit.

use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use backon::Retryable as _;
use futures_util::FutureExt as _;
use jiff::Timestamp;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, DATE, HeaderMap};
use reqwest::{RequestBuilder, StatusCode};
use url::Url;

use crate::domain::{Api, Fingerprint, RequestCounts, Usage};
use crate::telemetry::Count;

use super::answer::Answer;
use super::body::{self, Body, BodyFailed, Held, Wanted};
use super::client::GitHub;
use super::closing_down::API_VERSION;
use super::credentials::Token;
use super::effort::Effort;
use super::error::GitHubError;
use super::failure::Failure;
use super::meter::{self, GraphqlLimits, header, http_date};
use super::received::Received;
use super::{forbidden, foreign, retry};

/// Sends the requests of one pass, and keeps what the pass is to know of them. None is sent after its deadline, or
/// against a limit.
#[derive(Debug)]
pub(super) struct Exchange<'a> {
    pub(super) github: &'a GitHub,
    deadline: Timestamp,
    usage: Mutex<Usage>,
    first_date: OnceLock<Timestamp>,
    /// How GitHub failed last, even if another attempt succeeded.
    failure: Mutex<Option<Failure>>,
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
    pub(super) fn api(&self) -> Api {
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

impl<'a> Exchange<'a> {
    pub(super) fn new(github: &'a GitHub, deadline: Timestamp) -> Self {
        Self {
            github,
            deadline,
            usage: Mutex::default(),
            first_date: OnceLock::new(),
            failure: Mutex::default(),
        }
    }

    /// What was asked so far.
    pub(super) fn usage(&self) -> Usage {
        self.usage.lock().expect(NOTHING_PANICS).clone()
    }

    /// The `Date` of the first answer.
    pub(super) fn first_date(&self) -> Option<Timestamp> {
        self.first_date.get().copied()
    }

    pub(super) fn url(&self, path: &str) -> Url {
        let base = self.github.api_url.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}/{path}")).expect("a checked base and a checked path make a URL")
    }

    /// As hard as the retry rule says, within the pass's time.
    pub(super) fn effort(&self, is_transient: fn(Failure) -> bool) -> Effort {
        Effort { is_transient, patience: self.github.retry.attempt_timeout, until: self.deadline }
    }

    /// How GitHub failed last, even if another attempt healed it; `None` if it never did.
    pub(super) fn failure(&self) -> Option<Failure> {
        *self.failure.lock().expect(NOTHING_PANICS)
    }

    pub(super) fn note_failure(&self, failure: Failure) {
        *self.failure.lock().expect(NOTHING_PANICS) = Some(failure);
    }

    /// Whether there is time for another request after this wait.
    pub(super) fn has_time_for(&self, wait: Duration) -> bool {
        wait < self.left_until(self.deadline)
    }

    /// How long it is until then.
    pub(super) fn left_until(&self, then: Timestamp) -> Duration {
        Duration::try_from(then.duration_since(self.now())).unwrap_or_default()
    }

    /// Sends a request, and repeats it by the retry rule while there is time.
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
                    if failure.is_repeatable() && (effort.is_transient)(*failure))
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

    /// Fails while a limit of this account blocks the API.
    pub(super) fn check_open(&self, account: &Fingerprint, api: Api) -> Result<(), GitHubError> {
        let blocked_until = self.blocked_until(account, api);
        blocked_until.map_or(Ok(()), |until| Err(GitHubError::RateLimited { until, api }))
    }

    /// Until when the API is blocked for this account. `None` if it is not.
    pub(super) fn blocked_until(&self, account: &Fingerprint, api: Api) -> Option<Timestamp> {
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
                NoAnswer::Failed(retry::transient_error(&error))
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
        if let Some(failure) = retry::transient_status(status.as_u16()) {
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
        // Where GraphQL cannot be used, REST is, and its answers say more.
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
            date.ok_or_else(|| received.failed(GitHubError::Unexpected("no Date header".to_owned())))?;
        let _ = self.first_date.set(date);
        let limits = GraphqlLimits::read(headers, self.github.clock.now());
        Ok(Answer::new(token.account.clone(), (status, received), headers, date, limits, (body, held)))
    }

    pub(super) fn count(&self, account: &Fingerprint, add: impl FnOnce(&mut RequestCounts)) {
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

const NOTHING_PANICS: &str = "nothing panics while it counts or notes";
