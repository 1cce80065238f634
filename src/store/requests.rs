//! Requests with an `Idempotency-Key`: who is at work on one, and what it was answered.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;

use crate::domain::{AgentName, Attempt, IdempotencyKey, KeptRequest};

use super::keys::{EXPIRES_AT, Key};
use super::lease::Stale;
use super::table::{Store, StoreError, carried_out, item_of, number, store_error, text, value_of};

/// The attempt is begun already, and not answered yet.
const IS_REPEATED: &str = "(attempt = :me AND attribute_not_exists(answer))";

/// The request is not as it was read, but so; none when it is gone.
#[derive(Clone, Debug)]
pub struct Moved(pub Option<KeptRequest>);

impl Store {
    /// Begins an attempt at a request that was read as `before`, and has not changed since. A repeated call of the same
    /// attempt succeeds again; one that arrives late, when the attempt is answered, does not undo that.
    pub async fn begin_attempt(
        &self,
        agent: &AgentName,
        key: &IdempotencyKey,
        before: Option<&KeptRequest>,
        attempt: &Attempt,
    ) -> Result<Result<(), Moved>, StoreError> {
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
        let Err(error) = put.send().await else { return Ok(Ok(())) };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(refused)) => {
                Ok(Err(Moved(refused.item().cloned().map(value_of).transpose()?)))
            }
            _ => Err(store_error("PutItem")(error)),
        }
    }

    /// Keeps the answer of an attempt until `expires_at`, in epoch seconds, unless a later attempt has begun.
    pub async fn keep_answer(
        &self,
        agent: &AgentName,
        key: &IdempotencyKey,
        attempt: &Attempt,
        answer: &str,
        expires_at: i64,
    ) -> Result<Result<(), Stale>, StoreError> {
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
        Ok(if carried_out("UpdateItem", kept)? { Ok(()) } else { Err(Stale) })
    }
}
