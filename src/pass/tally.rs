//! The result of a pass in numbers, its summary, and whether its failures are warnings or errors.

use crate::domain::{Outcome, Phase, Problem, ProblemCode, RepositoryName, Severity, counted};

use super::problems;
use super::work::{Work, WorkResult, Worklist};

/// Up to this number, repositories that failed for the same reason are reported one by one.
const MAX_NAMED: usize = 20;

/// The pass in numbers.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Configured repositories, each once.
    pub(super) configured: usize,
    /// Those that agree with GitHub.
    pub(super) synced: usize,
    /// Those whose open-issue count differs from GitHub's although nothing in them is newer, unless their audit is on
    /// hold.
    drifted: usize,
    /// Those whose listing or audit failed.
    pub(super) failed: usize,
    /// Those that were read to the end without a failure.
    well: usize,
    /// Those whose listing or audit waits for a later pass.
    pub(super) deferred: Vec<RepositoryName>,
    /// Those whose backfill is unfinished.
    pub(super) backfilling: usize,
    /// Changed issues that are reported to agents.
    pub(super) changed: u64,
    /// Issues that a backfill imported.
    imported: u64,
    /// Whether a repository made progress although it is unfinished.
    deferred_got_further: bool,
    /// Whether a row may carry this pass's fence.
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
            changed: worklist.all_work().map(|work| work.recount.changed).sum(),
            drifted: work.iter().filter(|work| work.needs_audit()).count(),
            imported: work.iter().map(|work| work.imported).sum(),
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

    /// Whether no repository is well: each failed, or the time was up before it could fail.
    fn all_failed(&self) -> bool {
        self.failed > 0 && self.well == 0 && !self.deferred_got_further
    }

    /// Whether any repository is well, or made progress. One whose audit is on hold counts as well.
    pub(super) fn has_success(&self) -> bool {
        self.configured > 0 && !self.all_failed()
    }

    /// What the pass did, in one sentence.
    pub(super) fn summary(&self) -> String {
        if self.configured == 0 {
            return "Synced nothing: no repositories are configured.".to_owned();
        }
        let mut summary = format!(
            "Synced {} of {}: {} changed",
            self.synced,
            counted(self.configured as u64, "repository", "repositories"),
            counted(self.changed, "issue", "issues"),
        );
        if self.imported > 0 {
            summary.push_str(&format!(", {} imported", self.imported));
        }
        if self.drifted > 0 {
            let differs = match self.drifted {
                1 => "1 repository's open-issue count differs from GitHub's; audit pending".to_owned(),
                many => {
                    format!("{many} repositories' open-issue counts differ from GitHub's; audits pending")
                }
            };
            summary.push_str(&format!("; {differs}"));
        }
        if !self.deferred.is_empty() {
            let rest = counted(self.deferred.len() as u64, "repository", "repositories");
            summary.push_str(&format!("; {rest} deferred to the next pass"));
        }
        summary.push('.');
        summary
    }
}

/// Turns the failures into problems: warnings while any repository is well, errors otherwise. Each problem names its
/// repository. Where more than [`MAX_NAMED`] repositories failed for the same reason, one problem represents all. A
/// failure of an account is reported once, with the owners that `whose` returns. A transient failure can be retried
/// once the pass is no longer fresh, after `freshness` seconds.
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
        let part = if problem.phase == Phase::Reconcile { "Audit" } else { "Sync" };
        tracing::warn!(repository.name = %name, phase = problem.phase.as_str(), cause, "{part} of {name} failed: {cause}");
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
        if is_account_failure(problem.code) {
            let problem = problem.of_owners(whose(&names));
            // The time at which a limit resets, or who is rejected, differs a little between requests.
            let is_same = |known: &Problem| {
                known.code == problem.code
                    && known.owners == problem.owners
                    && (known.message == problem.message || known.code != ProblemCode::CredentialsInvalid)
            };
            if !outcome.problems().iter().any(is_same) {
                outcome.add(problem);
            }
        } else if names.len() > MAX_NAMED {
            outcome.add(problems::of_many_repositories(problem, &names));
        } else {
            names.into_iter().for_each(|name| outcome.add(problem.clone().of(name)));
        }
    }
}

/// Whether the cause is the account, so that all repositories that are requested with it fail alike.
fn is_account_failure(code: ProblemCode) -> bool {
    matches!(
        code,
        ProblemCode::GithubRateLimited
            | ProblemCode::GithubUnauthorized
            | ProblemCode::CredentialsUnavailable
            | ProblemCode::CredentialsInvalid
    )
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn a_summary_counts_what_was_done_and_what_waits() {
        let deferred = |names: &[&str]| {
            names.iter().map(|name| (*name).to_owned().try_into().expect("a name")).collect()
        };
        let summaries = [
            Tally::default(),
            Tally { configured: 1, synced: 1, changed: 1, ..Tally::default() },
            Tally { configured: 2, synced: 2, imported: 4, ..Tally::default() },
            Tally { configured: 3, synced: 2, drifted: 1, ..Tally::default() },
            Tally {
                configured: 5,
                synced: 1,
                changed: 12,
                imported: 100,
                drifted: 2,
                deferred: deferred(&["acme/api", "acme/web"]),
                ..Tally::default()
            },
            Tally { configured: 2, synced: 1, deferred: deferred(&["acme/api"]), ..Tally::default() },
        ];
        insta::assert_snapshot!(summaries.map(|tally| tally.summary()).join("\n"), @r"
        Synced nothing: no repositories are configured.
        Synced 1 of 1 repository: 1 issue changed.
        Synced 2 of 2 repositories: 0 issues changed, 4 imported.
        Synced 2 of 3 repositories: 0 issues changed; 1 repository's open-issue count differs from GitHub's; audit pending.
        Synced 1 of 5 repositories: 12 issues changed, 100 imported; 2 repositories' open-issue counts differ from GitHub's; audits pending; 2 repositories deferred to the next pass.
        Synced 1 of 2 repositories: 0 issues changed; 1 repository deferred to the next pass.
        ");
    }
}
