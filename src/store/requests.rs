//! Requests with an `Idempotency-Key`: the current attempt and the stored response of each.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;

use crate::domain::{AgentName, Attempt, IdempotencyKey, KeptRequest};

use super::keys::{EXPIRES_AT, Key};
use super::table::{
    Store, StoreError, WriteError, item_of, number, store_error, text, unless_superseded, value_of,
};

/// The condition that this attempt has already begun and has no response yet.
const IS_REPEATED: &str = "(attempt = :me AND attribute_not_exists(answer))";

/// Whether an attempt was stored.
#[derive(Clone, Debug)]
pub enum AttemptStart {
    /// It was: its heartbeat may run.
    Started,
    /// It was not, because the stored request has changed since it was read. Holds its current state; `None` if it has
    /// expired.
    RequestChanged(Option<KeptRequest>),
}

impl Store {
    /// Begins an attempt at a request, if the stored request is still `before`. A repeated call for the same attempt
    /// succeeds again, but not after the attempt's response is stored: a copy that arrives late does not remove it.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or the stored request cannot be read.
    pub async fn start_attempt(
        &self,
        agent: &AgentName,
        key: &IdempotencyKey,
        before: Option<&KeptRequest>,
        attempt: &Attempt,
    ) -> Result<AttemptStart, StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item_of(&Key::request(agent, key), attempt)))
            .expression_attribute_values(":me", text(attempt.id))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let put = match before {
            None => put.condition_expression(format!("attribute_not_exists(pk) OR {IS_REPEATED}")),
            Some(before) => {
                let is_unchanged = match before.answer {
                    None => "attempt = :before AND attribute_not_exists(answer)",
                    Some(_) => "attempt = :before",
                };
                put.condition_expression(format!("({is_unchanged}) OR {IS_REPEATED}"))
                    .expression_attribute_values(":before", text(before.attempt.id))
            }
        };
        let Err(error) = put.send().await else { return Ok(AttemptStart::Started) };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(refused)) => {
                Ok(AttemptStart::RequestChanged(refused.item().cloned().map(value_of).transpose()?))
            }
            _ => Err(store_error("PutItem")(error)),
        }
    }

    /// Stores the response of an attempt until `expires_at`, in epoch seconds, unless a later attempt has begun.
    ///
    /// # Errors
    /// [`WriteError`] if DynamoDB fails, or if a later attempt has begun.
    pub async fn keep_answer(
        &self,
        agent: &AgentName,
        key: &IdempotencyKey,
        attempt: &Attempt,
        answer: &str,
        expires_at: i64,
    ) -> Result<(), WriteError> {
        let kept = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::request(agent, key).attributes()))
            .update_expression(format!("SET answer = :answer, {EXPIRES_AT} = :expires"))
            .condition_expression("attempt = :me")
            .expression_attribute_values(":answer", text(answer))
            .expression_attribute_values(":expires", number(expires_at))
            .expression_attribute_values(":me", text(attempt.id))
            .send()
            .await;
        unless_superseded("UpdateItem", kept)
    }
}
