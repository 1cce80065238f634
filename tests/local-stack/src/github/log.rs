//! What was asked of GitHub: the record that tests count and compare.

use std::hash::{DefaultHasher, Hasher};

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET` and the like.
    pub method: String,
    /// Path and query, as asked.
    pub path: String,
    /// The current name of the repository asked for, if there is one.
    pub repository: Option<String>,
    /// The token's [`fingerprint`], if one was sent.
    pub token: Option<String>,
    /// The API version asked for (`X-GitHub-Api-Version`).
    pub api_version: Option<String>,
    /// The status answered: `None` while there is no answer, which may be for ever.
    pub status: Option<u16>,
}

/// Tells tokens apart without showing them.
pub fn fingerprint(token: &str) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(token.as_bytes());
    format!("{:016x}", hasher.finish())
}

/// The requests since the start or the last clearing.
#[derive(Default)]
pub(super) struct Log {
    requests: Vec<Request>,
    cleared: usize,
}

/// A request's place in the log, cleared or not.
#[derive(Clone, Copy)]
pub(super) struct Entry(usize);

impl Log {
    pub(super) fn add(&mut self, request: Request) -> Entry {
        self.requests.push(request);
        Entry(self.cleared + self.requests.len() - 1)
    }

    pub(super) fn answered(&mut self, Entry(index): Entry, status: u16) {
        let request = index.checked_sub(self.cleared).and_then(|index| self.requests.get_mut(index));
        if let Some(request) = request {
            request.status = Some(status);
        }
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.clone()
    }

    pub(super) fn clear(&mut self) {
        self.cleared += self.requests.len();
        self.requests.clear();
    }
}
