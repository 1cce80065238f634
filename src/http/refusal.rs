//! The one place where an error becomes an HTTP status, and the sentences that callers read about it: RFC 9457 problem
//! details, without internal information.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{InvalidAgentName, InvalidIdempotencyKey, KeyRefused, TooOften};
use crate::heartbeat::Rejected;
use crate::secrets::SecretUnavailable;
use crate::telemetry::Count;

use super::body::InvalidBody;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// The event is not an HTTP request, or one that no client can send.
    #[error("the event is not a readable HTTP request")]
    Event,
    #[error(transparent)]
    AgentName(#[from] InvalidAgentName),
    #[error("the path is not valid percent-encoded UTF-8")]
    Path,
    #[error(transparent)]
    Body(#[from] InvalidBody),
    #[error("missing or invalid agent token; send exactly one header `Authorization: Bearer <token>`")]
    Unauthorized,
    #[error("this token is not valid for this agent")]
    NotForThisAgent,
    #[error("no such endpoint; send heartbeats with POST /api/agents/{{agentName}}/heartbeat")]
    NotFound,
    #[error("method not allowed for this path; see the Allow header")]
    MethodNotAllowed,
    #[error(transparent)]
    IdempotencyKey(#[from] InvalidIdempotencyKey),
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// The tokens cannot be read, or the secret contains no usable token. Sent instead of 401, so that valid clients are
    /// not misled.
    #[error("the agent tokens cannot be read; retry later")]
    CredentialsUnavailable,
}

/// RFC 9457's members, and `error` for clients that look for one.
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
}

impl From<SecretUnavailable> for Refusal {
    fn from(_: SecretUnavailable) -> Self {
        Self::CredentialsUnavailable
    }
}

impl Refusal {
    /// Whether a newer version of the secret may accept the token.
    pub(super) fn is_about_the_token(&self) -> bool {
        matches!(self, Self::Unauthorized | Self::NotForThisAgent | Self::CredentialsUnavailable)
    }

    /// Seconds until a retry makes sense; `None` if a retry cannot succeed.
    fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::Rejected(Rejected::TooOften(TooOften { retry_after_seconds, .. }))
            | Self::Rejected(Rejected::Key(KeyRefused::Running { retry_after_seconds })) => {
                Some(*retry_after_seconds)
            }
            Self::CredentialsUnavailable => Some(10),
            _ => None,
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Event
            | Self::AgentName(_)
            | Self::Path
            | Self::Body(InvalidBody::NotAnObject)
            | Self::IdempotencyKey(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NotForThisAgent => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Body(InvalidBody::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Rejected(Rejected::TooOften(_)) => StatusCode::TOO_MANY_REQUESTS,
            Self::Rejected(Rejected::Key(KeyRefused::Running { .. })) => StatusCode::CONFLICT,
            Self::Rejected(Rejected::Key(KeyRefused::OtherRequest)) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::CredentialsUnavailable => StatusCode::SERVICE_UNAVAILABLE,
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
        };
        let mut response = (status, Json(details)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self {
            Self::Unauthorized => {
                Count::RequestsUnauthorized.add(1);
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::Rejected(Rejected::TooOften(_)) => Count::RequestsTooMany.add(1),
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
    use super::*;

    #[test]
    fn every_refusal_has_its_status_and_sentence() {
        let refusals = [
            Refusal::Event,
            InvalidAgentName.into(),
            Refusal::Path,
            InvalidBody::NotAnObject.into(),
            InvalidIdempotencyKey.into(),
            Refusal::Unauthorized,
            Refusal::NotForThisAgent,
            Refusal::NotFound,
            Refusal::MethodNotAllowed,
            Rejected::from(KeyRefused::Running { retry_after_seconds: 2 }).into(),
            InvalidBody::TooLarge.into(),
            Rejected::from(KeyRefused::OtherRequest).into(),
            Rejected::from(TooOften { most: 60, retry_after_seconds: 5 }).into(),
            Refusal::CredentialsUnavailable,
        ];
        let lines = refusals.map(|refusal| format!("{} {refusal}", refusal.status().as_u16()));
        insta::assert_snapshot!(lines.join("\n"), @"");
    }
}
