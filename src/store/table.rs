//! The client for the table: one item, many items, and what DynamoDB's errors mean.

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

/// DynamoDB's most keys in one BatchGetItem.
const BATCH: usize = 100;

/// How patiently DynamoDB is asked.
#[derive(Clone, Copy, Debug)]
pub struct StorePatience {
    /// How long one attempt may take.
    pub attempt: Duration,
    /// How long a call may take with all its attempts.
    pub call: Duration,
    /// Attempts at one call, the first included.
    pub attempts: u32,
    /// The longest wait before the second attempt.
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

/// The table.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) client: Client,
    pub(super) table: String,
}

/// Why the table could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the table could not be used ({operation}: {code})")]
pub struct StoreError {
    /// DynamoDB's name of the call.
    operation: &'static str,
    /// DynamoDB's word for the failure, or ours when there was no answer.
    code: String,
}

/// Why no connection to the table could be opened.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(String);

impl StoreError {
    pub(super) fn new(operation: &'static str, code: &str) -> Self {
        Self { operation, code: code.to_owned() }
    }

    /// A row that changed each time it was to be written.
    pub fn contended() -> Self {
        Self::new("PutItem", "a row that kept changing")
    }
}

impl Store {
    /// The table of that name. Nothing is sent yet.
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

    /// Opens a connection that the first beat will find, by the cheapest read there is: half a read unit.
    pub async fn connect(&self) -> Result<(), Unreachable> {
        let asked = self.client.get_item().table_name(&self.table).set_key(Some(Key::state().attributes()));
        asked.send().await.map(drop).map_err(|error| Unreachable(telemetry::causes(&error)))
    }
}

impl Store {
    /// Writes an item over whatever is there.
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

    /// Reads the items of these keys that are there, in no order.
    pub(super) async fn get_all(&self, keys: &[Key], consistent: bool) -> Result<Vec<Item>, StoreError> {
        let mut keys: Vec<Item> = keys.iter().map(Key::attributes).collect();
        let mut found = Vec::with_capacity(keys.len());
        while !keys.is_empty() {
            let batch = keys.split_off(keys.len().saturating_sub(BATCH));
            let mut wanted = Some(
                KeysAndAttributes::builder()
                    .set_keys(Some(batch))
                    .consistent_read(consistent)
                    .build()
                    .expect("the keys are set"),
            );
            // DynamoDB may leave keys for another call, when it is busy or the answer grows over 16 MB.
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

/// The error of a call, its whole cause in the log: callers are told DynamoDB's word for it only.
pub(super) fn store_error<E, R>(operation: &'static str) -> impl FnOnce(SdkError<E, R>) -> StoreError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    move |error| {
        let code = match (&error, error.code()) {
            (_, Some(code)) => code.to_owned(),
            (SdkError::TimeoutError(_), None) => "no answer in time".to_owned(),
            (SdkError::DispatchFailure(_), None) => "no connection".to_owned(),
            _ => "no answer that can be understood".to_owned(),
        };
        let cause = telemetry::causes(&error);
        tracing::warn!(store.operation = operation, cause, "A call to DynamoDB failed.");
        StoreError { operation, code }
    }
}

/// Whether a conditional write was carried out; not when its condition did not hold.
pub(super) fn carried_out<T, E, R>(
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

/// An item of `key` with the fields of `value`.
pub(super) fn item_of(key: &Key, value: &impl Serialize) -> Item {
    let mut item: Item =
        serde_dynamo::to_item(value).expect("what is stored is made of texts, numbers, flags and lists");
    item.extend(key.attributes());
    item
}

/// The value in an item that this service wrote.
pub(super) fn value_of<T: DeserializeOwned>(item: Item) -> Result<T, StoreError> {
    serde_dynamo::from_item(item).map_err(|error| {
        tracing::error!(cause = %error, "An item of the table cannot be read.");
        StoreError::new("read", "an item of another shape")
    })
}

/// What DynamoDB bills for a read that asked for its capacity.
pub(super) fn read_units(consumed: Option<&ConsumedCapacity>) -> f64 {
    consumed.and_then(|consumed| consumed.capacity_units).unwrap_or_default()
}

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}
