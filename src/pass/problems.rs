//! Every problem that a pass reports, with its code and its sentence. No other file of `pass` writes a message.
//!
//! The test at the end lists them all, so that their wording can be reviewed at a glance.

use jiff::Timestamp;

use crate::domain::{
    AuditOnHold, IssueNumber, MAX_UNREAD, Phase, Problem, ProblemCode, RepositoryName, counted, seconds_until,
};
use crate::github::{Failure, GitHubError, NoGraphql};
use crate::store::StoreError;

/// The sentence for a panic. The panic's own message goes to the log only.
pub(super) const PANICKED: &str = "internal error (panic); see this run's log; the next pass retries";

pub(super) fn no_repositories() -> Problem {
    let message = "no repositories are configured; list them in REPOSITORIES as owner/name";
    Problem::error(ProblemCode::NoRepositories, Phase::Sync, message).lasting()
}

pub(super) fn duplicate_repository(name: &RepositoryName, first: &RepositoryName) -> Problem {
    let message = format!(
        "this is the same repository as {first}, which is synced once; remove one of the two names from REPOSITORIES"
    );
    Problem::warning(ProblemCode::DuplicateRepository, Phase::Sync, message).lasting().of(name)
}

pub(super) fn repository_disabled() -> Problem {
    let message = "GitHub has disabled this repository; its cached issues stay as they were last read";
    Problem::warning(ProblemCode::RepositoryDisabled, Phase::Sync, message).lasting()
}

/// GitHub failed. A warning for now: it becomes an error if every repository fails.
pub(super) fn github(error: &GitHubError, phase: Phase, now: Timestamp) -> Problem {
    let lasting = |code| Problem::warning(code, phase, error.to_string()).lasting();
    let passing = |code| Problem::warning(code, phase, format!("{error}; the next pass retries"));
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

/// The pass could not use GraphQL.
pub(super) fn probe_unavailable(why: NoGraphql, now: Timestamp) -> Problem {
    let message = format!("{why}; falling back to one REST lookup per repository, at a lower rate");
    let problem = Problem::warning(ProblemCode::ProbeUnavailable, Phase::Sync, message);
    match why {
        NoGraphql::UsedUp(until) | NoGraphql::Avoided(until) => {
            problem.retry_after(seconds_until(until, now))
        }
        NoGraphql::Missing | NoGraphql::Forbidden | NoGraphql::Refused(_) => problem.lasting(),
        NoGraphql::NotUnderstood(_) | NoGraphql::Failing(_) => problem,
    }
}

/// GitHub failed at first, no repository failed in the end, and some repositories had to wait.
pub(super) fn deferred_by_failure(failure: Failure, deferred: usize) -> Problem {
    let deferred = counted(deferred as u64, "repository", "repositories");
    let message = format!("{failure}; {deferred} deferred to the next pass");
    Problem::warning(ProblemCode::GithubUnavailable, Phase::Sync, message)
}

/// Work that can wait waits until GitHub's budget resets.
pub(super) fn budget_low(until: Timestamp, now: Timestamp) -> Problem {
    let message = format!(
        "less than a tenth of GitHub's hourly budget is left; backfills and audits wait until {until:.0}"
    );
    let problem = Problem::warning(ProblemCode::GithubBudgetLow, Phase::Sync, message);
    problem.retry_after(seconds_until(until, now))
}

/// Repositories are left out of passes so that GitHub's budget lasts.
pub(super) fn throttled(until: Timestamp, now: Timestamp) -> Problem {
    let message =
        format!("throttled so that GitHub's hourly budget lasts; the next sync is after {until:.0}");
    let problem = Problem::warning(ProblemCode::GithubBudgetLow, Phase::Sync, message);
    problem.retry_after(seconds_until(until, now))
}

pub(super) fn store(error: &StoreError, phase: Phase) -> Problem {
    let message = format!("{error}; the next pass retries");
    Problem::warning(ProblemCode::StoreUnavailable, phase, message)
}

pub(super) fn panicked(phase: Phase) -> Problem {
    Problem::error(ProblemCode::PhaseCrashed, phase, PANICKED)
}

/// With this many unreadable issues in one repository, the cause is GitHub's response rather than single issues.
pub(super) fn too_many_unread() -> GitHubError {
    let unread = counted(MAX_UNREAD as u64, "issue", "issues");
    GitHubError::Unexpected(format!("more than {unread} cannot be read"))
}

pub(super) fn endless_listing() -> GitHubError {
    GitHubError::Unexpected("pagination ended without a last page".to_owned())
}

/// Some of a repository's issues are unreadable; `None` if all are read.
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
        "cannot parse GitHub's data for {issues}; all other issues are synced; a later pass requests each of these \
         individually"
    );
    Some(Problem::warning(ProblemCode::GithubUnexpectedAnswer, Phase::Sync, message).of(repository))
}

