//! The long-lived handles, built once per cold start and shared by every invocation of the sandbox.

use std::fmt::Display;
use std::time::Duration;

use aws_config::environment::{EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider};
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_secretsmanager::config::timeout::TimeoutConfig;

use crate::clock::Clock;
use crate::config::Config;
use crate::domain::AgentTokens;
use crate::github::{Addresses, Credentials, GitHub, Identity, RetryPolicy};
use crate::secrets::{CachedSecret, ReadFailed, Secret, SecretLifetimes};
use crate::store::{Store, StorePatience};
use crate::transport::{Transport, TransportError};

/// Everything a beat needs.
#[derive(Debug)]
pub struct App {
    /// What the environment says.
    pub config: Config,
    /// How long things may take.
    pub timing: Timing,
    /// The time.
    pub clock: Clock,
    /// The secret with the agents' tokens.
    pub agent_tokens: CachedSecret<AgentTokens>,
    /// GitHub.
    pub github: GitHub,
    /// The table.
    pub store: Store,
}

/// How long things may take. Constructor arguments, so that tests need not wait.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// The longest pass, from its claim to its end. API Gateway gives up on an answer after 30 s.
    pub pass_budget: Duration,
    /// The part of it that is kept for ending it.
    pub pass_ending: Duration,
    /// How long a claim lasts when its holder dies. Longer than the budget, or a live pass would be taken over.
    pub claim: Duration,
    /// How much is read of what an agent has not been told, and for how long.
    pub backlog: BacklogLimits,
    /// What is left of an invocation for the answer, once its pass has ended.
    pub answering: Duration,
    /// The longest that the preparation may take with any host, of the 10 s that Lambda grants an init.
    pub preparation: Duration,
    /// The longest wait for a connection to any host.
    pub connect: Duration,
    /// The longest wait for one secret.
    pub secret: Duration,
    /// How long secrets are believed.
    pub secrets: SecretLifetimes,
    /// The patience with GitHub.
    pub github: RetryPolicy,
    /// The patience with DynamoDB.
    pub store: StorePatience,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            pass_budget: Duration::from_secs(25),
            pass_ending: Duration::from_secs(4),
            claim: Duration::from_secs(30),
            backlog: BacklogLimits::default(),
            answering: Duration::from_millis(1_500),
            preparation: Duration::from_secs(2),
            connect: Duration::from_secs(3),
            secret: Duration::from_secs(3),
            secrets: SecretLifetimes::default(),
            github: RetryPolicy::default(),
            store: StorePatience::default(),
        }
    }
}

/// How much one beat reads and tells of what its agent has not been told. The rest follows with the next beats.
#[derive(Clone, Copy, Debug)]
pub struct BacklogLimits {
    /// The most changes one answer tells. It stands in the contract.
    pub told: usize,
    /// No read begins when those before it have cost so many read units. With the last one, and with what else a beat
    /// reads, they are less than 40.
    pub read_units: f64,
    /// No read but the first begins so long after it.
    pub time: Duration,
    /// The changes of at most so many repositories are merged in their order; each costs a read before the first change
    /// can be told. Those of more are told one repository after another.
    pub merged: usize,
    /// So many repositories that recent passes changed are named in the fleet's state, which stays under 1 KB with them:
    /// a pass writes it for one write unit.
    pub named: usize,
}

impl Default for BacklogLimits {
    fn default() -> Self {
        Self { told: 200, read_units: 26.0, time: Duration::from_millis(750), merged: 16, named: 16 }
    }
}

/// Where the AWS services are, and with which credentials.
#[derive(Clone, Debug)]
pub struct Aws {
    /// For DynamoDB.
    pub dynamodb: SdkConfig,
    /// For Secrets Manager.
    pub secrets_manager: SdkConfig,
}

impl Aws {
    /// What the SDK's own variables say. Lambda sets those of the region and the credentials; the other places
    /// where the SDK would look for them are built at a cost even when they are not needed.
    pub async fn from_env(transport: &Transport) -> Result<Self, StartError> {
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(EnvironmentVariableRegionProvider::new())
            .credentials_provider(EnvironmentVariableCredentialsProvider::new())
            .http_client(transport.aws_client()?)
            .load()
            .await;
        Ok(Self { dynamodb: config.clone(), secrets_manager: config })
    }
}

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The environment is wrong.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// The way out cannot be built.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

impl App {
    /// The service as its environment describes it. Nothing is sent yet.
    pub async fn from_env() -> Result<Self, StartError> {
        let config = Config::from_env()?;
        let timing = Timing::default();
        let transport = Transport::new(config.ssl_cert_file.as_deref(), timing.connect)?;
        let aws = Aws::from_env(&transport).await?;
        Self::new(config, timing, Clock::system(), &transport, &aws)
    }

    /// The service of these parts.
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
            config,
            timing,
            clock,
        })
    }

    /// Does ahead what the first beat would wait for: reads both secrets and opens a connection to each host, all
    /// hosts at the same time. Lambda's init has a full core for it, an invocation only a share of one.
    ///
    /// It asks GitHub for no token: which limits hold stands in the fleet's state, and a beat that is answered from
    /// the table needs none. Whoever gets the lease asks.
    ///
    /// What fails here is only noted: the first beat tries again, and tells what it meets.
    pub async fn prepare(&self) {
        futures_util::join!(
            self.ahead("Secrets Manager", self.prefetch_secrets()),
            self.ahead("DynamoDB", self.store.connect()),
            self.ahead("GitHub", self.github.connect()),
        );
    }

    /// One after the other, on one connection: a second one would cost a handshake, and GitHub, which is further
    /// away, is not there any sooner.
    async fn prefetch_secrets(&self) -> Result<(), ReadFailed> {
        let agent_tokens = self.agent_tokens.prefetch().await.map(drop);
        self.github.prefetch_credentials().await.and(agent_tokens)
    }

    async fn ahead<E: Display>(&self, host: &'static str, work: impl Future<Output = Result<(), E>>) {
        let cause = match tokio::time::timeout(self.timing.preparation, work).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        tracing::info!(host, cause, "Not ready ahead of the first beat.");
    }
}

/// Reads a version of the agents' tokens. What is wrong with it is told once, by place, and locks out nobody else.
fn read_agent_tokens(text: &Secret) -> AgentTokens {
    let tokens = AgentTokens::read(text.expose());
    if let Some(mistakes) = tokens.mistakes() {
        tracing::error!(mistakes, "The secret with the agents' tokens holds what lets nobody in.");
    }
    tokens
}
