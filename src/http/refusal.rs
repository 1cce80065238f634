//! The one place where an error becomes an HTTP status, and the sentences that callers read about it: RFC 9457 problem
//! details, without internal information.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{
    AgentName, IdempotencyKey, InvalidAgentName, InvalidIdempotencyKey, KeyRefused, RateLimitExceeded,
};
use crate::heartbeat::Rejected;
use crate::secrets::SecretUnavailable;
use crate::telemetry::Count;
use crate::views::ReadError;

use super::body::InvalidBody;
use super::query::{InvalidQuery, ParameterError};

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// The event is not an HTTP request, or one that no client can send.
    #[error("the event is not a readable HTTP request")]
    Event,
    #[error(
        "invalid agent name: must be 1 to {} of the characters A-Z a-z 0-9 . _ - and start with a letter or a digit",
        AgentName::MAX_LENGTH
    )]
    AgentName,
    #[error("the path is not valid percent-encoded UTF-8")]
    Path,
    #[error(transparent)]
    Query(#[from] InvalidQuery),
    #[error(transparent)]
    Body(#[from] InvalidBody),
    #[error("missing or invalid agent token; send exactly one header `Authorization: Bearer <token>`")]
    Unauthorized,
    #[error(
        "this token is not valid: check that it is complete, or use another one; tokens expire and are replaced"
    )]
    WrongToken,
    #[error("the session has ended; sign in again")]
    SessionEnded,
    #[error("this token is not valid for this agent")]
    NotForThisAgent,
    #[error(
        "this token may not send heartbeats; use another one, or add `beat` to `may` of its entry in the secret with the \
         agents' tokens"
    )]
    MayNotBeat,
    #[error(
        "this token may not read the fleet; use another one, or give its entry in the secret with the agents' tokens \
         `\"may\":[\"beat\",\"read\"]`"
    )]
    MayNotRead,
    #[error(
        "only the board's own page may sign in or out: the request needs `Sec-Fetch-Site: same-origin`, which current \
         browsers send over HTTPS; a program sends `Authorization: Bearer <token>` with each request instead"
    )]
    NotFromTheBoard,
    #[error("no such endpoint; GET /api/openapi.json describes those that exist")]
    NotFound,
    /// A valid request for something that does not exist. Holds the sentence.
    #[error("{0}")]
    NoSuchThing(&'static str),
    /// What a cursor belongs to is no longer there. Holds the sentence.
    #[error("{0}")]
    Gone(&'static str),
    #[error("method not allowed for this path; see the Allow header")]
    MethodNotAllowed,
    #[error("the body must be declared as JSON; send exactly one header `Content-Type: application/json`")]
    NotJson,
    #[error("the body must be a JSON object with the token as text: {{\"token\":\"…\"}}")]
    NoToken,
    #[error(
        "invalid Idempotency-Key: must be one value of 1 to {} visible ASCII characters except \" , ; and \\, optionally \
         in quotation marks",
        IdempotencyKey::MAX_LENGTH
    )]
    IdempotencyKey,
    #[error("a request with this Idempotency-Key is still running; retry in {retry_after_seconds} s")]
    StillRunning { retry_after_seconds: u64 },
    #[error("this Idempotency-Key was used with another body; use a new key for each request")]
    KeyReused,
    #[error(
        "rate limit exceeded: {limit} heartbeats per minute for this agent; retry in {retry_after_seconds} s"
    )]
    RateLimited { limit: u64, retry_after_seconds: u64 },
    #[error(
        "rate limit exceeded: {limit} reads per minute with this token; retry in {retry_after_seconds} s"
    )]
    TooManyReads { limit: u64, retry_after_seconds: u64 },
    /// The tokens cannot be read, or the secret contains no usable token. Sent instead of 401, so that valid clients
    /// are not misled.
    #[error("the agent tokens cannot be read; retry later")]
    CredentialsUnavailable,
    /// A read failed at the table. A heartbeat reports that in its response instead.
    #[error("{0}")]
    TableUnavailable(String),
}

/// RFC 9457's members, `error` for clients that look for one, and `errors` if query parameters are invalid.
#[derive(Serialize, ToSchema)]
pub(super) struct ProblemDetails {
    /// Always `about:blank`: the status defines the problem's type.
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// Why the request is refused.
    detail: String,
    /// The same as `title`.
    error: &'static str,
    /// Every mistake in the query's parameters; only if there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(min_items = 1, required = false)]
    errors: Vec<ParameterError>,
}

