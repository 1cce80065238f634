//! What was asked of GitHub: the record that tests count and compare.

use std::hash::{DefaultHasher, Hasher};

use serde_json::Value;

use super::answer::Answer;

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
    /// What was asked of GraphQL: `None` for a request to REST.
    pub graphql: Option<GraphQlCall>,
}

/// What one request asked of GraphQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphQlCall {
    /// The `owner/name`s of the repositories asked for, in their order, as the caller wrote them.
    pub repositories: Vec<String>,
    /// The variables as they were sent, `null` if there were none.
    pub variables: Value,
    /// The points that the call took off its token's budget.
    pub points: u64,
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

    pub(super) fn answered(&mut self, Entry(index): Entry, answer: &Answer) {
        let request = index.checked_sub(self.cleared).and_then(|index| self.requests.get_mut(index));
        if let Some(request) = request {
            request.status = Some(answer.status);
            if let Some(call) = &mut request.graphql {
                call.points = answer.points;
            }
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
