//! The operator's holds, in the fleet's state.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::domain::{Holds, InvalidHold};

use super::keys::Key;
use super::table::{Store, StoreError, is_written};

/// Why holds could not be changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HoldError {
    /// The change is not possible.
    #[error(transparent)]
    Invalid(#[from] InvalidHold),
    /// DynamoDB failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Changes the holds, and returns those in force from now on.
    ///
    /// # Errors
    /// [`HoldError`] if `change` fails, if DynamoDB fails, or if somebody else changed the holds before each of four
    /// attempts.
    pub async fn change_holds(
        &self,
        change: impl Fn(Holds) -> Result<Holds, InvalidHold>,
    ) -> Result<Holds, HoldError> {
        for _ in 0..4 {
            let before = self.state().await?.holds;
            let after = change(before.clone())?;
            if self.replace_holds(&before, &after).await? {
                return Ok(after);
            }
        }
        Err(StoreError::new("UpdateItem", "the holds kept changing").into())
    }

    /// Returns whether the holds were still `before`.
    async fn replace_holds(&self, before: &Holds, after: &Holds) -> Result<bool, StoreError> {
        let value = |holds: &Holds| -> AttributeValue {
            serde_dynamo::to_attribute_value(holds).expect("holds consist of texts")
        };
        let mut values = HashMap::new();
        let condition = if before.is_empty() {
            "attribute_not_exists(holds)"
        } else {
            values.insert(":before".to_owned(), value(before));
            "holds = :before"
        };
        let update = if after.is_empty() {
            "REMOVE holds"
        } else {
            values.insert(":after".to_owned(), value(after));
            "SET holds = :after"
        };
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::state().attributes()))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_values(Some(values).filter(|values| !values.is_empty()))
            .send()
            .await;
        is_written("UpdateItem", answer)
    }
}
