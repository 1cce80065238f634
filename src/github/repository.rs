//! What GitHub says of one repository, and of one issue.

use jiff::Timestamp;
use reqwest::StatusCode;

use crate::domain::{Change, Gone, Issue, IssueNumber, Observation, RepositoryId, RepositoryName};

use super::session::Answer;
use super::{GitHubError, Session, wire};

/// How often a renamed repository's redirect is followed.
const MOST_REDIRECTS: u32 = 3;

/// A repository that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Its name today.
    pub name: &'a RepositoryName,
    /// The owner as whose account it is asked for: the one it is configured under, since that account was shown it. Its
    /// name may tell another owner: a new login of the same one, or whom it was given to.
    pub asked_as: &'a str,
}

/// A repository as GitHub shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Its id.
    pub id: RepositoryId,
    /// Its name today, which is another than the one asked for after a rename.
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
    /// It was deleted, or moved to another repository.
    Gone(Gone),
    /// GitHub shows nothing and does not say why (404), at this `Date`.
    NotVisible(Timestamp),
}

impl<'a> Target<'a> {
    /// The repository of this name, which is configured under that one.
    pub fn new(name: &'a RepositoryName, configured: &'a RepositoryName) -> Self {
        Self { name, asked_as: configured.owner() }
    }
}

impl Session<'_> {
    /// Looks a repository up by its name, following a rename, where there is no probe.
    pub async fn repository(&self, name: &RepositoryName) -> Result<Repository, GitHubError> {
        let mut url = self.url(&format!("repos/{name}"));
        let mut redirects = 0;
        loop {
            let answer = self.get(name.owner(), url).await?;
            match answer.status {
                StatusCode::OK => {
                    let wire::Repository { id, full_name, disabled } = answer.json()?;
                    let name = RepositoryName::parse(&full_name).map_err(|_| {
                        let why = "a repository's name of another form".to_owned();
                        answer.received.failed(GitHubError::Unexpected(why))
                    })?;
                    return Ok(Repository { id: RepositoryId(id), name, disabled, probe: None });
                }
                StatusCode::NOT_FOUND => return Err(answer.received.failed(GitHubError::NotFound)),
                _ => url = answer.redirect().ok_or_else(|| answer.unexpected())?,
            }
            redirects += 1;
            if redirects > MOST_REDIRECTS {
                let why = "too many redirects".to_owned();
                return Err(answer.received.failed(GitHubError::Unexpected(why)));
            }
        }
    }

    /// Asks for one issue of the repository of this id. A redirect is not followed blindly: it is how GitHub tells of a
    /// transfer.
    pub async fn issue(
        &self,
        id: RepositoryId,
        Target { name, asked_as }: Target<'_>,
        number: IssueNumber,
    ) -> Result<IssueAnswer, GitHubError> {
        let answer = self.get(asked_as, self.url(&format!("repos/{name}/issues/{number}"))).await;
        let mut answer = answer.map_err(|error| match error {
            // That says nothing of the repository.
            GitHubError::Blocked(_) => GitHubError::Unexpected(format!("issue {number} is blocked")),
            error => error,
        })?;
        if let Some(location) = answer.redirect() {
            let stays = format!("repositories/{id}/issues/{number}");
            let proved_at = answer.date;
            let there = self.get(asked_as, location.clone()).await;
            if location != self.url(&stays) {
                // The redirect is the proof. Where it leads may be nothing that this token may read.
                let moved_to = match there {
                    Ok(there) if there.status == StatusCode::OK => self.issue_in(&there)?,
                    Ok(_) => None,
                    Err(error) if error.is_refusal() => None,
                    Err(error) => return Err(error),
                };
                return Ok(IssueAnswer::Gone(Gone {
                    reason: Change::Moved,
                    proved_at,
                    moved_to: moved_to.map(|issue| issue.url),
                }));
            }
            answer = there?;
            // The repository was renamed since the pass looked it up; the issue itself stays.
        }
        match answer.status {
            StatusCode::OK => {
                let issue = self.issue_in(&answer)?.ok_or_else(|| {
                    let why = format!("issue {number} is a pull request");
                    answer.received.failed(GitHubError::Unexpected(why))
                })?;
                Ok(IssueAnswer::Here(Box::new(Observation { issue, read_at: answer.date })))
            }
            StatusCode::GONE => Ok(IssueAnswer::Gone(Gone {
                reason: Change::Deleted,
                proved_at: answer.date,
                moved_to: None,
            })),
            StatusCode::NOT_FOUND => Ok(IssueAnswer::NotVisible(answer.date)),
            _ => Err(answer.unexpected()),
        }
    }

    fn issue_in(&self, answer: &Answer) -> Result<Option<Issue>, GitHubError> {
        let issue = answer.json::<wire::Entry>()?.into_issue(&self.github.web);
        issue.map_err(|error| answer.received.failed(error))
    }
}
