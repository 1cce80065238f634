//! The probe's query: it shows which of many repositories changed. `inquiry.rs` decides which of them share a query.

use std::collections::HashMap;
use std::fmt::Write as _;

use jiff::Timestamp;

use crate::domain::{RepositoryId, RepositoryName};

use super::effort::Effort;
use super::graphql::Reply;
use super::{GitHubError, Probe, Repository, Session, wire};

/// The most repositories in one query. Each costs two connections, and 100 connections cost a point: 100 repositories
/// cost two points.
pub(super) const BATCH: usize = 100;

/// The query for one repository, from which a batch is composed.
const ONE: &str = include_str!("probe.graphql");

impl Session<'_> {
    /// Queries these repositories at once, and returns the results in their order. All must belong to one account.
    pub(super) async fn probe_batch(
        &self,
        names: &[&RepositoryName],
        effort: Effort,
    ) -> Result<Vec<Result<Repository, GitHubError>>, GitHubError> {
        let mut owners: Vec<&str> = names.iter().map(|name| name.owner()).collect();
        owners.dedup();
        let mut variables = HashMap::new();
        for (n, name) in names.iter().enumerate() {
            variables.insert(format!("owner{n}"), name.owner());
            variables.insert(format!("name{n}"), name.name());
        }
        let mut reply: Reply<HashMap<String, Option<wire::Probed>>> =
            self.query(&owners, &document(names.len()), &variables, effort).await?;
        let date = reply.date;
        let found = (0..names.len()).map(|n| {
            let alias = format!("r{n}");
            if let Some(failed) = reply.errors.iter().find(|failed| failed.part == alias) {
                return Err(failed.error.clone());
            }
            let found = reply.data.remove(&alias).flatten();
            found
                .ok_or_else(|| GitHubError::Unexpected("no data for the repository".to_owned()))
                .and_then(|found| found.seen_at(date))
                .map_err(|error| reply.received.logged(error))
        });
        Ok(found.collect())
    }
}

impl wire::Probed {
    fn seen_at(self, date: Timestamp) -> Result<Repository, GitHubError> {
        let id = self
            .database_id
            .ok_or_else(|| GitHubError::Unexpected("a repository without an id".to_owned()))?;
        if !self.has_issues_enabled {
            return Err(GitHubError::IssuesDisabled);
        }
        let newest: Option<Vec<_>> = self.newest.nodes.and_then(|nodes| nodes.into_iter().collect());
        let newest = newest.ok_or_else(|| GitHubError::Unexpected("missing issues".to_owned()))?;
        Ok(Repository {
            id: RepositoryId(id),
            name: RepositoryName::parse(&self.name_with_owner)
                .map_err(|_| GitHubError::Unexpected("an invalid repository name".to_owned()))?,
            disabled: self.is_disabled,
            probe: Some(Probe {
                newest: newest.into_iter().map(|issue| issue.updated_at).max(),
                open: self.open.total_count,
                date,
            }),
        })
    }
}

/// The document for this number of repositories: that for one, with its variables and field repeated.
fn document(repositories: usize) -> String {
    let (operation, fragment) = ONE.split_once("\n\n").expect("an operation and a fragment");
    let (head, field) = operation.rsplit_once("  r0: ").expect("a field for the repository");
    let (before, after) = head.split_once("$owner0: String!, $name0: String!").expect("its variables");
    let mut document = before.to_owned();
    for n in 0..repositories {
        let comma = if n == 0 { "" } else { ", " };
        write!(document, "{comma}$owner{n}: String!, $name{n}: String!")
            .expect("writing to a String never fails");
    }
    document.push_str(after);
    let field = field.trim_end_matches("\n}");
    for n in 0..repositories {
        let field = field.replace("$owner0", &format!("$owner{n}")).replace("$name0", &format!("$name{n}"));
        writeln!(document, "  r{n}: {field}").expect("writing to a String never fails");
    }
    document.push_str("}\n\n");
    document.push_str(fragment);
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_of_one_is_the_document_itself() {
        assert_eq!(document(1), ONE);
    }

    #[test]
    fn batch_of_two_repeats_the_variables_and_the_field() {
        let (operation, _) = ONE.split_once("\n\n").unwrap();
        let both = document(2);
        let (of_both, _) = both.split_once("\n\n").unwrap();
        let added = of_both.len() - operation.len();
        assert_eq!(
            added,
            ", $owner1: String!, $name1: String!\n  r1: repository(owner: $owner1, name: $name1) { ...Probed }".len()
        );
        assert!(of_both.contains("\n  r1: repository(owner: $owner1, name: $name1) { ...Probed }\n}"));
    }
}
