//! Reading a repository's issues page by page, by value.
//!
//! A page number is a position: an issue edited or closed between two pages shifts the rest, and the next page
//! skips its neighbour. So the next request lists what changed since the newest `updated_at` read so far.

use jiff::Timestamp;
use reqwest::StatusCode;
use url::Url;

use crate::domain::{Observation, PageLength, PullRequest, RepositoryName, ShortPages, second_before};

use super::answer::Answer;
use super::records::Records;
use super::{GitHubError, Held, OddRecord, Session, Target, pages};

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
    /// Those of its issues that cannot be read.
    pub odd: Vec<OddRecord>,
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
    /// The room that it takes in memory.
    pub held: Held,
}

/// A listing under way, ascending by `updated_at`.
#[derive(Debug)]
pub struct Listing {
    repository: RepositoryName,
    /// The owner whose account requests it.
    account_owner: String,
    scope: Scope,
    length: PageLength,
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
    pub fn new(
        Target { name, account_owner }: Target<'_>,
        scope: Scope,
        from: Option<Timestamp>,
        length: PageLength,
    ) -> Self {
        Self {
            repository: name.clone(),
            account_owner: account_owner.to_owned(),
            scope,
            length,
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

    /// The owner whose account requests it.
    pub fn account_owner(&self) -> &str {
        &self.account_owner
    }

    /// Whether the last page was read.
    pub fn is_complete(&self) -> bool {
        matches!(self.next, Next::Nothing)
    }

    /// The pages that the repository's next listing begins with, where its longest ones fail.
    pub fn short_pages(&self) -> Option<ShortPages> {
        self.length.short_pages()
    }

    /// Reads the next page. `None` after the last one. A page that fails is requested in shorter ones. After an error
    /// the same page is read by another call.
    pub async fn next_page(&mut self, session: &Session<'_>) -> Result<Option<Page>, GitHubError> {
        let mut shortening = session.shortening(self.length);
        while !self.is_complete() {
            let error = match self.request(session).await {
                Ok(page) => {
                    self.length = self.length.learnt(session.now());
                    return Ok(Some(page));
                }
                Err(error) => error,
            };
            let length = self.length;
            let again = shortening.after(error, &mut self.length, session).await;
            if self.length != length {
                // A link is one to pages of its own length. From the last second read, pages lead there again.
                self.next = Next::ByValue;
            }
            again?;
        }
        Ok(None)
    }

    async fn request(&mut self, session: &Session<'_>) -> Result<Page, GitHubError> {
        let (url, by_position) = match &self.next {
            Next::ByLink(url) => (url.clone(), self.newest),
            Next::ByQuery(query) => {
                let mut url = session.url(&format!("repos/{}/issues", self.repository));
                url.set_query(Some(query));
                (url, self.newest)
            }
            Next::ByValue | Next::Nothing => (self.url(session), None),
        };
        let mut answer = session.list(&self.account_owner, url, pages::is_transient).await?;
        let (date, link) = (answer.date, answer.next.take());
        let (records, held) = page_of(answer)?;
        let (newest, newest_by_date) = (records.newest(), records.newest_by(date));
        let Records { issues, pull_requests, odd, .. } = records;
        let pull_requests = pull_requests.into_iter();
        let pull_requests =
            pull_requests.map(|(number, updated_at)| PullRequest { number, updated_at, read_at: date });
        self.next = self.after(newest, link);
        let next_page = match &self.next {
            Next::ByLink(url) => url.query().map(str::to_owned),
            Next::ByValue | Next::ByQuery(_) | Next::Nothing => None,
        };
        Ok(Page {
            issues: issues.into_iter().map(|issue| Observation { issue, read_at: date }).collect(),
            pull_requests: pull_requests.collect(),
            odd,
            newest,
            newest_by_date,
            next_page,
            date,
            by_position,
            complete: self.is_complete().then_some(Complete(())),
            held,
        })
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
            query.append_pair("per_page", &self.length.get().to_string());
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
        Target { name, account_owner }: Target<'_>,
    ) -> Result<(Option<Timestamp>, Timestamp), GitHubError> {
        let url = format!("repos/{name}/issues?state=all&sort=updated&direction=desc&per_page=1");
        let answer = self.list(account_owner, self.url(&url), |_| true).await?;
        let date = answer.date;
        let (records, _) = page_of(answer)?;
        if records.newest().is_none() && !records.is_empty() {
            return Err(GitHubError::Unexpected("an issue without the time of its last update".to_owned()));
        }
        Ok((records.newest(), date))
    }
}

/// The page of a listing's answer, and the room that it takes.
fn page_of(answer: Answer) -> Result<(Records, Held), GitHubError> {
    match answer.status {
        StatusCode::OK => answer.page(),
        _ => Err(answer.refusal()),
    }
}
