//! Answers that do not come from GitHub's API: a login page, a proxy's error, the web site of an Enterprise Server. The
//! usual cause is a `GITHUB_API_URL` that is not the API's address (PyGithub issue 769, terraform-provider-github issue
//! 224).

use reqwest::StatusCode;

/// Describes such an answer. `None` for an answer that GitHub's API may send: the reader of a 2xx body reports what is
/// wrong with it, and a 401 is always about the token.
pub(super) fn description(status: StatusCode, body: &[u8]) -> Option<String> {
    // GitHub's API accepts every method and media type that this service uses.
    let is_impossible = matches!(
        status,
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_ACCEPTABLE | StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    if status.is_success() || status == StatusCode::UNAUTHORIZED || (is_json(body) && !is_impossible) {
        return None;
    }
    Some(with_hint(&format!("status {} without GitHub's JSON", status.as_u16())))
}

/// Describes a redirect that leads away from the API.
pub(super) fn redirect_elsewhere() -> String {
    with_hint("a redirect or link points outside the API")
}

/// What is wrong with an answer, followed by what to check.
pub(super) fn with_hint(what: &str) -> String {
    format!(
        "{what}; check that GITHUB_API_URL is the API's address (https://HOST/api/v3 for an Enterprise Server)"
    )
}

/// Whether a body begins like GitHub's JSON. HTML pages and plain texts do not.
pub(super) fn is_json(body: &[u8]) -> bool {
    body.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| b"{[".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_of_a_page_is_foreign_and_of_githubs_json_is_not() {
        let is_foreign = |status, body: &str| {
            description(StatusCode::from_u16(status).expect("a status"), body.as_bytes()).is_some()
        };
        for status in [301, 302, 400, 403, 404, 410, 422, 451] {
            assert!(is_foreign(status, "<!DOCTYPE html>") && is_foreign(status, ""), "{status}");
            assert!(!is_foreign(status, "\r\n {\"message\":\"Not Found\"}"), "{status}");
        }
        assert!(is_foreign(406, "{}"));
        assert!(!is_foreign(200, "<!DOCTYPE html>"), "the reader of the body reports it");
    }
}
