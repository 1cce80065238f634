//! Sends one request with one token: within its deadline, repeated by the retry rule, counted, and only while no limit
//! blocks it.

use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use backon::Retryable as _;
use futures_util::FutureExt as _;
use jiff::Timestamp;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, DATE};
use reqwest::{RequestBuilder, StatusCode};
use url::Url;

use crate::domain::{Api, Fingerprint, RequestCounts, Usage};
use crate::telemetry::Count;

use super::answer::Answer;
use super::body::{self, BodyFailed, Wanted};
use super::client::GitHub;
use super::closing_down::API_VERSION;
use super::credentials::Token;
use super::effort::Effort;
use super::error::GitHubError;
use super::failure::Failure;
use super::meter::{self, GraphqlLimits, header, http_date};
use super::received::Received;
use super::{forbidden, foreign, retry};

/// Sends the requests of one pass, and counts them. None is sent after its deadline or while a limit blocks it.
#[derive(Debug)]
pub(super) struct Exchange<'a> {
    pub(super) github: &'a GitHub,
    deadline: Timestamp,
    usage: Mutex<Usage>,
    first_date: OnceLock<Timestamp>,
    /// How GitHub failed last, even if another attempt succeeded.
    failure: Mutex<Option<Failure>>,
}

/// One request, without its token.
#[derive(Clone, Debug)]
pub(super) enum Request {
    /// To the REST API.
    Get(Url),
    /// To the REST API, for a page of a listing.
    List(Url),
    /// To the REST API, to create something.
    Post(Url),
    /// To the GraphQL API: the body with the document and its variables.
    Query(String),
}

/// Why an attempt returned no answer.
#[derive(Debug)]
enum NoAnswer {
    /// Another attempt would fail in the same way.
    Refused(GitHubError),
    /// Another attempt may succeed.
    Failed(Failure),
}

impl Request {
    pub(super) fn api(&self) -> Api {
        match self {
            Self::Get(_) | Self::List(_) | Self::Post(_) => Api::Rest,
            Self::Query(_) => Api::GraphQl,
        }
    }

