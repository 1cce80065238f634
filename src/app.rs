//! The long-lived handles, built once per cold start and shared by all invocations of an execution environment.

use std::fmt::Display;
use std::sync::Mutex;
use std::time::Duration;

use aws_config::environment::{EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider};
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_secretsmanager::config::timeout::TimeoutConfig;

use crate::clock::Clock;
use crate::config::Config;
use crate::domain::{AgentTokens, KnownNames, ReadRates};
use crate::github::{Addresses, Credentials, GitHub, Identity, RetryPolicy};
use crate::secrets::{CachedSecret, ReadFailed, Secret, SecretLifetimes};
use crate::store::{Store, StorePatience};
use crate::transport::{Transport, TransportError};

/// Everything that a heartbeat needs.
#[derive(Debug)]
pub struct App {
    /// The configuration from the environment.
    pub config: Config,
    /// Timeouts, durations and limits.
    pub timing: Timing,
    /// Time and randomness.
    pub clock: Clock,
    /// The agents' tokens, cached from Secrets Manager.
    pub agent_tokens: CachedSecret<AgentTokens>,
    /// The reads of this minute. A read writes nothing, so other execution environments do not know them.
    pub read_rates: Mutex<ReadRates>,
    /// Which repositories names refer to.
    pub known_names: Mutex<KnownNames>,
    /// The client of GitHub's APIs.
    pub github: GitHub,
    /// The DynamoDB table.
    pub store: Store,
    /// The HTTP stack, for requests to the service's own API.
    pub transport: Transport,
    /// For SNS, whose client only the schedule function has.
    pub sns: SdkConfig,
}

/// Timeouts, durations and limits. They are constructor arguments, so that tests need not wait.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// The longest pass, from the acquisition of its lease to its end. API Gateway's integration timeout is 30 s.
    pub pass_budget: Duration,
    /// The part of the pass budget that is reserved for finishing the pass.
    pub pass_ending: Duration,
    /// The duration of a pass lease whose holder dies. It exceeds the pass budget, so that a live pass is never taken
    /// over.
    pub lease: Duration,
    /// How much of the changes after a cursor one response reads, and for how long.
    pub backlog: BacklogLimits,
    /// The time of an invocation that is reserved for the response after the pass.
    pub answering: Duration,
    /// The longest preparation per host, out of the 10 s that Lambda allows for the init phase.
    pub preparation: Duration,
    /// The connect timeout of every host.
    pub connect: Duration,
    /// The timeout for reading one secret, including retries.
    pub secret: Duration,
    /// How long secrets are cached.
    pub secrets: SecretLifetimes,
    /// The retry policy for GitHub.
    pub github: RetryPolicy,
    /// The timeouts and retries for DynamoDB.
    pub store: StorePatience,
    /// The longest sweep. It precedes the pass of a scheduled heartbeat.
    pub sweep: Duration,
    /// How long a sweep alone may send a message: longer than a sweep lasts, and shorter than the shortest schedule.
    pub sending: Duration,
    /// The timeout for publishing a message.
    pub publish: Duration,
    /// The timeout of each of two requests to the service's own API.
    pub own_api: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            pass_budget: Duration::from_secs(25),
            pass_ending: Duration::from_secs(4),
            lease: Duration::from_secs(30),
            backlog: BacklogLimits::default(),
            answering: Duration::from_millis(1_500),
            preparation: Duration::from_secs(2),
            connect: Duration::from_secs(3),
            secret: Duration::from_secs(3),
            secrets: SecretLifetimes::default(),
            github: RetryPolicy::default(),
            store: StorePatience::default(),
            sweep: Duration::from_secs(10),
            sending: Duration::from_secs(20),
            publish: Duration::from_secs(3),
            own_api: Duration::from_millis(2_500),
        }
    }
}

/// How much of the changes after a cursor one response reads and reports: of an agent's backlog, or of the feed. The next
/// responses report the rest.
#[derive(Clone, Copy, Debug)]
pub struct BacklogLimits {
    /// The most changes in the response to a heartbeat. Part of the API contract.
    pub changes: usize,
    /// No read starts after the previous ones have cost this many read request units. With the last read and everything
    /// else that a heartbeat or the feed reads, the total is below 40.
    pub read_units: f64,
    /// No read starts later than this after the first one.
    pub time: Duration,
    /// The most repositories whose changes are merged in order; each costs a read before the first change can be
    /// reported. The changes of more repositories are reported one repository after another.
    pub merged: usize,
    /// The most recently changed repositories that the fleet's state names. With them it stays under 1 KB, so a pass
    /// writes it for one write request unit.
    pub named: usize,
}

impl Default for BacklogLimits {
    fn default() -> Self {
        Self { changes: 200, read_units: 26.0, time: Duration::from_millis(750), merged: 16, named: 16 }
    }
}

