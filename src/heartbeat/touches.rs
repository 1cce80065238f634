//! What changed since an agent's last beat, and where it is looked for.

use crate::domain::Position;
use crate::store::StoreError;

use super::answer::ChangePage;
use super::backlog::Backlog;
use super::sources::Repositories;
use super::{Beat, Served};

impl Beat<'_> {
    /// What is new to an agent at `position`. Costs nothing when nothing changed since.
    pub(super) async fn tell(&self, basis: &Served, position: Position) -> Result<ChangePage, StoreError> {
        let Some(ended) = &basis.ended else {
            return Ok(ChangePage::nothing(position));
        };
        if position.within.is_none() && position.fence >= ended.last_change_fence {
            let now = Position::after(position.fence.max(ended.fence));
            let are_kinds_told = position.kinds_after == position.fence;
            let kinds_after = if are_kinds_told { now.kinds_after } else { position.kinds_after };
            return Ok(ChangePage::nothing(Position { kinds_after, ..now }));
        }
        let from = position.complete_fence() + 1;
        let repositories = match ended.recent.since(from) {
            Some(ids) if ended.search_all_fence < from => Repositories::known(ids),
            _ => Repositories::all(),
        };
        Backlog::new(self.app, position, ended).read(repositories).await
    }
}
