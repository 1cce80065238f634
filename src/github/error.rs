//! What can go wrong with GitHub, told in terms of what to do about it.

use std::fmt;

use jiff::Timestamp;

use crate::domain::Api;
use crate::secrets::SecretUnavailable;

use super::failure::{Failure, no_proxy, no_tls};

/// Why GitHub gave no answer that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GitHubError {
    /// The pass has no time left for another request. Not a failure: the rest is for the next pass.
    #[error("there was no time left to ask GitHub")]
    Deadline,
    /// GitHub could not be reached or failed, and repeating did not help.
    #[error("{}", unavailable(*.failure, *.attempts, .origin))]
    Unavailable {
        /// What the last attempt met.
        failure: Failure,
        /// How often it was tried.
        attempts: u32,
        /// Where.
        origin: String,
    },
    /// The account's rate limit is used up.
    #[error("GitHub's rate limit is used up until {until:.0}")]
    RateLimited {
        /// When it lifts.
        until: Timestamp,
        /// What was asked.
        api: Api,
    },
    /// The GraphQL API cannot be used; the REST API may serve.
    #[error(transparent)]
    NoGraphql(#[from] NoGraphql),
    /// 401, or what comes to the same.
    #[error(transparent)]
    Unauthorized(#[from] Unauthorized),
    /// 403 that is not a limit.
    #[error("{}", forbidden(.lacks.as_deref()))]
    Forbidden {
        /// The permission that is lacking, where GitHub says that one is.
        lacks: Option<String>,
    },
    /// 403 to everything that is asked as the installation.
    #[error(
        "the GitHub App's installation is suspended (403); end that in the installation's settings on GitHub"
    )]
    Suspended,
    /// 403 by a rule of the organisation or the enterprise, or because of who asks: no permission heals it.
    #[error(transparent)]
    Policy(#[from] Policy),
    /// GitHub keeps everybody from the repository: 451, or 403 with these words.
    #[error(transparent)]
    Blocked(#[from] Blocked),
    /// 404 for a repository where there is no GraphQL API either.
    #[error(
        "GitHub shows no such repository to this token (404), and there is no GraphQL API either; check that \
         GITHUB_API_URL is the API's address (https://HOST/api/v3 for an Enterprise Server), then the repository's name \
         and the token's access"
    )]
    NothingThere,
    /// 404: not there, or not for this token.
    #[error("GitHub shows no such repository to this token (404); check its name and the token's access")]
    NotFound,
    /// 410, in GitHub's words for it.
    #[error("issues are switched off in this repository (410)")]
    IssuesDisabled,
    /// An answer that we do not understand.
    #[error("GitHub's answer is not one this service understands: {0}")]
    Unexpected(String),
    /// The secret with the token cannot be read.
    #[error("the GitHub token cannot be read from Secrets Manager; see GITHUB_CREDENTIALS_SECRET_ID")]
    CredentialsUnavailable,
    /// The secret holds nothing that GitHub could be asked with.
    #[error("the secret in GITHUB_CREDENTIALS_SECRET_ID is of no use: {0}")]
    BadCredentials(#[from] BadCredentials),
}

/// Who it is that GitHub does not accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unauthorized {
    /// The token in the secret.
    #[error(
        "GitHub does not accept the token in GITHUB_CREDENTIALS_SECRET_ID (401); store a valid one there"
    )]
    Token,
    /// The GitHub App itself.
    #[error(
        "GitHub does not accept the App's key (401): see in the App's settings on GitHub whether the privateKey in \
         GITHUB_CREDENTIALS_SECRET_ID is still there and the appId is the App's, and whether the function's clock \
         is right"
    )]
    App,
    /// A token that GitHub itself gave the App's installation.
    #[error(
        "GitHub does not accept the token that it gave the App's installation (401), not even a new one; see in the \
         App's settings on GitHub whether it is still installed"
    )]
    InstallationToken,
    /// 404 where the App asked for a token of its installation.
    #[error(
        "GitHub knows no installation {0} of this App (404): the App was uninstalled or deleted, or the appId or \
         the installation's id in GITHUB_CREDENTIALS_SECRET_ID is another's"
    )]
    NoInstallation(u64),
}

