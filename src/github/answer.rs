//! A complete answer of GitHub's: its page or JSON, and the addresses in its headers.

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, LINK, LOCATION};
use serde::de::DeserializeOwned;
use url::Url;

use crate::domain::Fingerprint;

use super::body::{Body, ReservedMemory};
use super::meter::{GraphqlLimits, header};
use super::received::Received;
use super::records::Records;
use super::{GitHubError, foreign, link, unicode};

/// A complete answer that is neither a limit nor a refusal of the token.
#[derive(Debug)]
pub(super) struct Answer {
    /// The account whose token the request was sent with.
    pub(super) account: Fingerprint,
    pub(super) received: Received,
    pub(super) status: StatusCode,
    pub(super) date: Timestamp,
    pub(super) next: Option<Url>,
    /// Until when a limit applies, if an error in the body reports one.
    pub(super) limits: GraphqlLimits,
    location: Option<Url>,
    body: Body,
    memory: ReservedMemory,
}

impl Answer {
    pub(super) fn new(
        account: Fingerprint,
        received: Received,
        headers: &HeaderMap,
        date: Timestamp,
        limits: GraphqlLimits,
        body: Body,
        memory: ReservedMemory,
    ) -> Self {
        Self {
            account,
            status: received.status(),
            received,
            date,
            next: header(headers, LINK.as_str()).and_then(link::next),
            limits,
            location: header(headers, LOCATION.as_str()).and_then(|location| Url::parse(location).ok()),
            body,
            memory,
        }
    }

    /// The bytes of its body. Of an error only the beginning is kept, of a page nothing.
    pub(super) fn bytes(&self) -> &[u8] {
        self.body.bytes()
    }

    /// The JSON of an answer that is kept as a whole.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, GitHubError> {
        self.json_or(GitHubError::Unexpected)
    }

    /// As [`Self::json`], with another error for a body that is not JSON at all.
    pub(super) fn json_or<T: DeserializeOwned>(
        &self,
        not_json: impl FnOnce(String) -> GitHubError,
    ) -> Result<T, GitHubError> {
        self.read_or(|json| serde_json::from_slice(json), not_json)
    }

    /// Parses its JSON with `read`. If that fails because text in it is not valid Unicode, the text is repaired first.
    pub(super) fn read<T>(
        &self,
        read: impl Fn(&[u8]) -> Result<T, serde_json::Error>,
    ) -> Result<T, GitHubError> {
        self.read_or(read, GitHubError::Unexpected)
    }

    fn read_or<T>(
        &self,
        read: impl Fn(&[u8]) -> Result<T, serde_json::Error>,
        not_json: impl FnOnce(String) -> GitHubError,
    ) -> Result<T, GitHubError> {
        let body = self.body.bytes();
        let again = |error: serde_json::Error| {
            let mut mended = body.to_vec();
            if unicode::mend(&mut mended) { read(&mended) } else { Err(error) }
        };
        // serde's own message can quote the text, which must not reach a caller. Only the place is repeated.
        read(body).or_else(again).map_err(|error| {
            let at = format!("(line {}, column {})", error.line(), error.column());
            self.received.logged(if error.is_data() {
                GitHubError::Unexpected(format!("unexpected JSON structure {at}"))
            } else {
                let what = format!("not JSON {at}");
                not_json(if foreign::is_json(body) { what } else { foreign::with_hint(&what) })
            })
        })
    }

    /// The page of a listing, and the memory reserved for it.
    pub(super) fn page(mut self) -> Result<(Records, ReservedMemory), GitHubError> {
        match self.body {
            Body::Page(records) => {
                let records = records.map_err(|error| self.received.logged(error))?;
                self.memory.shrink_to(records.kept);
                Ok((records, self.memory))
            }
            Body::Bytes(_) => Err(self.unexpected()),
        }
    }

    pub(super) fn redirect(&self) -> Option<Url> {
        self.location.clone().filter(|_| self.status.is_redirection())
    }
}
