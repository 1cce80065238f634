//! The log of requests to GitHub, which tests count and compare.

use std::hash::{DefaultHasher, Hasher};

use serde_json::Value;

use super::answer::Answer;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET` and the like.
    pub method: String,
    /// Path and query, as sent.
    pub path: String,
    /// The current name of the requested repository, if it exists.
    pub repository: Option<String>,
    /// The token's [`fingerprint`], if one was sent.
    pub token: Option<String>,
    /// The requested API version (`X-GitHub-Api-Version`).
    pub api_version: Option<String>,
    /// The status of the answer; `None` if there is none (yet).
    pub status: Option<u16>,
    /// The GraphQL call; `None` for a request to REST.
    pub graphql: Option<GraphQlCall>,
}

/// A call of GraphQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphQlCall {
    /// The `owner/name`s of the requested repositories, in order and as the caller wrote them.
    pub repositories: Vec<String>,
    /// The variables as they were sent; null if there were none.
    pub variables: Value,
    /// The points that the call cost.
    pub points: u64,
}

/// A hash that identifies a token without revealing it.
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

/// A reference to a request in the log. After the log is cleared it refers to nothing.
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
