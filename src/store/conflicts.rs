//! Writes that conflict with a transaction on the same item. DynamoDB rejects one of the two without any effect, and
//! the client has to retry it. That is no outage.
//!
//! The SDK retries such a conflict for no operation. This classifier makes it do so, with its usual exponential backoff
//! and jitter.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::CancellationReason;
use aws_smithy_runtime_api::client::interceptors::context::{Error, InterceptorContext};
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};

/// DynamoDB's reason code for a conflict, in a cancelled transaction.
const REASON: &str = "TransactionConflict";

/// DynamoDB's reason code for an action that did not cause the cancellation.
const NO_REASON: &str = "None";

/// DynamoDB's error code for a conflicting write of one item.
const EXCEPTION: &str = "TransactionConflictException";

/// Classifies a conflict as a transient error, which the SDK retries.
#[derive(Debug)]
pub(super) struct Conflicts;

impl ClassifyRetry for Conflicts {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let failed = context.output_or_error().and_then(Result::err);
        match failed.and_then(|error| error.as_operation_error()) {
            Some(error) if is_conflict(error) => RetryAction::transient_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "transaction conflicts"
    }
}

/// Whether a transaction was cancelled for conflicts with others and for no other reason.
pub(super) fn are_reasons(reasons: &[CancellationReason]) -> bool {
    let is_conflict = |reason: &CancellationReason| reason.code() == Some(REASON);
    let is_none = |reason: &CancellationReason| reason.code().is_none_or(|code| code == NO_REASON);
    reasons.iter().any(is_conflict) && reasons.iter().all(|reason| is_conflict(reason) || is_none(reason))
}

fn is_conflict(error: &Error) -> bool {
    if let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.downcast_ref() {
        return are_reasons(cancelled.cancellation_reasons());
    }
    let put = error.downcast_ref::<PutItemError>().and_then(ProvideErrorMetadata::code);
    let update = error.downcast_ref::<UpdateItemError>().and_then(ProvideErrorMetadata::code);
    let delete = error.downcast_ref::<DeleteItemError>().and_then(ProvideErrorMetadata::code);
    put.or(update).or(delete) == Some(EXCEPTION)
}