/// An audit on hold, before or after an operator's confirmation.
pub(super) fn audit_on_hold(repository: &RepositoryName, held: AuditOnHold, is_confirmed: bool) -> Problem {
    let AuditOnHold { absent, of } = held;
    let way_out = match is_confirmed {
        true => "An operator confirmed that they are gone; the next passes continue with the removal",
        false => "If they are really gone, run `make confirm-audit`",
    };
    let message = format!(
        "audit on hold: {absent} of {of} cached open issues are missing from GitHub's listing, above the safety \
         threshold. Nothing was removed. {way_out}"
    );
    Problem::error(ProblemCode::AuditHeld, Phase::Reconcile, message).of(repository)
}

/// Why a pass rejects an operator's confirmation.
#[derive(Clone, Copy, Debug)]
pub(super) enum RejectedConfirmation {
    NoHold,
    Unread,
    Untracked,
}

impl RejectedConfirmation {
    pub(super) fn problem(self, repository: &RepositoryName) -> Problem {
        let why = match self {
            Self::NoHold => "no audit of this repository is on hold",
            Self::Unread => "the repository could not be read in this pass; confirm again later",
            Self::Untracked => {
                "REPOSITORIES does not name this repository, or GitHub did not show it in this pass"
            }
        };
        not_confirmed(repository, why)
    }
}

/// An operator's confirmation of an audit was rejected, for this reason.
pub(crate) fn not_confirmed(repository: &RepositoryName, why: &str) -> Problem {
    let message = format!("confirmation rejected: {why}");
    Problem::error(ProblemCode::NotConfirmed, Phase::Reconcile, message).lasting().of(repository)
}

/// One problem in place of many: these repositories failed for the same reason.
pub(super) fn of_many_repositories(problem: Problem, names: &[&RepositoryName]) -> Problem {
    let Problem { message, .. } = &problem;
    let message = match names {
        [first, second, more @ ..] => format!("{first}, {second} and {} more: {message}", more.len()),
        _ => message.clone(),
    };
    Problem { message, ..problem }
}

#[cfg(test)]
mod tests {
    use crate::domain::Api;
    use crate::github::{BadCredentials, Blocked, Unauthorized};

    use super::*;

    fn repository(name: &str) -> RepositoryName {
        name.to_owned().try_into().expect("a name")
    }

    /// A line of the list. What GitHub's or DynamoDB's client says of its own errors is reviewed there.
    fn line(problem: &Problem, cause: Option<&dyn ToString>) -> String {
        let code = serde_json::to_value(problem.code).expect("a word");
        let cause = cause.map(ToString::to_string).unwrap_or_default();
        let message = match cause.is_empty() {
            true => problem.message.clone(),
            false => problem.message.replace(&cause, "{cause}"),
        };
        format!("{}: {message}", code.as_str().expect("a word"))
    }

