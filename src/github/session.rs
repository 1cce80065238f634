//! The calls of one pass, each within its deadline.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, DATE, HeaderMap, LINK, LOCATION, RETRY_AFTER};
use serde::de::DeserializeOwned;
use url::Url;

use crate::domain::{Change, Gone, IssueNumber, Observation, RepositoryId, RepositoryName};

use super::credentials::Token;
use super::{Failure, GitHub, GitHubError, retry, wire};

/// The version of the REST API that answers are understood in.
const API_VERSION: &str = "2022-11-28";

/// How often a renamed repository's redirect is followed.
const MOST_REDIRECTS: u32 = 3;

/// The wait GitHub asks for after a secondary limit that names none.
const SECONDARY_LIMIT_WAIT: Duration = Duration::from_secs(60);

/// A repository as GitHub shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Its id.
    pub id: RepositoryId,
    /// Its name today, which is another than the one asked for after a rename.
    pub name: RepositoryName,
    /// Whether GitHub has disabled it.
    pub disabled: bool,
}

/// What GitHub says of one issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssueAnswer {
    /// It is here, as shown.
    Here(Box<Observation>),
    /// It was deleted, or moved to another repository.
    Gone(Gone),
    /// GitHub shows nothing and does not say why (404), at this `Date`.
    NotVisible(Timestamp),
}

/// The calls of one pass, counted. None is sent after its deadline.
#[derive(Debug)]
pub struct Session<'a> {
    github: &'a GitHub,
    deadline: Timestamp,
    requests: AtomicU64,
    first_date: OnceLock<Timestamp>,
    hourly_limit: OnceLock<u64>,
    /// Set when GitHub refused the token and there is no newer one: asking on would only look like an attack.
    has_bad_token: AtomicBool,
}

/// An answer that is worth reading.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) date: Timestamp,
    pub(super) next: Option<Url>,
    location: Option<Url>,
    body: Vec<u8>,
}

impl<'a> Session<'a> {
    pub(super) fn new(github: &'a GitHub, deadline: Timestamp) -> Self {
        Self {
            github,
            deadline,
            requests: AtomicU64::new(0),
            first_date: OnceLock::new(),
            hourly_limit: OnceLock::new(),
            has_bad_token: AtomicBool::new(false),
        }
    }

    /// How many requests were sent so far, repeated ones included.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The `Date` of the first answer.
    pub fn first_date(&self) -> Option<Timestamp> {
        self.first_date.get().copied()
    }

    /// The requests that GitHub grants this token in an hour, as it says itself.
    pub fn hourly_limit(&self) -> Option<u64> {
        self.hourly_limit.get().copied()
    }

    /// Looks a repository up by its name, following a rename.
    pub async fn repository(&self, name: &RepositoryName) -> Result<Repository, GitHubError> {
        let mut url = self.url(&format!("repos/{name}"));
        for _ in 0..=MOST_REDIRECTS {
            let answer = self.get(url).await?;
            match answer.status {
                StatusCode::OK => {
                    let wire::Repository { id, full_name, disabled } = answer.json()?;
                    let name = RepositoryName::parse(&full_name).map_err(|_| {
                        GitHubError::Unexpected("a repository's name of another form".to_owned())
                    })?;
                    return Ok(Repository { id: RepositoryId(id), name, disabled });
                }
                StatusCode::NOT_FOUND => return Err(GitHubError::NotFound),
                _ => url = answer.redirect().ok_or_else(|| answer.unexpected())?,
            }
        }
        Err(GitHubError::Unexpected("too many redirects".to_owned()))
    }

    /// Asks for one issue. A redirect is not followed blindly: it is how GitHub tells of a transfer.
    pub async fn issue(
        &self,
        repository: &Repository,
        number: IssueNumber,
    ) -> Result<IssueAnswer, GitHubError> {
        let mut answer = self.get(self.url(&format!("repos/{}/issues/{number}", repository.name))).await?;
        if let Some(location) = answer.redirect() {
            let stays = format!("repositories/{}/issues/{number}", repository.id);
            let proved_at = answer.date;
            let there = self.get(location.clone()).await;
            if location != self.url(&stays) {
                // The redirect is the proof. Where it leads may be nothing that this token may read.
                let moved_to = match there {
                    Ok(there) if there.status == StatusCode::OK => Some(there.json::<wire::Entry>()?),
                    Ok(_) | Err(GitHubError::Forbidden) => None,
                    Err(error) => return Err(error),
                };
                return Ok(IssueAnswer::Gone(Gone {
                    reason: Change::Moved,
                    proved_at,
                    moved_to: moved_to.and_then(wire::Entry::into_issue).map(|issue| issue.url),
                }));
            }
            answer = there?;
            // The repository was renamed since the pass looked it up; the issue itself stays.
        }
        match answer.status {
            StatusCode::OK => {
                let issue = answer
                    .json::<wire::Entry>()?
                    .into_issue()
                    .ok_or_else(|| GitHubError::Unexpected(format!("issue {number} is a pull request")))?;
                Ok(IssueAnswer::Here(Box::new(Observation { issue, read_at: answer.date })))
            }
            StatusCode::GONE => Ok(IssueAnswer::Gone(Gone {
                reason: Change::Deleted,
                proved_at: answer.date,
                moved_to: None,
            })),
            StatusCode::NOT_FOUND => Ok(IssueAnswer::NotVisible(answer.date)),
            _ => Err(answer.unexpected()),
        }
    }

