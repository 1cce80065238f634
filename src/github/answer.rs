//! An answer of GitHub's that is worth reading: its page or its JSON, and where it leads.

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, LINK, LOCATION};
use serde::de::DeserializeOwned;
use url::Url;

use crate::domain::Fingerprint;

use super::body::{Body, Held};
use super::meter::{GraphqlLimits, header};
use super::received::Received;
use super::records::Records;
use super::{GitHubError, foreign, link, unicode};

/// An answer that is worth reading.
#[derive(Debug)]
pub(super) struct Answer {
    /// The account that it was requested with.
    pub(super) account: Fingerprint,
    pub(super) received: Received,
    pub(super) status: StatusCode,
    pub(super) date: Timestamp,
    pub(super) next: Option<Url>,
    /// Until when limits hold, should one of the body's errors be about one.
    pub(super) limits: GraphqlLimits,
    location: Option<Url>,
    body: Body,
    held: Held,
}

impl Answer {
    pub(super) fn new(
        account: Fingerprint,
        (status, received): (StatusCode, Received),
        headers: &HeaderMap,
        date: Timestamp,
        limits: GraphqlLimits,
        (body, held): (Body, Held),
    ) -> Self {
        Self {
            account,
            received,
            status,
            date,
            next: header(headers, LINK.as_str()).and_then(link::next),
            limits,
            location: header(headers, LOCATION.as_str()).and_then(|location| Url::parse(location).ok()),
            body,
            held,
        }
    }

    /// The bytes of its body, or of the beginning of a refusal's; those of a page are not kept.
    pub(super) fn bytes(&self) -> &[u8] {
        self.body.bytes()
    }

    /// The JSON of an answer that is held as a whole.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, GitHubError> {
        self.json_or(GitHubError::Unexpected)
    }

    /// The same; what is no JSON at all is this error instead.
    pub(super) fn json_or<T: DeserializeOwned>(
        &self,
        not_json: impl FnOnce(String) -> GitHubError,
    ) -> Result<T, GitHubError> {
        self.read_or(|json| serde_json::from_slice(json), not_json)
    }

    /// What `read` makes of its JSON. Text in it that is no Unicode is made so, where that is what is wrong with it.
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
        // serde's message names the place and the kind of the mismatch; it can quote the text, which must not
        // reach a caller.
        read(body).or_else(again).map_err(|error| {
            let at = format!("(line {}, column {})", error.line(), error.column());
            self.received.failed(if error.is_data() {
                GitHubError::Unexpected(format!("JSON of another shape {at}"))
            } else {
                let what = format!("not JSON {at}");
                not_json(if foreign::is_json(body) { what } else { foreign::hinted(&what) })
            })
        })
    }

    /// The page of a listing, and the room that it takes.
    pub(super) fn page(mut self) -> Result<(Records, Held), GitHubError> {
        match self.body {
            Body::Page(records) => {
                let records = records.map_err(|error| self.received.failed(error))?;
                self.held.shrink_to(records.kept);
                Ok((records, self.held))
            }
            Body::Bytes(_) => Err(self.unexpected()),
        }
    }

    pub(super) fn redirect(&self) -> Option<Url> {
        self.location.clone().filter(|_| self.status.is_redirection())
    }
}
