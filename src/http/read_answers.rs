//! What the reading routes have in common, described once for all of them: the parameters of pages, and the answers
//! beside their views.

use utoipa::{IntoParams, IntoResponses};

use super::refusal::ProblemDetails;

/// The parameters of every list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the description alone uses it")]
pub(super) struct PageParameters {
    /// The most items of a page, 1 to 200; 50 by default
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
    /// The `nextCursor` of the page before
    #[param(min_length = 1, max_length = 256)]
    cursor: Option<String>,
}

/// The answers of every reading route.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "the description alone uses it")]
pub(super) enum Refusals {
    /// The client has the current version: its `If-None-Match` names it
    #[response(status = 304, headers(("ETag" = String, description = "Identifies the current version")))]
    NotModified,
    /// An invalid query or path
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(ProblemDetails),
    /// Missing or invalid agent token
    #[response(
        status = 401,
        content_type = "application/problem+json",
        headers(("WWW-Authenticate" = String, description = "`Bearer`"))
    )]
    Unauthorized(ProblemDetails),
    /// This token exceeds its rate of reads
    #[response(
        status = 429,
        content_type = "application/problem+json",
        headers(("Retry-After" = u64, description = "Seconds until the limit resets"))
    )]
    TooManyRequests(ProblemDetails),
    /// The agent tokens or the table cannot be read
    #[response(
        status = 503,
        content_type = "application/problem+json",
        headers(("Retry-After" = u64, description = "Seconds until a retry makes sense"))
    )]
    Unavailable(ProblemDetails),
}

/// The answer of every reading route but the list of agents, which shows those that the token covers.
#[derive(IntoResponses)]
#[response(
    status = 403,
    description = "The token may not read this",
    content_type = "application/problem+json"
)]
#[expect(dead_code, reason = "the description alone uses it")]
pub(super) struct Forbidden(ProblemDetails);

/// The answer of every reading route that shows one thing.
#[derive(IntoResponses)]
#[response(status = 404, description = "There is no such thing", content_type = "application/problem+json")]
#[expect(dead_code, reason = "the description alone uses it")]
pub(super) struct NotFound(ProblemDetails);
