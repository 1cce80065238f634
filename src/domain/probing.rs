//! Failures of GitHub's GraphQL API: what it fails on, and until when REST is used instead.
//!
//! Only rules, no I/O. Failures are stored in the fleet's state and in the items of configured names, so that every
//! execution environment knows them. They are removed when GraphQL answers again.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Fingerprint;

/// The wait after the first failure. Each further failure doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(60);

/// The maximum wait: a repository that GraphQL can answer for again is back in the probe within an hour.
const MAX_WAIT: Duration = Duration::from_secs(3_600);

/// The maximum number of stored limits. More are merged into one for all accounts, so that the state's size is bounded.
const MAX_LIMITS: usize = 4;

/// Until when something that GraphQL failed on is not retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backoff {
    /// When it may be retried.
    #[serde(with = "super::millis")]
    pub until: Timestamp,
    /// The number of consecutive failures.
    pub times: u32,
}

impl Backoff {
    /// The backoff after one more failure: twice the previous wait, from a minute up to an hour.
    pub fn after(before: Option<Self>, now: Timestamp) -> Self {
        let times = before.map_or(0, |before| before.times).saturating_add(1);
        let doubled = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(times - 1));
        Self { until: now.checked_add(doubled.min(MAX_WAIT)).unwrap_or(now), times }
    }

    /// Whether a retry is allowed.
    pub fn is_over(self, now: Timestamp) -> bool {
        now >= self.until
    }
}

/// The number of repositories that one query may name, after GitHub failed to answer for the usual number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueryLimit {
    /// The account to which the limit applies; `None` for every account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Fingerprint>,
    /// The maximum number of repositories; 0 if GraphQL fails for any.
    pub size: usize,
    /// When more may be tried.
    #[serde(flatten)]
    pub backoff: Backoff,
}

/// What passes store about the probe for later passes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeMemory {
    /// The limits of accounts, at most [`MAX_LIMITS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    limits: Vec<QueryLimit>,
    /// Whether some configured names are looked up by REST; their items hold the backoff.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_exceptions: bool,
}

impl ProbeMemory {
    /// Stores these limits. If there are more than four, only the strictest is stored, for all accounts.
    pub fn new(mut limits: Vec<QueryLimit>, has_exceptions: bool) -> Self {
        if limits.len() > MAX_LIMITS {
            let strictest = limits.into_iter().min_by_key(|limit| (limit.size, limit.backoff.until));
            limits = strictest.map(|limit| QueryLimit { account: None, ..limit }).into_iter().collect();
        }
        Self { limits, has_exceptions }
    }

    /// The limit of an account.
    pub fn limit(&self, account: &Fingerprint) -> Option<&QueryLimit> {
        self.limits.iter().find(|limit| limit.account.as_ref().is_none_or(|of| of == account))
    }

    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_from_a_minute_to_an_hour() {
        let mut backoff = None;
        let mut waits = Vec::new();
        for _ in 0..9 {
            let next = Backoff::after(backoff, Timestamp::UNIX_EPOCH);
            assert!(!next.is_over(Timestamp::UNIX_EPOCH) && next.is_over(next.until));
            waits.push(next.until.as_second());
            backoff = Some(next);
        }
        assert_eq!(waits, [60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600]);
    }

    #[test]
    fn limits_of_many_accounts_become_one_for_all() {
        let limit = |n: usize| QueryLimit {
            account: Some(Fingerprint::of(&n.to_string())),
            size: n,
            backoff: Backoff::after(None, Timestamp::UNIX_EPOCH),
        };
        let few = ProbeMemory::new((3..7).map(limit).collect(), false);
        assert_eq!(few.limit(&Fingerprint::of("5")).map(|limit| limit.size), Some(5));
        assert_eq!(few.limit(&Fingerprint::of("9")), None);
        let many = ProbeMemory::new((3..20).map(limit).collect(), false);
        assert_eq!(many.limit(&Fingerprint::of("9")).map(|limit| limit.size), Some(3));
        assert_eq!(many.limits.len(), 1);
    }
}
