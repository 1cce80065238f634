//! What a pass reports of what went wrong: every problem, with its sentence.

use jiff::Timestamp;

use crate::domain::{
    HeldAudit, IssueNumber, MAX_UNREAD, Phase, Problem, ProblemCode, RepositoryName, counted, seconds_until,
};
use crate::github::{Failure, GitHubError, NoGraphql};
use crate::store::StoreError;

/// What is told of a panic. Its own message is in the log alone.
pub(super) const PANICKED: &str =
    "it crashed; the log of this run has the details, and the next pass tries again";

pub(super) fn no_repositories() -> Problem {
    let message = "no repository is tracked: name some in REPOSITORIES, as owner/name";
    Problem::error(ProblemCode::NoRepositories, Phase::Sync, message).lasting()
}

pub(super) fn duplicate_repository(name: &RepositoryName, first: &RepositoryName) -> Problem {
    let message = format!(
        "it is the same repository as {first}, which is read once; remove one of them from REPOSITORIES"
    );
    Problem::warning(ProblemCode::DuplicateRepository, Phase::Sync, message).lasting().of(name)
}

pub(super) fn repository_disabled() -> Problem {
    let message = "GitHub has disabled this repository; its issues are kept as they were last read";
    Problem::warning(ProblemCode::RepositoryDisabled, Phase::Sync, message).lasting()
}

/// What is told of a failure of GitHub's. A warning until it is known whether every repository fails.
pub(super) fn github(error: &GitHubError, phase: Phase, now: Timestamp) -> Problem {
    let lasting = |code| Problem::warning(code, phase, error.to_string()).lasting();
    let passing = |code| Problem::warning(code, phase, format!("{error}; the next pass tries again"));
    match error {
        GitHubError::Unavailable { failure: Failure::TooLarge, .. } => {
            passing(ProblemCode::GithubUnexpectedAnswer)
        }
        GitHubError::Unavailable { failure, .. } if failure.is_lasting() => {
            lasting(ProblemCode::GithubUnavailable)
        }
        GitHubError::Deadline | GitHubError::Unavailable { .. } => passing(ProblemCode::GithubUnavailable),
        GitHubError::RateLimited { until, .. } => {
            passing(ProblemCode::GithubRateLimited).retry_after(seconds_until(*until, now))
        }
        GitHubError::NoGraphql(_) => passing(ProblemCode::ProbeUnavailable),
        GitHubError::Unexpected(_) => passing(ProblemCode::GithubUnexpectedAnswer),
        GitHubError::CredentialsUnavailable => passing(ProblemCode::CredentialsUnavailable),
        GitHubError::Unauthorized(_) => lasting(ProblemCode::GithubUnauthorized),
        GitHubError::BadCredentials(_) => lasting(ProblemCode::CredentialsInvalid),
        GitHubError::Forbidden { .. } | GitHubError::Suspended | GitHubError::Policy(_) => {
            lasting(ProblemCode::GithubForbidden)
        }
        GitHubError::Blocked(_) => lasting(ProblemCode::RepositoryDisabled),
        GitHubError::NotFound | GitHubError::NothingThere => lasting(ProblemCode::RepositoryNotFound),
        GitHubError::IssuesDisabled => lasting(ProblemCode::IssuesDisabled),
    }
}

/// What is told of a probe that is not to be had.
pub(super) fn probe_unavailable(why: NoGraphql, now: Timestamp) -> Problem {
    let message = format!("{why}; each repository is asked for by itself instead, and not as often");
    let problem = Problem::warning(ProblemCode::ProbeUnavailable, Phase::Sync, message);
    match why {
        NoGraphql::UsedUp(until) | NoGraphql::Avoided(until) => {
            problem.retry_after(seconds_until(until, now))
        }
        NoGraphql::Missing | NoGraphql::Forbidden | NoGraphql::Refused(_) => problem.lasting(),
        NoGraphql::NotUnderstood(_) | NoGraphql::Failing(_) => problem,
    }
}

/// What is told when GitHub failed, which another attempt may have healed, and repositories are left to the next pass.
pub(super) fn left_by_failure(failure: Failure, deferred: usize) -> Problem {
    let left = counted(deferred as u64, "repository is", "repositories are");
    let message = format!("{failure}, and {left} left to the next pass");
    Problem::warning(ProblemCode::GithubUnavailable, Phase::Sync, message)
}

