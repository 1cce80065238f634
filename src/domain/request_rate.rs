//! The REST requests that an account sent in the last minute.
//!
//! GitHub docs, "Rate limits for the REST API", secondary limits: at most 900 points a minute, and a GET is one point.
//! Backfills of a large fleet would exceed that. Requests are counted in slots of ten seconds, to keep the stored state
//! small.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::millis;

/// The maximum number of REST requests a minute for one account. The rest of GitHub's 900 points is for the account's
/// other clients.
pub const MAX_REQUESTS_PER_MINUTE: u64 = 600;

/// The length of a slot, in seconds.
const SLOT_SECONDS: i64 = 10;

/// How long a slot counts after its start: until its last request is a minute old.
const COUNTS_FOR: Duration = Duration::from_secs(70);

/// From this number of requests a minute, the count is shared with other execution environments.
const MIN_SHARED: u64 = MAX_REQUESTS_PER_MINUTE / 10;

/// The requests of the last minute, by slot: at most eight slots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RequestRate(Vec<Slot>);

/// The requests of ten seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Slot {
    /// The start of the slot.
    #[serde(with = "millis")]
    at: Timestamp,
    requests: u64,
}

impl Slot {
    /// Whether the slot counts. A slot from the future was counted by a wrong clock and is ignored.
    fn counts(&self, now: Timestamp) -> bool {
        self.at <= now && now.duration_since(self.at).unsigned_abs() < COUNTS_FOR
    }
}

impl RequestRate {
    /// Counts a request and returns true if it is within the rate. Otherwise it must not be sent.
    pub(super) fn admit(&mut self, now: Timestamp) -> bool {
        self.0.retain(|slot| slot.counts(now));
        if self.is_reached(now) {
            return false;
        }
        let second = now.as_second() - now.as_second().rem_euclid(SLOT_SECONDS);
        let at = Timestamp::from_second(second).unwrap_or(now);
        match self.0.iter_mut().find(|slot| slot.at == at) {
            Some(slot) => slot.requests += 1,
            None => self.0.push(Slot { at, requests: 1 }),
        }
        true
    }

    /// Whether the rate is used up now.
    pub(super) fn is_reached(&self, now: Timestamp) -> bool {
        self.in_last_minute(now) >= MAX_REQUESTS_PER_MINUTE
    }

    /// Whether the count must be shared with other execution environments.
    pub(super) fn is_worth_sharing(&self, now: Timestamp) -> bool {
        self.in_last_minute(now) >= MIN_SHARED
    }

    /// Whether no request of the last minute is counted.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.in_last_minute(now) == 0
    }

    /// Whether nothing was ever counted.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Merges the count of another execution environment. It started from a shared count, so the larger number of each
    /// slot is kept.
    pub(super) fn merge(&mut self, other: &Self) {
        for theirs in &other.0 {
            match self.0.iter_mut().find(|slot| slot.at == theirs.at) {
                Some(slot) => slot.requests = slot.requests.max(theirs.requests),
                None => self.0.push(*theirs),
            }
        }
    }

    fn in_last_minute(&self, now: Timestamp) -> u64 {
        self.0.iter().filter(|slot| slot.counts(now)).map(|slot| slot.requests).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn requests_of_any_minute_stay_within_the_rate() {
        let mut rate = RequestRate::default();
        // Ten are tried in each second of five minutes, and a burst at the end of each.
        let mut sent: Vec<i64> = Vec::new();
        for second in 0..300 {
            let tries = if second % 60 == 59 { 700 } else { 10 };
            sent.extend((0..tries).filter(|_| rate.admit(at(second))).map(|_| second));
            assert!(rate.0.len() <= 8, "{rate:?}");
        }
        for begin in 0..300 {
            let within = sent.iter().filter(|second| (begin..begin + 60).contains(*second)).count() as u64;
            assert!(within <= MAX_REQUESTS_PER_MINUTE, "{within} from {begin} on");
        }
        assert!(sent.len() as u64 > 4 * MAX_REQUESTS_PER_MINUTE, "{}", sent.len());
    }

    #[test]
    fn count_of_two_environments_is_the_larger_one_of_each_slot() {
        let (mut ours, mut theirs) = (RequestRate::default(), RequestRate::default());
        (0..300).for_each(|_| assert!(ours.admit(at(5))));
        theirs.merge(&ours);
        (0..200).for_each(|_| assert!(theirs.admit(at(6))));
        (0..99).for_each(|_| assert!(theirs.admit(at(25))));
        ours.merge(&theirs);
        assert_eq!(ours, theirs);
        assert!(!ours.is_reached(at(30)));
        assert!(ours.admit(at(30)) && !ours.admit(at(30)));
        assert!(ours.admit(at(70)), "the first slot is over");
        assert!(ours.is_over(at(200)));
    }

    #[test]
    fn slot_of_the_future_is_ignored() {
        let mut rate = RequestRate(vec![Slot { at: at(4_000), requests: MAX_REQUESTS_PER_MINUTE }]);
        assert!(!rate.is_reached(at(0)));
        assert!(rate.admit(at(0)));
        assert_eq!(rate.0.len(), 1);
    }
}
