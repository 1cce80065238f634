//! The probe: one look at many repositories, to see which of them changed.

use std::collections::HashMap;
use std::fmt::Write as _;

use futures_util::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;

use crate::domain::{Fingerprint, RepositoryId, RepositoryName};

use super::graphql::Reply;
use super::{Failure, GitHubError, NOTHING_PANICS, Probe, Repository, Session, retry, wire};

/// How many repositories one question looks at, at most. Each costs two connections of 100 to a point: 100
/// repositories are two points.
pub(super) const BATCH: usize = 100;

/// How many batches are asked at the same time. GitHub allows 100 concurrent requests for all uses of a token.
const BATCHES_AT_ONCE: usize = 16;

/// So many failures in a row are not the fault of single repositories: halving finds one in half as many, and its
/// neighbours soon after.
const MOST_FAILURES_IN_A_ROW: u32 = 2 * (BATCH.ilog2() + 1);

/// Looks at one repository; what a batch is composed of.
const ONE: &str = include_str!("probe.graphql");

/// What is asked for in one question, as one account: another one may not see it.
struct Batch {
    account: Fingerprint,
    /// How many repositories it may have.
    size: usize,
    /// Where they stand among all that is looked at.
    places: Vec<usize>,
    names: Vec<RepositoryName>,
}

/// How hard a batch was for GitHub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Strain {
    None,
    /// It was too much in one question.
    Halved,
    /// And finding that out took all the time there was.
    OutOfTime,
}

impl Session<'_> {
    /// Looks at these repositories, following renames, but for those that are left out. The answers are in the order of
    /// `names`.
    pub async fn probe(&self, names: &[RepositoryName]) -> Vec<Result<Repository, GitHubError>> {
        let version = match self.github.credentials.current().await {
            Ok(version) => version,
            Err(error) => return vec![Err(error); names.len()],
        };
        // Deadline until something is known, which is what it comes to.
        let mut found = vec![Err(GitHubError::Deadline); names.len()];
        let mut batches: Vec<Batch> = Vec::new();
        for (place, name) in names.iter().enumerate() {
            let account = match self.account_in(&version.says, name.owner()) {
                Ok(account) => account.fingerprint(),
                Err(error) => {
                    found[place] = Err(error);
                    continue;
                }
            };
            if self.spared_until(account).is_some() {
                continue;
            }
            let has_room = |batch: &Batch| batch.account == *account && batch.names.len() < batch.size;
            let room = batches.iter().rposition(has_room).unwrap_or_else(|| {
                let size = self.batch_size(account);
                batches.push(Batch { account: account.clone(), size, places: Vec::new(), names: Vec::new() });
                batches.len() - 1
            });
            batches[room].places.push(place);
            batches[room].names.push(name.clone());
        }
        // Whichever ends first makes room for another: one that takes long holds nobody else up.
        let mut asked = futures_util::stream::iter(batches)
            .map(|batch| {
                async move {
                    let (answers, strain) = self.probe_batch(&batch.names).await;
                    (batch, answers, strain)
                }
                .boxed()
            })
            .buffer_unordered(BATCHES_AT_ONCE);
        let mut strained = Vec::new();
        while let Some((batch, answers, strain)) = asked.next().await {
            for (place, answer) in batch.places.iter().zip(answers) {
                found[*place] = answer;
            }
            strained.push((batch, strain));
        }
        self.adapt_batches(&strained);
        found
    }

    fn batch_size(&self, account: &Fingerprint) -> usize {
        let sizes = self.github.probe_batches.lock().expect(NOTHING_PANICS);
        sizes.get(account).copied().unwrap_or(BATCH)
    }

    /// GitHub needs ten seconds to find a question too large: hardly any pass has the time to halve it twice.
    fn adapt_batches(&self, asked: &[(Batch, Strain)]) {
        let mut sizes = self.github.probe_batches.lock().expect(NOTHING_PANICS);
        for (batch, _) in asked {
            let of_account = asked.iter().filter(|(other, _)| other.account == batch.account);
            let longest = of_account.clone().map(|(other, _)| other.names.len()).max().unwrap_or_default();
            let next_size = match of_account.map(|(_, strain)| strain).max() {
                Some(Strain::OutOfTime) => (longest / 2).max(1),
                Some(Strain::Halved) => batch.size,
                Some(Strain::None) | None => BATCH.min(2 * batch.size),
            };
            match next_size {
                BATCH => drop(sizes.remove(&batch.account)),
                smaller => drop(sizes.insert(batch.account.clone(), smaller)),
            }
        }
    }

    /// What is too much for GitHub in one question is asked in halves, down to the repository that spoils it.
    async fn probe_batch(&self, batch: &[RepositoryName]) -> (Vec<Result<Repository, GitHubError>>, Strain) {
        // The halves are repetitions enough.
        let heals: fn(Failure) -> bool =
            if batch.len() == 1 { |_| true } else { |failure| !retry::asked_too_much(failure) };
        let mut answers = Vec::with_capacity(batch.len());
        let mut strain = Strain::None;
        let mut failures_in_a_row = 0;
        let mut met = None;
        let mut parts = vec![batch];
        while let Some(part) = parts.pop() {
            let error = match self.look_at(part, heals).await {
                Ok(found) => {
                    (failures_in_a_row, met) = (0, None);
                    answers.extend(found);
                    continue;
                }
                // What was met before the time was up is worth telling; else this waits for the next pass.
                Err(GitHubError::Deadline) => met.take().unwrap_or(GitHubError::Deadline),
                Err(error) => error,
            };
            failures_in_a_row += 1;
            let is_too_much = matches!(&error, GitHubError::Unavailable { failure, .. }
                if retry::asked_too_much(*failure));
            if is_too_much {
                strain = Strain::Halved;
            }
            if !is_too_much || failures_in_a_row >= MOST_FAILURES_IN_A_ROW || self.is_over() {
                // It lies with none of them.
                answers.resize(batch.len(), Err(error));
                break;
            }
            match part {
                [_] => answers.push(Err(error)),
                _ => {
                    met = Some(error);
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
            }
        }
        if strain == Strain::Halved && self.is_over() {
            strain = Strain::OutOfTime;
        }
        (answers, strain)
    }

    async fn look_at(
        &self,
        names: &[RepositoryName],
        heals: fn(Failure) -> bool,
    ) -> Result<Vec<Result<Repository, GitHubError>>, GitHubError> {
        let mut owners: Vec<&str> = names.iter().map(RepositoryName::owner).collect();
        owners.dedup();
        let mut variables = HashMap::new();
        for (n, name) in names.iter().enumerate() {
            variables.insert(format!("owner{n}"), name.owner());
            variables.insert(format!("name{n}"), name.name());
        }
        let mut reply: Reply<HashMap<String, Option<wire::Probed>>> =
            self.query(&owners, &document(names.len()), &variables, heals).await?;
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

/// The document that looks at so many repositories: that for one, its variables and its field repeated.
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