/// What is told when something was put off until GitHub's budget is granted anew.
pub(super) fn budget_low(until: Timestamp, now: Timestamp) -> Problem {
    let message = format!(
        "less than a tenth of GitHub's hourly budget is left: first listings and audits wait until {until:.0}"
    );
    let problem = Problem::warning(ProblemCode::GithubBudgetLow, Phase::Sync, message);
    problem.retry_after(seconds_until(until, now))
}

/// What is told when repositories are left out so that GitHub's budget lasts.
pub(super) fn throttled(until: Timestamp, now: Timestamp) -> Problem {
    let message =
        format!("so that GitHub's hourly budget lasts, the next pass that reads them is after {until:.0}");
    let problem = Problem::warning(ProblemCode::GithubBudgetLow, Phase::Sync, message);
    problem.retry_after(seconds_until(until, now))
}

/// What is told of a failure of the table.
pub(super) fn store(error: &StoreError, phase: Phase) -> Problem {
    let message = format!("{error}; the next pass tries again");
    Problem::warning(ProblemCode::StoreUnavailable, phase, message)
}

pub(super) fn panicked(phase: Phase) -> Problem {
    Problem::error(ProblemCode::PhaseCrashed, phase, PANICKED)
}

/// So many records of one repository cannot be read that it is GitHub's answers, and not its issues.
pub(super) fn too_many_unread() -> GitHubError {
    let unread = counted(MAX_UNREAD as u64, "issue", "issues");
    GitHubError::Unexpected(format!("more than {unread} cannot be read"))
}

pub(super) fn endless_listing() -> GitHubError {
    GitHubError::Unexpected("a listing without an end".to_owned())
}

/// What there is to report of a repository's unread issues; `None` where all are read.
pub(super) fn unread_issues(
    repository: &RepositoryName,
    numbers: &[IssueNumber],
    has_unnumbered: bool,
) -> Option<Problem> {
    let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    let issues = match (&numbers[..], has_unnumbered) {
        ([], false) => return None,
        ([], true) => "an issue without a number".to_owned(),
        ([number], _) => format!("issue {number}"),
        ([first @ .., last], _) => format!("issues {} and {last}", first.join(", ")),
    };
    let message = format!(
        "GitHub shows {issues} in a form that this service cannot read; the other issues are read, and a later pass \
         requests each of these by itself"
    );
    Some(Problem::warning(ProblemCode::GithubUnexpectedAnswer, Phase::Sync, message).of(repository))
}

/// What is told of a held audit, until an operator confirmed it or after.
pub(super) fn audit_held(repository: &RepositoryName, held: HeldAudit, is_confirmed: bool) -> Problem {
    let HeldAudit { absent, of } = held;
    let way_out = match is_confirmed {
        true => "an operator confirmed that they are gone, and the next passes go on with that",
        false => "the next audit looks again, or an operator confirms that they are gone",
    };
    let message = format!(
        "GitHub lists {absent} of the {of} cached open issues no more, too many to be believed: nothing was \
         removed; {way_out}"
    );
    Problem::error(ProblemCode::AuditHeld, Phase::Reconcile, message).of(repository)
}

/// Why a pass cannot take an operator's word on an audit.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unconfirmed {
    NotHeld,
    NotRead,
    NotTracked,
}

impl Unconfirmed {
    pub(super) fn problem(self, repository: &RepositoryName) -> Problem {
        let why = match self {
            Self::NotHeld => "no audit of it is held",
            Self::NotRead => "it could not be read in this pass; confirm it again later",
            Self::NotTracked => {
                "REPOSITORIES names no such repository, or GitHub did not show it in this pass"
            }
        };
        not_confirmed(repository, why)
    }
}

/// What is told when an operator's word could not be heeded.
pub(crate) fn not_confirmed(repository: &RepositoryName, why: &str) -> Problem {
    let message = format!("nothing was confirmed: {why}");
    Problem::error(ProblemCode::NotConfirmed, Phase::Reconcile, message).lasting().of(repository)
}

/// The one problem of many repositories, which all failed alike.
pub(super) fn of_many(problem: Problem, names: &[&RepositoryName]) -> Problem {
    let Problem { message, .. } = &problem;
    let message = match names {
        [first, second, more @ ..] => format!("{first}, {second} and {} more: {message}", more.len()),
        _ => message.clone(),
    };
    Problem { message, ..problem }
}
