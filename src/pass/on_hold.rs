//! A held audit: what is told of it, and an operator's word that what it found is true.

use crate::domain::Problem;

use super::context::{Pass, elapsed};
use super::problems::{self, RejectedConfirmation};
use super::work::Work;

impl Pass<'_> {
    /// Heeds an operator's word that what a held audit found is true: its repository is audited now, and the absent
    /// issues are asked for, one by one, as after any other audit. Gives what there is to tell when that cannot be.
    pub(super) fn confirm(&self, work: &mut [Work]) -> Option<Problem> {
        let confirmed = self.options.confirmed?;
        let is_meant =
            |work: &&mut Work| [&work.name, &work.tracked.name].iter().any(|n| n.key() == confirmed.key());
        let why = match work.iter_mut().find(is_meant) {
            Some(work) if work.tracked.held.is_none() => RejectedConfirmation::NotOnHold,
            Some(work) if !work.is_read() => RejectedConfirmation::NotRead,
            Some(work) => {
                work.is_believed = true;
                return None;
            }
            None => RejectedConfirmation::NotTracked,
        };
        Some(why.problem(confirmed))
    }

    /// What is told of a repository whose audit is held; none when it is not.
    pub(super) fn held_problem(&self, work: &Work) -> Option<Problem> {
        let problem = problems::audit_on_hold(&work.name, work.tracked.held?, work.is_believed);
        let waited = work.tracked.audited_at.map(|at| elapsed(at, self.date())).unwrap_or_default();
        let left = self.app.config.audit_interval.saturating_sub(waited);
        Some(problem.retry_after(Some(left.as_secs())))
    }
}
