//! The client for the table: reads and writes of items, and the errors of DynamoDB.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{AttributeValue, ConsumedCapacity, KeysAndAttributes};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::telemetry;

use super::conflicts::Conflicts;
use super::keys::{Item, Key};

/// DynamoDB's limit of keys in one BatchGetItem.
const MAX_BATCH_KEYS: usize = 100;

/// Timeouts and retries of calls to DynamoDB.
#[derive(Clone, Copy, Debug)]
pub struct StorePatience {
    /// The timeout of one attempt.
    pub attempt: Duration,
    /// The timeout of a call with all its attempts.
    pub call: Duration,
    /// The maximum number of attempts at one call, including the first.
    pub attempts: u32,
    /// The maximum wait before the second attempt.
    pub first_wait: Duration,
}

impl Default for StorePatience {
    fn default() -> Self {
        Self {
            attempt: Duration::from_millis(1_200),
            call: Duration::from_secs(3),
            attempts: 4,
            first_wait: Duration::from_millis(50),
        }
    }
}

/// The client for the table. Clones share one connection pool.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) client: Client,
    pub(super) table: String,
}

/// Why a call to DynamoDB failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("DynamoDB table unavailable ({operation}: {code}){}", self.advice())]
pub struct StoreError {
    /// DynamoDB's name of the operation.
    operation: &'static str,
    /// DynamoDB's error code, or a description if there was no response.
    code: String,
}

/// Why no connection to DynamoDB could be opened. Displays the chain of causes.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConnectError(String);

/// Why a conditional write failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// A later pass, or a later attempt at the same request, has written the item. This one is outdated and must stop.
    Superseded,
    /// DynamoDB failed.
    Store(StoreError),
}

impl From<StoreError> for WriteError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl StoreError {
    pub(super) fn new(operation: &'static str, code: &str) -> Self {
        Self { operation, code: code.to_owned() }
    }

    /// A row that changed before each attempt to write it.
    pub fn contended() -> Self {
        Self::new("PutItem", "the row kept changing")
    }

    /// Whether it lasts until somebody corrects the deployment.
    pub fn is_misconfiguration(&self) -> bool {
        let codes = ["AccessDenied", "ResourceNotFound", "Unrecognized", "InvalidSignature"];
        codes.iter().any(|code| self.code.starts_with(code))
    }

    fn advice(&self) -> &'static str {
        if self.is_misconfiguration() { "; check TABLE_NAME and the function's IAM policy" } else { "" }
    }
}

impl Store {
    /// The client for the table of that name. Sends nothing yet.
    pub fn new(aws: &SdkConfig, table: &str, patience: StorePatience) -> Self {
        let config = aws_sdk_dynamodb::config::Builder::from(aws)
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(patience.attempts)
                    .with_initial_backoff(patience.first_wait),
            )
            .retry_classifier(Conflicts)
            .timeout_config(
                TimeoutConfig::builder()
                    .operation_attempt_timeout(patience.attempt)
                    .operation_timeout(patience.call)
                    .build(),
            )
            .build();
        Self { client: Client::from_conf(config), table: table.to_owned() }
    }

    /// Opens a connection for the first heartbeat, by the cheapest read: half a read unit.
    ///
    /// # Errors
    /// [`ConnectError`] if DynamoDB does not answer the read.
    pub async fn connect(&self) -> Result<(), ConnectError> {
        let read = self.client.get_item().table_name(&self.table).set_key(Some(Key::state().attributes()));
        read.send().await.map(drop).map_err(|error| ConnectError(telemetry::causes(&error)))
    }
}

impl Store {
    /// Writes an item unconditionally.
    pub(super) async fn put(&self, item: Item) -> Result<(), StoreError> {
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .send()
            .await
            .map(drop)
            .map_err(store_error("PutItem"))
    }

