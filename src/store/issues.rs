//! The cached issues and their two indexes.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{ReturnConsumedCapacity, Select};
use jiff::Timestamp;
use serde::Deserialize;

use crate::domain::{
    CachedIssue, ChangeMarker, ChangePoint, IssueNumber, RepositoryId, fence_of_order, point_as_text,
};

use super::keys::{self, CHANGES, Key, OPEN_ISSUES};
use super::table::{Store, StoreError, read_units, store_error, text, value_of};

/// An entry of the index of open issues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenIssue {
    /// The issue.
    pub number: IssueNumber,
    /// Its cached `updated_at`.
    pub updated_at: Timestamp,
    /// The digest of its cached labels.
    pub labels_digest: String,
    /// When GitHub answered 404 for the issue, if it has not been seen since.
    pub missing_since: Option<Timestamp>,
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
struct OpenEntry {
    sk: String,
    open_updated_at: Timestamp,
    labels_digest: String,
    #[serde(default)]
    missing_since: Option<Timestamp>,
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

    /// The cached open issues, ascending by `updated_at`; with `from`, those updated at or after it. Consistent.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or an item cannot be read.
    pub async fn open_issues(
        &self,
        repository: RepositoryId,
        from: Option<Timestamp>,
    ) -> Result<Vec<OpenIssue>, StoreError> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(OPEN_ISSUES)
            .consistent_read(true)
            .expression_attribute_values(":repository", text(keys::issues_of(repository)));
        let query = match from {
            None => query.key_condition_expression("pk = :repository"),
            Some(from) => query
                .key_condition_expression("pk = :repository AND openUpdatedAt >= :from")
                .expression_attribute_values(":from", text(from.to_string())),
        };
        let mut entries = query.into_paginator().items().send();
        let mut open = Vec::new();
        while let Some(item) = entries.next().await {
            let entry: OpenEntry = value_of(item.map_err(store_error("Query"))?)?;
            if let Some(number) = keys::issue_number(&entry.sk) {
                open.push(OpenIssue {
                    number,
                    updated_at: entry.open_updated_at,
                    labels_digest: entry.labels_digest,
                    missing_since: entry.missing_since,
                });
            }
        }
        Ok(open)
    }

    /// The `at_most` cached open issues that were updated longest ago. One consistent read.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or an item cannot be read.
    pub async fn some_open_issues(
        &self,
        repository: RepositoryId,
        at_most: usize,
    ) -> Result<Vec<IssueNumber>, StoreError> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(OPEN_ISSUES)
            .consistent_read(true)
            .key_condition_expression("pk = :repository")
            .expression_attribute_values(":repository", text(keys::issues_of(repository)))
            .limit(i32::try_from(at_most).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(store_error("Query"))?;
        let entries = answer.items.unwrap_or_default().into_iter().map(value_of::<OpenEntry>);
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        Ok(entries.iter().filter_map(|entry| keys::issue_number(&entry.sk)).collect())
    }

    /// The number of cached open issues. Consistent.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails.
    pub async fn count_open(&self, repository: RepositoryId) -> Result<u64, StoreError> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(OPEN_ISSUES)
            .consistent_read(true)
            .select(Select::Count)
            .key_condition_expression("pk = :repository")
            .expression_attribute_values(":repository", text(keys::issues_of(repository)))
            .into_paginator()
            .send();
        let mut count = 0;
        while let Some(page) = pages.next().await {
            let page = page.map_err(store_error("Query"))?;
            count += u64::try_from(page.count).unwrap_or_default();
        }
        Ok(count)
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
