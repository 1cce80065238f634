//! A version of the REST API that GitHub closes down: headers announce it, then requests get 410.
//!
//! GitHub docs, "API versions" (docs.github.com/rest/about-the-rest-api/api-versions): while a version is closing down,
//! its answers have the headers `Deprecation` and `Sunset`, both HTTP dates. From the sunset on, requests that name it
//! get `410 Gone`. The docs do not give the body. GraphQL has no versions.

use jiff::Timestamp;

use super::answer::{Answer, Sender};
use super::render::{About, http_date};
use super::target::IncomingRequest;
use super::world::World;

/// A version that is closing down.
#[derive(Clone, Debug)]
pub(super) struct ClosingDown {
    version: String,
    deprecation: Timestamp,
    sunset: Timestamp,
}

impl World {
    /// Announces the end of a version of the REST API. From `sunset` on, every request that names it gets 410.
    pub fn close_down_api_version(&mut self, version: &str, deprecation: Timestamp, sunset: Timestamp) {
        self.closing_down = Some(ClosingDown { version: version.to_owned(), deprecation, sunset });
    }

    /// Rejects a request that names a version whose sunset is over.
    ///
    /// # Errors
    ///
    /// GitHub's 410.
    pub(super) fn check_version(&self, sender: &Sender<'_>, request: &IncomingRequest) -> Result<(), Answer> {
        match self.closing_version(sender, request) {
            Some(closing) if self.now() >= closing.sunset => {
                let message = format!("API version {} is no longer supported.", closing.version);
                Err(Answer::error(410, &message, &About::Anything))
            }
            _ => Ok(()),
        }
    }

    /// Adds the headers that announce the end of the request's version.
    pub(super) fn announce(&self, answer: Answer, sender: &Sender<'_>, request: &IncomingRequest) -> Answer {
        match self.closing_version(sender, request) {
            Some(closing) => answer
                .or_with("deprecation", &http_date(closing.deprecation))
                .or_with("sunset", &http_date(closing.sunset)),
            None => answer,
        }
    }

    fn closing_version(&self, sender: &Sender<'_>, request: &IncomingRequest) -> Option<&ClosingDown> {
        let closing = self.closing_down.as_ref()?;
        let names_it = request.graphql.is_none() && sender.api_version == Some(closing.version.as_str());
        names_it.then_some(closing)
    }
}
