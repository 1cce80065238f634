//! What was learned of GitHub's GraphQL API: what it fails on, and until when REST is asked instead.
//!
//! Only rules. It is kept in the fleet's state and in the items of configured names, so that every execution
//! environment knows it, and is forgotten again when GraphQL answers.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Fingerprint;

/// For how long something that failed once is not tried again. Each failure after that doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(60);

/// The longest wait: a repository that GraphQL answers for again is back in the probe within the hour.
const MAX_WAIT: Duration = Duration::from_secs(3_600);

/// Limits of more accounts than these are stored as one for all, so that the state's size stays bounded.
const MAX_LIMITS: usize = 4;

/// Something that GraphQL failed on is not tried again until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backoff {
    /// When it may be tried again.
    #[serde(with = "super::millis")]
    pub until: Timestamp,
    /// How often it failed in a row.
    pub times: u32,
}

impl Backoff {
    /// After one more failure: the wait is twice the one before, from a minute up to an hour.
    pub fn after(before: Option<Self>, now: Timestamp) -> Self {
        let times = before.map_or(0, |before| before.times).saturating_add(1);
        let doubled = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(times - 1));
        Self { until: now.checked_add(doubled.min(MAX_WAIT)).unwrap_or(now), times }
    }

    /// Whether it may be tried again.
    pub fn is_over(self, now: Timestamp) -> bool {
        now >= self.until
    }
}

/// How many repositories one query may name, where GitHub does not answer for as many as usual.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueryLimit {
    /// The account that asks; `None` for every account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Fingerprint>,
    /// How many; 0 where GraphQL answers nothing.
    pub size: usize,
    /// When more may be tried.
    #[serde(flatten)]
    pub backoff: Backoff,
}

/// What passes remember of the probe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeMemory {
    /// The limits of accounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    limits: Vec<QueryLimit>,
    /// Whether some configured names are read by REST; their items say until when.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_exceptions: bool,
}

impl ProbeMemory {
    /// Keeps these limits. Of more than four accounts the strictest is kept, for all.
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

    /// Whether there is nothing to remember.
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
