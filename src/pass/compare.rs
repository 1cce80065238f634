//! The first half of an audit: compares GitHub's open issues with the cached ones, page by page.
//!
//! GraphQL lists them at the lowest cost, without all fields. Whole issues come from the REST API: one by one if few
//! differ, as a listing if many differ or if GraphQL is not available.

use std::collections::{BTreeSet, HashMap, HashSet};

use jiff::Timestamp;

use crate::domain::{AuditProgress, IssueNumber, Observation, PageLength, labels_digest, second_before};
use crate::github::{
    Complete, GitHubError, IssueAnswer, Listing, OddRecord, OpenIssues, OpenPage, ReservedMemory, Scope,
    SeenOpen,
};
use crate::store::OpenIssue;

use super::context::Pass;
use super::plan::Source;
use super::problems;
use super::step::StepError;
use super::work::{AuditUnderWay, Work};

/// Up to this many issues of a page are requested one by one. For more, a listing by the REST API, which has whole
/// issues, is cheaper for the rest of the audit.
const MAX_SINGLE_REQUESTS: usize = 3;

/// GitHub's open issues, by GraphQL (`Brief`) or by REST (`Whole`).
enum Pages {
    Brief(OpenIssues),
    Whole(Listing),
}

/// One page of either.
struct Page {
    seen: Vec<SeenOpen>,
    /// The same issues with all fields, if the page has them.
    whole: Option<Vec<Observation>>,
    /// Unreadable issues: they are open all the same.
    odd: Vec<OddRecord>,
    newest: Option<Timestamp>,
    /// GitHub's open-issue count, if the page has it.
    open: Option<u64>,
    complete: Option<Complete>,
    /// The reservation for the memory that it occupies.
    _memory: Option<ReservedMemory>,
}

