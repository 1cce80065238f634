//! Stores the checkpoints of repositories: how far each has been read.

use crate::store::StoreError;

use super::context::Pass;
use super::work::Work;

/// How many repositories' checkpoints are written concurrently.
pub(super) const CHECKPOINTS_AT_ONCE: usize = 16;

impl Pass<'_> {
    /// Stores a repository's checkpoint, unless the table holds it already.
    pub(super) async fn store_checkpoint(&self, work: &mut Work) -> Result<(), StoreError> {
        if work.needs_storing() { self.overwrite_checkpoint(work).await } else { Ok(()) }
    }

    /// Stores it even if it is the same, so that the item carries this pass's fencing token.
    pub(super) async fn overwrite_checkpoint(&self, work: &mut Work) -> Result<(), StoreError> {
        if self.is_written(self.app.store.put_repository(self.lease, &work.tracked).await)? {
            work.stored = Some(work.tracked.clone());
        }
        Ok(())
    }
}