/// By which rule GitHub forbids everything, or everything of an organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Policy {
    /// The organisation's list of IP addresses.
    #[error(
        "the organisation's IP allow list does not have the function's address (403); give the functions a fixed one (a \
         VPC with a NAT gateway) and add it to the list, or ask the organisation to"
    )]
    IpAllowList,
    /// A token that is valid for longer than the organisation or the enterprise allows.
    #[error(
        "the organisation or its enterprise forbids tokens with so long a lifetime (403); store a token with a shorter \
         lifetime, or a GitHub App, in GITHUB_CREDENTIALS_SECRET_ID"
    )]
    TokenLifetime,
    /// A classic or a fine-grained token, where the organisation forbids that kind.
    #[error(
        "the organisation or its enterprise forbids this kind of personal access token (403); store one of the other \
         kind, or a GitHub App, in GITHUB_CREDENTIALS_SECRET_ID"
    )]
    TokenKind,
    /// The user whose token it is, or the owner.
    #[error(
        "GitHub has suspended the account that the token belongs to (403); store another account's token, or a GitHub App, \
         in GITHUB_CREDENTIALS_SECRET_ID, or have GitHub Support end the suspension"
    )]
    AccountSuspended,
    /// The App's request for a token of its installation.
    #[error(
        "GitHub forbids the App to get a token of its installation (403); see in the App's settings on GitHub whether it \
         is active and installed where the appId and the installation's id in GITHUB_CREDENTIALS_SECRET_ID say"
    )]
    AppToken,
}

impl Policy {
    /// Whether it may be that of one organisation, so that others' repositories are shown.
    pub(super) fn is_of_an_owner(self) -> bool {
        matches!(self, Self::IpAllowList | Self::TokenLifetime | Self::TokenKind)
    }
}

/// Why nobody is shown a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Blocked {
    /// A takedown, such as one under the DMCA.
    #[error(
        "GitHub has taken this repository down for legal reasons; its page shows the notice. Its issues are kept as they \
         were last read; remove it from REPOSITORIES if it does not come back"
    )]
    Legally,
    /// Another reason, such as GitHub's terms of service.
    #[error(
        "GitHub has blocked access to this repository; its owner can ask GitHub Support why. Its issues are kept as they \
         were last read; remove it from REPOSITORIES if it does not come back"
    )]
    ByGithub,
}

/// What is wrong with the secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCredentials {
    /// None of the known forms, but what is named here, if it looks like anything known.
    #[error(
        "{}store a plain token, {{\"token\":\"…\"}} or {{\"appId\":…,\"installationId\":…,\"privateKey\":\"…\"}} there; in place \
         of installationId several owners have \"installations\":{{\"owner\":…}}",
        found(.0.as_deref())
    )]
    Form(Option<String>),
    /// Two forms at once.
    #[error("it has a token and a GitHub App; remove one of them")]
    TokenAndApp,
    /// Half a GitHub App.
    #[error("a GitHub App needs {} too", .0.join(" and "))]
    Lacks(Vec<&'static str>),
    /// No App's id.
    #[error("its appId is neither a number nor a client id")]
    AppId,
    /// No installation's id.
    #[error("its installationId is not a number")]
    InstallationId,
    /// Both ways to say where the App is installed.
    #[error("it has an installationId and installations; remove one of them")]
    OneAndSeveral,
    /// Installations of nobody.
    #[error("its installations name no owner")]
    NoOwner,
    /// The owner of what is asked for is not among the installations.
    #[error(
        "its installations do not name {0}: install the App there, and add the owner with the installation's id"
    )]
    NotInstalled(String),
    /// No installation's id, of this owner.
    #[error("the id of {0} in its installations is not a number")]
    InstallationIdOf(String),
    /// Two ids of one owner, in whatever case.
    #[error("its installations name {0} twice; remove one of them")]
    TwiceInstalled(String),
    /// No key that can sign; what it looks like.
    #[error("its privateKey is not the App's RSA private key in PEM, as GitHub generates it, but {0}")]
    PrivateKey(&'static str),
}

