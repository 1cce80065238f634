//! Which issues one page of a listing shows, and how it links to the next.
//!
//! Pages by position are cut out of the listing as it is at that moment: an issue that is edited or closed
//! between two pages shifts the rest, as on GitHub. Pages by `after=` go on behind an issue's own place.

use jiff::Timestamp;

use super::issue::{Issue, State};
use super::order::{Order, Place, Sort};
use super::repository::Repository;
use super::target::Asked;
use super::world::LinkStyle;

const DEFAULT_PER_PAGE: usize = 30;
const MAX_PER_PAGE: usize = 100;

/// What a listing's query asks for.
#[derive(Debug)]
pub(super) struct Wanted {
    state: Option<State>,
    since: Option<Timestamp>,
    labels: Vec<String>,
    order: Order,
    per_page: usize,
    page: usize,
    after: Option<Place>,
    /// The query without what says which page, verbatim: links repeat it.
    filter: String,
}

/// One page.
pub(super) struct Page<'a> {
    pub(super) issues: Vec<&'a Issue>,
    /// The `Link` header, when there are other pages.
    pub(super) link: Option<String>,
}

/// Why there is no page: GitHub answers 422.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The value of this parameter is none that GitHub knows.
    Invalid(&'static str),
    /// Pages of this listing have no numbers.
    PageNumber,
}

impl Wanted {
    pub(super) fn parse(asked: &Asked) -> Result<Self, Refused> {
        let positive = |name| asked.parameter(name).and_then(|text| text.parse().ok()).filter(|&n| n > 0);
        Ok(Self {
            state: match asked.parameter("state").unwrap_or("open") {
                "open" => Some(State::Open),
                "closed" => Some(State::Closed),
                "all" => None,
                _ => return Err(Refused::Invalid("state")),
            },
            since: match asked.parameter("since").map(str::parse) {
                None => None,
                Some(Ok(since)) => Some(since),
                Some(Err(_)) => return Err(Refused::Invalid("since")),
            },
            labels: asked.parameter("labels").map_or_else(Vec::new, |names| {
                names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
            }),
            order: Order {
                sort: match asked.parameter("sort").unwrap_or("created") {
                    "created" => Sort::Created,
                    "updated" => Sort::Updated,
                    "comments" => Sort::Comments,
                    _ => return Err(Refused::Invalid("sort")),
                },
                descending: match asked.parameter("direction").unwrap_or("desc") {
                    "desc" => true,
                    "asc" => false,
                    _ => return Err(Refused::Invalid("direction")),
                },
            },
            per_page: positive("per_page").unwrap_or(DEFAULT_PER_PAGE).min(MAX_PER_PAGE),
            page: positive("page").unwrap_or(1),
            after: match asked.parameter("after").map(Place::of_cursor) {
                None => None,
                Some(Some(place)) => Some(place),
                Some(None) => return Err(Refused::Invalid("after")),
            },
            filter: without_page(&asked.query),
        })
    }

    /// The page of `repository` at `now`, with links that begin with `url`.
    pub(super) fn page<'a>(
        &self,
        repository: &'a Repository,
        style: LinkStyle,
        now: Timestamp,
        url: &str,
    ) -> Result<Page<'a>, Refused> {
        if style == LinkStyle::After && self.page > 1 && self.after.is_none() {
            return Err(Refused::PageNumber);
        }
        let mut found: Vec<&Issue> =
            repository.visible_issues(now).filter(|issue| self.includes(issue)).collect();
        self.order.sort(&mut found);

        let start = match self.after {
            Some(after) => self.order.up_to(&found, after),
            None => (self.page - 1).saturating_mul(self.per_page).min(found.len()),
        };
        let end = (start + self.per_page).min(found.len());
        let pages = found.len().div_ceil(self.per_page).max(1);
        let issues = found[start..end].to_vec();
        let link = match style {
            LinkStyle::Pages => self.links_by_position(url, pages),
            LinkStyle::After => issues
                .last()
                .filter(|_| end < found.len())
                .map(|last| self.link_behind(url, self.order.place(last))),
        };
        Ok(Page { issues, link })
    }

    fn includes(&self, issue: &Issue) -> bool {
        self.state.is_none_or(|state| issue.state == state)
            // GitHub answers an empty list when `since` is the epoch itself.
            && self.since.is_none_or(|since| since > Timestamp::UNIX_EPOCH && issue.updated_at >= since)
            && self.labels.iter().all(|label| issue.labels.contains(label))
    }

    /// The links in the order in which GitHub writes them.
    fn links_by_position(&self, url: &str, pages: usize) -> Option<String> {
        let link = |page: usize, relation: &str| {
            format!("<{url}?{filter}page={page}>; rel=\"{relation}\"", filter = self.filter)
        };
        let mut links = Vec::new();
        if self.page > 1 {
            links.push(link((self.page - 1).min(pages), "prev"));
        }
        if self.page < pages {
            links.push(link(self.page + 1, "next"));
        }
        if self.page != pages && pages > 1 {
            links.push(link(pages, "last"));
        }
        if self.page > 1 {
            links.push(link(1, "first"));
        }
        (!links.is_empty()).then(|| links.join(", "))
    }

    /// GitHub writes a page number next to the cursor, and ignores it.
    fn link_behind(&self, url: &str, place: Place) -> String {
        // The padding is percent-encoded on GitHub too: a client that decodes and rebuilds links breaks them.
        let after = place.cursor().replace('=', "%3D");
        let (filter, page) = (&self.filter, self.page + 1);
        format!("<{url}?{filter}after={after}&page={page}>; rel=\"next\"")
    }
}

/// The pairs of a query that do not say which page, verbatim, each followed by `&`.
fn without_page(query: &str) -> String {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .filter(|pair| !matches!(pair.split('=').next(), Some("page" | "after")))
        .flat_map(|pair| [pair, "&"])
        .collect()
}
