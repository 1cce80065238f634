//! The routes of a session: the board in a browser exchanges a token for a cookie, which the page itself cannot read.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::app::App;
use crate::domain::{Session, millis};

use super::auth;
use super::body::{self, InvalidBody};
use super::credential::{SESSION_COOKIE, is_same_origin};
use super::refusal::{ProblemDetails, Refusal};

/// The body of a sign-in.
#[derive(ToSchema)]
#[expect(dead_code, reason = "`begin` reads bodies")]
struct SignIn {
    /// The token of whoever signs in. It needs the right `read`.
    token: String,
}

/// A session that began.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionBegun {
    /// When it ends. It ends earlier if its token is removed.
    #[serde(with = "millis")]
    expires_at: Timestamp,
}

/// Sign in at the board
///
/// Exchanges a token for the cookie of a session of 12 hours, or less if the token expires earlier. Only the board's own page
/// can do so. The cookie counts for reads from that page alone, and has the rights that the token has at that time. Programs
/// send the token with each request instead.
#[utoipa::path(
    post,
    path = "/api/session",
    tag = "session",
    params((
        "Sec-Fetch-Site" = String, Header, description = "Set by the browser: `same-origin`", pattern = "^same-origin$",
    )),
    request_body(
        content = inline(SignIn), description = "At most 64 KiB; unknown members are ignored",
        content_type = "application/json",
    ),
    responses(
        (
            status = 200, description = "The session began", body = SessionBegun,
            headers(("Set-Cookie" = String, description = "The session's cookie, `__Host-board`")),
        ),
        (
            status = 400, description = "The body has no token",
            body = ProblemDetails, content_type = "application/problem+json",
        ),
        (
            status = 401, description = "Invalid token",
            body = ProblemDetails, content_type = "application/problem+json",
            headers(("WWW-Authenticate" = String, description = "`Bearer`")),
        ),
        (
            status = 403, description = "The token may not read, or another page or a program sent the request",
            body = ProblemDetails, content_type = "application/problem+json",
        ),
        (
            status = 413, description = "The body is too long",
            body = ProblemDetails, content_type = "application/problem+json",
        ),
        (
            status = 415, description = "The body is not declared as JSON",
            body = ProblemDetails, content_type = "application/problem+json",
        ),
        (
            status = 503, description = "The agent tokens cannot be read",
            body = ProblemDetails, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds until a retry makes sense")),
        ),
    ),
)]
pub(super) async fn begin(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    from_the_board(&headers)?;
    if !is_json(&headers) {
        return Err(Refusal::NotJson);
    }
    let (_, members) = body::checked(body).map_err(|invalid| match invalid {
        InvalidBody::TooLarge => invalid.into(),
        InvalidBody::NotAnObject => Refusal::NoToken,
    })?;
    let token = members.get("token").and_then(Value::as_str).ok_or(Refusal::NoToken)?;
    let session = Session::begin(&auth::sign_in(&app, token).await?, app.clock.now());
    let begun = Json(SessionBegun { expires_at: session.expires_at });
    Ok(([(header::SET_COOKIE, cookie(&session.value, session.max_age))], begun).into_response())
}

/// Sign out
///
/// Makes the browser forget the session's cookie, if it has one.
#[utoipa::path(
    delete,
    path = "/api/session",
    tag = "session",
    params((
        "Sec-Fetch-Site" = String, Header, description = "Set by the browser: `same-origin`", pattern = "^same-origin$",
    )),
    responses(
        (
            status = 204, description = "The browser has no session",
            headers(("Set-Cookie" = String, description = "Removes the cookie")),
        ),
        (
            status = 403, description = "Another page or a program sent the request",
            body = ProblemDetails, content_type = "application/problem+json",
        ),
    ),
)]
pub(super) async fn end(headers: HeaderMap) -> Result<Response, Refusal> {
    from_the_board(&headers)?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie("", 0))]).into_response())
}

fn from_the_board(headers: &HeaderMap) -> Result<(), Refusal> {
    if is_same_origin(headers) { Ok(()) } else { Err(Refusal::NotFromTheBoard) }
}

/// Whether the only `Content-Type` is JSON. A page of another origin cannot send it without a preflight request, which is
/// answered 405 (<https://fetch.spec.whatwg.org/#cors-safelisted-request-header>).
fn is_json(headers: &HeaderMap) -> bool {
    let mut given = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(only), None) = (given.next(), given.next()) else {
        return false;
    };
    let media_type = only.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}

/// The cookie of a session. No script can read it, and the browser sends it neither unencrypted nor with a request that
/// another site caused.
fn cookie(value: &str, max_age: u64) -> HeaderValue {
    let cookie =
        format!("{SESSION_COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={max_age}");
    HeaderValue::try_from(cookie).expect("a session's value has no other characters than a header")
}
