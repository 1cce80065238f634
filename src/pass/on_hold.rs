//! An audit on hold: the problem that reports it, and an operator's confirmation of what it found.

use crate::domain::Problem;

use super::context::{Pass, elapsed};
use super::problems::{self, RejectedConfirmation};
use super::work::Work;

impl Pass<'_> {
    /// Applies an operator's confirmation of an audit on hold: the repository is audited in this pass, which requests
    /// each absent issue by itself, as after any other audit. Returns the problem if the confirmation is rejected.
    pub(super) fn confirm(&self, work: &mut [Work]) -> Option<Problem> {
        let confirmed = self.options.confirmed?;
        let is_confirmed_one =
            |work: &&mut Work| [&work.name, &work.tracked.name].iter().any(|n| n.key() == confirmed.key());
        let why = match work.iter_mut().find(is_confirmed_one) {
            Some(work) if work.tracked.held.is_none() => RejectedConfirmation::NoHold,
            Some(work) if !work.is_read() => RejectedConfirmation::Unread,
            Some(work) => {
                work.is_confirmed = true;
                return None;
            }
            None => RejectedConfirmation::Untracked,
        };
        Some(why.problem(confirmed))
    }

    /// The problem of a repository whose audit is on hold; `None` if it is not.
    pub(super) fn on_hold_problem(&self, work: &Work) -> Option<Problem> {
        let problem = problems::audit_on_hold(&work.name, work.tracked.held?, work.is_confirmed);
        let waited = work.tracked.audited_at.map(|at| elapsed(at, self.date())).unwrap_or_default();
        let left = self.app.config.audit_interval.saturating_sub(waited);
        Some(problem.retry_after(Some(left.as_secs())))
    }
}
