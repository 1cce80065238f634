//! The one place where an error becomes an HTTP status: RFC 9457 problem details, without anything internal.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{InvalidAgentName, InvalidIdempotencyKey, KeyRefused, TooOften};
use crate::heartbeat::Rejected;
use crate::secrets::SecretUnavailable;
use crate::telemetry::Count;

/// Why a request gets no beat.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The event is no HTTP request, or one that no client can send.
    #[error("this is no HTTP request that can be read")]
    Event,
    /// The name in the path is no agent's name.
    #[error(transparent)]
    AgentName(#[from] InvalidAgentName),
    /// The path cannot be decoded.
    #[error("the path is not valid percent-encoded UTF-8")]
    Path,
    /// The body is neither empty nor a JSON object.
    #[error("the body is neither empty nor a JSON object")]
    Body,
    /// No token, or a wrong one.
    #[error("send one header `Authorization: Bearer <token>` with a valid agent token")]
    Unauthorized,
    /// A valid token that is bound to others.
    #[error("this token is not for this agent")]
    NotForThisAgent,
    /// No such path.
    #[error("there is nothing here; a beat is POST /api/agents/{{agentName}}/heartbeat")]
    NotFound,
    /// The path exists, the method does not.
    #[error("this path does not take that method; see the Allow header")]
    MethodNotAllowed,
    /// The body is too long.
    #[error("the body is longer than {} bytes", super::router::MAX_BODY)]
    TooLarge,
    /// The `Idempotency-Key` is none.
    #[error(transparent)]
    IdempotencyKey(#[from] InvalidIdempotencyKey),
    /// The agent beats too often, or the request's key does not let it.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// The tokens cannot be read, or nothing of what was read is one: nobody can be let in, and nobody can be told
    /// that his token is wrong.
    #[error("the agent tokens cannot be read at the moment; try again")]
    CredentialsUnavailable,
}

/// RFC 9457's members, and `error` for clients that look for one.
#[derive(Serialize, ToSchema)]
pub(super) struct ProblemDetails {
    /// Always `about:blank`: the status says what kind it is.
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status.
    status: u16,
    /// Why there is no beat.
    detail: String,
    /// The title once more.
    error: &'static str,
}

impl From<SecretUnavailable> for Refusal {
    fn from(_: SecretUnavailable) -> Self {
        Self::CredentialsUnavailable
    }
}

impl Refusal {
    /// Whether another version of the secret may say otherwise.
    pub(super) fn is_about_the_token(&self) -> bool {
        matches!(self, Self::Unauthorized | Self::NotForThisAgent | Self::CredentialsUnavailable)
    }

    /// When another try makes sense; none where it does not help.
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
            Self::Event | Self::AgentName(_) | Self::Path | Self::Body | Self::IdempotencyKey(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NotForThisAgent => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
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
