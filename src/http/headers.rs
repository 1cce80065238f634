//! The security headers of every response, refusals included, for browsers and proxies.

use axum::http::header::Entry;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;

/// Responses are not cached, no type is guessed, nothing in them may run, be framed or send a referrer, and no other site may
/// load them. The gateway accepts HTTPS only, which browsers remember. Subdomains are not included: they may belong to
/// others.
const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000")),
];

/// Adds the security headers to a response. One that it has already stays: the board's page has a policy of its own.
pub(super) fn harden(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        if let Entry::Vacant(absent) = response.headers_mut().entry(name) {
            absent.insert(value);
        }
    }
    response
}
