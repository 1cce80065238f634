//! The orders of listings, and the places in them that cursors hold.
//!
//! REST and GraphQL use the same cursors. A cursor holds the sort key of an issue (keyset pagination), so an issue that
//! is edited or closed between two pages shifts nothing behind it.

use std::cmp::Ordering;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;

use super::issue::Issue;

/// The sort key of a listing and its direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) sort: Sort,
    pub(super) descending: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Sort {
    Created,
    Updated,
    Comments,
}

/// An issue's place in an order: its sort key, then its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(i64, u64);

impl Order {
    pub(super) fn place(&self, issue: &Issue) -> Place {
        let value = match self.sort {
            Sort::Created => issue.created_at.as_second(),
            Sort::Updated => issue.updated_at.as_second(),
            Sort::Comments => {
                i64::try_from(issue.comments).expect("the number of comments fits into 64 bits")
            }
        };
        Place(value, issue.number)
    }

    pub(super) fn sort(&self, issues: &mut [&Issue]) {
        issues.sort_unstable_by(|one, other| self.compare(self.place(one), self.place(other)));
    }

    /// How many of the sorted `issues` are at or before a place.
    pub(super) fn up_to(&self, issues: &[&Issue], place: Place) -> usize {
        issues.partition_point(|issue| self.compare(self.place(issue), place).is_le())
    }

    fn compare(&self, one: Place, other: Place) -> Ordering {
        if self.descending { other.cmp(&one) } else { one.cmp(&other) }
    }
}

impl Place {
    /// The cursor for this place, opaque to clients.
    pub(super) fn cursor(self) -> String {
        let Self(value, number) = self;
        URL_SAFE.encode(format!("cursor:v2:{value}:{number}"))
    }

    pub(super) fn of_cursor(cursor: &str) -> Option<Self> {
        let bytes = URL_SAFE.decode(cursor).ok()?;
        let text = std::str::from_utf8(&bytes).ok()?;
        let (value, number) = text.strip_prefix("cursor:v2:")?.split_once(':')?;
        Some(Self(value.parse().ok()?, number.parse().ok()?))
    }
}
