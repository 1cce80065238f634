//! Why GitHub answers 403 or 451 when no limit is the cause. GitHub's message shows it and is never repeated.

use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use super::GitHubError;
use super::error::{Blocked, Policy};
use super::meter::{contains, header};

/// The permission that the service needs, for answers that do not name the missing one.
const NEEDED_PERMISSION: &str = "issues=read";

/// The reason that the answer gives.
pub(super) fn reason(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> GitHubError {
    if let Some(known) = known(status == StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS, body) {
        return known;
    }
    let needed = header(headers, "x-accepted-github-permissions");
    let lacks = is_about_permission(body).then(|| {
        let named = needed.filter(|text| is_list_of_permissions(text));
        named.unwrap_or(NEEDED_PERMISSION).to_owned()
    });
    GitHubError::Forbidden { lacks }
}

/// The reason that a GraphQL error gives for one part of a query. `None` if it forbids nothing.
pub(super) fn reason_for_part(kind: Option<&str>, message: &str) -> Option<GitHubError> {
    let text = message.as_bytes();
    let lacks = is_about_permission(text).then(|| NEEDED_PERMISSION.to_owned());
    known(false, text).or_else(|| (kind == Some("FORBIDDEN")).then_some(GitHubError::Forbidden { lacks }))
}

/// The reasons that no permission can remove.
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

/// Whether GitHub reports that an App or a fine-grained token lacks the permission.
fn is_about_permission(text: &[u8]) -> bool {
    contains(text, b"resource not accessible by")
}

/// Whether a text is `issues=read` or a list of such permissions. GitHub's text is repeated only in this form.
fn is_list_of_permissions(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || b"_=,; ".contains(&byte);
    text.contains('=') && text.len() <= 100 && text.bytes().all(is_part)
}
