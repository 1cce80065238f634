//! The index of open issues: what audits compare, and what lists show.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{ReturnConsumedCapacity, Select};
use jiff::Timestamp;
use serde::Deserialize;

use crate::domain::{CachedIssue, IssueNumber, RepositoryId, WorkStatus, labels_digest};

use super::keys::{self, OPEN_ISSUES, OPEN_NUMBER};
use super::table::{Store, StoreError, number, read_units, store_error, text, value_of};

/// What an audit compares of an open issue. It keeps one of each cached open issue in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenIssue {
    /// The issue.
    pub number: IssueNumber,
    /// Its cached `updated_at`.
    pub updated_at: Timestamp,
    /// The [`labels_digest`] of its cached labels.
    pub labels_digest: String,
    /// When GitHub answered 404 for the issue, if it has not been seen since.
    pub missing_since: Option<Timestamp>,
}

/// What a list shows of an issue.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedIssue {
    /// Its number.
    #[serde(rename = "openNumber")]
    pub number: IssueNumber,
    /// Its title.
    pub title: String,
    /// The derived status of the work.
    #[serde(default)]
    pub status: Option<WorkStatus>,
    /// GitHub's labels as they are.
    pub labels: Vec<String>,
    /// The assignees' logins.
    pub assignees: Vec<String>,
    /// The login of the account that opened it; `None` if the account is deleted.
    #[serde(default)]
    pub author: Option<String>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// GitHub's `updated_at`.
    pub updated_at: Timestamp,
}

impl From<CachedIssue> for ListedIssue {
    fn from(row: CachedIssue) -> Self {
        Self {
            number: row.number,
            title: row.title,
            status: row.status,
            labels: row.labels,
            assignees: row.assignees,
            author: row.author,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// One page of a repository's open issues.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenPageRead {
    /// Ascending by number.
    pub issues: Vec<ListedIssue>,
    /// Whether DynamoDB reached the end. If not, the next page may be empty.
    pub is_end: bool,
    /// Read request units that DynamoDB bills for the page.
    pub read_units: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ComparedEntry {
    open_number: IssueNumber,
    updated_at: Timestamp,
    labels: Vec<String>,
    #[serde(default)]
    missing_since: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NumberEntry {
    open_number: IssueNumber,
}

impl Store {
    /// All cached open issues, ascending by number. Consistent. Costs one read unit for each 4 KB of entries: an entry
    /// has some 220 bytes.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or an entry cannot be read.
    pub async fn open_issues(&self, repository: RepositoryId) -> Result<Vec<OpenIssue>, StoreError> {
        // The answer leaves out what only lists show. DynamoDB bills the whole entries all the same.
        let query = self
            .open_index(repository)
            .key_condition_expression("pk = :repository")
            .projection_expression("openNumber, updatedAt, labels, missingSince");
        let mut entries = query.into_paginator().items().send();
        let mut open = Vec::new();
        while let Some(item) = entries.next().await {
            let entry: ComparedEntry = value_of(item.map_err(store_error("Query"))?)?;
            open.push(OpenIssue {
                number: entry.open_number,
                updated_at: entry.updated_at,
                labels_digest: labels_digest(&entry.labels),
                missing_since: entry.missing_since,
            });
        }
        Ok(open)
    }

    /// The first `limit` (at least 1) cached open issues after the number `after`, or from the first one. One
    /// consistent read. There may be fewer before the end: DynamoDB reads at most 1 MB at once.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or an entry cannot be read.
    pub async fn open_page(
        &self,
        repository: RepositoryId,
        after: Option<IssueNumber>,
        limit: u16,
    ) -> Result<OpenPageRead, StoreError> {
        let query = self.open_index(repository);
        let query = match after {
            None => query.key_condition_expression("pk = :repository"),
            Some(after) => query
                .key_condition_expression(format!("pk = :repository AND {OPEN_NUMBER} > :after"))
                .expression_attribute_values(":after", number(after)),
        };
        let answer = query
            .limit(limit.into())
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(store_error("Query"))?;
        Ok(OpenPageRead {
            is_end: answer.last_evaluated_key.is_none(),
            read_units: read_units(answer.consumed_capacity.as_ref()),
            issues: answer.items.unwrap_or_default().into_iter().map(value_of).collect::<Result<_, _>>()?,
        })
    }

    /// The numbers of the first `at_most` (at least 1) cached open issues. There are fewer only if no others are open.
    /// Consistent.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or an entry cannot be read.
    pub async fn some_open_issues(
        &self,
        repository: RepositoryId,
        at_most: usize,
    ) -> Result<Vec<IssueNumber>, StoreError> {
        // Usually one request. More if the entries are so large that DynamoDB stops at 1 MB.
        let mut entries = self
            .open_index(repository)
            .key_condition_expression("pk = :repository")
            .projection_expression(OPEN_NUMBER)
            .limit(i32::try_from(at_most).unwrap_or(i32::MAX))
            .into_paginator()
            .items()
            .send();
        let mut numbers = Vec::new();
        while numbers.len() < at_most
            && let Some(item) = entries.next().await
        {
            let entry: NumberEntry = value_of(item.map_err(store_error("Query"))?)?;
            numbers.push(entry.open_number);
        }
        Ok(numbers)
    }

    /// The number of cached open issues. Consistent. Costs as much as [`Self::open_issues`].
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails.
    pub async fn count_open(&self, repository: RepositoryId) -> Result<u64, StoreError> {
        let query = self.open_index(repository).key_condition_expression("pk = :repository");
        let mut pages = query.select(Select::Count).into_paginator().send();
        let mut count = 0;
        while let Some(page) = pages.next().await {
            let page = page.map_err(store_error("Query"))?;
            count += u64::try_from(page.count).unwrap_or_default();
        }
        Ok(count)
    }

    /// A consistent query of the index in this repository, still without a key condition.
    fn open_index(&self, repository: RepositoryId) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.table)
            .index_name(OPEN_ISSUES)
            .consistent_read(true)
            .expression_attribute_values(":repository", text(keys::issues_of(repository)))
    }
}
