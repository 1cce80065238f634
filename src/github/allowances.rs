//! What a pass may still ask of GitHub as each account, and what it leaves to later passes.

use jiff::Timestamp;

use crate::domain::{AccountLimits, Api, Budget, Fingerprint};

use super::Session;

impl Session<'_> {
    /// What is known of limits that other sandboxes must keep to.
    pub fn limits(&self) -> Vec<AccountLimits> {
        self.github.limits_to_share()
    }

    /// What GitHub last said of this budget of an account.
    pub fn budget(&self, account: &Fingerprint, api: Api) -> Option<Budget> {
        self.github.with_limits(account, |limits| limits.budget(api))
    }

    /// When that budget of an account is granted anew of which less than a tenth is left; none while there is more.
    pub fn low_until(&self, account: &Fingerprint, api: Api) -> Option<Timestamp> {
        self.github.with_limits(account, |limits| limits.low_until(api, self.now()))
    }

    /// Whether an account sent as many REST requests in the last minute as the rate allows.
    pub fn is_rate_reached(&self, account: &Fingerprint) -> bool {
        self.github.with_limits(account, |limits| limits.is_rate_reached(self.now()))
    }

    /// Until when an account's repositories are not looked up one by one; `None` when they may be.
    pub fn no_lookups_until(&self, account: &Fingerprint) -> Option<Timestamp> {
        self.github.with_limits(account, |limits| limits.no_lookups_until(self.now()))
    }

    /// Lets an account's repositories not be looked up one by one until then.
    pub fn defer_lookups(&self, account: &Fingerprint, until: Timestamp) {
        self.github.with_limits(account, |limits| limits.defer_lookups(until));
    }

    /// Until when an account's repositories are left out, so that what is left lasts; none when they are not.
    pub fn throttled_until(&self, account: &Fingerprint) -> Option<Timestamp> {
        self.github.with_limits(account, |limits| limits.throttled_until(self.now()))
    }

    /// Leaves an account's repositories out until then: the probe does not ask for them.
    pub fn spare(&self, account: &Fingerprint, until: Timestamp) {
        self.github.with_limits(account, |limits| limits.throttle(until));
    }
}