impl Pass<'_> {
    /// Compares page by page, and writes the issues that differ. The cached issues that GitHub does not list become the
    /// candidates. Returns the proof that the listing was read to its end.
    pub(super) async fn compare(&self, audit: &mut AuditUnderWay<'_>) -> Result<Complete, StepError> {
        let AuditUnderWay { work, progress } = audit;
        let from = progress.position.map(second_before);
        let open = self.app.store.open_issues(work.id()).await?;
        // The whole index has been read, so correcting the count costs nothing.
        work.tracked.open_count = open.len() as u64;
        // What is older was compared before the pause.
        let is_left = |open: &OpenIssue| from.is_none_or(|from| open.updated_at >= from);
        let cached: HashMap<IssueNumber, OpenIssue> =
            open.into_iter().filter(is_left).map(|open| (open.number, open)).collect();
        let mut unseen: HashSet<IssueNumber> = cached.keys().copied().collect();
        let listing = |progress: &AuditProgress, work: &Work| {
            let length = PageLength::begin(work.tracked.short_pages, self.app.clock.now());
            Pages::Whole(Listing::new(work.target(), Scope::Open, progress.position, length))
        };
        let length = PageLength::begin(work.tracked.short_open_pages, self.app.clock.now());
        let mut pages = match work.probe {
            Some(_) => Pages::Brief(OpenIssues::new(work.id(), work.target(), progress.position, length)),
            None => listing(progress, work),
        };
        loop {
            let page = self.next_open(&mut pages).await;
            match &pages {
                Pages::Brief(pages) => work.tracked.short_open_pages = pages.short_pages(),
                Pages::Whole(pages) => work.tracked.short_pages = pages.short_pages(),
            }
            let Some(page) = page? else {
                pages = listing(progress, work);
                continue;
            };
            if self.is_over() {
                return Err(GitHubError::Deadline.into());
            }
            // Unreadable issues are requested elsewhere (unread.rs).
            let is_unread =
                |seen: &&SeenOpen| work.tracked.unread.iter().any(|unread| unread.number == seen.number);
            let seen = page.seen.iter().filter(|seen| !is_unread(seen));
            let different = seen.filter(|seen| differs(&cached, seen)).map(|seen| seen.number);
            let different: BTreeSet<IssueNumber> = different.collect();
            let Some(whole) = self.whole(work, page.whole, &different).await? else {
                pages = listing(progress, work);
                continue;
            };
            let odd = page.odd.iter().filter_map(|odd| odd.number);
            for seen in page.seen.iter().map(|seen| seen.number).chain(odd) {
                unseen.remove(&seen);
                progress.candidates.retain(|number| *number != seen);
            }
            self.note_unread_in_audit(work, &page.odd).await?;
            if !whole.is_empty() {
                let applied = self.apply(work.id(), &whole, &[], Source::Audit(work.tracked.cursor)).await;
                work.count(&applied, self.fence());
                if applied.open_difference != 0 {
                    // The probe's count is from before this change.
                    work.open_on_github = None;
                }
                applied.failure.map_or(Ok(()), Err)?;
            }
            // A cached issue from before the page's end that is not on it is absent. One that shares the page's last
            // second may be on the next page.
            let is_passed = |number: &IssueNumber| Some(cached[number].updated_at) < page.newest;
            progress.candidates.extend(unseen.extract_if(is_passed));
            work.got_further |= page.newest > progress.position;
            progress.position = progress.position.max(page.newest);
            if let Some(complete) = page.complete {
                if from.is_none() {
                    work.open_on_github = work.open_on_github.or(page.open);
                }
                progress.candidates.extend(unseen);
                progress.candidates.sort_unstable();
                // The last second before a pause was compared twice.
                progress.candidates.dedup();
                return Ok(complete);
            }
        }
    }

    /// The next page; `None` if GraphQL fails and a REST listing may succeed.
    async fn next_open(&self, pages: &mut Pages) -> Result<Option<Page>, StepError> {
        let page = match pages {
            Pages::Whole(listing) => {
                listing.next_page(&self.github).await?.ok_or_else(problems::endless_listing)?
            }
            Pages::Brief(issues) => {
                return match issues.next_page(&self.github).await {
                    Ok(page) => Ok(Some(Page::brief(page.ok_or_else(problems::endless_listing)?))),
                    Err(error) if error.is_of_graphql() => Ok(None),
                    Err(error) => Err(error.into()),
                };
            }
        };
        Ok(Some(Page {
            seen: page.issues.iter().map(SeenOpen::from).collect(),
            odd: page.odd,
            newest: page.newest,
            open: None,
            complete: page.complete,
            whole: Some(page.issues),
            _memory: Some(page.memory),
        }))
    }

    /// The differing issues of a page with all fields, from the page itself or requested one by one. `None` if a REST
    /// listing has to show them.
    async fn whole(
        &self,
        work: &Work,
        page: Option<Vec<Observation>>,
        different: &BTreeSet<IssueNumber>,
    ) -> Result<Option<Vec<Observation>>, StepError> {
        if let Some(page) = page {
            let whole = page.into_iter().filter(|seen| different.contains(&seen.issue.number));
            return Ok(Some(whole.collect()));
        }
        if different.len() > MAX_SINGLE_REQUESTS {
            return Ok(None);
        }
        let mut whole = Vec::with_capacity(different.len());
        for number in different {
            match self.github.issue(work.id(), work.target(), *number).await {
                Ok(IssueAnswer::Here(seen)) => whole.push(*seen),
                // The next audit finds it absent.
                Ok(IssueAnswer::Gone(_) | IssueAnswer::NotVisible(_)) => {}
                // A failure about one issue must not stop the comparison of the others.
                Err(error) if error.is_odd() => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(whole))
    }
}

impl Page {
    fn brief(page: OpenPage) -> Self {
        Self {
            newest: page.issues.iter().map(|issue| issue.updated_at).max(),
            seen: page.issues,
            odd: Vec::new(),
            whole: None,
            open: Some(page.open),
            complete: page.complete,
            _memory: None,
        }
    }
}

/// Whether the cached open issues lack this one, or hold another version of it.
fn differs(cached: &HashMap<IssueNumber, OpenIssue>, seen: &SeenOpen) -> bool {
    !cached.get(&seen.number).is_some_and(|cached| {
        cached.missing_since.is_none()
            && cached.updated_at == seen.updated_at
            && cached.labels_digest == labels_digest(&seen.labels)
    })
}