    /// How much of an answer with this status is wanted.
    fn wants(&self, status: StatusCode) -> Wanted {
        match self {
            Self::List(_) if status == StatusCode::OK => Wanted::Page,
            _ if status.is_success() => Wanted::Whole,
            _ => Wanted::Beginning,
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

    /// The requests so far.
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

    /// The effort of the retry rule, within the pass's time.
    pub(super) fn effort(&self, is_transient: fn(Failure) -> bool) -> Effort {
        Effort { is_transient, timeout: self.github.retry.attempt_timeout, until: self.deadline }
    }

    /// How GitHub failed last, even if another attempt succeeded. `None` if it never failed.
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

    /// How long it is until `then`. Zero if that is over.
    pub(super) fn left_until(&self, then: Timestamp) -> Duration {
        Duration::try_from(then.duration_since(self.now())).unwrap_or_default()
    }

    /// Sends a request, and repeats it by the retry rule while there is time.
    pub(super) async fn send(
        &self,
        request: &Request,
        token: &Token,
        effort: Effort,
    ) -> Result<Answer, GitHubError> {
        let github = self.github;
        let (mut attempts, mut last_failure) = (1, None);
        // Boxed, as are the steps of a pass: the futures of all layers in one take more than a thread's stack in tests.
        let answered = (|| self.attempt(request, token, effort).boxed())
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
        let origin = || self.address(request).origin().ascii_serialization();
        answered.map_err(|why| match (why, last_failure) {
            (NoAnswer::Failed(failure), _) => {
                self.note_failure(failure);
                GitHubError::Unavailable { failure, attempts, origin: origin() }
            }
            // A failure before the time was up is worth reporting. Without one, the request waits for the next pass.
            (NoAnswer::Refused(GitHubError::Deadline), Some(failure)) => {
                GitHubError::Unavailable { failure, attempts: attempts - 1, origin: origin() }
            }
            (NoAnswer::Refused(error), _) => error,
        })
    }

    /// Fails while a limit of this account blocks the API.
    pub(super) fn check_not_blocked(&self, account: &Fingerprint, api: Api) -> Result<(), GitHubError> {
        let blocked_until = self.blocked_until(account, api);
        blocked_until.map_or(Ok(()), |until| Err(GitHubError::RateLimited { until, api }))
    }

    /// Until when the API is blocked for this account. `None` if it is not.
    pub(super) fn blocked_until(&self, account: &Fingerprint, api: Api) -> Option<Timestamp> {
        self.github.with_limits(account, |limits| limits.blocked_until(api, self.now()))
    }

    async fn attempt(&self, request: &Request, token: &Token, effort: Effort) -> Result<Answer, NoAnswer> {
        let github = self.github;
        let (api, now) = (request.api(), github.clock.now());
        self.check_not_blocked(&token.account, api).map_err(NoAnswer::Refused)?;
        let remaining = self.left_until(effort.until);
        if remaining.is_zero() {
            return Err(NoAnswer::Refused(GitHubError::Deadline));
        }
        // A request above the rate waits for the next pass, as one for which there is no time.
        if !github.with_limits(&token.account, |limits| limits.admit(api, now)) {
            return Err(NoAnswer::Refused(GitHubError::Deadline));
        }
        // Before the request is sent, so that no answer waits for memory.
        let wanted = request.wants(StatusCode::OK);
        let Ok(memory) = tokio::time::timeout(remaining, github.memory.reserve(wanted)).await else {
            return Err(NoAnswer::Refused(GitHubError::Deadline));
        };
        let remaining = self.left_until(effort.until);
        let timeout = effort.timeout.min(remaining);
        // A timeout counts as GitHub's failure only if GitHub had half of the time that an answer may take.
        let is_cut_short = timeout < effort.timeout.min(github.retry.attempt_timeout / 2);
        let failed = |error: reqwest::Error| {
            let is_cut = error.is_timeout() && !error.is_connect() && is_cut_short;
            if is_cut {
                NoAnswer::Refused(GitHubError::Deadline)
            } else {
                NoAnswer::Failed(retry::transient_error(&error))
            }
        };
        self.count(&token.account, |counts| match api {
            Api::Rest => counts.rest += 1,
            Api::GraphQl => counts.graphql += 1,
        });
        let answer = self
            .builder(request)
            .bearer_auth(token.token.expose())
            .header(ACCEPT, "application/vnd.github+json")
            .header(ACCEPT_ENCODING, "gzip")
            .header("x-github-api-version", API_VERSION)
            .timeout(timeout)
            .send()
            .await
            .map_err(failed)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let received = Received::of(status, &headers);
        let refused = |error| Err(NoAnswer::Refused(received.logged(error)));
        let body = body::read(answer, request.wants(status), &github.web).await;
        let body = body.inspect_err(|why| received.log_failure(why));
        github.closing_down.note(&headers);
        // The budget in an answer to a refused token is not that of its account.
        let budget = meter::budget(&headers, now).filter(|_| status != StatusCode::UNAUTHORIZED);
        if let Some(budget) = budget {
            github.with_limits(&token.account, |limits| limits.note(api, budget));
        }
        if let Some(failure) = retry::transient_status(status.as_u16()) {
            received.log_failure(&"GitHub reported an internal error");
            return Err(NoAnswer::Failed(failure));
        }
        let body = body.map_err(|why| match why {
            BodyFailed::Network(error) => failed(error),
            BodyFailed::Failed(failure) => NoAnswer::Failed(failure),
        })?;
        let words = body.bytes();
        if let Some(limit) = meter::limit(status, &headers, words, now) {
            github.with_limits(&token.account, |limits| limit.block(limits, api));
            return refused(GitHubError::RateLimited { until: limit.until(), api });
        }
        // If GraphQL cannot be used, REST is, and its answers show more.
        if api == Api::Rest
            && let Some(what) = foreign::description(status, words)
        {
            return refused(GitHubError::Unexpected(what));
        }
        match status {
            StatusCode::UNAUTHORIZED => refused(token.refused.into()),
            StatusCode::FORBIDDEN | StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => {
                refused(forbidden::reason(status, &headers, words))
            }
            _ => {
                let Some(date) = header(&headers, DATE.as_str()).and_then(http_date) else {
                    return refused(GitHubError::Unexpected("no Date header".to_owned()));
                };
                let _ = self.first_date.set(date);
                let limits = GraphqlLimits::read(&headers, github.clock.now());
                let account = token.account.clone();
                Ok(Answer::new(account, received, &headers, date, limits, body, memory))
            }
        }
    }

    fn address<'q>(&'q self, request: &'q Request) -> &'q Url {
        match request {
            Request::Get(url) | Request::List(url) | Request::Post(url) => url,
            Request::Query(_) => &self.github.graphql_url,
        }
    }

    fn builder(&self, request: &Request) -> RequestBuilder {
        let address = self.address(request).clone();
        match request {
            Request::Get(_) | Request::List(_) => self.github.http.get(address),
            Request::Post(_) => self.github.http.post(address),
            Request::Query(body) => {
                self.github.http.post(address).header(CONTENT_TYPE, "application/json").body(body.clone())
            }
        }
    }

    pub(super) fn count(&self, account: &Fingerprint, add: impl FnOnce(&mut RequestCounts)) {
        let mut usage = self.usage.lock().expect(NOTHING_PANICS);
        let counts = usage.of_mut(account);
        let before = *counts;
        add(counts);
        Count::GitHubRequests.add(counts.requests() - before.requests());
        Count::GitHubPoints.add(counts.points - before.points);
    }

    pub(super) fn now(&self) -> Timestamp {
        self.github.clock.now()
    }
}

const NOTHING_PANICS: &str = "nothing panics while it counts or notes";
