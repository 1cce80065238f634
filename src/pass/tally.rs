//! What a pass came to: its numbers, its summary, and what its failures make of its status.

use crate::domain::{Outcome, Problem, ProblemCode, RepositoryName, Severity, counted};

use super::problems;
use super::work::{Work, WorkResult, Worklist};

/// So many repositories that failed alike are told one by one.
const MAX_NAMED: usize = 20;

/// The pass in numbers.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Configured repositories, each once.
    pub(super) configured: usize,
    /// Those that agree with GitHub.
    pub(super) synced: usize,
    /// Those in which nothing is newer, whose open issues are more or fewer than the cached ones, and whose audit
    /// is not held.
    drifted: usize,
    /// Those whose listing or audit failed.
    pub(super) failed: usize,
    /// Those of which nothing failed and nothing was left.
    well: usize,
    /// Those whose listing or audit there was no time for.
    pub(super) deferred: Vec<RepositoryName>,
    /// Those whose backfill is not finished.
    pub(super) backfilling: usize,
    /// Issues that agents may be told of.
    pub(super) touched: u64,
    /// Issues that a backfill read.
    first_read: u64,
    /// Whether a repository that was not finished came further all the same.
    deferred_got_further: bool,
    /// Whether a row may have been stamped under this pass's fence.
    pub(super) may_have_changed: bool,
}

impl Tally {
    pub(super) fn of(worklist: &Worklist, fence: u64) -> Self {
        let Worklist { work, unknown, .. } = worklist;
        let results = work.iter().map(|work| (&work.name, &work.result));
        let results = results.chain(unknown.iter().map(|unknown| (&unknown.name, &unknown.result)));
        let is_deferred = |result: &WorkResult| matches!(result, WorkResult::Deferred | WorkResult::UnderWay);
        let failed_unknown = unknown.iter().filter(|unknown| unknown.result.problem().is_some()).count();
        let mut tally = Self {
            backfilling: work.iter().filter(|work| work.tracked.backfill.is_some()).count(),
            touched: worklist.all_work().map(|work| work.recount.changed).sum(),
            drifted: work.iter().filter(|work| work.is_to_be_audited()).count(),
            first_read: work.iter().map(|work| work.first_read).sum(),
            deferred_got_further: work.iter().any(|work| work.got_further && is_deferred(&work.result)),
            failed: work.iter().filter(|work| work.failure().is_some()).count() + failed_unknown,
            well: work.iter().filter(|work| work.is_read() && work.failure().is_none()).count(),
            may_have_changed: worklist.all_work().any(|work| work.tracked.last_change_fence == fence),
            ..Self::default()
        };
        for (name, result) in results {
            tally.configured += 1;
            match result {
                WorkResult::Synced => tally.synced += 1,
                WorkResult::Drifted | WorkResult::Failed(_) => {}
                WorkResult::Deferred | WorkResult::UnderWay => tally.deferred.push(name.clone()),
            }
        }
        let has_audit_left = |work: &&Work| work.audit_result.as_ref().is_some_and(is_deferred);
        tally.deferred.extend(work.iter().filter(has_audit_left).map(|work| work.name.clone()));
        tally
    }

    /// Whether no repository is well: each failed, or there was no time to see it fail too.
    fn all_failed(&self) -> bool {
        self.failed > 0 && self.well == 0 && !self.deferred_got_further
    }

    /// Whether any repository came out well, or further. One whose audit is held does.
    pub(super) fn has_success(&self) -> bool {
        self.configured > 0 && !self.all_failed()
    }

    /// What was done, in one sentence. It claims nothing that did not happen.
    pub(super) fn summary(&self) -> String {
        if self.configured == 0 {
            return "Synced nothing: no repository is tracked.".to_owned();
        }
        let mut summary = format!(
            "Synced {} of {}: {} changed",
            self.synced,
            counted(self.configured as u64, "repository", "repositories"),
            counted(self.touched, "issue", "issues"),
        );
        if self.first_read > 0 {
            summary.push_str(&format!(", {} read for the first time", self.first_read));
        }
        if self.drifted > 0 {
            let drifted = counted(self.drifted as u64, "repository has", "repositories have");
            summary.push_str(&format!("; {drifted} another number of open issues and will be audited"));
        }
        if !self.deferred.is_empty() {
            let rest = counted(self.deferred.len() as u64, "repository is", "repositories are");
            summary.push_str(&format!("; {rest} left to the next pass"));
        }
        summary.push('.');
        summary
    }
}

/// Turns the failures into problems: warnings while any repository is well, errors when none is. Each is told with
/// its repository, unless so many failed alike that the answer would be all about that; what lies with an account
/// is told once, of its owners, whom `whose` names if they are not all there are. What may heal is worth another
/// try once the pass is no longer fresh, after `freshness` seconds.
pub(super) fn add_failures(
    outcome: &mut Outcome,
    worklist: &Worklist,
    tally: &Tally,
    freshness: u64,
    whose: impl Fn(&[&RepositoryName]) -> Vec<String>,
) {
    let of_work = worklist.work.iter().filter_map(|work| Some((&work.name, work.failure()?)));
    let of_unknown =
        worklist.unknown.iter().filter_map(|unknown| Some((&unknown.name, unknown.result.problem()?)));
    let mut alike: Vec<(Problem, Vec<&RepositoryName>)> = Vec::new();
    for (name, problem) in of_work.chain(of_unknown) {
        let cause = &problem.message;
        tracing::warn!(repository.name = %name, phase = problem.phase.as_str(), cause, "A repository failed.");
        match alike.iter_mut().find(|(known, _)| known == problem) {
            Some((_, names)) => names.push(name),
            None => alike.push((problem.clone(), vec![name])),
        }
    }
    for (mut problem, names) in alike {
        if tally.all_failed() {
            problem.severity = Severity::Error;
        }
        if problem.retryable && problem.retry_after_seconds.is_none() {
            problem.retry_after_seconds = Some(freshness);
        }
        if is_the_accounts(problem.code) {
            let problem = problem.of_owners(whose(&names));
            // How long a limit lasts, or who is refused, differs a little from one request to the next.
            let is_same = |told: &Problem| {
                told.code == problem.code
                    && told.owners == problem.owners
                    && (told.message == problem.message || told.code != ProblemCode::CredentialsInvalid)
            };
            if !outcome.problems().iter().any(is_same) {
                outcome.add(problem);
            }
        } else if names.len() > MAX_NAMED {
            outcome.add(problems::of_many(problem, &names));
        } else {
            names.into_iter().for_each(|name| outcome.add(problem.clone().of(name)));
        }
    }
}

/// Whether the cause lies with whom GitHub is asked as, so that every repository meets it that is asked for so.
fn is_the_accounts(code: ProblemCode) -> bool {
    matches!(
        code,
        ProblemCode::GithubRateLimited
            | ProblemCode::GithubUnauthorized
            | ProblemCode::CredentialsUnavailable
            | ProblemCode::CredentialsInvalid
    )
}
