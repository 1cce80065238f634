//! How a read can fail.

use crate::store::StoreError;

use super::page::InvalidCursor;

/// Why a read has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Nothing has this name or id. Holds a sentence for the caller.
    #[error("{0}")]
    NotFound(&'static str),
    /// The cursor cannot be used.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    /// DynamoDB failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
