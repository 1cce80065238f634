//! The headers that every answer bears, refusals too: for the rare browser or proxy that meets one.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;

/// Nothing is kept, nothing is guessed to be a page, and nothing of it may run, be framed or lead on. The gateway speaks
/// HTTPS only, which a browser is to remember; of the names below its own, which are not ours, nothing is said.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000")),
];

/// Adds them to an answer.
pub(super) fn harden(mut response: Response) -> Response {
    response.headers_mut().extend(HEADERS);
    response
}
