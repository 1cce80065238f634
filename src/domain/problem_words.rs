//! What each problem means and what to do about it, in words for people. The table in `docs/api.md` and
//! `GET /api/problems` say exactly this.

use super::ProblemCode;

impl ProblemCode {
    /// Every code, in the order of the documentation: configuration, GitHub, the service itself.
    pub const ALL: [Self; 22] = [
        Self::NoRepositories,
        Self::RepositoryNotFound,
        Self::RepositoryDisabled,
        Self::IssuesDisabled,
        Self::DuplicateRepository,
        Self::GithubUnauthorized,
        Self::GithubForbidden,
        Self::CredentialsUnavailable,
        Self::CredentialsInvalid,
        Self::GithubRateLimited,
        Self::GithubBudgetLow,
        Self::ProbeUnavailable,
        Self::GithubUnavailable,
        Self::GithubUnexpectedAnswer,
        Self::BodyMemberIgnored,
        Self::StoreUnavailable,
        Self::RunNotRecorded,
        Self::AuditHeld,
        Self::NotConfirmed,
        Self::FirstPassRunning,
        Self::Stale,
        Self::PhaseCrashed,
    ];

    /// What it means: one sentence without a full stop. Plain text, with code in backticks.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::NoRepositories => "no repository is tracked",
            Self::RepositoryNotFound => "GitHub shows no such repository to the token or the App",
            Self::RepositoryDisabled => "GitHub has disabled, blocked or taken down the repository",
            Self::IssuesDisabled => "issues are disabled in the repository",
            Self::DuplicateRepository => "two configured names are one repository",
            Self::GithubUnauthorized => "GitHub rejects the token or the App",
            Self::GithubForbidden => "GitHub accepts the token or the App, and denies the request",
            Self::CredentialsUnavailable => "the secret with GitHub's credentials cannot be read",
            Self::CredentialsInvalid => {
                "the secret with GitHub's credentials has no known form, is incomplete, or lacks an owner's installation"
            }
            Self::GithubRateLimited => {
                "the rate limit of the token, or of an owner's installation, is used up"
            }
            Self::GithubBudgetLow => {
                "little of GitHub's hourly budget is left: first listings and audits, or one owner's repositories, wait"
            }
            Self::ProbeUnavailable => {
                "GitHub's GraphQL API is unreachable, fails, or refuses the query because an older Enterprise Server \
                 lacks a field; the service falls back to one REST lookup per repository"
            }
            Self::GithubUnavailable => "GitHub is unreachable, or answered with a server error",
            Self::GithubUnexpectedAnswer => {
                "GitHub sent an answer that the service cannot read. If only some issues are unreadable, the message \
                 names them and all others are read"
            }
            Self::BodyMemberIgnored => {
                "a member of the heartbeat's body is wrong, so it changed nothing; the heartbeat was answered"
            }
            Self::StoreUnavailable => "the DynamoDB table cannot be read or written",
            Self::RunNotRecorded => {
                "the record of this heartbeat could not be written completely; the next heartbeat reports its changes \
                 again"
            }
            Self::AuditHeld => "too many issues are missing at once, so nothing was removed",
            Self::NotConfirmed => "an operator's confirmation of an audit was rejected",
            Self::FirstPassRunning => "no pass has finished yet",
            Self::Stale => "no pass has finished recently",
            Self::PhaseCrashed => "internal error in a part of the service",
        }
    }

    /// What to do about it, in the form of [`meaning`](Self::meaning). It begins with `nothing:` if the service recovers
    /// by itself.
    pub fn way_out(self) -> &'static str {
        match self {
            Self::NoRepositories => "set `REPOSITORIES`",
            Self::RepositoryNotFound => {
                "check the name in `REPOSITORIES`, and the token's or the App's access"
            }
            Self::RepositoryDisabled => "remove the repository from `REPOSITORIES`, or ask its owner",
            Self::IssuesDisabled => {
                "enable issues in the repository's settings, or remove it from `REPOSITORIES`"
            }
            Self::DuplicateRepository => "remove one of the two names from `REPOSITORIES`",
            Self::GithubUnauthorized => {
                "store valid credentials in `GITHUB_CREDENTIALS_SECRET_ID`; the message says what to check"
            }
            Self::GithubForbidden => "grant or change what the message names",
            Self::CredentialsUnavailable => {
                "check that the secret `GITHUB_CREDENTIALS_SECRET_ID` exists, and that the functions' roles may read it"
            }
            Self::CredentialsInvalid => {
                "add to the secret `GITHUB_CREDENTIALS_SECRET_ID`, or correct there, what the message names"
            }
            Self::GithubRateLimited => "nothing: the first pass after `retryAfterSeconds` retries",
            Self::GithubBudgetLow => "nothing: a pass after `retryAfterSeconds` does what waits",
            Self::ProbeUnavailable => {
                "if it is not `retryable`, check `GITHUB_GRAPHQL_URL`, the token's access and the server's version"
            }
            Self::GithubUnavailable => {
                "if it is not `retryable`, correct the variable that the message names (`SSL_CERT_FILE`, \
                 `HTTPS_PROXY`, `GITHUB_API_URL`)"
            }
            Self::GithubUnexpectedAnswer => {
                "nothing: the next pass retries, and requests an unreadable issue alone. If it lasts, check \
                 `GITHUB_API_URL`"
            }
            Self::BodyMemberIgnored => "correct the member that the message names",
            Self::StoreUnavailable => "check `TABLE_NAME` and the functions' IAM policy if it lasts",
            Self::RunNotRecorded => {
                "send the next heartbeat as usual; if it lasts, check `TABLE_NAME` and the functions' IAM policy"
            }
            Self::AuditHeld => {
                "check on GitHub whether the issues are gone. If they are, confirm that with `make confirm-audit`"
            }
            Self::NotConfirmed => "confirm again once the reason in the message no longer applies",
            Self::FirstPassRunning => "send another heartbeat in a few seconds",
            Self::Stale => {
                "send another heartbeat; if it lasts, see the log of the function that runs the pass"
            }
            Self::PhaseCrashed => "see the log of this run; the next pass retries",
        }
    }
}
