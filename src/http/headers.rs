//! The security headers of every response, refusals included, for browsers and proxies.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;

/// Responses are not cached, no type is guessed, and nothing in them may run, be framed or send a referrer. The gateway
/// accepts HTTPS only, which browsers remember. Subdomains are not included: they may belong to others.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000")),
];

/// Adds the security headers to a response.
pub(super) fn harden(mut response: Response) -> Response {
    response.headers_mut().extend(HEADERS);
    response
}
