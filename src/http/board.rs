//! The board: three static files for browsers. They hold nothing secret, so everybody gets them; what they show is read
//! through the reading routes.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Redirect};

/// Only the board's own script runs, with its own style, and it requests this origin alone. No text becomes markup: the
/// browser refuses such assignments (`trusted-types 'none'`).
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'none'; \
     base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
);

/// Pages that open the board, or that it opens, cannot reach its window.
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// The page.
pub(super) async fn html() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (OPENER_POLICY, HeaderValue::from_static("same-origin")),
    ];
    (headers, include_str!("../board/board.html"))
}

/// Its style.
pub(super) async fn css() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("../board/board.css"))
}

/// Its script.
pub(super) async fn js() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("../board/board.js"))
}

/// From the root to the board. The reference is relative, so it is right behind a stage or a base path that ends with a
/// slash.
pub(super) async fn redirect() -> Redirect {
    Redirect::temporary("api/board")
}
