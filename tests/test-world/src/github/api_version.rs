//! A version of the REST API that GitHub closes down: announced by headers, then answered by 410.
//!
//! GitHub docs, "API versions" (docs.github.com/rest/about-the-rest-api/api-versions): while a version is closing down,
//! `Deprecation` and `Sunset` stand on its answers, both as HTTP dates; from then on requests that name it are answered
//! `410 Gone`. The docs do not give the body. GraphQL has no versions.

use jiff::Timestamp;

use super::answer::{Answer, Sender};
use super::render::{About, http_date};
use super::target::Asked;
use super::world::World;

/// A version that is closing down.
#[derive(Clone, Debug)]
pub(super) struct ClosingDown {
    version: String,
    deprecation: Timestamp,
    sunset: Timestamp,
}

impl World {
    /// Announces the end of a version of the REST API: from `sunset` on it is answered 410, whatever is asked.
    pub fn close_down_api_version(&mut self, version: &str, deprecation: Timestamp, sunset: Timestamp) {
        self.closing_down = Some(ClosingDown { version: version.to_owned(), deprecation, sunset });
    }

    /// Refuses a request in a version that is gone.
    pub(super) fn check_version(&self, sender: &Sender<'_>, asked: &Asked) -> Result<(), Answer> {
        match self.concerned(sender, asked) {
            Some(closing) if self.now() >= closing.sunset => {
                let message = format!("API version {} is no longer supported.", closing.version);
                Err(Answer::error(410, &message, &About::Anything))
            }
            _ => Ok(()),
        }
    }

    /// Adds the headers that announce the end of the version asked in.
    pub(super) fn announce(&self, answer: Answer, sender: &Sender<'_>, asked: &Asked) -> Answer {
        match self.concerned(sender, asked) {
            Some(closing) => answer
                .or_with("deprecation", &http_date(closing.deprecation))
                .or_with("sunset", &http_date(closing.sunset)),
            None => answer,
        }
    }

    fn concerned(&self, sender: &Sender<'_>, asked: &Asked) -> Option<&ClosingDown> {
        let closing = self.closing_down.as_ref()?;
        let is_in_it = asked.graphql.is_none() && sender.api_version == Some(closing.version.as_str());
        is_in_it.then_some(closing)
    }
}
