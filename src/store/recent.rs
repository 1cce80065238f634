//! Which repositories to search for an agent's undelivered changes: those that recent passes changed or, if the agent
//! was away for longer than those are remembered, all repositories, page by page.

use std::cmp::Reverse;

use aws_sdk_dynamodb::types::ReturnConsumedCapacity;
use serde::{Deserialize, Serialize};

use crate::domain::RepositoryId;

use super::keys::{FLEET, REPOSITORY_PREFIX, UNTRACKED};
use super::table::{Store, StoreError, read_units, store_error, text, value_of};

/// The repositories that recent passes changed. Part of the fleet's state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentChanges {
    /// Repositories whose last change has this fence or a lower one may be missing.
    pub floor: u64,
    /// Repositories, each with the fence of the last pass that changed it, newest first.
    pub repositories: Vec<(RepositoryId, u64)>,
}

impl RecentChanges {
    /// An empty list that covers only passes after the fence `floor`.
    pub fn after(floor: u64) -> Self {
        Self { floor, repositories: Vec::new() }
    }

    /// Adds the repositories that the pass `fence` changed, and keeps the `max` newest.
    pub fn with(mut self, changed: impl IntoIterator<Item = RepositoryId>, fence: u64, max: usize) -> Self {
        let mut newest: Vec<(RepositoryId, u64)> = changed.into_iter().map(|id| (id, fence)).collect();
        newest.sort_unstable();
        newest.dedup();
        self.repositories.retain(|(id, _)| newest.iter().all(|(changed, _)| changed != id));
        newest.append(&mut self.repositories);
        if let Some((_, forgotten)) = newest.get(max) {
            self.floor = self.floor.max(*forgotten);
        }
        newest.retain(|(_, fence)| *fence > self.floor);
        Self { repositories: newest, ..self }
    }

    /// The repositories that passes with the fence `from` or a higher one changed; `None` if `from` is not above the
    /// floor.
    pub fn since(&self, from: u64) -> Option<Vec<RepositoryId>> {
        let is_known = from > self.floor;
        let changed = self.repositories.iter().filter(|(_, fence)| *fence >= from).map(|(id, _)| *id);
        is_known.then(|| changed.collect())
    }
}

/// One page of the tracked repositories.
#[derive(Clone, Debug, PartialEq)]
pub struct RepositoriesRead {
    /// Repositories, each with the fence of the last pass that changed it, ascending by id as text.
    pub repositories: Vec<(RepositoryId, u64)>,
    /// Whether this is the last page.
    pub is_end: bool,
    /// Read request units that DynamoDB bills for the page.
    pub read_units: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LastChange {
    id: RepositoryId,
    #[serde(default)]
    last_change_fence: u64,
}

impl Store {
    /// One page of the tracked repositories after `after`, in the order of their ids as text; with `with_untracked`,
    /// also of those that are no longer tracked. Reads at most `limit` repositories of each kind, consistently.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or an item cannot be read.
    pub async fn repositories(
        &self,
        after: Option<RepositoryId>,
        limit: u16,
        with_untracked: bool,
    ) -> Result<RepositoriesRead, StoreError> {
        let tracked = self.repositories_in(FLEET, after, limit).await?;
        if !with_untracked {
            return Ok(tracked);
        }
        let untracked = self.repositories_in(UNTRACKED, after, limit).await?;
        Ok(tracked.merged_with(untracked))
    }

