//! The probe's query: one look at many repositories, to see which of them changed. `inquiry.rs` says which are asked
//! for together.

use std::collections::HashMap;
use std::fmt::Write as _;

use jiff::Timestamp;

use crate::domain::{RepositoryId, RepositoryName};

use super::effort::Effort;
use super::graphql::Reply;
use super::{GitHubError, Probe, Repository, Session, wire};

/// How many repositories one question looks at, at most. Each costs two connections of 100 to a point: 100
/// repositories are two points.
pub(super) const BATCH: usize = 100;

/// Looks at one repository; what a batch is composed of.
const ONE: &str = include_str!("probe.graphql");

impl Session<'_> {
    /// What GitHub shows of these repositories, in their order, in one query. All belong to the same account.
    pub(super) async fn look_at(
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
                .ok_or_else(|| GitHubError::Unexpected("nothing about it".to_owned()))
                .and_then(|found| found.seen_at(date))
                .map_err(|error| reply.received.failed(error))
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
        let newest = newest.ok_or_else(|| GitHubError::Unexpected("issues with a gap".to_owned()))?;
        Ok(Repository {
            id: RepositoryId(id),
            name: RepositoryName::parse(&self.name_with_owner)
                .map_err(|_| GitHubError::Unexpected("a repository's name of another form".to_owned()))?,
            disabled: self.is_disabled,
            probe: Some(Probe {
                newest: newest.into_iter().map(|issue| issue.updated_at).max(),
                open: self.open.total_count,
                date,
            }),
        })
    }
}

/// The document for this number of repositories: the one for a single repository, with its variables and field
/// repeated.
fn document(repositories: usize) -> String {
    let (operation, fragment) = ONE.split_once("\n\n").expect("an operation and a fragment");
    let (head, field) = operation.rsplit_once("  r0: ").expect("a field for the repository");
    let (before, after) = head.split_once("$owner0: String!, $name0: String!").expect("its variables");
    let mut document = before.to_owned();
    for n in 0..repositories {
        let comma = if n == 0 { "" } else { ", " };
        write!(document, "{comma}$owner{n}: String!, $name{n}: String!").expect("a text takes all");
    }
    document.push_str(after);
    let field = field.trim_end_matches("\n}");
    for n in 0..repositories {
        let field = field.replace("$owner0", &format!("$owner{n}")).replace("$name0", &format!("$name{n}"));
        writeln!(document, "  r{n}: {field}").expect("a text takes all");
    }
    document.push_str("}\n\n");
    document.push_str(fragment);
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_of_one_is_the_document_as_it_is_written() {
        assert_eq!(document(1), ONE);
    }

    #[test]
    fn a_batch_repeats_the_variables_and_the_field_of_the_repository() {
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
