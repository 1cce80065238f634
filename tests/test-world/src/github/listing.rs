//! The pages of listings and their links.
//!
//! Numbered pages are cut out of the listing as it is at that moment: an issue that is edited or closed between two
//! pages shifts the rest, as on GitHub. A page by `after=` begins behind an issue's place in the order.

use jiff::Timestamp;

use super::issue::{Issue, State};
use super::order::{Order, Place, Sort};
use super::repository::Repository;
use super::target::IncomingRequest;
use super::world::LinkStyle;

const DEFAULT_PER_PAGE: usize = 30;
const MAX_PER_PAGE: usize = 100;

/// The query of a listing.
#[derive(Debug)]
pub(super) struct Wanted {
    state: Option<State>,
    since: Option<Timestamp>,
    labels: Vec<String>,
    order: Order,
    per_page: usize,
    page: usize,
    after: Option<Place>,
    /// The query without `page` and `after`, verbatim: links repeat it.
    filter: String,
}

/// One page.
pub(super) struct Page<'a> {
    pub(super) issues: Vec<&'a Issue>,
    /// The `Link` header, if there are other pages.
    pub(super) link: Option<String>,
}

/// Why there is no page: GitHub answers 422.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// This parameter has an invalid value.
    Invalid(&'static str),
    /// This listing has no numbered pages.
    PageNumber,
}

impl Wanted {
    pub(super) fn parse(request: &IncomingRequest) -> Result<Self, Refused> {
        let positive = |name| request.parameter(name).and_then(|text| text.parse().ok()).filter(|&n| n > 0);
        Ok(Self {
            state: match request.parameter("state").unwrap_or("open") {
                "open" => Some(State::Open),
                "closed" => Some(State::Closed),
                "all" => None,
                _ => return Err(Refused::Invalid("state")),
            },
            since: match request.parameter("since").map(str::parse) {
                None => None,
                Some(Ok(since)) => Some(since),
                Some(Err(_)) => return Err(Refused::Invalid("since")),
            },
            labels: request.parameter("labels").map_or_else(Vec::new, |names| {
                names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
            }),
            order: Order {
                sort: match request.parameter("sort").unwrap_or("created") {
                    "created" => Sort::Created,
                    "updated" => Sort::Updated,
                    "comments" => Sort::Comments,
                    _ => return Err(Refused::Invalid("sort")),
                },
                descending: match request.parameter("direction").unwrap_or("desc") {
                    "desc" => true,
                    "asc" => false,
                    _ => return Err(Refused::Invalid("direction")),
                },
            },
            per_page: positive("per_page").unwrap_or(DEFAULT_PER_PAGE).min(MAX_PER_PAGE),
            page: positive("page").unwrap_or(1),
            after: match request.parameter("after").map(Place::of_cursor) {
                None => None,
                Some(Some(place)) => Some(place),
                Some(None) => return Err(Refused::Invalid("after")),
            },
            filter: without_page(&request.query),
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
            // GitHub answers with an empty list if `since` is the epoch itself.
            && self.since.is_none_or(|since| since > Timestamp::UNIX_EPOCH && issue.updated_at >= since)
            && self.labels.iter().all(|label| issue.labels.contains(label))
    }

    /// The links in GitHub's order.
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

    /// GitHub writes a page number next to the cursor and ignores it in requests.
    fn link_behind(&self, url: &str, place: Place) -> String {
        // GitHub percent-encodes the padding too: a client that decodes a link and joins it again breaks it.
        let after = place.cursor().replace('=', "%3D");
        let (filter, page) = (&self.filter, self.page + 1);
        format!("<{url}?{filter}after={after}&page={page}>; rel=\"next\"")
    }
}

/// The pairs of a query except `page` and `after`, verbatim, each followed by `&`.
fn without_page(query: &str) -> String {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .filter(|pair| !matches!(pair.split('=').next(), Some("page" | "after")))
        .flat_map(|pair| [pair, "&"])
        .collect()
}
