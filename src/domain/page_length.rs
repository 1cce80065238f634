//! The number of issues requested per page: GitHub's maximum, and fewer for repositories whose long pages fail.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::millis;

/// GitHub's maximum page length, and the shorter lengths tried after failures, in this order.
const LENGTHS: [u16; 5] = [100, 50, 25, 10, 1];

/// The first and the maximum wait before a longer page is retried, in seconds. Each further failure doubles the wait.
const FIRST_WAIT: u32 = 60;
const MAX_WAIT: u32 = 3_600;

/// The page length stored for a repository whose longer pages fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShortPages {
    /// Issues per page.
    pub length: u16,
    /// When this length was chosen.
    #[serde(with = "millis")]
    pub since: Timestamp,
    /// After how many seconds a longer page is retried.
    pub wait: u32,
}

/// The page length during one listing. Failures shorten it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLength {
    length: u16,
    /// The last length that failed in this listing.
    failed: Option<u16>,
    begun_with: Option<ShortPages>,
    kept: Option<ShortPages>,
}

impl PageLength {
    /// The first length of a listing: the stored one, or the next longer one if its retry is due.
    pub fn begin(known: Option<ShortPages>, now: Timestamp) -> Self {
        let known = known.map(|short| ShortPages { length: at_most(short.length), ..short });
        let is_due = |short: &ShortPages| {
            let waited = Duration::try_from(now.duration_since(short.since)).unwrap_or_default();
            waited.as_secs() >= u64::from(short.wait)
        };
        let length = match known {
            None => LENGTHS[0],
            Some(short) if is_due(&short) => longer(short.length),
            Some(short) => short.length,
        };
        Self { length, failed: None, begun_with: known, kept: known }
    }

    /// Issues per page.
    pub fn get(self) -> u16 {
        self.length
    }

    /// The length to store for the repository; `None` while GitHub's maximum works.
    pub fn short_pages(self) -> Option<ShortPages> {
        self.kept
    }

    /// Whether there is no shorter length.
    pub fn is_shortest(self) -> bool {
        shorter(self.length).is_none()
    }

    /// The next shorter length, after this one failed; the shortest stays.
    #[must_use]
    pub fn shortened(self) -> Self {
        let length = shorter(self.length).unwrap_or(self.length);
        Self { length, failed: Some(self.length), ..self }
    }

    /// The shortest length, after this one failed.
    #[must_use]
    pub fn shortest(self) -> Self {
        Self { length: LENGTHS[LENGTHS.len() - 1], failed: Some(self.length), ..self }
    }

    /// The state after a successful page: continues with, and stores, the longest length that has not failed.
    #[must_use]
    pub fn learnt(self, now: Timestamp) -> Self {
        let length = self.failed.map_or(self.length, |failed| shorter(failed).unwrap_or(failed));
        let since = |wait| Some(ShortPages { length, since: now, wait });
        let kept = match self.begun_with {
            _ if length == LENGTHS[0] => None,
            Some(begun) if begun.length == length && self.failed.is_none() => Some(begun),
            // A longer page was retried and failed again.
            Some(begun) if begun.length == length => since(begun.wait.saturating_mul(2).min(MAX_WAIT)),
            Some(begun) if begun.length > length => since(begun.wait),
            _ => since(FIRST_WAIT),
        };
        Self { length, kept, ..self }
    }
}

fn shorter(length: u16) -> Option<u16> {
    LENGTHS.into_iter().find(|other| *other < length)
}

fn longer(length: u16) -> u16 {
    LENGTHS.into_iter().rev().find(|other| *other > length).unwrap_or(LENGTHS[0])
}

/// The known length nearest below a stored one: no other length is ever requested.
fn at_most(length: u16) -> u16 {
    LENGTHS.into_iter().find(|other| *other <= length).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    fn short(length: u16, since: i64, wait: u32) -> Option<ShortPages> {
        Some(ShortPages { length, since: at(since), wait })
    }

    #[test]
    fn page_length_after_failures_halves_down_to_one_issue() {
        let mut length = PageLength::begin(None, at(0));
        let mut lengths = vec![length.get()];
        while !length.is_shortest() {
            length = length.shortened();
            lengths.push(length.get());
        }
        assert_eq!(lengths, LENGTHS);
        assert_eq!(length.learnt(at(1)).short_pages(), short(1, 1, 60));
    }

    #[test]
    fn page_length_after_the_shortest_page_goes_on_with_the_longest_that_has_not_failed() {
        let last = PageLength::begin(None, at(0)).shortened().shortest();
        assert_eq!((last.get(), last.short_pages()), (1, None));
        let next = last.learnt(at(1));
        assert_eq!((next.get(), next.short_pages()), (25, short(25, 1, 60)));
        assert_eq!(next.shortened().shortest().learnt(at(2)).short_pages(), short(1, 2, 60));
    }

    #[test]
    fn page_length_kept_for_a_while_grows_one_step_and_is_forgotten_at_the_longest() {
        assert_eq!(PageLength::begin(short(25, 0, 60), at(59)).get(), 25);
        let tried = PageLength::begin(short(25, 0, 60), at(60));
        assert_eq!(
            (tried.get(), tried.short_pages()),
            (50, short(25, 0, 60)),
            "kept until the longer page works"
        );
        assert_eq!(tried.learnt(at(61)).short_pages(), short(50, 61, 60));
        assert_eq!(PageLength::begin(short(50, 0, 60), at(60)).learnt(at(61)).short_pages(), None);
    }

    #[test]
    fn page_length_that_fails_again_is_tried_again_ever_later() {
        let mut known = short(25, 0, 60);
        let waits = std::iter::repeat_with(|| {
            let tried = PageLength::begin(known, at(100_000));
            assert_eq!(tried.get(), 50);
            known = tried.shortened().learnt(at(0)).short_pages();
            known.unwrap().wait
        });
        assert_eq!(waits.take(7).collect::<Vec<_>>(), [120, 240, 480, 960, 1_920, 3_600, 3_600]);
    }

    #[test]
    fn page_length_stored_as_nonsense_is_read_as_the_next_known_one() {
        for (stored, length) in [(0, 1), (7, 1), (99, 50), (101, 100), (u16::MAX, 100)] {
            assert_eq!(PageLength::begin(short(stored, 0, 60), at(0)).get(), length, "{stored}");
        }
    }
}
