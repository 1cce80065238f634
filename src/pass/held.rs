//! A held audit: what is told of it, and an operator's word that what it found is true.

use std::time::Duration;

use crate::domain::{HeldAudit, Phase, Problem, ProblemCode, RepositoryName};

use super::Pass;
use super::audit::elapsed;
use super::work::Work;

impl Pass<'_> {
    /// Heeds an operator's word that what a held audit found is true: its repository is audited now, and the absent
    /// issues are asked for, one by one, as after any other audit. Gives what there is to tell when that cannot be.
    pub(super) fn heed(&self, confirmed: &RepositoryName, work: &mut [Work]) -> Option<Problem> {
        let is_meant =
            |work: &&mut Work| [&work.name, &work.tracked.name].iter().any(|n| n.key() == confirmed.key());
        let why = match work.iter_mut().find(is_meant) {
            Some(work) if work.tracked.held.is_none() => "no audit of it is held",
            Some(work) if !work.is_read() => "it could not be read in this pass; confirm it again later",
            Some(work) => {
                work.is_believed = true;
                return None;
            }
            None => "REPOSITORIES names no such repository, or GitHub did not show it in this pass",
        };
        Some(not_confirmed(confirmed, why))
    }

    /// What is told of a repository whose audit is held; none when it is not.
    pub(super) fn held_problem(&self, work: &Work) -> Option<Problem> {
        let HeldAudit { absent, of } = work.tracked.held?;
        let way_out = match work.is_believed {
            true => "an operator confirmed that they are gone, and the next passes go on with that",
            false => "the next audit looks again, or an operator confirms that they are gone",
        };
        let message = format!(
            "GitHub lists {absent} of the {of} cached open issues no more, too many to be believed: nothing was \
             removed; {way_out}"
        );
        let interval = self.app.config.audit_interval;
        let waited = work.tracked.audited_at.map_or(Duration::ZERO, |at| elapsed(at, self.date()));
        let problem = Problem::error(ProblemCode::AuditHeld, Phase::Reconcile, message);
        Some(problem.of(&work.name).retry_after(Some(interval.saturating_sub(waited).as_secs())))
    }
}

/// What is told when an operator's word could not be heeded.
pub(crate) fn not_confirmed(repository: &RepositoryName, why: &str) -> Problem {
    let message = format!("nothing was confirmed: {why}");
    Problem::error(ProblemCode::NotConfirmed, Phase::Reconcile, message).lasting().of(repository)
}
