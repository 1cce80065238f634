//! Reads the limits in GitHub's answers: what is left of an account's budgets, and until when requests are blocked.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::domain::{AccountLimits, Api, Budget};

/// The wait that GitHub documents for a secondary limit without a time.
const SECONDARY_LIMIT_WAIT: Duration = Duration::from_secs(60);

/// GitHub's messages for a used-up budget: "API rate limit exceeded for installation ID 1.", "API rate limit already
/// exceeded for user ID 1." They hold even without such headers, or with an `x-ratelimit-remaining` other than 0
/// (upptime issue 786).
const PRIMARY_WORDS: [&[u8]; 2] = [b"api rate limit exceeded", b"api rate limit already exceeded"];

/// GitHub's messages for a secondary limit. The second one is that of Enterprise Servers and of years ago (sourcegraph
/// issue 3582, ossf/scorecard issue 206).
const SECONDARY_WORDS: [&[u8]; 2] = [b"secondary rate limit", b"abuse detection mechanism"];

/// The longest time that a limit is obeyed. GitHub's limits end within the hour.
const MAX_LIMIT: Duration = Duration::from_secs(3_600);

/// A limit that an answer reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// The budget of the requested API is used up.
    Primary(Timestamp),
    /// Too many requests at once. GitHub counts both APIs together.
    Secondary(Timestamp),
}

impl Limit {
    /// When it lifts.
    pub(super) fn until(self) -> Timestamp {
        match self {
            Self::Primary(until) | Self::Secondary(until) => until,
        }
    }

    /// Blocks the APIs that it applies to.
    pub(super) fn block(self, limits: &mut AccountLimits, requested: Api) {
        match self {
            Self::Primary(until) => limits.block(requested, until),
            Self::Secondary(until) => {
                limits.block(Api::Rest, until);
                limits.block(Api::GraphQl, until);
            }
        }
    }
}

/// The state of the budget that the request counted against.
pub(super) fn budget(headers: &HeaderMap, now: Timestamp) -> Option<Budget> {
    let number = |name| header(headers, name).and_then(|text| text.parse().ok());
    Some(Budget {
        limit: number("x-ratelimit-limit")?,
        remaining: number("x-ratelimit-remaining")?,
        resets_at: resets_at(headers, now)?,
    })
}

/// The limit that an answer reports, if any.
pub(super) fn limit(status: StatusCode, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Option<Limit> {
    if !matches!(status, StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS) {
        return None;
    }
    limit_in_headers(headers, now).or_else(|| limit_in_text(headers, body, now)).or_else(|| {
        let is_limit = status == StatusCode::TOO_MANY_REQUESTS;
        is_limit.then(|| without_end(now))
    })
}

/// The limit that the message alone reports.
fn limit_in_text(headers: &HeaderMap, text: &[u8], now: Timestamp) -> Option<Limit> {
    let mentions = |words: [&[u8]; 2]| words.into_iter().any(|words| contains(text, words));
    if mentions(SECONDARY_WORDS) {
        return Some(without_end(now));
    }
    // A reset in the past comes from a header that is out of date.
    let until = || resets_at(headers, now).filter(|until| *until > now).unwrap_or_else(|| a_minute_from(now));
    mentions(PRIMARY_WORDS).then(|| Limit::Primary(until()))
}

/// Until when limits apply, if an error in a GraphQL answer reports one.
#[derive(Clone, Copy, Debug)]
pub(super) struct GraphqlLimits {
    /// When a used-up budget of points lifts.
    points: Timestamp,
    /// When a secondary limit lifts.
    secondary: Timestamp,
}

impl GraphqlLimits {
    pub(super) fn read(headers: &HeaderMap, now: Timestamp) -> Self {
        let retry = header(headers, RETRY_AFTER.as_str()).and_then(|text| retry_after(text, now));
        let retry = retry.map(|until| at_most(until, now));
        let reset = resets_at(headers, now).filter(|until| *until > now);
        let secondary = retry.unwrap_or_else(|| a_minute_from(now));
        Self { points: retry.or(reset).unwrap_or(secondary), secondary }
    }

    /// The limit that an error with this type and message reports. The type is about the budget of points, whatever
    /// `x-ratelimit-remaining` is: that header may be about the REST API's.
    pub(super) fn limit(self, kind: Option<&str>, words: &str) -> Option<Limit> {
        let mentions = |all: [&[u8]; 2]| all.into_iter().any(|words_of| contains(words.as_bytes(), words_of));
        if mentions(SECONDARY_WORDS) {
            Some(Limit::Secondary(self.secondary))
        } else if matches!(kind, Some("RATE_LIMITED" | "RATE_LIMIT")) || mentions(PRIMARY_WORDS) {
            Some(Limit::Primary(self.points))
        } else {
            None
        }
    }
}

/// Whether a text contains these words in upper or lower case.
pub(super) fn contains(text: &[u8], words: &[u8]) -> bool {
    text.windows(words.len()).any(|found| found.eq_ignore_ascii_case(words))
}

fn limit_in_headers(headers: &HeaderMap, now: Timestamp) -> Option<Limit> {
    match header(headers, RETRY_AFTER.as_str()).and_then(|text| retry_after(text, now)) {
        Some(until) => Some(Limit::Secondary(at_most(until, now))),
        None => used_up(headers, now),
    }
}

/// A limit without an end in GitHub's answer.
fn without_end(now: Timestamp) -> Limit {
    Limit::Secondary(a_minute_from(now))
}

fn a_minute_from(now: Timestamp) -> Timestamp {
    now.checked_add(SECONDARY_LIMIT_WAIT).unwrap_or(now)
}

fn used_up(headers: &HeaderMap, now: Timestamp) -> Option<Limit> {
    let is_used_up = header(headers, "x-ratelimit-remaining") == Some("0");
    resets_at(headers, now).filter(|_| is_used_up).map(Limit::Primary)
}

fn resets_at(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    let seconds = header(headers, "x-ratelimit-reset")?.parse().ok()?;
    Some(at_most(Timestamp::from_second(seconds).ok()?, now))
}

/// `Retry-After` is a number of seconds or a date.
fn retry_after(text: &str, now: Timestamp) -> Option<Timestamp> {
    match text.trim().parse() {
        Ok(seconds) => now.checked_add(Duration::from_secs(seconds)).ok().or(Some(Timestamp::MAX)),
        Err(_) => http_date(text),
    }
}

fn at_most(until: Timestamp, now: Timestamp) -> Timestamp {
    until.min(now.checked_add(MAX_LIMIT).unwrap_or(now))
}

/// A header that is text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// An instant as HTTP writes it.
pub(super) fn http_date(text: &str) -> Option<Timestamp> {
    Timestamp::try_from(httpdate::parse_http_date(text).ok()?).ok()
}
