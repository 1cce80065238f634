//! How many issues last changed under which fencing tokens.

use crate::domain::ChangeCounts;

use super::keys::Key;
use super::lease::{Lease, Stale};
use super::table::{Store, StoreError, item_of};

impl Store {
    /// How many issues last changed under which fences; `None` before any did. One consistent read.
    pub async fn change_counts(&self) -> Result<Option<ChangeCounts>, StoreError> {
        self.get(&Key::change_counts()).await
    }

    /// Writes how many issues last changed under which fences.
    pub async fn put_change_counts(
        &self,
        claim: &Lease,
        counts: &ChangeCounts,
    ) -> Result<Result<(), Stale>, StoreError> {
        self.put_fenced(claim, Key::change_counts(), item_of(&Key::change_counts(), counts)).await
    }
}
