//! The configuration, read from the environment once. All mistakes are reported together.

mod reader;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::domain::{AgentName, RepositoryName, unwrapped};

use reader::Reader;

/// The configuration. The table of variables in the documentation describes each one.
#[derive(Clone, Debug)]
pub struct Config {
    /// `TABLE_NAME`: the name of the DynamoDB table.
    pub table_name: String,
    /// `AGENT_TOKENS_SECRET_ID`: the id of the secret with the agents' tokens.
    pub agent_tokens_secret_id: String,
    /// `GITHUB_CREDENTIALS_SECRET_ID`: the id of the secret with GitHub's credentials.
    pub github_credentials_secret_id: String,
    /// `REPOSITORIES`, or the file that it names: the tracked repositories in the given order, without duplicates.
    pub repositories: Vec<RepositoryName>,
    /// `GITHUB_API_URL`: the URL of GitHub's REST API, without a slash at the end.
    pub github_api_url: Url,
    /// `GITHUB_GRAPHQL_URL`: the URL of GitHub's GraphQL API.
    pub github_graphql_url: Url,
    /// `GITHUB_SERVER_URL`: the URL of GitHub's web pages, without a slash at the end. Reported URLs start with it.
    pub github_server_url: Url,
    /// `SSL_CERT_FILE`: a PEM file with additional trusted root certificates.
    pub ssl_cert_file: Option<PathBuf>,
    /// `EXCLUDED_LABELS`: issues with any of these labels are not reported to agents. In lower case.
    pub excluded_labels: HashSet<String>,
    /// `FRESHNESS_SECONDS`: a pass that finished more recently serves every heartbeat.
    pub freshness: Duration,
    /// `HEARTBEAT_INTERVAL_SECONDS`: the `nextHeartbeatInSeconds` of a response if nothing else determines it.
    pub heartbeat_interval: Duration,
    /// `BEATS_PER_MINUTE`: the rate limit of each agent. Further heartbeats are refused until the minute ends.
    pub beats_per_minute: u64,
    /// `READS_PER_MINUTE`: the rate limit of each token's reads, in each execution environment. Further reads are
    /// refused until the minute ends.
    pub reads_per_minute: u64,
    /// `AUDIT_INTERVAL_SECONDS`: the longest time between two audits of a repository.
    pub audit_interval: Duration,
    /// `SCHEDULE_AGENT_NAME`: the agent name of scheduled heartbeats in their records.
    pub schedule_agent_name: AgentName,
    /// `RUN_RETENTION_DAYS`: how long records of AgentRuns and passes are kept.
    pub run_retention: Duration,
    /// `AGENTS_TOPIC_ARN`: the SNS topic that gets messages about silent agents; `None` if nobody wants any.
    pub agents_topic_arn: Option<String>,
    /// `API_URL`: the address of the service's own API, without a slash at the end; `None` if it is not known.
    pub api_url: Option<Url>,
    /// `SCHEDULE_SECONDS`: the time between two scheduled heartbeats.
    pub schedule: Duration,
}

/// All mistakes in the configuration: one sentence per mistake, which names the variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid configuration: {}", self.0.join("; "))
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads the process's environment.
    ///
    /// # Errors
    ///
    /// If a variable is missing or invalid.
    #[expect(clippy::disallowed_methods, reason = "the one place where the environment enters")]
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// Reads the variables through `lookup`. An empty variable counts as not set.
    ///
    /// # Errors
    ///
    /// If a variable is missing or invalid.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(lookup);
        let github_api_url = reader.url("GITHUB_API_URL", "https://api.github.com");
        let github_server_url = reader.url("GITHUB_SERVER_URL", &server_url(&github_api_url));
        let config = Self {
            table_name: reader.required("TABLE_NAME", "DynamoDB table name"),
            agent_tokens_secret_id: reader
                .required("AGENT_TOKENS_SECRET_ID", "id of the secret with the agents' tokens"),
            github_credentials_secret_id: reader
                .required("GITHUB_CREDENTIALS_SECRET_ID", "id of the secret with GitHub's credentials"),
            repositories: reader.repositories(&github_server_url),
            github_server_url,
            github_graphql_url: reader.url("GITHUB_GRAPHQL_URL", &graphql_url(&github_api_url)),
            github_api_url,
            ssl_cert_file: reader.file("SSL_CERT_FILE"),
            excluded_labels: reader.text("EXCLUDED_LABELS").map(|text| labels(&text)).unwrap_or_default(),
            freshness: Duration::from_secs(reader.number("FRESHNESS_SECONDS", 30, 1, 3_600)),
            heartbeat_interval: Duration::from_secs(reader.number(
                "HEARTBEAT_INTERVAL_SECONDS",
                900,
                1,
                86_400,
            )),
            beats_per_minute: reader.number("BEATS_PER_MINUTE", 60, 1, 6_000),
            reads_per_minute: reader.number("READS_PER_MINUTE", 600, 1, 60_000),
            audit_interval: Duration::from_secs(reader.number(
                "AUDIT_INTERVAL_SECONDS",
                21_600,
                60,
                30 * 86_400,
            )),
            schedule_agent_name: reader.agent_name("SCHEDULE_AGENT_NAME", "scheduler"),
            run_retention: Duration::from_secs(86_400 * reader.number("RUN_RETENTION_DAYS", 90, 1, 3_650)),
            agents_topic_arn: reader.text("AGENTS_TOPIC_ARN"),
            api_url: reader.optional_url("API_URL", "https://abc123.execute-api.eu-central-1.amazonaws.com"),
            schedule: Duration::from_secs(reader.number("SCHEDULE_SECONDS", 300, 30, 86_400)),
        };
        reader.suggest_local_world();
        if reader.mistakes.is_empty() { Ok(config) } else { Err(ConfigError(reader.mistakes)) }
    }
}

/// `RUST_LOG`. It is read first, so that everything else can be logged.
#[expect(clippy::disallowed_methods, reason = "the one place where the environment enters")]
pub fn rust_log() -> Option<String> {
    std::env::var("RUST_LOG").ok()
}

/// The GraphQL API that belongs to a REST API. An Enterprise Server has them at `/api/v3` and `/api/graphql`.
fn graphql_url(api_url: &Url) -> String {
    let api_url = api_url.as_str().trim_end_matches('/');
    format!("{}/graphql", api_url.strip_suffix("/v3").unwrap_or(api_url))
}

/// The web pages that belong to a REST API. GitHub's own API is at `api.github.com`, that of a tenant of its cloud at
/// `api.TENANT.ghe.com`, and that of an Enterprise Server below `/api/v3` of its own host. A local API without TLS
/// simulates GitHub's own.
fn server_url(api_url: &Url) -> String {
    if api_url.scheme() == "http" {
        return "https://github.com".to_owned();
    }
    let host = api_url.host_str().unwrap_or_default();
    let port = api_url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let of_cloud = host.strip_prefix("api.").filter(|_| api_url.path() == "/");
    format!("https://{}{port}", of_cloud.unwrap_or(host))
}

/// Label names are separated by commas or newlines only: they may contain spaces.
fn labels(text: &str) -> HashSet<String> {
    let labels = text.split([',', '\n']).map(|label| unwrapped(label).to_lowercase());
    labels.filter(|label| !label.is_empty()).collect()
}
