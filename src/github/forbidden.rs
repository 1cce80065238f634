//! What a 403 means that is no limit.

use reqwest::header::HeaderMap;

use super::GitHubError;
use super::meter::{contains, header};

/// What the service needs, where GitHub does not say what it lacks.
const ALL_WE_NEED: &str = "issues=read";

/// Reads it off the answer.
pub(super) fn why(headers: &HeaderMap, body: &[u8]) -> GitHubError {
    if contains(body, b"installation has been suspended") {
        return GitHubError::Suspended;
    }
    let needed = header(headers, "x-accepted-github-permissions");
    let lacks = speaks_of_permission(body).then(|| {
        let named = needed.filter(|text| is_list_of_permissions(text));
        named.unwrap_or(ALL_WE_NEED).to_owned()
    });
    GitHubError::Forbidden { lacks }
}

/// What an error of GraphQL means that forbids one part of the question.
pub(super) fn why_a_part(message: &str) -> GitHubError {
    let lacks = speaks_of_permission(message.as_bytes()).then(|| ALL_WE_NEED.to_owned());
    GitHubError::Forbidden { lacks }
}

/// GitHub's words for an App, or a fine-grained token, without the permission.
fn speaks_of_permission(text: &[u8]) -> bool {
    contains(text, b"resource not accessible by")
}

/// Whether it is `issues=read`, or several: what GitHub says is told on only in this form.
fn is_list_of_permissions(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || b"_=,; ".contains(&byte);
    text.contains('=') && text.len() <= 100 && text.bytes().all(is_part)
}