    async fn repositories_in(
        &self,
        partition: &str,
        after: Option<RepositoryId>,
        limit: u16,
    ) -> Result<RepositoriesRead, StoreError> {
        // An exclamation mark sorts before the digits, a tilde after them.
        let after = after.map_or(REPOSITORY_PREFIX.to_owned(), |id| format!("{REPOSITORY_PREFIX}{id}!"));
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :partition AND sk BETWEEN :after AND :end")
            .expression_attribute_values(":partition", text(partition))
            .expression_attribute_values(":after", text(after))
            .expression_attribute_values(":end", text(format!("{REPOSITORY_PREFIX}~")))
            .projection_expression("id, lastChangeFence")
            .limit(limit.into())
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(store_error("Query"))?;
        let last_changes = answer.items.unwrap_or_default().into_iter().map(value_of::<LastChange>);
        let repositories = last_changes.map(|read| read.map(|of| (of.id, of.last_change_fence)));
        Ok(RepositoriesRead {
            repositories: repositories.collect::<Result<_, _>>()?,
            is_end: answer.last_evaluated_key.is_none(),
            read_units: read_units(answer.consumed_capacity.as_ref()),
        })
    }
}

impl RepositoriesRead {
    /// Merges two pages up to the point that both have reached. A repository is in both if a pass crashed while it
    /// moved the repository.
    fn merged_with(self, other: Self) -> Self {
        let reached = |read: &Self| match read.is_end {
            true => None,
            false => read.repositories.last().map(|(id, _)| id.to_string()),
        };
        let upto = reached(&self).into_iter().chain(reached(&other)).min();
        let mut repositories = [self.repositories, other.repositories].concat();
        repositories.retain(|(id, _)| upto.as_ref().is_none_or(|upto| id.to_string() <= *upto));
        repositories.sort_by_cached_key(|(id, fence)| (id.to_string(), Reverse(*fence)));
        repositories.dedup_by_key(|(id, _)| *id);
        Self {
            repositories,
            is_end: self.is_end && other.is_end,
            read_units: self.read_units + other.read_units,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: std::ops::Range<u64>) -> impl Iterator<Item = RepositoryId> {
        ids.map(RepositoryId)
    }

    #[test]
    fn repository_is_remembered_with_its_last_change() {
        let recent = RecentChanges::after(3).with(ids(1..4), 4, 16).with(ids(2..3), 6, 16);
        assert_eq!(recent.since(3), None);
        assert_eq!(recent.since(4).map(|ids| ids.len()), Some(3));
        assert_eq!(recent.since(5), Some(vec![RepositoryId(2)]));
        assert_eq!(recent.since(7), Some(vec![]));
    }

    #[test]
    fn too_many_repositories_raise_the_floor() {
        let recent = RecentChanges::after(0).with(ids(0..6), 1, 16).with(ids(6..16), 2, 16);
        assert_eq!((recent.floor, recent.repositories.len()), (0, 16));
        let recent = recent.with(ids(16..17), 3, 16);
        assert_eq!((recent.floor, recent.repositories.len()), (1, 11));
        assert_eq!(recent.since(1), None);
        assert_eq!(recent.since(2).map(|ids| ids.len()), Some(11));
        let recent = recent.with(ids(100..200), 4, 16);
        assert_eq!((recent.floor, recent.repositories.len()), (4, 0));
        assert_eq!(recent.since(5), Some(vec![]));
    }

    fn read(repositories: &[(u64, u64)], is_end: bool) -> RepositoriesRead {
        let repositories = repositories.iter().map(|(id, fence)| (RepositoryId(*id), *fence)).collect();
        RepositoriesRead { repositories, is_end, read_units: 0.5 }
    }

    #[test]
    fn two_partitions_merge_up_to_the_point_that_both_reached() {
        let merged =
            read(&[(10, 1), (2, 5), (30, 1)], false).merged_with(read(&[(2, 4), (25, 9), (9, 9)], true));
        assert_eq!(
            merged,
            RepositoriesRead { read_units: 1.0, ..read(&[(10, 1), (2, 5), (25, 9), (30, 1)], false) }
        );
        let merged = read(&[(1, 1)], true).merged_with(read(&[(3, 2)], true));
        assert_eq!(merged, RepositoriesRead { read_units: 1.0, ..read(&[(1, 1), (3, 2)], true) });
    }
}