impl From<InvalidAgentName> for Refusal {
    fn from(_: InvalidAgentName) -> Self {
        Self::AgentName
    }
}

impl From<InvalidIdempotencyKey> for Refusal {
    fn from(_: InvalidIdempotencyKey) -> Self {
        Self::IdempotencyKey
    }
}

impl From<Rejected> for Refusal {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::RateLimitExceeded(RateLimitExceeded { limit, retry_after_seconds }) => {
                Self::RateLimited { limit, retry_after_seconds }
            }
            Rejected::Key(KeyRefused::Running { retry_after_seconds }) => {
                Self::StillRunning { retry_after_seconds }
            }
            Rejected::Key(KeyRefused::OtherRequest) => Self::KeyReused,
        }
    }
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotFound(sentence) => Self::NoSuchThing(sentence),
            ReadError::Gone(sentence) => Self::Gone(sentence),
            ReadError::Cursor(cursor) => InvalidQuery::of("cursor", cursor.to_string()).into(),
            ReadError::Parameter { name, detail } => InvalidQuery::of(name, detail).into(),
            ReadError::Store(error) => Self::TableUnavailable(error.to_string()),
        }
    }
}

impl From<SecretUnavailable> for Refusal {
    fn from(_: SecretUnavailable) -> Self {
        Self::CredentialsUnavailable
    }
}

impl Refusal {
    /// Whether a newer version of the secret may accept the token.
    pub(super) fn is_about_the_token(&self) -> bool {
        matches!(
            self,
            Self::Unauthorized
                | Self::WrongToken
                | Self::SessionEnded
                | Self::NotForThisAgent
                | Self::MayNotBeat
                | Self::MayNotRead
                | Self::CredentialsUnavailable
        )
    }

