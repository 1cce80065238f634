//! The errors of requests to GitHub, with every sentence about them: what failed, and what to do.

use std::fmt;

use jiff::Timestamp;

use crate::domain::Api;
use crate::secrets::SecretUnavailable;

use super::failure::{Failure, no_proxy, no_tls};

/// Why a request to GitHub has no usable answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GitHubError {
    /// The pass has no time left for another request. Not a failure: the next pass continues.
    #[error("time budget exhausted before GitHub could be queried")]
    Deadline,
    /// GitHub could not be reached or failed, and retries did not help.
    #[error("{}", unavailable(*.failure, *.attempts, .origin))]
    Unavailable {
        /// How the last attempt failed.
        failure: Failure,
        /// The number of attempts.
        attempts: u32,
        /// Scheme, host and port.
        origin: String,
    },
    /// The account's rate limit is used up.
    #[error("GitHub's rate limit is used up until {until:.0}")]
    RateLimited {
        /// When it lifts.
        until: Timestamp,
        /// The API.
        api: Api,
    },
    /// The GraphQL API cannot be used. The REST API may work.
    #[error(transparent)]
    NoGraphql(#[from] NoGraphql),
    /// 401, or an equivalent answer.
    #[error(transparent)]
    Unauthorized(#[from] Unauthorized),
    /// 403 that is not a limit.
    #[error("{}", forbidden(.lacks.as_deref()))]
    Forbidden {
        /// The missing permission, if GitHub reports one.
        lacks: Option<String>,
    },
    /// 403 to every request of the installation.
    #[error(
        "the GitHub App's installation is suspended (403); end that in the installation's settings on GitHub"
    )]
    Suspended,
    /// 403 by a policy of the organisation or the enterprise, or because of the account. No permission helps.
    #[error(transparent)]
    Policy(#[from] Policy),
    /// GitHub shows the repository to no account: 451, or 403 with such a message.
    #[error(transparent)]
    Blocked(#[from] Blocked),
    /// 404 for a repository where there is no GraphQL API either.
    #[error(
        "GitHub shows no such repository to this token (404), and there is no GraphQL API either; check that \
         GITHUB_API_URL is the API's address (https://HOST/api/v3 for an Enterprise Server), then the repository's name \
         and the token's access"
    )]
    NothingThere,
    /// 404: it does not exist, or this token has no access.
    #[error("GitHub shows no such repository to this token (404); check its name and the token's access")]
    NotFound,
    /// 410, with GitHub's message for it.
    #[error("issues are disabled in this repository (410)")]
    IssuesDisabled,
    /// An answer that this service does not understand.
    #[error("unexpected answer from GitHub: {0}")]
    Unexpected(String),
    /// The secret with the token cannot be read.
    #[error("the GitHub token cannot be read from Secrets Manager; see GITHUB_CREDENTIALS_SECRET_ID")]
    CredentialsUnavailable,
    /// The secret holds no valid credentials.
    #[error("invalid credentials in GITHUB_CREDENTIALS_SECRET_ID: {0}")]
    BadCredentials(#[from] BadCredentials),
}

/// Which credential GitHub does not accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unauthorized {
    /// The token in the secret.
    #[error(
        "GitHub does not accept the token in GITHUB_CREDENTIALS_SECRET_ID (401); store a valid one there"
    )]
    Token,
    /// The GitHub App itself.
    #[error(
        "GitHub does not accept the App's key (401); check in the App's settings on GitHub that the privateKey in \
         GITHUB_CREDENTIALS_SECRET_ID is still listed and the appId is the App's, and that the function's clock is \
         right"
    )]
    App,
    /// A token that GitHub itself issued to the App's installation.
    #[error(
        "GitHub does not accept the token of the App's installation (401), not even a new one; check in the App's \
         settings on GitHub that it is still installed"
    )]
    InstallationToken,
    /// 404 to the App's request for a token of its installation.
    #[error(
        "installation {0} not found for this App (404): uninstalled, or appId and installationId in \
         GITHUB_CREDENTIALS_SECRET_ID do not match"
    )]
    NoInstallation(u64),
}

