//! The outside world of agent-heartbeat in one process.
//!
//! Tests use it as a library, on free ports; people use it as a program (`make dev`).

#![allow(
    clippy::disallowed_methods,
    reason = "the service must not start servers or read the system's clock; the world around it does"
)]

pub mod api;
pub mod clock;
pub mod dynamodb;
pub mod fault;
pub mod github;
pub mod lambda;
pub mod notifications;
pub mod proxy;
pub mod scheduler;
pub mod secrets;
pub mod template;

use api::Api;
use clock::Clock;
use dynamodb::{DynamoDb, Storage};
use github::GitHub;
use notifications::Notifications;
use scheduler::Scheduler;
use secrets::SecretsManager;
use template::Template;

/// The table's name.
pub const TABLE_NAME: &str = "heartbeat";

/// The token that agents send with heartbeats.
pub const AGENT_TOKEN: &str = "local-agent-token-not-a-secret-0123456789";

/// A token that only reads, in the worlds whose secret lists it (`make dev`).
pub const VIEWER_TOKEN: &str = "local-viewer-token-not-a-secret-012345678";

/// The token that the service sends to GitHub.
pub const GITHUB_TOKEN: &str = "local-github-token-not-a-secret-012345678";

/// The secret that holds [`AGENT_TOKEN`] at first.
pub const AGENT_TOKENS_SECRET_ID: &str = "heartbeat/agent-tokens";

/// The secret that holds [`GITHUB_TOKEN`] at first.
pub const GITHUB_CREDENTIALS_SECRET_ID: &str = "heartbeat/github-credentials";

/// Everything outside the service. Its servers stop when it is dropped.
pub struct TestWorld {
    /// The time of all servers.
    pub clock: Clock,
    /// With the table [`TABLE_NAME`], which starts empty if it is in memory.
    pub dynamodb: DynamoDb,
    /// Starts without repositories.
    pub github: GitHub,
    /// With both secrets, as plain tokens.
    pub secrets: SecretsManager,
    /// With the topic [`notifications::TOPIC_ARN`].
    pub notifications: Notifications,
    /// The address of the service's API.
    pub api: Api,
    /// Admits the requests to all servers.
    pub scheduler: Scheduler,
}

impl TestWorld {
    /// Starts all servers, with the table in memory.
    pub async fn start(clock: Clock) -> Self {
        Self::start_with(clock, Storage::Memory).await
    }

    /// Starts all servers, with the table in `storage`.
    pub async fn start_with(clock: Clock, storage: Storage) -> Self {
        let scheduler = Scheduler::default();
        let dynamodb = DynamoDb::start_behind(scheduler.clone(), clock.clone(), storage).await;
        dynamodb.create_table(TABLE_NAME, Template::of_the_project()).await;
        let secrets = SecretsManager::start_behind(scheduler.clone(), clock.clone()).await;
        secrets.put_secret(AGENT_TOKENS_SECRET_ID, AGENT_TOKEN);
        secrets.put_secret(GITHUB_CREDENTIALS_SECRET_ID, GITHUB_TOKEN);
        let github = GitHub::start_behind(scheduler.clone(), clock.clone()).await;
        let notifications = Notifications::start_behind(scheduler.clone()).await;
        let api = Api::start_behind(scheduler.clone()).await;
        Self { clock, dynamodb, github, secrets, notifications, api, scheduler }
    }

    /// The environment variables that point the service to the servers. The caller adds the repositories to track.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        [
            ("TABLE_NAME", TABLE_NAME),
            ("AGENT_TOKENS_SECRET_ID", AGENT_TOKENS_SECRET_ID),
            ("GITHUB_CREDENTIALS_SECRET_ID", GITHUB_CREDENTIALS_SECRET_ID),
            ("GITHUB_API_URL", self.github.url()),
            ("AWS_ENDPOINT_URL_DYNAMODB", self.dynamodb.url()),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", self.secrets.url()),
            ("AWS_ENDPOINT_URL_SNS", self.notifications.url()),
            ("AGENTS_TOPIC_ARN", notifications::TOPIC_ARN),
            ("API_URL", self.api.url()),
            ("AWS_REGION", "us-east-1"),
            // The SDK signs only if it has these; nothing here looks at the signature.
            ("AWS_ACCESS_KEY_ID", "local-access-key"),
            ("AWS_SECRET_ACCESS_KEY", "local-access-key-not-a-secret"),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .into()
    }

    /// Arranged faults and holds that no request has used: the test does not test what it says.
    pub fn unused(&self) -> Vec<String> {
        let aws = [self.dynamodb.unused(), self.secrets.unused(), self.notifications.unused()].concat();
        [self.github.unused(), aws, self.api.unused()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dynamodb::{Fault, On};

    #[tokio::test]
    async fn every_server_answers_until_the_world_is_dropped() {
        let world = TestWorld::start(Clock::system()).await;
        let environment = world.environment();
        let urls: Vec<&str> = environment
            .iter()
            .map(|(_, value)| value.as_str())
            .filter(|value| value.starts_with("http"))
            .collect();
        assert_eq!(urls.len(), 5);
        for url in &urls {
            proxy::caller::call(url, "", &serde_json::Value::Null).await.expect("it is up");
        }
        drop(world);
        for url in urls {
            proxy::caller::call(url, "", &serde_json::Value::Null).await.expect_err("it is down");
        }
    }

    #[tokio::test]
    async fn unused_faults_are_reported() {
        let world = TestWorld::start(Clock::system()).await;
        assert_eq!(world.unused(), Vec::<String>::new());
        world.dynamodb.fault(On::operation("PutItem"), Fault::Cut);
        assert_eq!(world.unused().len(), 1);
    }
}
