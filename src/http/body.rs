//! The body of a heartbeat: nothing, or a JSON object.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use serde_json::{Map, Value};

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

/// Accepts an empty body or a JSON object. Returns it as it was sent, and its members.
pub(super) fn checked(
    body: Result<Bytes, BytesRejection>,
) -> Result<(Bytes, Map<String, Value>), InvalidBody> {
    let body = body.map_err(|_| InvalidBody::TooLarge)?;
    let members = match body.trim_ascii() {
        [] => Map::new(),
        object => serde_json::from_slice(object).map_err(|_| InvalidBody::NotAnObject)?,
    };
    Ok((body, members))
}