/// Why the GraphQL API cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoGraphql {
    /// 404.
    #[error("GitHub has no GraphQL API at GITHUB_GRAPHQL_URL (404)")]
    Missing,
    /// 403 that is not a limit.
    #[error("GitHub forbids the token its GraphQL API (403)")]
    Forbidden,
    /// No points are left.
    #[error("GitHub's budget of GraphQL points is used up until {0:.0}")]
    UsedUp(Timestamp),
    /// The server does not take the document, whatever it asks for: an older Enterprise Server lacks a field.
    #[error("GitHub's GraphQL API refuses the query{0}")]
    Refused(Refusal),
    /// No answer of a GraphQL API.
    #[error("the answer at GITHUB_GRAPHQL_URL is not one of GitHub's GraphQL API: {0}")]
    NotUnderstood(String),
    /// It answers for no repository.
    #[error("GitHub's GraphQL API fails for every repository: {0}")]
    Failing(String),
    /// It answered for no repository, and is not asked again until then.
    #[error("GitHub's GraphQL API failed for every repository and is asked again after {0:.0}")]
    Avoided(Timestamp),
}

/// GitHub's words for what it refuses in a document, as far as they are plain ones: letters, digits and underscores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(String);

impl Refusal {
    /// The kind, and the name of what it is about.
    pub(super) fn new(kind: &str, name: Option<&str>) -> Self {
        let is_plain = |word: &&str| {
            (1..=MAX_WORD).contains(&word.len())
                && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let words: Vec<&str> = [Some(kind), name].into_iter().flatten().filter(is_plain).collect();
        Self(words.join(" "))
    }

    /// The document's text cannot be parsed.
    pub(super) fn of_text() -> Self {
        Self("parse error".to_owned())
    }
}

/// How long a word of GitHub's may be that is repeated.
const MAX_WORD: usize = 40;

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ": {}", self.0) }
    }
}

impl GitHubError {
    /// Whether it may concern one issue alone: others may well be answered.
    pub fn is_odd(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Forbidden { .. } | Self::Unexpected(_))
    }

    /// Whether it is GitHub's answer about the repository that was asked for.
    pub fn is_about_repository(&self) -> bool {
        matches!(self, Self::NotFound | Self::NothingThere | Self::IssuesDisabled) || self.is_refusal()
    }

    /// Whether GitHub does not show what was asked for to whoever asks.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Forbidden { .. } | Self::Policy(_) | Self::Blocked(_))
    }

    /// Whether, met by GraphQL, it leaves the REST API to be asked instead.
    pub fn is_of_graphql(&self) -> bool {
        match self {
            Self::NoGraphql(_) => true,
            Self::Unavailable { failure, .. } => failure.asked_too_much(),
            _ => false,
        }
    }
}

impl From<SecretUnavailable> for GitHubError {
    fn from(_: SecretUnavailable) -> Self {
        Self::CredentialsUnavailable
    }
}

fn found(form: Option<&str>) -> String {
    form.map(|form| format!("it holds {form}; ")).unwrap_or_default()
}

fn forbidden(lacks: Option<&str>) -> String {
    match lacks {
        Some(permission) => format!(
            "GitHub forbids this request (403): the permission {permission} is lacking; grant it to the token, or to \
             the App and accept it where the App is installed"
        ),
        None => "GitHub forbids the token this request (403); grant it read access to the repository's issues, and \
                 authorise it for single sign-on where the organisation asks for that"
            .to_owned(),
    }
}

/// A sentence; where nothing answered it tells the address, which may be the mistake.
fn unavailable(failure: Failure, attempts: u32, origin: &str) -> String {
    let times = match attempts {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        3 => "three times".to_owned(),
        more => format!("{more} times"),
    };
    match failure {
        Failure::Status(_) | Failure::BrokeOff => format!("{failure} {times}"),
        Failure::NotExecuted => format!("{failure} ({times})"),
        Failure::TooLarge => format!("{failure} (tried {times})"),
        Failure::Unreachable => format!("GitHub could not be reached at {origin} (tried {times})"),
        Failure::Tls(why) => format!("{} ({origin}, tried {times})", no_tls(why)),
        Failure::Proxy(why) => format!("{} ({origin}, tried {times})", no_proxy(why)),
        Failure::TimedOut => format!("GitHub at {origin} did not answer in time (tried {times})"),
    }
}