/// The policy by which GitHub forbids every request, or those about an organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Policy {
    /// The organisation's list of IP addresses.
    #[error(
        "the organisation's IP allow list does not contain the function's address (403); give the functions a fixed \
         address (a VPC with a NAT gateway) and have an owner of the organisation add it to the list"
    )]
    IpAllowList,
    /// A token that is valid for longer than the organisation or the enterprise allows.
    #[error(
        "the organisation or its enterprise forbids tokens with such a long lifetime (403); store one with a shorter \
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
        "GitHub does not issue a token for the App's installation (403); check in the App's settings on GitHub that the \
         App is active, and that appId and installationId in GITHUB_CREDENTIALS_SECRET_ID are its own"
    )]
    AppToken,
}

impl Policy {
    /// Whether it may apply to one organisation alone, so that GitHub still shows others' repositories.
    pub(super) fn is_of_an_owner(self) -> bool {
        matches!(self, Self::IpAllowList | Self::TokenLifetime | Self::TokenKind)
    }
}

/// Why GitHub shows a repository to no account.
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
    /// None of the known forms, and what it looks like, if that is known.
    #[error(
        "{}store a plain token, {{\"token\":\"…\"}} or {{\"appId\":…,\"installationId\":…,\"privateKey\":\"…\"}} there; for \
         several owners use \"installations\":{{\"owner\":…}} instead of installationId",
        found(.0.as_deref())
    )]
    Form(Option<String>),
    /// Two forms at once.
    #[error("both a token and a GitHub App; remove one of them")]
    TokenAndApp,
    /// An incomplete GitHub App.
    #[error("incomplete GitHub App: {} missing", .0.join(" and "))]
    Lacks(Vec<&'static str>),
    /// The App's id is invalid.
    #[error("appId is neither a number nor a client id")]
    AppId,
    /// The installation's id is invalid.
    #[error("installationId is not a number")]
    InstallationId,
    /// Both fields for the place of the installation.
    #[error("both installationId and installations; remove one of them")]
    OneAndSeveral,
    /// The object of installations is empty.
    #[error("installations is empty; name at least one owner")]
    NoOwner,
    /// The repository's owner is not among the installations.
    #[error(
        "installations does not name {0}; install the App there, and add the owner with the installation's id"
    )]
    NotInstalled(String),
    /// The id of this owner's installation is invalid.
    #[error("the id of {0} in installations is not a number")]
    InstallationIdOf(String),
    /// Two ids of one owner, whose name may differ in case.
    #[error("installations names {0} twice; remove one of them")]
    TwiceInstalled(String),
    /// The key cannot sign. The text is what it looks like.
    #[error("privateKey must be the App's RSA private key in PEM, as GitHub generates it (got {0})")]
    PrivateKey(&'static str),
}

/// Why the GraphQL API cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoGraphql {
    /// 404.
    #[error("GitHub has no GraphQL API at GITHUB_GRAPHQL_URL (404)")]
    Missing,
    /// 403 that is not a limit.
    #[error("GitHub forbids this token to use the GraphQL API (403)")]
    Forbidden,
    /// The budget of points is used up.
    #[error("GitHub's budget of GraphQL points is used up until {0:.0}")]
    UsedUp(Timestamp),
    /// The server rejects the query for every repository: an older Enterprise Server lacks a field.
    #[error("GitHub's GraphQL API refuses the query{0}")]
    Refused(Refusal),
    /// The answer does not come from a GraphQL API.
    #[error("the server at GITHUB_GRAPHQL_URL does not answer like GitHub's GraphQL API: {0}")]
    NotUnderstood(String),
    /// It answers for no repository.
    #[error("GitHub's GraphQL API fails for every repository: {0}")]
    Failing(String),
    /// It answered for no repository, and is not queried again until then.
    #[error("GitHub's GraphQL API failed for every repository and is queried again after {0:.0}")]
    Avoided(Timestamp),
}

/// GitHub's code and name for what it refuses in a document. Only plain words are kept: letters, digits, underscores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(String);

