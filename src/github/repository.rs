//! Requests about one repository, and about one issue.

use jiff::Timestamp;
use reqwest::StatusCode;
use url::Url;

use crate::domain::{Gone, IssueNumber, Observation, Removal, RepositoryId, RepositoryName};

use super::answer::Answer;
use super::effort::Effort;
use super::words::Words;
use super::{GitHubError, Session, wire};

/// The most redirects that are followed from a renamed repository.
const MAX_REDIRECTS: u32 = 3;

/// A repository to request.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Its current name.
    pub name: &'a RepositoryName,
    /// The owner whose account requests it: the configured one, because that account can see it. Its
    /// name may have another owner: the same one under a new login, or the one it was transferred to.
    pub account_owner: &'a str,
}

/// A repository as GitHub shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Its id.
    pub id: RepositoryId,
    /// Its current name. After a rename it differs from the requested one.
    pub name: RepositoryName,
    /// Whether GitHub has disabled it.
    pub disabled: bool,
    /// What the probe saw of its issues. `None` if it was looked up without the probe.
    pub probe: Option<Probe>,
}

/// What the probe sees of a repository's issues, without pull requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The newest `updated_at` of any issue, open or closed. `None` if there is no issue.
    pub newest: Option<Timestamp>,
    /// How many are open.
    pub open: u64,
    /// The `Date` of the answer.
    pub date: Timestamp,
}

/// GitHub's answer about one issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssueAnswer {
    /// It is in this repository.
    Here(Box<Observation>),
    /// It was deleted, moved to another repository or turned into a pull request.
    Gone(Gone),
    /// GitHub does not show it and gives no reason (404), at this `Date`.
    NotVisible(Timestamp),
}

impl<'a> Target<'a> {
    /// The repository with this `name` today, which is `configured` under another or the same name.
    pub fn new(name: &'a RepositoryName, configured: &'a RepositoryName) -> Self {
        Self { name, account_owner: configured.owner() }
    }
}