    /// Reads one item consistently.
    pub(super) async fn get<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key.attributes()))
            .consistent_read(true)
            .send()
            .await
            .map_err(store_error("GetItem"))?;
        answer.item.map(value_of).transpose()
    }

    /// Reads the existing items with these keys, in no particular order.
    pub(super) async fn get_all(&self, keys: &[Key], consistent: bool) -> Result<Vec<Item>, StoreError> {
        let mut keys: Vec<Item> = keys.iter().map(Key::attributes).collect();
        let mut found = Vec::with_capacity(keys.len());
        while !keys.is_empty() {
            let batch = keys.split_off(keys.len().saturating_sub(MAX_BATCH_KEYS));
            let mut wanted = Some(
                KeysAndAttributes::builder()
                    .set_keys(Some(batch))
                    .consistent_read(consistent)
                    .build()
                    .expect("the keys are set"),
            );
            // DynamoDB leaves keys unprocessed if it is busy or the response would exceed 16 MB.
            while let Some(keys) = wanted {
                let answer = self
                    .client
                    .batch_get_item()
                    .request_items(&self.table, keys)
                    .send()
                    .await
                    .map_err(store_error("BatchGetItem"))?;
                found.extend(answer.responses.unwrap_or_default().remove(&self.table).unwrap_or_default());
                wanted = answer.unprocessed_keys.unwrap_or_default().remove(&self.table);
            }
        }
        Ok(found)
    }
}

/// The error of a call. Logs the whole chain of causes; the error itself holds DynamoDB's code only.
pub(super) fn store_error<E, R>(operation: &'static str) -> impl FnOnce(SdkError<E, R>) -> StoreError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    move |error| {
        let code = match (&error, error.code()) {
            (_, Some(code)) => code.to_owned(),
            (SdkError::TimeoutError(_), None) => "timeout".to_owned(),
            (SdkError::DispatchFailure(_), None) => "no connection".to_owned(),
            _ => "unreadable response".to_owned(),
        };
        let cause = telemetry::causes(&error);
        tracing::warn!(store.operation = operation, cause, "DynamoDB call {operation} failed: {code}.");
        StoreError { operation, code }
    }
}

/// Whether a conditional write succeeded: `false` if its condition failed.
pub(super) fn is_written<T, E, R>(
    operation: &'static str,
    answer: Result<T, SdkError<E, R>>,
) -> Result<bool, StoreError>
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match answer {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(false),
        Err(error) => Err(store_error(operation)(error)),
    }
}

/// The result of a write whose condition fails only if a later pass or attempt has written the item.
pub(super) fn unless_superseded<T, E, R>(
    operation: &'static str,
    answer: Result<T, SdkError<E, R>>,
) -> Result<(), WriteError>
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    if is_written(operation, answer)? { Ok(()) } else { Err(WriteError::Superseded) }
}

/// An item with `key` and the fields of `value`.
pub(super) fn item_of(key: &Key, value: &impl Serialize) -> Item {
    let mut item: Item =
        serde_dynamo::to_item(value).expect("stored values consist of strings, numbers, flags and lists");
    item.extend(key.attributes());
    item
}

/// Reads a value from an item that this service wrote.
pub(super) fn value_of<T: DeserializeOwned>(item: Item) -> Result<T, StoreError> {
    serde_dynamo::from_item(item).map_err(|error| {
        tracing::error!(cause = %error, "Failed to read an item of the table: {error}.");
        StoreError::new("read", "unexpected item format")
    })
}

/// The billed read units of a request that returns its consumed capacity.
pub(super) fn read_units(consumed: Option<&ConsumedCapacity>) -> f64 {
    consumed.and_then(|consumed| consumed.capacity_units).unwrap_or_default()
}

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_store_error_has_its_sentence() {
        let errors = [
            StoreError::new("PutItem", "AccessDeniedException"),
            StoreError::new("GetItem", "ResourceNotFoundException"),
            StoreError::new("Query", "ThrottlingException"),
            StoreError::new("BatchGetItem", "timeout"),
            StoreError::new("read", "unexpected item format"),
            StoreError::contended(),
        ];
        insta::assert_snapshot!(errors.map(|error| error.to_string()).join("\n"), @"
        DynamoDB table unavailable (PutItem: AccessDeniedException); check TABLE_NAME and the function's IAM policy
        DynamoDB table unavailable (GetItem: ResourceNotFoundException); check TABLE_NAME and the function's IAM policy
        DynamoDB table unavailable (Query: ThrottlingException)
        DynamoDB table unavailable (BatchGetItem: timeout)
        DynamoDB table unavailable (read: unexpected item format)
        DynamoDB table unavailable (PutItem: the row kept changing)
        ");
    }
}
