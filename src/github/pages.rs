//! What becomes of a page that fails: a shorter page is the next attempt, and one of a single issue the last.
//!
//! Some repositories' pages of 100 fail where pages of 50 or 10 do not, at once or after GitHub's own ten seconds. So
//! no page is asked for twice at the same length while there is a shorter one. Where the shortest fails too, it does not
//! lie with the length, and nothing is learnt.

use std::time::Duration;

use backon::BackoffBuilder as _;

use crate::domain::PageLength;

use super::{Failure, GitHubError, Session};

/// The attempts at one page.
pub(super) struct Shortening {
    before: PageLength,
    /// The waits before the attempts that are left.
    waits: Vec<Duration>,
    attempts: u32,
    met: Option<GitHubError>,
}

impl Session<'_> {
    /// Begins with a page of this length.
    pub(super) fn shortening(&self, before: PageLength) -> Shortening {
        let waits = self.github().retry.waits(self.github().clock.random()).build();
        let mut waits: Vec<Duration> = waits.collect();
        waits.reverse();
        Shortening { before, waits, attempts: 0, met: None }
    }
}

impl Shortening {
    /// Shortens the pages after an attempt that failed, and waits a little. An error is the end of this page in this
    /// pass.
    pub(super) async fn after(
        &mut self,
        error: GitHubError,
        length: &mut PageLength,
        session: &Session<'_>,
    ) -> Result<(), GitHubError> {
        let GitHubError::Unavailable { failure, attempts, origin } = error else {
            if error == GitHubError::Deadline && self.met.is_some() {
                *length = length.learnt(session.now());
            }
            // What was met before the time was up is worth telling; else this waits for the next pass.
            let met = self.met.take().filter(|_| error == GitHubError::Deadline);
            return Err(met.unwrap_or(error));
        };
        self.attempts += attempts;
        let error = GitHubError::Unavailable { failure, attempts: self.attempts, origin };
        let is_too_large = failure == Failure::TooLarge;
        let wait = match is_too_large {
            // GitHub has not failed: the shorter page need not wait, and is no repetition.
            true => (!length.is_shortest()).then_some(Duration::ZERO),
            false => self.waits.pop().filter(|_| failure.may_be_the_length()),
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
        self.met = Some(error);
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

/// Which failures another attempt at the same page is worth; after all others a shorter page follows.
pub(super) fn is_transient(failure: Failure) -> bool {
    !failure.may_be_the_length()
}