impl Refusal {
    /// The code, and the name of the field, type or argument.
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

/// The longest word of GitHub's that is kept, in bytes.
const MAX_WORD: usize = 40;

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ": {}", self.0) }
    }
}

impl GitHubError {
    /// Whether it may be about one issue alone, so that others are worth a request.
    pub fn is_odd(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Forbidden { .. } | Self::Unexpected(_))
    }

    /// Whether it is GitHub's answer about the requested repository.
    pub fn is_about_repository(&self) -> bool {
        matches!(self, Self::NotFound | Self::NothingThere | Self::IssuesDisabled) || self.is_refusal()
    }

    /// Whether GitHub refuses to show it to this account.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Forbidden { .. } | Self::Policy(_) | Self::Blocked(_))
    }

    /// Whether an error of a GraphQL query is worth a request to the REST API.
    pub fn is_of_graphql(&self) -> bool {
        match self {
            Self::NoGraphql(_) => true,
            Self::Unavailable { failure, .. } => failure.may_be_query_size(),
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
    form.map(|form| format!("it contains {form}; ")).unwrap_or_default()
}

fn forbidden(lacks: Option<&str>) -> String {
    match lacks {
        Some(permission) => format!(
            "GitHub forbids this request (403): the permission {permission} is missing; grant it to the token. \
             For an App, grant it in the App's settings and accept it where the App is installed"
        ),
        None => {
            "GitHub forbids this request (403); grant the token read access to the repository's issues, and \
                 authorise it for single sign-on if the organisation requires that"
                .to_owned()
        }
    }
}

/// The sentence of a failure. If nothing answered, it names the address, which may be wrong.
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

#[cfg(test)]
mod tests {
    use super::super::failure::{ProxyFailure, TlsFailure};
    use super::*;

    #[test]
    fn errors_have_these_sentences() {
        let at = "2026-11-22T07:00:00Z".parse().expect("a time");
        let unavailable = |failure, attempts| GitHubError::Unavailable {
            failure,
            attempts,
            origin: "https://api.github.com".to_owned(),
        };
        let errors: Vec<GitHubError> = vec![
            GitHubError::Deadline,
            unavailable(Failure::Status(502), 3),
            unavailable(Failure::BrokeOff, 1),
            unavailable(Failure::NotExecuted, 2),
            unavailable(Failure::TooLarge, 1),
            unavailable(Failure::TimedOut, 3),
            unavailable(Failure::Unreachable, 3),
            unavailable(Failure::Tls(TlsFailure::UnknownIssuer), 1),
            unavailable(Failure::Tls(TlsFailure::CaAsServer), 1),
            unavailable(Failure::Tls(TlsFailure::NotValidNow), 1),
            unavailable(Failure::Tls(TlsFailure::OtherName), 1),
            unavailable(Failure::Tls(TlsFailure::Certificate), 1),
            unavailable(Failure::Tls(TlsFailure::Handshake), 1),
            unavailable(Failure::Proxy(ProxyFailure::Unreachable), 1),
            unavailable(Failure::Proxy(ProxyFailure::WantsCredentials), 1),
            unavailable(Failure::Proxy(ProxyFailure::Refused), 1),
            GitHubError::RateLimited { until: at, api: Api::Rest },
            NoGraphql::Missing.into(),
            NoGraphql::Forbidden.into(),
            NoGraphql::UsedUp(at).into(),
            NoGraphql::Refused(Refusal::new("undefinedField", Some("databaseId"))).into(),
            NoGraphql::NotUnderstood("HTML".to_owned()).into(),
            NoGraphql::Failing("GitHub answered 502".to_owned()).into(),
            NoGraphql::Avoided(at).into(),
            Unauthorized::Token.into(),
            Unauthorized::App.into(),
            Unauthorized::InstallationToken.into(),
            Unauthorized::NoInstallation(7).into(),
            GitHubError::Forbidden { lacks: Some("issues=read".to_owned()) },
            GitHubError::Forbidden { lacks: None },
            GitHubError::Suspended,
            Policy::IpAllowList.into(),
            Policy::TokenLifetime.into(),
            Policy::TokenKind.into(),
            Policy::AccountSuspended.into(),
            Policy::AppToken.into(),
            Blocked::Legally.into(),
            Blocked::ByGithub.into(),
            GitHubError::NothingThere,
            GitHubError::NotFound,
            GitHubError::IssuesDisabled,
            GitHubError::Unexpected("no Date header".to_owned()),
            GitHubError::CredentialsUnavailable,
            BadCredentials::Form(Some("a private key in PEM".to_owned())).into(),
            BadCredentials::Form(None).into(),
            BadCredentials::TokenAndApp.into(),
            BadCredentials::Lacks(vec!["appId", "installationId"]).into(),
            BadCredentials::AppId.into(),
            BadCredentials::InstallationId.into(),
            BadCredentials::OneAndSeveral.into(),
            BadCredentials::NoOwner.into(),
            BadCredentials::NotInstalled("acme".to_owned()).into(),
            BadCredentials::InstallationIdOf("acme".to_owned()).into(),
            BadCredentials::TwiceInstalled("acme".to_owned()).into(),
            BadCredentials::PrivateKey("a certificate").into(),
        ];
        let sentences: Vec<String> = errors.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(sentences.join("\n"), @r#"
        time budget exhausted before GitHub could be queried
        GitHub answered 502 three times
        GitHub broke off its answer once
        GitHub did not execute a query (twice)
        GitHub's answer is larger than this service accepts (tried once)
        GitHub at https://api.github.com did not answer in time (tried three times)
        GitHub could not be reached at https://api.github.com (tried three times)
        GitHub's certificate is from an issuer that is not trusted (UnknownIssuer); add the issuer's certificate, or that of a proxy which inspects TLS, to the file that SSL_CERT_FILE names (https://api.github.com, tried once)
        GitHub's server presents the certificate of a CA as its own (CaUsedAsEndEntity); give the server a certificate for its host name, and let SSL_CERT_FILE name a file with the CA's (https://api.github.com, tried once)
        GitHub's certificate has expired or is not valid yet; renew it on the server; a new issuer's certificate goes to the file that SSL_CERT_FILE names (https://api.github.com, tried once)
        GitHub's certificate is for another host name; correct the host in GITHUB_API_URL or GITHUB_GRAPHQL_URL, or the server's certificate; SSL_CERT_FILE does not help here (https://api.github.com, tried once)
        GitHub's certificate cannot be verified; check it on the server, and the file that SSL_CERT_FILE names (https://api.github.com, tried once)
        the TLS handshake with GitHub's server failed; check host and port in GITHUB_API_URL and GITHUB_GRAPHQL_URL, and that the server speaks TLS 1.2 or 1.3 and requires no client certificate; SSL_CERT_FILE does not help here (https://api.github.com, tried once)
        the proxy that HTTPS_PROXY names could not be reached; correct HTTPS_PROXY, or exempt GitHub's host in NO_PROXY (https://api.github.com, tried once)
        the proxy that HTTPS_PROXY names requires credentials (407); write them into HTTPS_PROXY as http://user:password@host:port (https://api.github.com, tried once)
        the proxy that HTTPS_PROXY names refused to connect to GitHub; allow GitHub's host there, or exempt it in NO_PROXY (https://api.github.com, tried once)
        GitHub's rate limit is used up until 2026-11-22T07:00:00Z
        GitHub has no GraphQL API at GITHUB_GRAPHQL_URL (404)
        GitHub forbids this token to use the GraphQL API (403)
        GitHub's budget of GraphQL points is used up until 2026-11-22T07:00:00Z
        GitHub's GraphQL API refuses the query: undefinedField databaseId
        the server at GITHUB_GRAPHQL_URL does not answer like GitHub's GraphQL API: HTML
        GitHub's GraphQL API fails for every repository: GitHub answered 502
        GitHub's GraphQL API failed for every repository and is queried again after 2026-11-22T07:00:00Z
        GitHub does not accept the token in GITHUB_CREDENTIALS_SECRET_ID (401); store a valid one there
        GitHub does not accept the App's key (401); check in the App's settings on GitHub that the privateKey in GITHUB_CREDENTIALS_SECRET_ID is still listed and the appId is the App's, and that the function's clock is right
        GitHub does not accept the token of the App's installation (401), not even a new one; check in the App's settings on GitHub that it is still installed
        installation 7 not found for this App (404): uninstalled, or appId and installationId in GITHUB_CREDENTIALS_SECRET_ID do not match
        GitHub forbids this request (403): the permission issues=read is missing; grant it to the token. For an App, grant it in the App's settings and accept it where the App is installed
        GitHub forbids this request (403); grant the token read access to the repository's issues, and authorise it for single sign-on if the organisation requires that
        the GitHub App's installation is suspended (403); end that in the installation's settings on GitHub
        the organisation's IP allow list does not contain the function's address (403); give the functions a fixed address (a VPC with a NAT gateway) and have an owner of the organisation add it to the list
        the organisation or its enterprise forbids tokens with such a long lifetime (403); store one with a shorter lifetime, or a GitHub App, in GITHUB_CREDENTIALS_SECRET_ID
        the organisation or its enterprise forbids this kind of personal access token (403); store one of the other kind, or a GitHub App, in GITHUB_CREDENTIALS_SECRET_ID
        GitHub has suspended the account that the token belongs to (403); store another account's token, or a GitHub App, in GITHUB_CREDENTIALS_SECRET_ID, or have GitHub Support end the suspension
        GitHub does not issue a token for the App's installation (403); check in the App's settings on GitHub that the App is active, and that appId and installationId in GITHUB_CREDENTIALS_SECRET_ID are its own
        GitHub has taken this repository down for legal reasons; its page shows the notice. Its issues are kept as they were last read; remove it from REPOSITORIES if it does not come back
        GitHub has blocked access to this repository; its owner can ask GitHub Support why. Its issues are kept as they were last read; remove it from REPOSITORIES if it does not come back
        GitHub shows no such repository to this token (404), and there is no GraphQL API either; check that GITHUB_API_URL is the API's address (https://HOST/api/v3 for an Enterprise Server), then the repository's name and the token's access
        GitHub shows no such repository to this token (404); check its name and the token's access
        issues are disabled in this repository (410)
        unexpected answer from GitHub: no Date header
        the GitHub token cannot be read from Secrets Manager; see GITHUB_CREDENTIALS_SECRET_ID
        invalid credentials in GITHUB_CREDENTIALS_SECRET_ID: it contains a private key in PEM; store a plain token, {"token":"…"} or {"appId":…,"installationId":…,"privateKey":"…"} there; for several owners use "installations":{"owner":…} instead of installationId
        invalid credentials in GITHUB_CREDENTIALS_SECRET_ID: store a plain token, {"token":"…"} or {"appId":…,"installationId":…,"privateKey":"…"} there; for several owners use "installations":{"owner":…} instead of installationId
        invalid credentials in GITHUB_CREDENTIALS_SECRET_ID: both a token and a GitHub App; remove one of them
        invalid credentials in GITHUB_CREDENTIALS_SECRET_ID: incomplete GitHub App: appId and installationId missing
        invalid credentials in GITHUB_CREDENTIALS_SECRET_ID: appId is neither a number nor a client id
        invalid credentials in GITHUB_CREDENTIALS_SECRET_ID: installationId is not a number
        invalid credentials in GITHUB_CREDENTIALS_SECRET_ID: both installationId and installations; remove one of them
        invalid credentials in GITHUB_CREDENTIALS_SECRET_ID: installations is empty; name at least one owner
        invalid credentials in GITHUB_CREDENTIALS_SECRET_ID: installations does not name acme; install the App there, and add the owner with the installation's id
        invalid credentials in GITHUB_CREDENTIALS_SECRET_ID: the id of acme in installations is not a number
        invalid credentials in GITHUB_CREDENTIALS_SECRET_ID: installations names acme twice; remove one of them
        invalid credentials in GITHUB_CREDENTIALS_SECRET_ID: privateKey must be the App's RSA private key in PEM, as GitHub generates it (got a certificate)
        "#);
    }
}
