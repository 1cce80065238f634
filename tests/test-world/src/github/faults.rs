//! Faults of GitHub and of the network to it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::answer::Answer;
use super::graphql::Partial;
use super::render::About;
use crate::fault::Repeated;

/// How a request fails. It applies to one request, unless repeated by `times` or `forever`.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This status, with GitHub's usual JSON body.
    Status(u16),
    /// Exactly this answer. GitHub's usual headers are added if `headers` does not have them.
    Answer {
        /// The status code.
        status: u16,
        /// Header names and values.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: String,
    },
    /// The correct answer, after this much real time.
    Delay(Duration),
    /// No answer while the client waits.
    Hang,
    /// GitHub aborts the query and answers 502. The world's clock advances by this time. GitHub aborts queries that
    /// take longer than 10 s (GitHub docs: "Rate limits and query limits for the GraphQL API", timeouts).
    GivesUp(Duration),
    /// The connection is reset before the answer.
    Cut,
    /// The correct answer's headers and half of its body, then a reset.
    HalfPage,
    /// The correct answer without its last byte, then this text repeatedly until the client disconnects.
    Endless(&'static str),
    /// 200 with a page of HTML.
    Garbage,
    /// 200 with an empty list.
    EmptyList,
    /// The answer to a GraphQL call lacks some data, and its errors give the reason. Create it with constructors such
    /// as [`Fault::repository_error`].
    Partial(Partial),
    /// The correct answer with a change. Create it with [`Fault::changed`].
    Changed(Change),
}

/// A change of an answer's status, headers or body.
#[derive(Clone)]
pub struct Change(Arc<Changing>);

type Changing = dyn Fn(&mut u16, &mut Vec<(String, String)>, &mut Vec<u8>) + Send + Sync;

impl Change {
    pub(super) fn of(&self, mut answer: Answer) -> Answer {
        (self.0)(&mut answer.status, &mut answer.headers, &mut answer.body);
        answer
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Change(…)")
    }
}

impl Fault {
    /// The correct answer after `change` has modified its status, headers or body.
    pub fn changed(
        change: impl Fn(&mut u16, &mut Vec<(String, String)>, &mut Vec<u8>) + Send + Sync + 'static,
    ) -> Self {
        Self::Changed(Change(Arc::new(change)))
    }

    /// Applies to the next `times` matching requests.
    pub fn times(self, times: u64) -> Repeated<Self> {
        Repeated { fault: self, times: Some(times) }
    }

    /// Applies to every matching request until [`GitHub::heal`](super::GitHub::heal).
    pub fn forever(self) -> Repeated<Self> {
        Repeated { fault: self, times: None }
    }

    /// A secondary rate limit: 403 with requests remaining. The message identifies it, and a `Retry-After` if given.
    pub fn secondary_limit(retry_after: Option<&str>) -> Self {
        let headers = retry_after.map(|value| ("retry-after", value.to_owned())).into_iter().collect();
        Self::json(
            403,
            headers,
            "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
            &About::RateLimits,
        )
    }

    /// A secondary limit with the message used until 2021 and by Enterprise Servers today: 403 with requests remaining
    /// (sourcegraph/sourcegraph issue 3582, ossf/scorecard issue 206).
    pub fn abuse_limit(retry_after: Option<&str>) -> Self {
        let headers = retry_after.map(|value| ("retry-after", value.to_owned())).into_iter().collect();
        let message = "You have triggered an abuse detection mechanism. Please wait a few minutes before you try again.";
        Self::json(403, headers, message, &About::RateLimits)
    }

    /// A refusal with this message, without special headers. [`refusals`](super::refusals) has messages.
    pub fn refusal(status: u16, message: &str) -> Self {
        Self::json(status, Vec::new(), message, &About::Anything)
    }

    /// A repository that was blocked: 451 or 403, with a `block` (github/rest-api-description issue 3314,
    /// caarlos0/fork-cleaner issue 99).
    pub fn blocked(status: u16, reason: &str) -> Self {
        let body = serde_json::json!({
            "message": super::refusals::BLOCKED,
            "block": { "reason": reason, "created_at": "2021-04-22T17:53:56Z", "html_url": "https://github.com/tos" },
        });
        let headers = vec![("content-type", "application/json; charset=utf-8".to_owned())];
        Self::Answer { status, headers, body: body.to_string() }
    }

    /// A token that is not authorized for the organization's SAML single sign-on: 403, which is not a rate limit.
    pub fn saml_required() -> Self {
        let sso = "required; url=https://github.com/orgs/acme/sso?authorization_request=AAAA".to_owned();
        Self::json(
            403,
            vec![("x-github-sso", sso)],
            "Resource protected by organization SAML enforcement. You must grant your Personal Access token \
             access to this organization.",
            &About::Anything,
        )
    }

    fn json(status: u16, mut headers: Vec<(&'static str, String)>, message: &str, about: &About) -> Self {
        let body = super::render::error(status, message, about).to_string();
        headers.push(("content-type", "application/json; charset=utf-8".to_owned()));
        Self::Answer { status, headers, body }
    }
}

impl From<Fault> for Repeated<Fault> {
    fn from(fault: Fault) -> Self {
        fault.times(1)
    }
}

/// GitHub's usual answer for a status.
pub(super) fn of_status(status: u16) -> Answer {
    let message = match status {
        401 => "Bad credentials",
        403 => "Resource not accessible by personal access token",
        404 => "Not Found",
        410 => "Gone",
        422 => "Validation Failed",
        429 => "Too Many Requests",
        451 => "Repository access blocked",
        500.. => "Server Error",
        _ => "Problems parsing JSON",
    };
    Answer::error(status, message, &About::Anything)
}

pub(super) fn exactly(status: u16, headers: Vec<(&'static str, String)>, body: String) -> Answer {
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Answer { status, headers, body: body.into_bytes(), points: 0 }
}

pub(super) fn empty_list() -> Answer {
    Answer::json(200, &Value::Array(Vec::new()))
}

/// A page of HTML, as a proxy on the way may send.
pub(super) fn garbage() -> Answer {
    let body = b"<!DOCTYPE html>\n<html><head><title>Unicorn!</title></head><body>This page is taking too \
                 long to load.</body></html>\n";
    let headers = vec![("content-type".to_owned(), "text/html; charset=utf-8".to_owned())];
    Answer { status: 200, headers, body: body.to_vec(), points: 0 }
}
