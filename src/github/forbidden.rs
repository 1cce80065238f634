//! What a 403 or a 451 means that is no limit, read off GitHub's words. They are not repeated.

use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use super::GitHubError;
use super::error::{Blocked, Policy};
use super::meter::{contains, header};

/// What the service needs, where GitHub does not say what it lacks.
const ALL_WE_NEED: &str = "issues=read";

/// Reads it off the answer.
pub(super) fn why(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> GitHubError {
    if let Some(known) = known(status == StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS, body) {
        return known;
    }
    let needed = header(headers, "x-accepted-github-permissions");
    let lacks = speaks_of_permission(body).then(|| {
        let named = needed.filter(|text| is_list_of_permissions(text));
        named.unwrap_or(ALL_WE_NEED).to_owned()
    });
    GitHubError::Forbidden { lacks }
}

/// What an error of GraphQL means that forbids one part of the question; `None` where it forbids nothing.
pub(super) fn why_a_part(kind: Option<&str>, message: &str) -> Option<GitHubError> {
    let text = message.as_bytes();
    let lacks = speaks_of_permission(text).then(|| ALL_WE_NEED.to_owned());
    known(false, text).or_else(|| (kind == Some("FORBIDDEN")).then_some(GitHubError::Forbidden { lacks }))
}

/// The reasons that no permission removes.
fn known(is_legal: bool, text: &[u8]) -> Option<GitHubError> {
    let says = |words: &str| contains(text, words.as_bytes());
    // "Repository access blocked", with `block.reason` "dmca", "tos", … (github/rest-api-description issue 3314).
    if is_legal || says("repository access blocked") {
        let is_legal = is_legal || says("\"dmca\"") || says("legal reasons");
        return Some(if is_legal { Blocked::Legally } else { Blocked::ByGithub }.into());
    }
    // "This installation has been suspended"
    if says("installation has been suspended") {
        return Some(GitHubError::Suspended);
    }
    // "… the `acme` organization has an IP allow list enabled, and your IP address is not permitted to access this
    // resource." (databricks/cli issue 2702)
    let policy = if says("ip allow list") {
        Policy::IpAllowList
    // "The 'acme' organization forbids access via a fine-grained personal access tokens if the token's lifetime is
    // greater than 366 days." (NixOS/org issue 247)
    } else if says("token's lifetime") {
        Policy::TokenLifetime
    // "`acme` forbids access via a personal access token (classic)." (GitHub docs: "Setting a personal access token
    // policy for your organization")
    } else if says("forbids access via a") {
        Policy::TokenKind
    // "Sorry. Your account was suspended." (sourcegraph issue 16638); Enterprise Servers say "is suspended".
    } else if says("account was suspended")
        || says("account is suspended")
        || says("account has been suspended")
    {
        Policy::AccountSuspended
    } else {
        return None;
    };
    Some(policy.into())
}

/// GitHub's words for an App, or a fine-grained token, without the permission.
fn speaks_of_permission(text: &[u8]) -> bool {
    contains(text, b"resource not accessible by")
}

/// Whether it is `issues=read`, or several such: GitHub's text is repeated only in this form.
fn is_list_of_permissions(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || b"_=,; ".contains(&byte);
    text.contains('=') && text.len() <= 100 && text.bytes().all(is_part)
}
