//! The log line of each failed answer, with the request id by which GitHub Support finds it in GitHub's own logs.

use std::fmt::Display;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use super::GitHubError;
use super::meter::header;

/// The longest request id that is logged, in characters. GitHub's have some 45.
const MAX_REQUEST_ID: usize = 100;

/// The status of an answer, and GitHub's id of the request, which is for the log alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Received {
    status: StatusCode,
    request_id: Option<String>,
}

impl Received {
    pub(super) fn of(status: StatusCode, headers: &HeaderMap) -> Self {
        let request_id = header(headers, "x-github-request-id").filter(|text| is_request_id(text));
        Self { status, request_id: request_id.map(str::to_owned) }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// Logs an error that ends the request, and returns it.
    pub(super) fn logged(&self, error: GitHubError) -> GitHubError {
        self.log_failure(&error);
        error
    }

    /// Logs a failure after which another attempt may succeed.
    pub(super) fn log_failure(&self, cause: &dyn Display) {
        tracing::warn!(
            github.request_id = self.request_id,
            github.status = self.status.as_u16(),
            %cause,
            "A request to GitHub failed with status {}.",
            self.status.as_u16()
        );
    }
}

/// `C0DE:1A2B3C:4D5E6F:708192:65F0A1B2`. The header comes from outside: another text is not logged.
fn is_request_id(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_hexdigit() || byte == b':' || byte == b'-';
    (1..=MAX_REQUEST_ID).contains(&text.len()) && text.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::is_request_id;

    #[test]
    fn request_id_of_hexadecimal_parts_is_accepted_and_any_other_text_is_not() {
        for good in ["C0DE:1A2B3C:4D5E6F:708192:65F0A1B2", "a", &"F".repeat(100)] {
            assert!(is_request_id(good), "{good}");
        }
        for bad in ["", "C0DE 1A2B", "C0DE\t", "token", "C0DE:\u{e9}", "{\"a\":1}", &"F".repeat(101)] {
            assert!(!is_request_id(bad), "{bad}");
        }
    }
}
