//! What GitHub says of one repository, and of one issue.

use jiff::Timestamp;
use reqwest::StatusCode;
use url::Url;

use crate::domain::{Gone, IssueNumber, Observation, Removal, RepositoryId, RepositoryName};

use super::answer::Answer;
use super::effort::Effort;
use super::words::Words;
use super::{GitHubError, Session, wire};

/// How often a renamed repository's redirect is followed.
const MAX_REDIRECTS: u32 = 3;

/// A repository to request.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Its name today.
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
    /// What the probe saw of its issues; none where it was looked up without one.
    pub probe: Option<Probe>,
}

/// What the probe sees of a repository's issues. Pull requests are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The newest `updated_at` of any issue, open or closed; none where there is no issue.
    pub newest: Option<Timestamp>,
    /// How many are open.
    pub open: u64,
    /// The `Date` of the answer.
    pub date: Timestamp,
}

/// What GitHub says of one issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssueAnswer {
    /// It is here, as shown.
    Here(Box<Observation>),
    /// It was deleted, moved to another repository or turned into a pull request.
    Gone(Gone),
    /// GitHub shows nothing and does not say why (404), at this `Date`.
    NotVisible(Timestamp),
}

impl<'a> Target<'a> {
    /// The repository of this name, which is configured under that one.
    pub fn new(name: &'a RepositoryName, configured: &'a RepositoryName) -> Self {
        Self { name, account_owner: configured.owner() }
    }
}

impl Session<'_> {
    /// Looks a repository up by its name, following a rename, where there is no probe. Nothing is waited for after
    /// `until`.
    pub async fn repository(
        &self,
        asked: &RepositoryName,
        until: Timestamp,
    ) -> Result<Repository, GitHubError> {
        let effort = Effort { until, ..self.effort(|_| true) };
        let mut url = self.url(&format!("repos/{asked}"));
        let mut redirects = 0;
        loop {
            let answer = self.get_with(asked.owner(), url, effort).await?;
            if answer.status == StatusCode::OK {
                let asked = Some(asked).filter(|_| redirects == 0);
                return repository_in(&answer, asked);
            }
            url = answer.redirect().ok_or_else(|| answer.refusal())?;
            redirects += 1;
            if redirects > MAX_REDIRECTS {
                let why = "too many redirects".to_owned();
                return Err(answer.received.failed(GitHubError::Unexpected(why)));
            }
        }
    }

    /// Requests one issue of the repository with this id. A redirect is not followed blindly: it is GitHub's sign of a
    /// transfer.
    pub async fn issue(
        &self,
        id: RepositoryId,
        Target { name, account_owner }: Target<'_>,
        number: IssueNumber,
    ) -> Result<IssueAnswer, GitHubError> {
        let answer = self.get(account_owner, self.url(&format!("repos/{name}/issues/{number}"))).await;
        let answer = answer.map_err(|error| match error {
            // That says nothing of the repository.
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
        // The redirect is the proof. Where it leads may be nothing that this token may read.
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

    /// Where an issue is now, when GitHub says in its own words and its own form of address that it moved.
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

    /// What an answer says about the issue with this number, requested by the repository's name or else by its id.
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
                    let why = format!("it shows another issue than {number}");
                    return Err(answer.received.failed(GitHubError::Unexpected(why)));
                }
                // A pull request of this number was the issue: it keeps the number.
                Ok(match issue.map_err(|error| answer.received.failed(error))? {
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

/// The repository that an answer shows: the one of this name, where no redirect led to it.
fn repository_in(answer: &Answer, asked: Option<&RepositoryName>) -> Result<Repository, GitHubError> {
    let wire::Repository { id, full_name, disabled, has_issues } = answer.json()?;
    let unexpected = |why: &str| answer.received.failed(GitHubError::Unexpected(why.to_owned()));
    let name =
        RepositoryName::parse(&full_name).map_err(|_| unexpected("a repository's name of another form"))?;
    if asked.is_some_and(|asked| asked.key() != name.key()) {
        return Err(unexpected("it shows another repository"));
    }
    // The listing of a repository whose issues are off may be empty instead of refused.
    if has_issues == Some(false) {
        return Err(answer.received.failed(GitHubError::IssuesDisabled));
    }
    Ok(Repository { id: RepositoryId(id), name, disabled, probe: None })
}

/// A number in an address: digits and nothing else.
fn whole_number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}
