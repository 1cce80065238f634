//! Answers that are not of GitHub's API: a login page, a proxy's error, the web site of an Enterprise Server. Most
//! often `GITHUB_API_URL` names another address than the API's (PyGithub issue 769, terraform-provider-github issue
//! 224).

use reqwest::StatusCode;

/// What such an answer is; `None` for what GitHub's API may answer. 2xx is left to whoever reads the body, and 401 is
/// about the token whoever says so.
pub(super) fn what_it_is(status: StatusCode, body: &[u8]) -> Option<String> {
    // GitHub's API takes every method and media type that this service uses.
    let is_impossible = matches!(
        status,
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_ACCEPTABLE | StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    if status.is_success() || status == StatusCode::UNAUTHORIZED || (is_json(body) && !is_impossible) {
        return None;
    }
    Some(hinted(&format!("status {} without GitHub's JSON", status.as_u16())))
}

/// A redirect that leads away from the API.
pub(super) fn elsewhere() -> String {
    hinted("it points to another host or path than the API's")
}

/// What is wrong with an answer, and what to check.
pub(super) fn hinted(what: &str) -> String {
    format!(
        "{what}; check that GITHUB_API_URL is the API's address (https://HOST/api/v3 for an Enterprise Server)"
    )
}

/// Whether a body begins as all of GitHub's JSON does. Pages and texts do not.
pub(super) fn is_json(body: &[u8]) -> bool {
    body.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| b"{[".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_of_a_page_is_foreign_and_of_githubs_json_is_not() {
        let is_foreign = |status, body: &str| {
            what_it_is(StatusCode::from_u16(status).expect("a status"), body.as_bytes()).is_some()
        };
        for status in [301, 302, 400, 403, 404, 410, 422, 451] {
            assert!(is_foreign(status, "<!DOCTYPE html>") && is_foreign(status, ""), "{status}");
            assert!(!is_foreign(status, "\r\n {\"message\":\"Not Found\"}"), "{status}");
        }
        assert!(is_foreign(406, "{}"));
        assert!(!is_foreign(200, "<!DOCTYPE html>"), "its reader names the place");
    }
}
