//! What a request authenticates with: a token, or the cookie of a session.

use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use jiff::Timestamp;

use crate::domain::{AgentToken, AgentTokens, Session};

use super::refusal::Refusal;

/// The name of a session's cookie. Because of its prefix a browser keeps it only for this host, with `Secure` and for all
/// paths (<https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Set-Cookie#cookie_prefixes>).
pub(super) const SESSION_COOKIE: &str = "__Host-board";

/// What somebody shows as a proof of who they are. It may be wrong.
#[derive(Clone, Copy)]
pub(super) enum Credential<'a> {
    /// A token in the `Authorization` header.
    Token(&'a str),
    /// A token in the body of a request that begins a session.
    SignIn(&'a str),
    /// The value of a session's cookie.
    Session(&'a str),
}

impl<'a> Credential<'a> {
    /// The credential of a request that may write: a token in its header.
    pub(super) fn of_headers(headers: &'a HeaderMap) -> Option<Self> {
        bearer(headers).map(Self::Token)
    }

    /// The credential of a request that reads: a token in its header, or the cookie of a session. The cookie counts only
    /// without an `Authorization` header, for GET and HEAD, and if the board's own page sent the request.
    pub(super) fn of_reader(parts: &'a Parts) -> Option<Self> {
        let headers = &parts.headers;
        if headers.contains_key(header::AUTHORIZATION) {
            return Self::of_headers(headers);
        }
        let may_count = matches!(parts.method, Method::GET | Method::HEAD) && is_same_origin(headers);
        session_cookie(headers).filter(|_| may_count).map(Self::Session)
    }

    /// The token that it proves, if that one is valid now.
    pub(super) fn find(self, tokens: &AgentTokens, now: Timestamp) -> Option<AgentToken> {
        match self {
            Self::Token(token) | Self::SignIn(token) => tokens.find(token, now),
            Self::Session(cookie) => Session::token_of(cookie, tokens, now),
        }
    }

    /// The refusal of a request with it if it is not valid.
    pub(super) fn refusal(self) -> Refusal {
        match self {
            Self::Token(_) => Refusal::Unauthorized,
            Self::SignIn(_) => Refusal::WrongToken,
            Self::Session(_) => Refusal::SessionEnded,
        }
    }
}

/// Whether a page of this very origin sent the request. Each current browser sets this header, no page can, and it is there
/// only over HTTPS or on the same machine (<https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header>). API Gateway joins
/// two headers with a comma, which makes another value.
pub(super) fn is_same_origin(headers: &HeaderMap) -> bool {
    let mut given = headers.get_all("sec-fetch-site").iter();
    given.next().is_some_and(|only| only == "same-origin") && given.next().is_none()
}

/// The token of the only `Authorization` header. API Gateway joins two headers with a comma, which no token has.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(only), None) = (given.next(), given.next()) else {
        return None;
    };
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    (scheme.eq_ignore_ascii_case("Bearer") && is_token).then_some(token)
}

/// The value of the session's cookie; `None` if there is none. Of two cookies with its name neither counts: the value is
/// empty then, which is no session. The other cookies may be of any bytes.
fn session_cookie(headers: &HeaderMap) -> Option<&str> {
    let values = headers.get_all(header::COOKIE).iter();
    let cookies = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    let mut ours = cookies
        .filter_map(|cookie| cookie.trim_ascii().strip_prefix(SESSION_COOKIE.as_bytes())?.strip_prefix(b"="));
    let first = ours.next()?;
    let only = if ours.next().is_some() { b"" } else { first };
    Some(std::str::from_utf8(only).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    /// Only reading routes ask for a reader today; this holds if another one does.
    #[test]
    fn cookie_counts_for_get_and_head_alone() {
        let counts = |method: &Method| {
            let request = Request::builder().method(method).header("sec-fetch-site", "same-origin");
            let (parts, ()) =
                request.header("cookie", "__Host-board=x").body(()).expect("a request").into_parts();
            matches!(Credential::of_reader(&parts), Some(Credential::Session("x")))
        };
        for method in [Method::GET, Method::HEAD] {
            assert!(counts(&method), "{method}");
        }
        for method in
            [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS, Method::TRACE]
        {
            assert!(!counts(&method), "{method}");
        }
    }
}
