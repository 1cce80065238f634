//! How a read can fail.

use crate::store::StoreError;

use super::page::InvalidCursor;

/// Why a read has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Nothing has this name or id. Holds a sentence for the caller.
    #[error("{0}")]
    NotFound(&'static str),
    /// What a cursor belongs to is no longer there. Holds a sentence for the caller.
    #[error("{0}")]
    Gone(&'static str),
    /// The cursor cannot be used.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    /// A parameter has a value that does not fit the configuration.
    #[error("{name} {detail}")]
    Parameter {
        /// Its name.
        name: &'static str,
        /// What is wrong, and the way out.
        detail: &'static str,
    },
    /// DynamoDB failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
