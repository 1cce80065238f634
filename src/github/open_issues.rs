//! A repository's open issues, with only the fields that an audit compares.
//!
//! Cheaper than a listing by the REST API: its pages contain no pull requests and no bodies, and none repeats the end
//! of the one before.

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::{
    IssueNumber, Observation, PageLength, RepositoryId, RepositoryName, ShortPages, second_before,
};

use super::{Complete, GitHubError, Session, Target, pages, wire};

const DOCUMENT: &str = include_str!("open_issues.graphql");

/// One open issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenOpen {
    /// Its number.
    pub number: IssueNumber,
    /// When it was last updated.
    pub updated_at: Timestamp,
    /// The names of its labels.
    pub labels: Vec<String>,
}

/// One page of open issues.
#[derive(Debug)]
pub struct OpenPage {
    /// The issues, ascending by update.
    pub issues: Vec<SeenOpen>,
    /// How many issues are open in total, or were updated since the start of the listing.
    pub open: u64,
    /// Set on the last page.
    pub complete: Option<Complete>,
}

/// A listing of open issues in progress. GitHub's cursor is a keyset: an issue that is edited meanwhile moves to the
/// end.
#[derive(Debug)]
pub struct OpenIssues {
    id: RepositoryId,
    name: RepositoryName,
    /// The owner whose account requests it.
    account_owner: String,
    since: Option<Timestamp>,
    length: PageLength,
    after: Option<String>,
    is_complete: bool,
}

#[derive(Serialize)]
struct Variables<'a> {
    owner: &'a str,
    name: &'a str,
    filter: Option<Filter>,
    first: u16,
    after: Option<&'a str>,
}

#[derive(Serialize)]
struct Filter {
    since: String,
}

impl OpenIssues {
    /// A listing of the open issues that were updated at `from` or later, or of all without it.
    pub fn new(
        id: RepositoryId,
        Target { name, account_owner }: Target<'_>,
        from: Option<Timestamp>,
        length: PageLength,
    ) -> Self {
        Self {
            id,
            name: name.clone(),
            account_owner: account_owner.to_owned(),
            since: from.map(second_before),
            length,
            after: None,
            is_complete: false,
        }
    }

    /// The shorter pages that the repository's next audit begins with, if the longest ones fail.
    pub fn short_pages(&self) -> Option<ShortPages> {
        self.length.short_pages()
    }

    /// Reads the next page. `None` after the last one. If a page fails, shorter ones are requested.
    ///
    /// # Errors
    /// [`GitHubError`] if the page cannot be read, or GitHub reports an error for a part of it.
    pub async fn next_page(&mut self, session: &Session<'_>) -> Result<Option<OpenPage>, GitHubError> {
        let mut shortening = session.shortening(self.length);
        while !self.is_complete {
            match self.request(session).await {
                Ok(page) => {
                    self.length = self.length.learnt(session.now());
                    return Ok(Some(page));
                }
                Err(error) => shortening.after(error, &mut self.length, session).await?,
            }
        }
        Ok(None)
    }

    async fn request(&mut self, session: &Session<'_>) -> Result<OpenPage, GitHubError> {
        let variables = Variables {
            owner: self.name.owner(),
            name: self.name.name(),
            filter: self.since.map(|since| Filter { since: format!("{since:.0}") }),
            first: self.length.get(),
            after: self.after.as_deref(),
        };
        let reply = session
            .query::<wire::OpenIssues, _>(
                &[&self.account_owner],
                DOCUMENT,
                &variables,
                session.effort(pages::is_transient),
            )
            .await?;
        if let Some(failed) = reply.errors.into_iter().next() {
            return Err(failed.error);
        }
        let (issues, open, page_info) =
            self.page_in(reply.data).map_err(|error| reply.received.logged(error))?;
        self.after = page_info.end_cursor;
        self.is_complete = !page_info.has_next_page;
        Ok(OpenPage { issues, open, complete: self.is_complete.then_some(Complete(())) })
    }

    /// The issues of a page, how many are open in total, and the cursor of the next page.
    fn page_in(&self, data: wire::OpenIssues) -> Result<(Vec<SeenOpen>, u64, wire::PageInfo), GitHubError> {
        // GitHub reports a repository that it does not show as an error.
        let unexplained = || GitHubError::Unexpected("no data for the repository".to_owned());
        let repository = data.repository.ok_or_else(unexplained)?;
        if repository.database_id != Some(self.id.0) {
            return Err(GitHubError::Unexpected("the name belongs to another repository now".to_owned()));
        }
        let wire::OpenIssuesPage { total_count: open, page_info, nodes } = repository.issues;
        // Without a new cursor the listing would end too early, and the missing issues would look deleted.
        if page_info.has_next_page && (page_info.end_cursor.is_none() || page_info.end_cursor == self.after) {
            return Err(GitHubError::Unexpected("no cursor for the next page".to_owned()));
        }
        let issues: Option<Vec<SeenOpen>> = nodes
            .and_then(|nodes| nodes.into_iter().map(|node| node.and_then(wire::OpenIssue::seen)).collect());
        let issues = issues.ok_or_else(|| GitHubError::Unexpected("missing issues on a page".to_owned()))?;
        Ok((issues, open, page_info))
    }
}

impl From<&Observation> for SeenOpen {
    fn from(seen: &Observation) -> Self {
        let issue = &seen.issue;
        Self { number: issue.number, updated_at: issue.updated_at, labels: issue.labels.clone() }
    }
}

impl wire::OpenIssue {
    /// `None` if a part of it is missing.
    fn seen(self) -> Option<SeenOpen> {
        let labels: Option<Vec<String>> =
            self.labels?.nodes?.into_iter().map(|label| label.map(|label| label.name)).collect();
        Some(SeenOpen { number: IssueNumber(self.number), updated_at: self.updated_at, labels: labels? })
    }
}
