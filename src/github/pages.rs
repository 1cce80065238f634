//! What happens after a page fails: the next attempt is a shorter page, and the last one a page of a single issue.
//!
//! Some repositories' pages of 100 fail where pages of 50 or 10 do not, at once or after GitHub's own ten seconds. So
//! no page is requested twice at the same length while there is a shorter one. If the shortest fails too, the length is
//! not the cause, and the next listing begins with the same length as this one.

use std::time::Duration;

use backon::BackoffBuilder as _;

use crate::domain::PageLength;

use super::{Failure, GitHubError, Session};

/// The attempts at one page.
pub(super) struct Shortening {
    before: PageLength,
    /// The waits before the remaining attempts, the last one first.
    waits: Vec<Duration>,
    attempts: u32,
    last_error: Option<GitHubError>,
}

impl Session<'_> {
    /// The attempts at one page, beginning with this length.
    pub(super) fn shortening(&self, before: PageLength) -> Shortening {
        let waits = self.github().retry.waits(self.github().clock.random()).build();
        let mut waits: Vec<Duration> = waits.collect();
        waits.reverse();
        Shortening { before, waits, attempts: 0, last_error: None }
    }
}

impl Shortening {
    /// Shortens the page after a failed attempt, and waits a little. An error means that no attempt is left in this
    /// pass.
    pub(super) async fn after(
        &mut self,
        error: GitHubError,
        length: &mut PageLength,
        session: &Session<'_>,
    ) -> Result<(), GitHubError> {
        let GitHubError::Unavailable { failure, attempts, origin } = error else {
            if error == GitHubError::Deadline && self.last_error.is_some() {
                *length = length.learnt(session.now());
            }
            // A failure before the time was up is worth reporting. Without one, the page waits for the next pass.
            let last_error = self.last_error.take().filter(|_| error == GitHubError::Deadline);
            return Err(last_error.unwrap_or(error));
        };
        self.attempts += attempts;
        let error = GitHubError::Unavailable { failure, attempts: self.attempts, origin };
        let is_too_large = failure == Failure::TooLarge;
        let wait = match is_too_large {
            // GitHub has not failed: the shorter page need not wait, and does not count as a retry.
            true => (!length.is_shortest()).then_some(Duration::ZERO),
            false => self.waits.pop().filter(|_| failure.may_be_page_length()),
        };
        let Some(wait) = wait else {
            *length = self.before;
            return Err(error);
        };
        let is_last = !is_too_large && self.waits.is_empty();
        *length = if is_last { length.shortest() } else { length.shortened() };
        if !session.exchange().has_time_for(wait) {
            *length = length.learnt(session.now());
            return Err(error);
        }
        self.last_error = Some(error);
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

/// The failures after which the same page is requested again. After all others a shorter one is.
pub(super) fn is_transient(failure: Failure) -> bool {
    !failure.may_be_page_length()
}
