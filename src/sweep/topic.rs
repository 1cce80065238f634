//! The SNS topic for messages about agents. Only the schedule function builds its client.

use aws_sdk_sns::Client;
use aws_sdk_sns::config::retry::RetryConfig;
use aws_sdk_sns::config::timeout::TimeoutConfig;
use aws_sdk_sns::error::{ProvideErrorMetadata as _, SdkError};

use crate::app::App;
use crate::telemetry;

use super::message::Rendered;

/// The topic of `AGENTS_TOPIC_ARN`.
#[derive(Clone, Debug)]
pub struct Topic {
    client: Client,
    arn: String,
}

/// Why a message was not published, or perhaps was not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message about agents is not sent (Publish: {code}){}; the next sweep sends it again", self.advice())]
pub struct NotPublished {
    code: String,
}

impl NotPublished {
    fn advice(&self) -> &'static str {
        let codes = ["AuthorizationError", "NotFound", "InvalidParameter", "KMS", "InvalidSecurity"];
        let is_misconfiguration = codes.iter().any(|code| self.code.starts_with(code));
        if is_misconfiguration { "; check AGENTS_TOPIC_ARN and the function's IAM policy" } else { "" }
    }
}

impl Topic {
    /// The topic, with its client; `None` without `AGENTS_TOPIC_ARN`. Sends nothing yet.
    ///
    /// The SDK does not retry: a message whose answer was lost would be published again with no sweep knowing. The next
    /// sweep retries.
    pub fn of(app: &App) -> Option<Self> {
        let arn = app.config.agents_topic_arn.clone()?;
        let config = aws_sdk_sns::config::Builder::from(&app.sns)
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().operation_timeout(app.timing.publish).build())
            .build();
        Some(Self { client: Client::from_conf(config), arn })
    }

    /// Publishes a message, once.
    ///
    /// # Errors
    /// [`NotPublished`] if SNS does not confirm it.
    pub(super) async fn publish(&self, message: &Rendered) -> Result<(), NotPublished> {
        let published = self
            .client
            .publish()
            .topic_arn(&self.arn)
            .subject(&message.subject)
            .message_structure("json")
            .message(&message.body)
            .send()
            .await;
        let Err(error) = published else { return Ok(()) };
        let code = match (&error, error.code()) {
            (_, Some(code)) => code.to_owned(),
            (SdkError::TimeoutError(_), None) => "timeout".to_owned(),
            (SdkError::DispatchFailure(_), None) => "no connection".to_owned(),
            _ => "unreadable response".to_owned(),
        };
        tracing::warn!(cause = telemetry::causes(&error), "SNS call Publish failed: {code}.");
        Err(NotPublished { code })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_to_publish_has_its_sentence() {
        let failures = ["AuthorizationError", "NotFound", "Throttled", "timeout"];
        let sentences = failures.map(|code| NotPublished { code: code.to_owned() }.to_string());
        insta::assert_snapshot!(sentences.join("\n"), @"
        the message about agents is not sent (Publish: AuthorizationError); check AGENTS_TOPIC_ARN and the function's IAM policy; the next sweep sends it again
        the message about agents is not sent (Publish: NotFound); check AGENTS_TOPIC_ARN and the function's IAM policy; the next sweep sends it again
        the message about agents is not sent (Publish: Throttled); the next sweep sends it again
        the message about agents is not sent (Publish: timeout); the next sweep sends it again
        ");
    }
}