    fn all() -> Vec<String> {
        let now: Timestamp = "2026-07-01T09:00:00Z".parse().expect("an instant");
        let until: Timestamp = "2026-07-01T09:30:00Z".parse().expect("an instant");
        let (api, web, docs) = (repository("acme/api"), repository("acme/web"), repository("acme/docs"));
        let unavailable = |failure| GitHubError::Unavailable {
            failure,
            attempts: 3,
            origin: "https://api.github.com".to_owned(),
        };
        let github_errors = [
            unavailable(Failure::Status(502)),
            unavailable(Failure::TooLarge),
            unavailable(Failure::Tls(crate::github::TlsFailure::UnknownIssuer)),
            GitHubError::RateLimited { until, api: Api::Rest },
            GitHubError::NoGraphql(NoGraphql::Missing),
            GitHubError::Unexpected("no Date header".to_owned()),
            GitHubError::CredentialsUnavailable,
            GitHubError::Unauthorized(Unauthorized::Token),
            GitHubError::BadCredentials(BadCredentials::AppId),
            GitHubError::Forbidden { lacks: None },
            GitHubError::Blocked(Blocked::Legally),
            GitHubError::NotFound,
            GitHubError::IssuesDisabled,
        ];
        let unexpected = GitHubError::Unexpected(String::new());
        let (no_graphql, failure, contended) =
            (NoGraphql::Missing, Failure::Status(502), StoreError::contended());
        let unread = |numbers: &[u64], has_unnumbered| {
            let numbers: Vec<IssueNumber> = numbers.iter().copied().map(IssueNumber).collect();
            unread_issues(&api, &numbers, has_unnumbered).expect("some are unread")
        };
        let on_hold = AuditOnHold { absent: 21, of: 21 };
        let rejected =
            [RejectedConfirmation::NoHold, RejectedConfirmation::Unread, RejectedConfirmation::Untracked];
        let mut lines = vec![
            line(&no_repositories(), None),
            line(&duplicate_repository(&web, &api), None),
            line(&repository_disabled(), None),
        ];
        lines.extend(github_errors.iter().map(|error| line(&github(error, Phase::Sync, now), Some(error))));
        lines.extend([
            line(&github(&too_many_unread(), Phase::Sync, now), Some(&unexpected)),
            line(&github(&endless_listing(), Phase::Reconcile, now), Some(&unexpected)),
            line(&unread(&[7], false), None),
            line(&unread(&[7, 9, 12], true), None),
            line(&unread(&[], true), None),
            line(&probe_unavailable(no_graphql.clone(), now), Some(&no_graphql)),
            line(&deferred_by_failure(failure, 2), Some(&failure)),
            line(&budget_low(until, now), None),
            line(&throttled(until, now), None),
            line(&store(&contended, Phase::Sync), None),
            line(&panicked(Phase::Sync), None),
            line(&audit_on_hold(&api, on_hold, false), None),
            line(&audit_on_hold(&api, on_hold, true), None),
            line(&of_many_repositories(repository_disabled(), &[&api, &web, &docs]), None),
        ]);
        lines.extend(rejected.iter().map(|why| line(&why.problem(&api), None)));
        lines
    }

    #[test]
    fn every_problem_has_its_sentence() {
        insta::assert_snapshot!(all().join("\n"), @r"
        no_repositories: no repositories are configured; list them in REPOSITORIES as owner/name
        duplicate_repository: this is the same repository as acme/api, which is synced once; remove one of the two names from REPOSITORIES
        repository_disabled: GitHub has disabled this repository; its cached issues stay as they were last read
        github_unavailable: {cause}; the next pass retries
        github_unexpected_answer: {cause}; the next pass retries
        github_unavailable: {cause}
        github_rate_limited: {cause}; the next pass retries
        probe_unavailable: {cause}; the next pass retries
        github_unexpected_answer: {cause}; the next pass retries
        credentials_unavailable: {cause}; the next pass retries
        github_unauthorized: {cause}
        credentials_invalid: {cause}
        github_forbidden: {cause}
        repository_disabled: {cause}
        repository_not_found: {cause}
        issues_disabled: {cause}
        github_unexpected_answer: {cause}more than 20 issues cannot be read; the next pass retries
        github_unexpected_answer: {cause}pagination ended without a last page; the next pass retries
        github_unexpected_answer: cannot parse GitHub's data for issue 7; all other issues are synced; a later pass requests each of these individually
        github_unexpected_answer: cannot parse GitHub's data for issues 7, 9 and 12; all other issues are synced; a later pass requests each of these individually
        github_unexpected_answer: cannot parse GitHub's data for an issue without a number; all other issues are synced; a later pass requests each of these individually
        probe_unavailable: {cause}; falling back to one REST lookup per repository, at a lower rate
        github_unavailable: {cause}; 2 repositories deferred to the next pass
        github_budget_low: less than a tenth of GitHub's hourly budget is left; backfills and audits wait until 2026-07-01T09:30:00Z
        github_budget_low: throttled so that GitHub's hourly budget lasts; the next sync is after 2026-07-01T09:30:00Z
        store_unavailable: DynamoDB table unavailable (PutItem: the row kept changing); the next pass retries
        phase_crashed: internal error (panic); see this run's log; the next pass retries
        audit_held: audit on hold: 21 of 21 cached open issues are missing from GitHub's listing, above the safety threshold. Nothing was removed. If they are really gone, run `make confirm-audit`
        audit_held: audit on hold: 21 of 21 cached open issues are missing from GitHub's listing, above the safety threshold. Nothing was removed. An operator confirmed that they are gone; the next passes continue with the removal
        repository_disabled: acme/api, acme/web and 1 more: GitHub has disabled this repository; its cached issues stay as they were last read
        not_confirmed: confirmation rejected: no audit of this repository is on hold
        not_confirmed: confirmation rejected: the repository could not be read in this pass; confirm again later
        not_confirmed: confirmation rejected: REPOSITORIES does not name this repository, or GitHub did not show it in this pass
        ");
    }
}