    /// Seconds until a retry makes sense; `None` if a retry cannot succeed.
    fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::RateLimited { retry_after_seconds, .. }
            | Self::TooManyReads { retry_after_seconds, .. }
            | Self::StillRunning { retry_after_seconds } => Some(*retry_after_seconds),
            Self::CredentialsUnavailable | Self::TableUnavailable(_) => Some(10),
            _ => None,
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Event
            | Self::AgentName
            | Self::Path
            | Self::Query(_)
            | Self::Body(InvalidBody::NotAnObject)
            | Self::NoToken
            | Self::IdempotencyKey => StatusCode::BAD_REQUEST,
            Self::Unauthorized | Self::WrongToken | Self::SessionEnded => StatusCode::UNAUTHORIZED,
            Self::NotForThisAgent | Self::MayNotBeat | Self::MayNotRead | Self::NotFromTheBoard => {
                StatusCode::FORBIDDEN
            }
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NotFound | Self::NoSuchThing(_) => StatusCode::NOT_FOUND,
            Self::Gone(_) => StatusCode::GONE,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Body(InvalidBody::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RateLimited { .. } | Self::TooManyReads { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::StillRunning { .. } => StatusCode::CONFLICT,
            Self::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::CredentialsUnavailable | Self::TableUnavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.status();
        let title = status.canonical_reason().unwrap_or_default();
        tracing::info!(http.status = status.as_u16(), cause = %self, "A request was refused.");
        let details = ProblemDetails {
            r#type: "about:blank",
            title,
            status: status.as_u16(),
            detail: self.to_string(),
            error: title,
            errors: match &self {
                Self::Query(invalid) => invalid.errors().to_vec(),
                _ => Vec::new(),
            },
        };
        let mut response = (status, Json(details)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self {
            Self::Unauthorized | Self::WrongToken | Self::SessionEnded => {
                Count::RequestsUnauthorized.add(1);
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::RateLimited { .. } | Self::TooManyReads { .. } => Count::RequestsTooMany.add(1),
            _ => {}
        }
        if let Some(seconds) = self.retry_after_seconds() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use serde_json::{Value, json};

    use super::*;

    fn body(refusal: Refusal) -> Value {
        let body = axum::body::to_bytes(refusal.into_response().into_body(), usize::MAX).now_or_never();
        serde_json::from_slice(&body.expect("it is in memory").expect("a body")).expect("JSON")
    }

    #[test]
    fn invalid_parameters_are_listed_beside_the_other_members() {
        let detail = "must be a whole number from 1 to 200";
        let expected = json!({
            "type": "about:blank",
            "title": "Bad Request",
            "status": 400,
            "detail": format!("invalid query: limit {detail}"),
            "error": "Bad Request",
            "errors": [{"parameter": "limit", "detail": detail}],
        });
        assert_eq!(body(InvalidQuery::of("limit", detail).into()), expected);
        assert_eq!(body(InvalidQuery::TooLong.into()).get("errors"), None);
        assert_eq!(body(Refusal::NotFound).get("errors"), None);
    }

    #[test]
    fn every_refusal_has_its_status_and_sentence() {
        let refusals = [
            Refusal::Event,
            Refusal::AgentName,
            Refusal::Path,
            InvalidQuery::TooLong.into(),
            InvalidQuery::TooManyParameters.into(),
            InvalidQuery::of("limit", "must be a whole number from 1 to 200").into(),
            InvalidBody::NotAnObject.into(),
            Refusal::IdempotencyKey,
            Refusal::NoToken,
            Refusal::Unauthorized,
            Refusal::WrongToken,
            Refusal::SessionEnded,
            Refusal::NotForThisAgent,
            Refusal::MayNotBeat,
            Refusal::MayNotRead,
            Refusal::NotFromTheBoard,
            Refusal::NotFound,
            Refusal::NoSuchThing("this repository is not tracked"),
            Refusal::MethodNotAllowed,
            Refusal::StillRunning { retry_after_seconds: 2 },
            InvalidBody::TooLarge.into(),
            Refusal::NotJson,
            Refusal::Gone("this cursor is of a table that was replaced or restored since"),
            Refusal::KeyReused,
            Refusal::RateLimited { limit: 60, retry_after_seconds: 5 },
            Refusal::TooManyReads { limit: 600, retry_after_seconds: 5 },
            Refusal::CredentialsUnavailable,
            Refusal::TableUnavailable("DynamoDB table unavailable (Query: ThrottlingException)".to_owned()),
        ];
        let lines = refusals.map(|refusal| format!("{} {refusal}", refusal.status().as_u16()));
        insta::assert_snapshot!(lines.join("\n"), @r#"
        400 the event is not a readable HTTP request
        400 invalid agent name: must be 1 to 64 of the characters A-Z a-z 0-9 . _ - and start with a letter or a digit
        400 the path is not valid percent-encoded UTF-8
        400 the query exceeds 8192 bytes
        400 the query has more than 50 parameters
        400 invalid query: limit must be a whole number from 1 to 200
        400 the body must be empty or a JSON object
        400 invalid Idempotency-Key: must be one value of 1 to 255 visible ASCII characters except " , ; and \, optionally in quotation marks
        400 the body must be a JSON object with the token as text: {"token":"…"}
        401 missing or invalid agent token; send exactly one header `Authorization: Bearer <token>`
        401 this token is not valid: check that it is complete, or use another one; tokens expire and are replaced
        401 the session has ended; sign in again
        403 this token is not valid for this agent
        403 this token may not send heartbeats; use another one, or add `beat` to `may` of its entry in the secret with the agents' tokens
        403 this token may not read the fleet; use another one, or give its entry in the secret with the agents' tokens `"may":["beat","read"]`
        403 only the board's own page may sign in or out: the request needs `Sec-Fetch-Site: same-origin`, which current browsers send over HTTPS; a program sends `Authorization: Bearer <token>` with each request instead
        404 no such endpoint; GET /api/openapi.json describes those that exist
        404 this repository is not tracked
        405 method not allowed for this path; see the Allow header
        409 a request with this Idempotency-Key is still running; retry in 2 s
        413 the body exceeds 65536 bytes
        415 the body must be declared as JSON; send exactly one header `Content-Type: application/json`
        410 this cursor is of a table that was replaced or restored since
        422 this Idempotency-Key was used with another body; use a new key for each request
        429 rate limit exceeded: 60 heartbeats per minute for this agent; retry in 5 s
        429 rate limit exceeded: 600 reads per minute with this token; retry in 5 s
        503 the agent tokens cannot be read; retry later
        503 DynamoDB table unavailable (Query: ThrottlingException)
        "#);
    }
}