    pub(super) fn url(&self, path: &str) -> Url {
        let base = self.github.api_url.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}/{path}")).expect("a checked base and a checked path make a URL")
    }

    /// Sends one GET, repeated as the retry rule says, and returns what can be understood: 2xx, 3xx, 404, 410
    /// and 422. The token goes to the configured origin only.
    pub(super) async fn get(&self, url: Url) -> Result<Answer, GitHubError> {
        let github = self.github;
        if url.origin() != github.api_url.origin() {
            return Err(GitHubError::Unexpected("it points to another host".to_owned()));
        }
        if self.has_bad_token.load(Ordering::Relaxed) {
            return Err(GitHubError::Unauthorized);
        }
        let mut token = github.credentials.token().await?;
        let mut attempt = 1;
        let mut has_new_token = false;
        let mut last_failure = Failure::TimedOut;
        loop {
            let failure = match self.attempt(&url, &token).await {
                // What was met before the time was up is worth telling; else this waits for the next pass.
                Attempt::Refused(GitHubError::Deadline) if attempt > 1 => {
                    return Err(self.unavailable(last_failure, attempt - 1));
                }
                Attempt::Answered(answer) => return Ok(answer),
                Attempt::Refused(GitHubError::Unauthorized) => {
                    let newer = github.credentials.token_instead_of(&token).await;
                    let Some(newer) = newer.filter(|_| !has_new_token) else {
                        self.has_bad_token.store(true, Ordering::Relaxed);
                        return Err(GitHubError::Unauthorized);
                    };
                    token = newer;
                    has_new_token = true;
                    continue;
                }
                Attempt::Refused(error) => return Err(error),
                Attempt::Failed(failure) => failure,
            };
            let wait = github
                .retry
                .wait_after(attempt, github.clock.random_share())
                .filter(|wait| *wait < self.remaining());
            let Some(wait) = wait else {
                return Err(self.unavailable(failure, attempt));
            };
            last_failure = failure;
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    fn unavailable(&self, failure: Failure, attempts: u32) -> GitHubError {
        let origin = self.github.api_url.origin().ascii_serialization();
        GitHubError::Unavailable { failure, attempts, origin }
    }

    async fn attempt(&self, url: &Url, token: &Token) -> Attempt {
        let github = self.github;
        let now = github.clock.now();
        if let Some(until) = github.limit().filter(|until| *until > now) {
            return Attempt::Refused(GitHubError::RateLimited { until });
        }
        let remaining = self.remaining();
        if remaining.is_zero() {
            return Attempt::Refused(GitHubError::Deadline);
        }
        let patience = github.retry.attempt_timeout.min(remaining);
        // Our own time being up says nothing of GitHub.
        let failed = |error: reqwest::Error| {
            let is_cut = error.is_timeout() && !error.is_connect() && patience < github.retry.attempt_timeout;
            if is_cut {
                Attempt::Refused(GitHubError::Deadline)
            } else {
                Attempt::Failed(retry::healable_error(&error))
            }
        };
        self.requests.fetch_add(1, Ordering::Relaxed);
        let sent = github
            .http
            .get(url.clone())
            .bearer_auth(token.token.expose())
            .header(ACCEPT, "application/vnd.github+json")
            .header("x-github-api-version", API_VERSION)
            .timeout(patience)
            .send();
        let answer = match sent.await {
            Ok(answer) => answer,
            Err(error) => return failed(error),
        };
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = match answer.bytes().await {
            Ok(body) => Vec::from(body),
            Err(error) => return failed(error),
        };
        if let Some(limit) = header(&headers, "x-ratelimit-limit").and_then(|limit| limit.parse().ok()) {
            let _ = self.hourly_limit.set(limit);
        }
        if let Some(failure) = retry::healable_status(status.as_u16()) {
            return Attempt::Failed(failure);
        }
        if let Some(until) = limit(status, &headers, &body, now) {
            github.set_limit(until);
            return Attempt::Refused(GitHubError::RateLimited { until });
        }
        match status {
            StatusCode::UNAUTHORIZED => Attempt::Refused(GitHubError::Unauthorized),
            StatusCode::FORBIDDEN => Attempt::Refused(GitHubError::Forbidden),
            _ => self.understood(status, &headers, body),
        }
    }

    fn understood(&self, status: StatusCode, headers: &HeaderMap, body: Vec<u8>) -> Attempt {
        let date = header(headers, DATE.as_str()).and_then(http_date);
        let Some(date) = date else {
            return Attempt::Refused(GitHubError::Unexpected("it bears no Date".to_owned()));
        };
        let _ = self.first_date.set(date);
        Attempt::Answered(Answer {
            status,
            date,
            next: header(headers, LINK.as_str()).and_then(next_link),
            location: header(headers, LOCATION.as_str()).and_then(|location| Url::parse(location).ok()),
            body,
        })
    }

    fn remaining(&self) -> Duration {
        Duration::try_from(self.deadline.duration_since(self.github.clock.now())).unwrap_or_default()
    }
}

/// How one attempt ended.
enum Attempt {
    Answered(Answer),
    /// Another attempt would meet the same.
    Refused(GitHubError),
    /// Another attempt may fare better.
    Failed(Failure),
}

impl Answer {
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, GitHubError> {
        // serde's message tells the place and the kind of the mismatch; it can quote the text, which must not
        // reach a caller.
        serde_json::from_slice(&self.body).map_err(|error| {
            let what = if error.is_data() { "JSON of another shape" } else { "not JSON" };
            GitHubError::Unexpected(format!("{what} (line {}, column {})", error.line(), error.column()))
        })
    }

    fn redirect(&self) -> Option<Url> {
        self.location.clone().filter(|_| self.status.is_redirection())
    }

    pub(super) fn unexpected(&self) -> GitHubError {
        GitHubError::Unexpected(format!("status {}", self.status.as_u16()))
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn http_date(text: &str) -> Option<Timestamp> {
    Timestamp::try_from(httpdate::parse_http_date(text).ok()?).ok()
}

/// The `next` of a Link header.
fn next_link(text: &str) -> Option<Url> {
    text.split(',').find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = parameters.split(';').any(|parameter| parameter.trim() == r#"rel="next""#);
        is_next.then(|| Url::parse(target).ok()).flatten()
    })
}

/// GitHub's limits lift within the hour; whatever it says, we ask again then.
const LONGEST_LIMIT: Duration = Duration::from_secs(3_600);

fn at_most(until: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let latest = now.checked_add(LONGEST_LIMIT).unwrap_or(now);
    until.map_or(latest, |until| until.min(latest))
}

/// Until when an answer tells us to stay away; none when it is not about a limit.
fn limit(status: StatusCode, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Option<Timestamp> {
    if !matches!(status, StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS) {
        return None;
    }
    let wait = header(headers, RETRY_AFTER.as_str()).and_then(|text| text.parse().ok());
    if let Some(seconds) = wait {
        return Some(at_most(now.checked_add(Duration::from_secs(seconds)).ok(), now));
    }
    if header(headers, "x-ratelimit-remaining") == Some("0") {
        let reset = header(headers, "x-ratelimit-reset").and_then(|text| text.parse().ok());
        if let Some(reset) = reset.and_then(|seconds| Timestamp::from_second(seconds).ok()) {
            return Some(at_most(Some(reset), now));
        }
    }
    let is_secondary = body.windows(20).any(|words| words.eq_ignore_ascii_case(b"secondary rate limit"));
    let is_limit = is_secondary || status == StatusCode::TOO_MANY_REQUESTS;
    is_limit.then(|| now.checked_add(SECONDARY_LIMIT_WAIT).unwrap_or(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_link_is_found_wherever_it_stands() {
        let header = r#"<https://a/repositories/1/issues?page=1>; rel="prev", <https://a/repositories/1/issues?after=Y3Vy%3D>; rel="next""#;
        assert_eq!(next_link(header).unwrap().as_str(), "https://a/repositories/1/issues?after=Y3Vy%3D");
        assert_eq!(next_link(r#"<https://a/?page=1>; rel="first""#), None);
        assert_eq!(next_link("nonsense"), None);
    }
}