impl Session<'_> {
    /// Looks a repository up by its name without the probe, following a rename. Waits for no answer after `until`.
    ///
    /// # Errors
    /// [`GitHubError`] if the repository is not shown, or the request fails.
    pub async fn repository(
        &self,
        requested: &RepositoryName,
        until: Timestamp,
    ) -> Result<Repository, GitHubError> {
        let effort = Effort { until, ..self.effort(|_| true) };
        let mut url = self.url(&format!("repos/{requested}"));
        let mut redirects = 0;
        loop {
            let answer = self.get_with(requested.owner(), url, effort).await?;
            if answer.status == StatusCode::OK {
                let requested = Some(requested).filter(|_| redirects == 0);
                return repository_in(&answer, requested);
            }
            url = answer.redirect().ok_or_else(|| answer.refusal())?;
            redirects += 1;
            if redirects > MAX_REDIRECTS {
                let why = "too many redirects".to_owned();
                return Err(answer.received.logged(GitHubError::Unexpected(why)));
            }
        }
    }

    /// Requests one issue of the repository with this id. A redirect shows that the repository was renamed, or that the
    /// issue was transferred.
    ///
    /// # Errors
    /// [`GitHubError`] if the answer shows nothing about this issue, or the request fails.
    pub async fn issue(
        &self,
        id: RepositoryId,
        Target { name, account_owner }: Target<'_>,
        number: IssueNumber,
    ) -> Result<IssueAnswer, GitHubError> {
        let answer = self.get(account_owner, self.url(&format!("repos/{name}/issues/{number}"))).await;
        let answer = answer.map_err(|error| match error {
            // The repository itself may not be blocked.
            GitHubError::Blocked(_) => GitHubError::Unexpected(format!("issue {number} is blocked")),
            error => error,
        })?;
        let Some((location, place)) = self.moved_to(&answer) else {
            return self.issue_in(&answer, number, Some(name));
        };
        let there = self.get(account_owner, location).await;
        if place == (id, number) {
            // The repository was renamed since the pass looked it up; the issue itself stays.
            return self.issue_in(&there?, number, None);
        }
        // The redirect is the proof. This token may not be allowed to read the issue at its new place.
        let moved_to = match there {
            Ok(there) if there.status == StatusCode::OK => match self.issue_in(&there, place.1, None)? {
                IssueAnswer::Here(seen) => Some(seen.issue.url),
                IssueAnswer::Gone(_) | IssueAnswer::NotVisible(_) => None,
            },
            Ok(_) => None,
            Err(error) if error.is_refusal() => None,
            Err(error) => return Err(error),
        };
        Ok(IssueAnswer::Gone(Gone { removal: Removal::Moved { to: moved_to }, proved_at: answer.date }))
    }

    /// Where an issue is now, if GitHub reports that it moved, in GitHub's own words and form of address.
    fn moved_to(&self, answer: &Answer) -> Option<(Url, (RepositoryId, IssueNumber))> {
        if answer.words() != Some(Words::Moved) {
            return None;
        }
        let location = answer.redirect()?;
        let (id, number) =
            location.as_str().strip_prefix(self.url("repositories/").as_str())?.split_once("/issues/")?;
        let place = (RepositoryId(whole_number(id)?), IssueNumber(whole_number(number)?));
        Some((location, place))
    }

    /// What an answer shows about the issue with this number, requested by the repository's name, or by its id if that
    /// is `None`.
    fn issue_in(
        &self,
        answer: &Answer,
        number: IssueNumber,
        name: Option<&RepositoryName>,
    ) -> Result<IssueAnswer, GitHubError> {
        let read_at = answer.date;
        let gone = |removal| IssueAnswer::Gone(Gone { removal, proved_at: read_at });
        match (answer.status, answer.words()) {
            (StatusCode::OK, _) => {
                let web = &self.github().web;
                let (is_it, issue) = answer.read(|json| {
                    let entry: wire::Entry<'_> = serde_json::from_slice(json)?;
                    let is_it = entry.number() == number && name.is_none_or(|name| entry.may_be_of(name));
                    Ok((is_it, entry.into_issue(web)))
                })?;
                if !is_it {
                    let why = format!("another issue than {number}");
                    return Err(answer.received.logged(GitHubError::Unexpected(why)));
                }
                // A pull request of this number was the issue: it keeps the number.
                Ok(match issue.map_err(|error| answer.received.logged(error))? {
                    Some(issue) => IssueAnswer::Here(Box::new(Observation { issue, read_at })),
                    None => gone(Removal::Converted),
                })
            }
            (_, Some(Words::IssueDeleted)) => Ok(gone(Removal::Deleted)),
            (_, Some(Words::NotFound)) => Ok(IssueAnswer::NotVisible(read_at)),
            _ => Err(answer.refusal()),
        }
    }
}

/// The repository in an answer. It must have the requested name, unless a redirect led to it.
fn repository_in(answer: &Answer, requested: Option<&RepositoryName>) -> Result<Repository, GitHubError> {
    let wire::Repository { id, full_name, disabled, has_issues } = answer.json()?;
    let unexpected = |why: &str| answer.received.logged(GitHubError::Unexpected(why.to_owned()));
    let name = RepositoryName::parse(&full_name).map_err(|_| unexpected("an invalid repository name"))?;
    if requested.is_some_and(|requested| requested.key() != name.key()) {
        return Err(unexpected("another repository than requested"));
    }
    // GitHub may answer the listing of a repository with disabled issues with an empty page instead of an error.
    if has_issues == Some(false) {
        return Err(answer.received.logged(GitHubError::IssuesDisabled));
    }
    Ok(Repository { id: RepositoryId(id), name, disabled, probe: None })
}

/// A number in an address: digits and nothing else.
fn whole_number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}
