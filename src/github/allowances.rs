//! Which requests a pass may still send for each account, and which it leaves to later passes.

use jiff::Timestamp;

use crate::domain::{AccountLimits, Api, Budget, Fingerprint};

use super::session::Session;

impl Session<'_> {
    /// The known limits that other execution environments must obey.
    pub fn limits(&self) -> Vec<AccountLimits> {
        self.github().limits_to_share()
    }

    /// What is left of this budget of an account, as of GitHub's last answer.
    pub fn budget(&self, account: &Fingerprint, api: Api) -> Option<Budget> {
        self.github().with_limits(account, |limits| limits.budget(api))
    }

    /// When this budget of an account resets, if less than a tenth of it is left; otherwise `None`.
    pub fn low_until(&self, account: &Fingerprint, api: Api) -> Option<Timestamp> {
        self.github().with_limits(account, |limits| limits.low_until(api, self.now()))
    }

    /// Whether an account sent as many REST requests in the last minute as the rate allows.
    pub fn is_rate_reached(&self, account: &Fingerprint) -> bool {
        self.github().with_limits(account, |limits| limits.is_rate_reached(self.now()))
    }

    /// Until when an account's repositories are not looked up one by one. `None` if they may be.
    pub fn no_lookups_until(&self, account: &Fingerprint) -> Option<Timestamp> {
        self.github().with_limits(account, |limits| limits.no_lookups_until(self.now()))
    }

    /// Defers the lookups of an account's repositories until then.
    pub fn defer_lookups(&self, account: &Fingerprint, until: Timestamp) {
        self.github().with_limits(account, |limits| limits.defer_lookups(until));
    }

    /// Until when an account is throttled: its repositories are left out, so that its budget lasts. `None` if it is not
    /// throttled.
    pub fn throttled_until(&self, account: &Fingerprint) -> Option<Timestamp> {
        self.github().with_limits(account, |limits| limits.throttled_until(self.now()))
    }

    /// Throttles an account until then: the probe leaves its repositories out.
    pub fn throttle(&self, account: &Fingerprint, until: Timestamp) {
        self.github().with_limits(account, |limits| limits.throttle(until));
    }
}
