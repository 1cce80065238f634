//! The body of a heartbeat. It has no meaning yet; it is checked so that it can get one later.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;

/// The longest body, in bytes.
pub(super) const MAX_BODY: usize = 64 * 1024;

/// Why a body is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidBody {
    /// It is longer than 64 KiB.
    #[error("the body exceeds {MAX_BODY} bytes")]
    TooLarge,
    /// It is neither empty nor a JSON object.
    #[error("the body must be empty or a JSON object")]
    NotAnObject,
}

/// Accepts an empty body or a JSON object.
pub(super) fn checked(body: Result<Bytes, BytesRejection>) -> Result<Bytes, InvalidBody> {
    let body = body.map_err(|_| InvalidBody::TooLarge)?;
    if !body.trim_ascii().is_empty() {
        let object: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_slice(&body);
        object.map_err(|_| InvalidBody::NotAnObject)?;
    }
    Ok(body)
}