/// The addresses and credentials of the AWS services.
#[derive(Clone, Debug)]
pub struct Aws {
    /// For DynamoDB.
    pub dynamodb: SdkConfig,
    /// For Secrets Manager.
    pub secrets_manager: SdkConfig,
    /// For SNS.
    pub sns: SdkConfig,
}

impl Aws {
    /// Reads the SDK's own variables. Lambda sets the region and the credentials; the SDK's other providers take time
    /// to build even if they are not used.
    ///
    /// # Errors
    ///
    /// If the HTTP client cannot be built.
    pub async fn from_env(transport: &Transport) -> Result<Self, StartError> {
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(EnvironmentVariableRegionProvider::new())
            .credentials_provider(EnvironmentVariableCredentialsProvider::new())
            .http_client(transport.aws_client()?)
            .load()
            .await;
        Ok(Self { dynamodb: config.clone(), secrets_manager: config.clone(), sns: config })
    }
}

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// The HTTP transport cannot be built.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

impl App {
    /// Builds the service from its environment. Sends nothing yet.
    ///
    /// # Errors
    ///
    /// If the configuration is invalid or the HTTP transport cannot be built.
    pub async fn from_env() -> Result<Self, StartError> {
        let config = Config::from_env()?;
        let timing = Timing::default();
        let transport = Transport::new(config.ssl_cert_file.as_deref(), timing.connect)?;
        let aws = Aws::from_env(&transport).await?;
        Self::new(config, timing, Clock::system(), &transport, &aws)
    }

    /// Builds the service from its parts.
    ///
    /// # Errors
    ///
    /// If the HTTP client of GitHub cannot be built.
    pub fn new(
        config: Config,
        timing: Timing,
        clock: Clock,
        transport: &Transport,
        aws: &Aws,
    ) -> Result<Self, StartError> {
        let secrets_manager = aws_sdk_secretsmanager::Client::from_conf(
            aws_sdk_secretsmanager::config::Builder::from(&aws.secrets_manager)
                .timeout_config(
                    TimeoutConfig::builder()
                        .operation_attempt_timeout(timing.secret / 3)
                        .operation_timeout(timing.secret)
                        .build(),
                )
                .build(),
        );
        Ok(Self {
            agent_tokens: CachedSecret::new(
                secrets_manager.clone(),
                &config.agent_tokens_secret_id,
                read_agent_tokens,
                timing.secrets,
                clock.clone(),
            ),
            read_rates: Mutex::default(),
            known_names: Mutex::default(),
            github: GitHub::new(
                transport,
                Addresses {
                    api: config.github_api_url.clone(),
                    graphql: config.github_graphql_url.clone(),
                    server: config.github_server_url.clone(),
                },
                Credentials::new(CachedSecret::new(
                    secrets_manager,
                    &config.github_credentials_secret_id,
                    Identity::read,
                    timing.secrets,
                    clock.clone(),
                )),
                timing.github,
                clock.clone(),
            )?,
            store: Store::new(&aws.dynamodb, &config.table_name, timing.store),
            transport: transport.clone(),
            sns: aws.sns.clone(),
            config,
            timing,
            clock,
        })
    }

    /// Does in advance what the first heartbeat would wait for: reads both secrets and opens a connection to each host,
    /// all hosts concurrently. Lambda's init phase has a full core, an invocation only a share of one.
    ///
    /// It requests no installation token from GitHub: the rate limits in force are in the fleet's state, and a
    /// heartbeat that is answered from the table needs no token. The holder of the lease requests it.
    ///
    /// Failures are only logged: the first heartbeat tries again and reports them.
    pub async fn prepare(&self) {
        futures_util::join!(
            self.in_advance("Secrets Manager", self.prefetch_secrets()),
            self.in_advance("DynamoDB", self.store.connect()),
            self.in_advance("GitHub", self.github.connect()),
        );
    }

    /// Reads the secrets one after the other, on one connection: a second connection would cost a handshake, and
    /// GitHub, which is further away, takes longer anyway.
    async fn prefetch_secrets(&self) -> Result<(), ReadFailed> {
        let agent_tokens = self.agent_tokens.prefetch().await.map(drop);
        self.github.prefetch_credentials().await.and(agent_tokens)
    }

    async fn in_advance<E: Display>(&self, host: &'static str, work: impl Future<Output = Result<(), E>>) {
        let cause = match tokio::time::timeout(self.timing.preparation, work).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "timed out".to_owned(),
        };
        tracing::info!(host, cause, "Failed to prepare {host} in advance; the first heartbeat tries again.");
    }
}

/// Parses a version of the agents' tokens. Invalid entries are logged once, by their place in the secret, and do not
/// affect the others.
fn read_agent_tokens(text: &Secret) -> AgentTokens {
    let tokens = AgentTokens::read(text.expose());
    if let Some(mistakes) = tokens.mistakes() {
        tracing::error!(
            mistakes,
            "The secret in AGENT_TOKENS_SECRET_ID has invalid entries; no agent can authenticate with them."
        );
    }
    tokens
}
