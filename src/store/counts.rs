//! The number of issues by the fencing token of their last change.

use crate::domain::ChangeCounts;

use super::keys::Key;
use super::lease::Lease;
use super::table::{Store, StoreError, WriteError, item_of};

impl Store {
    /// The number of issues by the fence of their last change; `None` before the first change. One consistent read.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or the item cannot be read.
    pub async fn change_counts(&self) -> Result<Option<ChangeCounts>, StoreError> {
        self.get(&Key::change_counts()).await
    }

    /// Writes the number of issues by the fence of their last change.
    ///
    /// # Errors
    /// [`WriteError`] if DynamoDB fails, or if a later pass has written it.
    pub async fn put_change_counts(&self, lease: &Lease, counts: &ChangeCounts) -> Result<(), WriteError> {
        self.put_fenced(lease, Key::change_counts(), item_of(&Key::change_counts(), counts)).await
    }
}
