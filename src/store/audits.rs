//! The stored progress of an unfinished audit.

use crate::domain::{AuditProgress, RepositoryId};

use super::keys::Key;
use super::lease::Lease;
use super::table::{Store, StoreError, WriteError, item_of};

impl Store {
    /// The progress of an audit that an earlier pass did not finish; `None` if there is none. One consistent read.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or the item cannot be read.
    pub async fn audit_progress(&self, id: RepositoryId) -> Result<Option<AuditProgress>, StoreError> {
        self.get(&Key::audit(id)).await
    }

    /// Stores the progress of an unfinished audit for the next pass.
    ///
    /// # Errors
    /// [`WriteError`] if DynamoDB fails, or if a later pass has written it.
    pub async fn put_audit_progress(
        &self,
        lease: &Lease,
        id: RepositoryId,
        progress: &AuditProgress,
    ) -> Result<(), WriteError> {
        self.put_fenced(lease, Key::audit(id), item_of(&Key::audit(id), progress)).await
    }

    /// Removes the stored progress of an audit that is complete.
    ///
    /// # Errors
    /// [`WriteError`] if DynamoDB fails, or if a later pass has written it.
    pub async fn delete_audit_progress(&self, lease: &Lease, id: RepositoryId) -> Result<(), WriteError> {
        self.delete_fenced(lease, &Key::audit(id)).await
    }
}
