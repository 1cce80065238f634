//! Lists a repository's issues page by page, with keyset pagination.
//!
//! Page numbers are not stable: an issue that is edited or closed between two pages shifts the others, and the next
//! page skips one. So the next request lists what changed since the newest `updated_at` read so far.

use jiff::Timestamp;
use reqwest::StatusCode;
use url::Url;

use crate::domain::{Observation, PageLength, PullRequest, RepositoryName, ShortPages, second_before};

use super::answer::Answer;
use super::records::Records;
use super::{GitHubError, OddRecord, ReservedMemory, Session, Target, pages};

/// Which issues are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Only the open ones.
    Open,
    /// Open and closed ones.
    All,
}

/// Proof that a listing was read to its end. Only [`Listing::next_page`] and [`super::OpenIssues::next_page`] create
/// it.
#[derive(Clone, Copy, Debug)]
pub struct Complete(pub(super) ());

/// One page of a listing.
#[derive(Debug)]
pub struct Page {
    /// Its issues, without the pull requests among them.
    pub issues: Vec<Observation>,
    /// Those pull requests.
    pub pull_requests: Vec<PullRequest>,
    /// Issues on it that cannot be parsed.
    pub odd: Vec<OddRecord>,
    /// The newest `updated_at` on it, pull requests included. `None` on an empty page.
    pub newest: Option<Timestamp>,
    /// The newest one that is not after the answer's `Date`.
    pub newest_by_date: Option<Timestamp>,
    /// The query of GitHub's own link to the next page, if keyset pagination cannot reach it.
    pub next_page: Option<String>,
    /// The `Date` of the answer.
    pub date: Timestamp,
    /// The newest `updated_at` before this page, if it was reached by GitHub's own link because more issues than fit on
    /// a page share that second. Edits in the meantime shift such a page.
    pub crowded_second: Option<Timestamp>,
    /// Set on the last page.
    pub complete: Option<Complete>,
    /// The memory reserved for it.
    pub memory: ReservedMemory,
}

/// A listing in progress, ascending by `updated_at`.
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
    Keyset,
    ByLink(Url),
    /// By the query of a link that an earlier listing received.
    ByQuery(String),
    Nothing,
}

impl Listing {
    /// A listing of what changed at `from` or later, or of everything without it.
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
            next: Next::Keyset,
            from,
            since: from.map(second_before),
            newest: None,
        }
    }

    /// Continues with the page of this query, which is the [`Page::next_page`] of an earlier listing with the same
    /// start.
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

    /// The shorter pages that the repository's next listing begins with, if the longest ones fail.
    pub fn short_pages(&self) -> Option<ShortPages> {
        self.length.short_pages()
    }

    /// Reads the next page. `None` after the last one. If a page fails, shorter ones are requested.
    ///
    /// # Errors
    /// [`GitHubError`] if the page cannot be read. Another call requests the same page again.
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
                // A link leads to pages of its own length only. Keyset pagination restarts from the last second read.
                self.next = Next::Keyset;
            }
            again?;
        }
        Ok(None)
    }

    async fn request(&mut self, session: &Session<'_>) -> Result<Page, GitHubError> {
        let (url, crowded_second) = match &self.next {
            Next::ByLink(url) => (url.clone(), self.newest),
            Next::ByQuery(query) => {
                let mut url = session.url(&format!("repos/{}/issues", self.repository));
                url.set_query(Some(query));
                (url, self.newest)
            }
            Next::Keyset | Next::Nothing => (self.url(session), None),
        };
        let mut answer = session.list(&self.account_owner, url, pages::is_transient).await?;
        let (date, link) = (answer.date, answer.next.take());
        let (records, memory) = page_of(answer)?;
        let (newest, newest_by_date) = (records.newest(), records.newest_by(date));
        let Records { issues, pull_requests, odd, .. } = records;
        let pull_requests = pull_requests.into_iter();
        let pull_requests =
            pull_requests.map(|(number, updated_at)| PullRequest { number, updated_at, read_at: date });
        self.next = self.after(newest, link);
        let next_page = match &self.next {
            Next::ByLink(url) => url.query().map(str::to_owned),
            Next::Keyset | Next::ByQuery(_) | Next::Nothing => None,
        };
        Ok(Page {
            issues: issues.into_iter().map(|issue| Observation { issue, read_at: date }).collect(),
            pull_requests: pull_requests.collect(),
            odd,
            newest,
            newest_by_date,
            next_page,
            date,
            crowded_second,
            complete: self.is_complete().then_some(Complete(())),
            memory,
        })
    }

    /// How to reach the next page. GitHub's own link is used only after a page with nothing newer: more issues than fit
    /// on a page share a second, and keyset pagination cannot get past it.
    fn after(&mut self, newest: Option<Timestamp>, link: Option<Url>) -> Next {
        let Some(link) = link else { return Next::Nothing };
        let has_newer = newest > self.newest;
        self.newest = self.newest.max(newest);
        let since = self.newest.map(second_before);
        if has_newer && since > self.since {
            self.since = since;
            Next::Keyset
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
    /// The newest `updated_at` of any issue or pull request, open or closed (`None` in an empty repository), and the
    /// `Date` of the answer.
    ///
    /// # Errors
    /// [`GitHubError`] if the request fails or the answer cannot be used.
    pub async fn newest_update(
        &self,
        Target { name, account_owner }: Target<'_>,
    ) -> Result<(Option<Timestamp>, Timestamp), GitHubError> {
        let url = format!("repos/{name}/issues?state=all&sort=updated&direction=desc&per_page=1");
        let answer = self.list(account_owner, self.url(&url), |_| true).await?;
        let date = answer.date;
        let (records, _) = page_of(answer)?;
        if records.newest().is_none() && !records.is_empty() {
            return Err(GitHubError::Unexpected("an issue without updated_at".to_owned()));
        }
        Ok((records.newest(), date))
    }
}

/// The page of a listing's answer, and the memory reserved for it.
fn page_of(answer: Answer) -> Result<(Records, ReservedMemory), GitHubError> {
    match answer.status {
        StatusCode::OK => answer.page(),
        _ => Err(answer.refusal()),
    }
}
