//! The rows of issues, and the index of changes.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::ReturnConsumedCapacity;
use serde::Deserialize;

use crate::domain::{
    ActiveIssue, CachedIssue, ChangeMarker, ChangePoint, IssueNumber, RepositoryId, fence_of_order,
    point_as_text,
};

use super::keys::{self, CHANGES, Key};
use super::table::{Store, StoreError, read_units, store_error, text, value_of};

/// One page of a repository's rows.
#[derive(Clone, Debug, PartialEq)]
pub struct IssuePageRead {
    /// Ascending by number: open and closed issues, and tombstones.
    pub issues: Vec<CachedIssue>,
    /// Whether DynamoDB reached the end. If not, the next page may be empty.
    pub is_end: bool,
    /// Read request units that DynamoDB bills for the page.
    pub read_units: f64,
}

/// An entry of the index of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedIssue {
    /// The issue.
    pub number: IssueNumber,
    /// The URL of its page on GitHub.
    pub url: String,
    /// Its labels.
    pub labels: Vec<String>,
    /// Its new URL if it was transferred.
    pub moved_to: Option<String>,
    /// The fence of its last change.
    pub fence: u64,
    /// Its change marker: when and how it last changed.
    pub change_marker: ChangeMarker,
}

/// One page of a repository's changes.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangesRead {
    /// Ascending by fence, then by issue.
    pub changes: Vec<ChangedIssue>,
    /// Whether this is the last page.
    pub is_end: bool,
    /// Read request units that DynamoDB bills for the page.
    pub read_units: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChangeEntry {
    sk: String,
    change_order: String,
    url: String,
    labels: Vec<String>,
    #[serde(default)]
    moved_to: Option<String>,
    #[serde(flatten)]
    change_marker: ChangeMarker,
}

impl Store {
    /// The cached rows of the issues `numbers`; those without a row are left out. A consistent read costs twice as
    /// much. Without it a row may be missing or outdated, and the write over its revision then fails with
    /// `RowWrite::Changed`.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or an item cannot be read.
    pub async fn issues(
        &self,
        repository: RepositoryId,
        numbers: &[IssueNumber],
        consistent: bool,
    ) -> Result<HashMap<IssueNumber, CachedIssue>, StoreError> {
        let keys: Vec<Key> = numbers.iter().map(|number| Key::issue(repository, *number)).collect();
        let mut found = HashMap::new();
        for item in self.get_all(&keys, consistent).await? {
            let row: CachedIssue = value_of(item)?;
            found.insert(row.number, row);
        }
        Ok(found)
    }

    /// The cached rows of these issues of any repositories; those without a row are left out. Consistent.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or an item cannot be read.
    pub async fn active_rows(
        &self,
        issues: &[ActiveIssue],
    ) -> Result<HashMap<ActiveIssue, CachedIssue>, StoreError> {
        let keys: Vec<Key> = issues.iter().map(|issue| Key::issue(issue.repository, issue.number)).collect();
        let mut items = self.get_all(&keys, true).await?;
        let mut found = HashMap::new();
        for (key, issue) in keys.iter().zip(issues) {
            if let Some(item) = key.take_from(&mut items) {
                found.insert(*issue, value_of(item)?);
            }
        }
        Ok(found)
    }

    /// The cached row of an issue, if there is one. One consistent read.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or the item cannot be read.
    pub async fn issue(
        &self,
        repository: RepositoryId,
        number: IssueNumber,
    ) -> Result<Option<CachedIssue>, StoreError> {
        self.get(&Key::issue(repository, number)).await
    }

    /// The first `limit` (at least 1) rows after the number `after`, or from the first one: all that are cached, closed
    /// issues and tombstones included. One consistent read. There may be fewer before the end: DynamoDB reads at most
    /// 1 MB at once.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or an item cannot be read.
    pub async fn issue_page(
        &self,
        repository: RepositoryId,
        after: Option<IssueNumber>,
        limit: u16,
    ) -> Result<IssuePageRead, StoreError> {
        let [first, last] = keys::issues_after(after);
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("pk = :repository AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":repository", text(keys::issues_of(repository)))
            .expression_attribute_values(":first", text(first))
            .expression_attribute_values(":last", text(last))
            .limit(limit.into())
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(store_error("Query"))?;
        Ok(IssuePageRead {
            is_end: answer.last_evaluated_key.is_none(),
            read_units: read_units(answer.consumed_capacity.as_ref()),
            issues: answer.items.unwrap_or_default().into_iter().map(value_of).collect::<Result<_, _>>()?,
        })
    }

    /// The first `limit` changes of a repository after the point `after`; with `upto`, only those of fences up to and
    /// including it. One consistent read.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or an item cannot be read.
    pub async fn changes(
        &self,
        repository: RepositoryId,
        after: ChangePoint,
        upto: Option<u64>,
        limit: u16,
    ) -> Result<ChangesRead, StoreError> {
        let upto = upto.map_or("~".to_owned(), |fence| point_as_text((fence, None)));
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(CHANGES)
            .consistent_read(true)
            .key_condition_expression("pk = :repository AND changeOrder BETWEEN :after AND :upto")
            .expression_attribute_values(":repository", text(keys::issues_of(repository)))
            .expression_attribute_values(":after", text(point_as_text(after)))
            .expression_attribute_values(":upto", text(upto))
            .limit(limit.into())
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(store_error("Query"))?;
        let mut read = ChangesRead {
            changes: Vec::with_capacity(limit.into()),
            is_end: answer.last_evaluated_key.is_none(),
            read_units: read_units(answer.consumed_capacity.as_ref()),
        };
        for item in answer.items.unwrap_or_default() {
            let entry: ChangeEntry = value_of(item)?;
            if let Some((number, fence)) =
                keys::issue_number(&entry.sk).zip(fence_of_order(&entry.change_order))
            {
                read.changes.push(ChangedIssue {
                    number,
                    url: entry.url,
                    labels: entry.labels,
                    moved_to: entry.moved_to,
                    fence,
                    change_marker: ChangeMarker { fence: Some(fence), ..entry.change_marker },
                });
            }
        }
        Ok(read)
    }
}
