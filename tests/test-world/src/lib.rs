//! The outside world of agent-heartbeat in one process.
//!
//! Tests use it as a library, on free ports; people use it as a program (`make dev`).

#![allow(
    clippy::disallowed_methods,
    reason = "the service must not start servers or ask the system's clock; the world around it does"
)]

pub mod clock;
pub mod dynamodb;
pub mod fault;
pub mod github;
pub mod lambda;
pub mod proxy;
pub mod secrets;
pub mod template;
pub mod turnstile;

use clock::Clock;
use dynamodb::{DynamoDb, Storage};
use github::GitHub;
use secrets::SecretsManager;
use template::Template;
use turnstile::Turnstile;

/// The table's name.
pub const TABLE_NAME: &str = "heartbeat";

/// The token that agents may beat with.
pub const AGENT_TOKEN: &str = "local-agent-token-not-a-secret-0123456789";

/// The token that the service asks GitHub with.
pub const GITHUB_TOKEN: &str = "local-github-token-not-a-secret-012345678";

/// The secret that holds [`AGENT_TOKEN`] at first.
pub const AGENT_TOKENS_SECRET_ID: &str = "heartbeat/agent-tokens";

/// The secret that holds [`GITHUB_TOKEN`] at first.
pub const GITHUB_CREDENTIALS_SECRET_ID: &str = "heartbeat/github-credentials";

/// Everything outside the service. Its servers stop when it is dropped.
pub struct TestWorld {
    /// The clock of all of them.
    pub clock: Clock,
    /// With the table [`TABLE_NAME`], empty at first when it is in memory.
    pub dynamodb: DynamoDb,
    /// Without any repository at first.
    pub github: GitHub,
    /// With both secrets, as plain tokens.
    pub secrets: SecretsManager,
    /// The way in to all three.
    pub turnstile: Turnstile,
}

impl TestWorld {
    /// Starts all of them, in memory.
    pub async fn start(clock: Clock) -> Self {
        Self::start_with(clock, Storage::Memory).await
    }

    /// Starts all of them, with the table kept in `storage`.
    pub async fn start_with(clock: Clock, storage: Storage) -> Self {
        let turnstile = Turnstile::default();
        let dynamodb = DynamoDb::start_behind(turnstile.clone(), clock.clone(), storage).await;
        dynamodb.create_table(TABLE_NAME, &Template::of_the_project()).await;
        let secrets = SecretsManager::start_behind(turnstile.clone(), clock.clone()).await;
        secrets.put_secret(AGENT_TOKENS_SECRET_ID, AGENT_TOKEN);
        secrets.put_secret(GITHUB_CREDENTIALS_SECRET_ID, GITHUB_TOKEN);
        let github = GitHub::start_behind(turnstile.clone(), clock.clone()).await;
        Self { clock, dynamodb, github, secrets, turnstile }
    }

    /// The environment in which the service finds all of it. The caller adds what it wants tracked.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        [
            ("TABLE_NAME", TABLE_NAME),
            ("AGENT_TOKENS_SECRET_ID", AGENT_TOKENS_SECRET_ID),
            ("GITHUB_CREDENTIALS_SECRET_ID", GITHUB_CREDENTIALS_SECRET_ID),
            ("GITHUB_API_URL", self.github.url()),
            ("AWS_ENDPOINT_URL_DYNAMODB", self.dynamodb.url()),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", self.secrets.url()),
            ("AWS_REGION", "us-east-1"),
            // The SDK signs only if it has these; nothing here looks at the signature.
            ("AWS_ACCESS_KEY_ID", "local-access-key"),
            ("AWS_SECRET_ACCESS_KEY", "local-access-key-not-a-secret"),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .into()
    }

    /// The orders of faults and holds that no request has met: what a test arranged in vain.
    pub fn unmet(&self) -> Vec<String> {
        [self.github.unmet(), self.dynamodb.unmet(), self.secrets.unmet()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dynamodb::{Fault, On};

    #[tokio::test]
    async fn every_server_answers_until_the_stack_is_dropped() {
        let stack = TestWorld::start(Clock::system()).await;
        let environment = stack.environment();
        let urls: Vec<&str> = environment
            .iter()
            .map(|(_, value)| value.as_str())
            .filter(|value| value.starts_with("http"))
            .collect();
        assert_eq!(urls.len(), 3);
        for url in &urls {
            proxy::caller::call(url, "", &serde_json::Value::Null).await.expect("it is up");
        }
        drop(stack);
        for url in urls {
            proxy::caller::call(url, "", &serde_json::Value::Null).await.expect_err("it is down");
        }
    }

    #[tokio::test]
    async fn what_was_arranged_in_vain_is_known() {
        let stack = TestWorld::start(Clock::system()).await;
        assert_eq!(stack.unmet(), Vec::<String>::new());
        stack.dynamodb.fault(On::operation("PutItem"), Fault::Cut);
        assert_eq!(stack.unmet().len(), 1);
    }
}
