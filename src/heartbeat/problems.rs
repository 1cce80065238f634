//! The problems that a heartbeat meets outside its pass: every sentence that agents read about them.

use std::fmt::Display;
use std::time::Duration;

use crate::domain::{Phase, Problem, ProblemCode, RepositoryName, WrongMember};
use crate::pass::{self, Panicked};
use crate::store::StoreError;

/// Why a confirmation is rejected if no pass could process it.
const NO_PASS_FOR_CONFIRMATION: &str = "no pass could run now; confirm again in a minute";

pub(super) fn table_unavailable(error: &StoreError) -> Problem {
    let retry = if error.is_misconfiguration() { ", then retry" } else { "; retry later" };
    let message = format!("{error}{retry}");
    Problem::error(ProblemCode::StoreUnavailable, Phase::Sync, message)
}

pub(super) fn body_member_ignored(wrong: &WrongMember) -> Problem {
    Problem::warning(ProblemCode::BodyMemberIgnored, Phase::Request, wrong.to_string()).lasting()
}

pub(super) fn first_pass_running() -> Problem {
    let message = "the first pass is still running; send another heartbeat in a few seconds";
    Problem::warning(ProblemCode::FirstPassRunning, Phase::Sync, message)
}

/// `age` is the time since the last pass finished.
pub(super) fn stale(age: Duration) -> Problem {
    let message =
        format!("the last pass finished {} s ago; the running pass has not finished yet", age.as_secs());
    Problem::warning(ProblemCode::Stale, Phase::Sync, message)
}

pub(super) fn pass_panicked(panicked: Panicked) -> Problem {
    Problem::error(ProblemCode::PhaseCrashed, Phase::Sync, panicked.to_string())
}

pub(super) fn no_pass_for_confirmation(repository: &RepositoryName) -> Problem {
    pass::not_confirmed(repository, NO_PASS_FOR_CONFIRMATION)
}

pub(super) fn run_not_recorded(cause: &impl Display) -> Problem {
    let message = format!("run not fully recorded: {cause}; the next heartbeat reports these changes again");
    Problem::warning(ProblemCode::RunNotRecorded, Phase::Record, message)
}

/// A problem that a pass met `age` ago: the time to wait is shorter by now.
pub(super) fn aged(problem: Problem, age: Duration) -> Problem {
    let left = problem.retry_after_seconds.and_then(|wait| wait.checked_sub(age.as_secs()));
    problem.retry_after(left.filter(|left| *left > 0))
}

#[cfg(test)]
mod tests {
    use super::super::record::Cause;
    use super::*;

    #[test]
    fn every_problem_of_a_heartbeat_has_its_sentence() {
        let sentences = [
            table_unavailable(&StoreError::contended()),
            first_pass_running(),
            stale(Duration::from_secs(91)),
            run_not_recorded(&Cause::Store(StoreError::contended())),
            run_not_recorded(&Cause::TakenOver),
            run_not_recorded(&Cause::KeyUnknown),
        ];
        let lines = sentences.map(|problem| problem.line());
        insta::assert_snapshot!(lines.join("\n"), @r"
        sync: DynamoDB table unavailable (PutItem: the row kept changing); retry later
        sync: the first pass is still running; send another heartbeat in a few seconds
        sync: the last pass finished 91 s ago; the running pass has not finished yet
        record: run not fully recorded: DynamoDB table unavailable (PutItem: the row kept changing); the next heartbeat reports these changes again
        record: run not fully recorded: a later attempt at the same request has taken over; the next heartbeat reports these changes again
        record: run not fully recorded: the stored state of its Idempotency-Key could not be read or written; the next heartbeat reports these changes again
        ");
        insta::assert_snapshot!(NO_PASS_FOR_CONFIRMATION, @"no pass could run now; confirm again in a minute");
    }
}
