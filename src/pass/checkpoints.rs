//! Stores a repository's checkpoints.

use crate::store::StoreError;

use super::context::Pass;
use super::work::Work;

/// How many repositories' marks are written at the same time.
pub(super) const CHECKPOINTS_AT_ONCE: usize = 16;

impl Pass<'_> {
    /// Stores a repository's marks, unless they stand in the table already.
    pub(super) async fn store_checkpoint(&self, work: &mut Work) -> Result<(), StoreError> {
        if work.needs_storing() { self.overwrite_checkpoint(work).await } else { Ok(()) }
    }

    /// Stores them also where they are the same: under this pass's fence.
    pub(super) async fn overwrite_checkpoint(&self, work: &mut Work) -> Result<(), StoreError> {
        if self.is_written(self.app.store.put_repository(self.lease, &work.tracked).await?) {
            work.stored = Some(work.tracked.clone());
        }
        Ok(())
    }
}
