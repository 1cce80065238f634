//! The problems of a heartbeat, and the status that follows from them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{RepositoryName, Status};

/// The part of a heartbeat to which a problem belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Reading the heartbeat's body.
    Request,
    /// Taking the pass's lease and listing changes.
    Sync,
    /// The audit: comparing the open issues on GitHub with the cached ones.
    Reconcile,
    /// Writing the AgentRun and the agent's delivery cursor.
    Record,
}

impl Phase {
    /// The first word of a problem's line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Sync => "sync",
            Self::Reconcile => "reconcile",
            Self::Record => "record",
        }
    }
}

/// The severity of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Part of the work was not done.
    Warning,
    /// The heartbeat's result is not reliable.
    Error,
}

/// The kind of a problem: a stable code for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// `REPOSITORIES` is empty.
    NoRepositories,
    /// GitHub has no such repository, or the credentials have no access to it.
    RepositoryNotFound,
    /// GitHub has disabled the repository.
    RepositoryDisabled,
    /// Issues are disabled in the repository.
    IssuesDisabled,
    /// Two configured names belong to the same repository.
    DuplicateRepository,
    /// GitHub rejected the credentials.
    GithubUnauthorized,
    /// GitHub accepted the credentials but denied the request.
    GithubForbidden,
    /// GitHub's rate limit is exceeded.
    GithubRateLimited,
    /// Little of GitHub's hourly budget is left: work that can wait is deferred.
    GithubBudgetLow,
    /// GitHub could not be reached or answered with a server error.
    GithubUnavailable,
    /// GitHub's response has an unexpected form.
    GithubUnexpectedAnswer,
    /// GitHub's GraphQL API is unavailable: repositories are looked up one by one by REST.
    ProbeUnavailable,
    /// GitHub's credentials could not be read from Secrets Manager.
    CredentialsUnavailable,
    /// The secret with GitHub's credentials has no known form.
    CredentialsInvalid,
    /// The DynamoDB table could not be read or written.
    StoreUnavailable,
    /// The audit is on hold: too many cached issues are missing from GitHub's listing at once. Nothing was removed.
    AuditHeld,
    /// An operator's confirmation of an audit on hold was rejected.
    NotConfirmed,
    /// The first pass is still running.
    FirstPassRunning,
    /// The last pass ended too long ago for fresh results.
    Stale,
    /// A known member of the heartbeat's body is wrong, so it changes nothing.
    BodyMemberIgnored,
    /// The AgentRun could not be written.
    RunNotRecorded,
    /// Internal error: a part of the service panicked.
    PhaseCrashed,
}

/// One problem, for people and for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The kind.
    pub code: ProblemCode,
    /// The part of the heartbeat to which it belongs.
    pub phase: Phase,
    /// Its severity.
    pub severity: Severity,
    /// The affected repository; absent if several are affected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    pub repository: Option<RepositoryName>,
    /// The owners whose repositories are affected, as logins in lower case; absent if one repository or all owners are
    /// affected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub owners: Vec<String>,
    /// Whether a later heartbeat can succeed without anybody's action.
    pub retryable: bool,
    /// Seconds until a retry makes sense, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub retry_after_seconds: Option<u64>,
    /// One sentence with the cause and what to do. Never contains an upstream body or a secret.
    pub message: String,
}

impl Problem {
    /// A warning that a later heartbeat may resolve.
    pub fn warning(code: ProblemCode, phase: Phase, message: impl Into<String>) -> Self {
        Self {
            code,
            phase,
            severity: Severity::Warning,
            repository: None,
            owners: Vec::new(),
            retryable: true,
            retry_after_seconds: None,
            message: message.into(),
        }
    }

    /// An error that a later heartbeat may resolve.
    pub fn error(code: ProblemCode, phase: Phase, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, ..Self::warning(code, phase, message) }
    }

    /// The same problem, for one repository.
    pub fn of(self, repository: &RepositoryName) -> Self {
        Self { repository: Some(repository.clone()), ..self }
    }

    /// The same problem, for these owners; an empty list means all owners.
    pub fn of_owners(self, owners: Vec<String>) -> Self {
        Self { owners, ..self }
    }

    /// The same problem, which only a person can resolve.
    pub fn lasting(self) -> Self {
        Self { retryable: false, ..self }
    }

    /// The same problem, for which a retry makes sense after `seconds`.
    pub fn retry_after(self, seconds: Option<u64>) -> Self {
        Self { retry_after_seconds: seconds, ..self }
    }

    /// The problem as a line of `warnings` or `errors`: `sync: acme/web: …`.
    pub fn line(&self) -> String {
        let (phase, message) = (self.phase.as_str(), &self.message);
        match (&self.repository, &self.owners[..]) {
            (Some(repository), _) => format!("{phase}: {repository}: {message}"),
            (None, []) => format!("{phase}: {message}"),
            (None, owners) => format!("{phase}: for {}, {message}", owners.join(", ")),
        }
    }
}

/// All problems of a heartbeat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    problems: Vec<Problem>,
}

impl Outcome {
    /// Adds a problem.
    pub fn add(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// The problems in the order in which they occurred.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The run's status: the worst severity, or ok without problems.
    pub fn status(&self) -> Status {
        match self.problems.iter().map(|problem| problem.severity).max() {
            None => Status::Ok,
            Some(Severity::Warning) => Status::Warning,
            Some(Severity::Error) => Status::Error,
        }
    }

    /// The lines of the problems with one severity.
    pub fn lines(&self, severity: Severity) -> Vec<String> {
        self.problems.iter().filter(|p| p.severity == severity).map(Problem::line).collect()
    }
}
