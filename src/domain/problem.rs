//! What went wrong in a beat, and what that makes of its status.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{RepositoryName, Status};

/// The part of a beat that a problem belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Claiming the pass and listing what changed.
    Sync,
    /// The audit: comparing the open issues on GitHub with the cached ones.
    Reconcile,
    /// Writing the AgentRun and the agent's position.
    Record,
}

impl Phase {
    /// The word that problems' texts start with.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Reconcile => "reconcile",
            Self::Record => "record",
        }
    }
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Part of the work was not done; the rest was.
    Warning,
    /// The beat cannot be relied on.
    Error,
}

/// What kind of problem it is: a stable word for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// `REPOSITORIES` is empty.
    NoRepositories,
    /// GitHub knows no such repository, or the token may not see it.
    RepositoryNotFound,
    /// GitHub has disabled the repository.
    RepositoryDisabled,
    /// The repository has no issues: they are switched off.
    IssuesDisabled,
    /// Two configured names are one repository.
    DuplicateRepository,
    /// GitHub does not accept the token.
    GithubUnauthorized,
    /// GitHub accepts the token but forbids the request.
    GithubForbidden,
    /// GitHub's rate limit is used up.
    GithubRateLimited,
    /// Little of GitHub's hourly budget is left: what can wait does.
    GithubBudgetLow,
    /// GitHub could not be reached or answered with a failure of its own.
    GithubUnavailable,
    /// GitHub's answer is not one we understand.
    GithubUnexpectedAnswer,
    /// GitHub's GraphQL API cannot be used: each repository is asked for by itself.
    ProbeUnavailable,
    /// GitHub's credentials could not be read from Secrets Manager.
    CredentialsUnavailable,
    /// The secret with GitHub's credentials has none of the known forms.
    CredentialsInvalid,
    /// The table could not be read or written.
    StoreUnavailable,
    /// So many issues are absent at once that nothing is believed.
    AuditHeld,
    /// An operator's word on a held audit could not be heeded.
    NotConfirmed,
    /// No pass has ended yet; one is running.
    FirstPassRunning,
    /// The last pass ended too long ago to be called fresh.
    Stale,
    /// The AgentRun could not be written.
    RunNotRecorded,
    /// A part of the service failed in a way nobody foresaw.
    PhaseCrashed,
}

/// One thing that went wrong, for people and for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The kind.
    pub code: ProblemCode,
    /// The part of the beat it belongs to.
    pub phase: Phase,
    /// How bad it is.
    pub severity: Severity,
    /// The repository it concerns; absent when it concerns several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    pub repository: Option<RepositoryName>,
    /// The owners whose repositories it concerns, by their logins in lower case; absent when it is one repository's, or
    /// concerns everybody's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub owners: Vec<String>,
    /// Whether a later beat can succeed without anybody doing anything.
    pub retryable: bool,
    /// Seconds until trying again makes sense, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub retry_after_seconds: Option<u64>,
    /// One sentence naming the cause and the way out. Never an upstream body or a secret.
    pub message: String,
}

impl Problem {
    /// A warning that a later beat may heal.
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

    /// An error that a later beat may heal.
    pub fn error(code: ProblemCode, phase: Phase, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, ..Self::warning(code, phase, message) }
    }

    /// The same problem, of one repository.
    pub fn of(self, repository: &RepositoryName) -> Self {
        Self { repository: Some(repository.clone()), ..self }
    }

    /// The same problem, of these owners; of everybody without any.
    pub fn of_owners(self, owners: Vec<String>) -> Self {
        Self { owners, ..self }
    }

    /// The same problem, that only a person can heal.
    pub fn lasting(self) -> Self {
        Self { retryable: false, ..self }
    }

    /// The same problem, not worth another try for so many seconds.
    pub fn retry_after(self, seconds: Option<u64>) -> Self {
        Self { retry_after_seconds: seconds, ..self }
    }

    /// The problem as the line that `warnings` and `errors` show: `sync: acme/web: …`.
    pub fn line(&self) -> String {
        let (phase, message) = (self.phase.as_str(), &self.message);
        match (&self.repository, &self.owners[..]) {
            (Some(repository), _) => format!("{phase}: {repository}: {message}"),
            (None, []) => format!("{phase}: {message}"),
            (None, owners) => format!("{phase}: for {}, {message}", owners.join(", ")),
        }
    }
}

/// All problems of a beat, with what follows from them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    problems: Vec<Problem>,
}

impl Outcome {
    /// Adds a problem.
    pub fn add(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// The problems in the order they were met.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The worst severity, as a run's status.
    pub fn status(&self) -> Status {
        match self.problems.iter().map(|problem| problem.severity).max() {
            None => Status::Ok,
            Some(Severity::Warning) => Status::Warning,
            Some(Severity::Error) => Status::Error,
        }
    }

    /// The lines of one severity. Each problem is in exactly one of the two lists.
    pub fn lines(&self, severity: Severity) -> Vec<String> {
        self.problems.iter().filter(|p| p.severity == severity).map(Problem::line).collect()
    }
}
