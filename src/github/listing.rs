//! Reading a repository's issues page by page, by value.
//!
//! A page number is a position: an issue edited or closed between two pages shifts the rest, and the next page
//! skips its neighbour. So the next request asks for what changed since the newest `updated_at` read so far.

use jiff::Timestamp;
use reqwest::StatusCode;
use url::Url;

use crate::domain::{Observation, PullRequest, RepositoryName, second_before};

use super::wire::Entry;
use super::{GitHubError, Session, Target};

/// GitHub's longest page.
const PAGE_LENGTH: &str = "100";

/// Which issues are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Only the open ones.
    Open,
    /// Open and closed ones.
    All,
}

/// The proof that a listing was read to its end. Only [`Listing::next_page`] and [`super::OpenIssues::next_page`] make
/// one.
#[derive(Clone, Copy, Debug)]
pub struct Complete(pub(super) ());

/// One page of a listing.
#[derive(Debug)]
pub struct Page {
    /// Its issues, without the pull requests that stood among them.
    pub issues: Vec<Observation>,
    /// Those pull requests.
    pub pull_requests: Vec<PullRequest>,
    /// The newest `updated_at` on it, pull requests included; none on an empty page.
    pub newest: Option<Timestamp>,
    /// The newest one that is not after the answer's `Date`.
    pub newest_by_date: Option<Timestamp>,
    /// The query of the next page, when only its position leads there.
    pub next_page: Option<String>,
    /// The `Date` of the answer.
    pub date: Timestamp,
    /// Set when it was reached by its position, which an edit in the meantime shifts: the newest `updated_at` before
    /// it. More issues than fit on a page share that second.
    pub by_position: Option<Timestamp>,
    /// Set on the last page.
    pub complete: Option<Complete>,
}

/// A listing under way, ascending by `updated_at`.
#[derive(Debug)]
pub struct Listing {
    repository: RepositoryName,
    /// The owner as whose account it is asked for.
    asked_as: String,
    scope: Scope,
    next: Next,
    from: Option<Timestamp>,
    since: Option<Timestamp>,
    newest: Option<Timestamp>,
}

#[derive(Debug)]
enum Next {
    ByValue,
    ByLink(Url),
    /// By the query of a link that an earlier listing was given.
    ByQuery(String),
    Nothing,
}

impl Listing {
    /// A listing of what changed at `from` or later; of everything without it.
    pub fn new(Target { name, asked_as }: Target<'_>, scope: Scope, from: Option<Timestamp>) -> Self {
        Self {
            repository: name.clone(),
            asked_as: asked_as.to_owned(),
            scope,
            next: Next::ByValue,
            from,
            since: from.map(second_before),
            newest: None,
        }
    }

    /// Continues with the page of this query, which [`Page::next_page`] named to an earlier listing of the same start.
    pub fn at_page(mut self, query: Option<String>) -> Self {
        if let Some(query) = query {
            self.newest = self.from;
            self.next = Next::ByQuery(query);
        }
        self
    }

    /// The owner as whose account it is asked for.
    pub fn asked_as(&self) -> &str {
        &self.asked_as
    }

    /// Whether the last page was read.
    pub fn is_complete(&self) -> bool {
        matches!(self.next, Next::Nothing)
    }

    /// Reads the next page; none after the last one. After an error the same page is read by another call.
    pub async fn next_page(&mut self, session: &Session<'_>) -> Result<Option<Page>, GitHubError> {
        let (url, by_position) = match &self.next {
            Next::ByValue => (self.url(session), None),
            Next::ByLink(url) => (url.clone(), self.newest),
            Next::ByQuery(query) => {
                let mut url = session.url(&format!("repos/{}/issues", self.repository));
                url.set_query(Some(query));
                (url, self.newest)
            }
            Next::Nothing => return Ok(None),
        };
        let answer = session.get(&self.asked_as, url).await?;
        if answer.status != StatusCode::OK {
            return Err(answer.refusal());
        }
        let entries: Vec<Entry> = answer.json()?;
        let updates = || entries.iter().map(|entry| entry.updated_at);
        let newest = updates().max();
        let newest_by_date = updates().filter(|at| *at <= answer.date).max();
        let pull_requests = entries.iter().filter(|entry| entry.is_pull_request());
        let pull_requests = pull_requests.map(|entry| PullRequest {
            number: entry.number(),
            updated_at: entry.updated_at,
            read_at: answer.date,
        });
        let pull_requests = pull_requests.collect();
        let issues = entries.into_iter().filter_map(|entry| {
            let issue = entry.into_issue(&session.github.web).transpose()?;
            Some(issue.map(|issue| Observation { issue, read_at: answer.date }))
        });
        let issues = issues.collect::<Result<_, _>>().map_err(|error| answer.received.failed(error))?;
        self.next = self.after(newest, answer.next);
        let next_page = match &self.next {
            Next::ByLink(url) => url.query().map(str::to_owned),
            Next::ByValue | Next::ByQuery(_) | Next::Nothing => None,
        };
        Ok(Some(Page {
            issues,
            pull_requests,
            newest,
            newest_by_date,
            next_page,
            date: answer.date,
            by_position,
            complete: self.is_complete().then_some(Complete(())),
        }))
    }

    /// Where to go on. GitHub's own link serves only while a page brings nothing newer than the listing had:
    /// more than a page of issues share a second, and no value can step over it.
    fn after(&mut self, newest: Option<Timestamp>, link: Option<Url>) -> Next {
        let Some(link) = link else { return Next::Nothing };
        let brings_newer = newest > self.newest;
        self.newest = self.newest.max(newest);
        let since = self.newest.map(second_before);
        if brings_newer && since > self.since {
            self.since = since;
            Next::ByValue
        } else {
            Next::ByLink(link)
        }
    }

    fn url(&self, session: &Session<'_>) -> Url {
        let mut url = session.url(&format!("repos/{}/issues", self.repository));
        {
            let mut query = url.query_pairs_mut();
            query.append_pair(
                "state",
                match self.scope {
                    Scope::Open => "open",
                    Scope::All => "all",
                },
            );
            query.append_pair("sort", "updated").append_pair("direction", "asc");
            query.append_pair("per_page", PAGE_LENGTH);
            if let Some(since) = self.since {
                query.append_pair("since", &format!("{since:.0}"));
            }
        }
        url
    }
}

impl Session<'_> {
    /// The newest `updated_at` of any issue or pull request, open or closed (none in an empty repository), and
    /// the `Date` of the answer.
    pub async fn newest_update(
        &self,
        Target { name, asked_as }: Target<'_>,
    ) -> Result<(Option<Timestamp>, Timestamp), GitHubError> {
        let url = format!("repos/{name}/issues?state=all&sort=updated&direction=desc&per_page=1");
        let answer = self.get(asked_as, self.url(&url)).await?;
        match answer.status {
            StatusCode::OK => {
                let entries: Vec<Entry> = answer.json()?;
                Ok((entries.first().map(|entry| entry.updated_at), answer.date))
            }
            _ => Err(answer.refusal()),
        }
    }
}
