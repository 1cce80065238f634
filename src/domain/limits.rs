//! GitHub's rate limits per account: how much of each budget is left, and until when an API is blocked.
//!
//! Only rules, no I/O: the client meters, and the fleet's state stores the limits.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::request_rate::RequestRate;
use super::{Fingerprint, millis, optional_millis};

/// An API of GitHub. Each has its own budget per account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// Counted in requests.
    Rest,
    /// Counted in points.
    GraphQl,
}

/// GitHub's hourly budget for an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// REST requests or GraphQL points per hour.
    pub limit: u64,
    /// The remaining requests or points.
    pub remaining: u64,
    /// When the budget resets.
    #[serde(with = "millis")]
    pub resets_at: Timestamp,
}

/// The known state of one API for an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Allowance {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    budget: Option<Budget>,
    /// Until when no request may be sent.
    #[serde(
        rename = "closedUntil",
        default,
        with = "optional_millis",
        skip_serializing_if = "Option::is_none"
    )]
    blocked_until: Option<Timestamp>,
}

/// The known limits of one account: the owner of a token, or an installation of a GitHub App. They are stored, so that
/// no execution environment sends requests while a limit that another one hit is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountLimits {
    /// The account.
    #[serde(rename = "token")]
    account: Fingerprint,
    #[serde(default)]
    rest: Allowance,
    #[serde(default, rename = "graphql")]
    graph_ql: Allowance,
    /// Until when its repositories are skipped, so that the rest of the budget lasts.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    throttled_until: Option<Timestamp>,
    /// Until when its repositories are not looked up one by one, because the last time used much of the REST budget.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    no_lookups_until: Option<Timestamp>,
    /// The REST requests of the last minute.
    #[serde(default, skip_serializing_if = "RequestRate::is_empty")]
    rate: RequestRate,
}

impl AccountLimits {
    /// The limits of an account while nothing is known about them.
    pub fn of(account: &Fingerprint) -> Self {
        Self {
            account: account.clone(),
            rest: Allowance::default(),
            graph_ql: Allowance::default(),
            throttled_until: None,
            no_lookups_until: None,
            rate: RequestRate::default(),
        }
    }

    /// Whether these are the limits of `account`.
    pub fn belongs_to(&self, account: &Fingerprint) -> bool {
        self.account == *account
    }

    /// Whether both are limits of the same account.
    pub fn is_same_account(&self, other: &Self) -> bool {
        self.account == other.account
    }

    /// Records the budget from a response. Blocks the API until the reset if the budget is used up.
    pub fn note(&mut self, api: Api, budget: Budget) {
        let allowance = self.allowance_mut(api);
        allowance.budget = Some(budget);
        if budget.remaining == 0 {
            self.block(api, budget.resets_at);
        }
    }

    /// Blocks this API until then.
    pub fn block(&mut self, api: Api, until: Timestamp) {
        let allowance = self.allowance_mut(api);
        allowance.blocked_until = allowance.blocked_until.max(Some(until));
    }

    /// Until when this API is blocked; `None` if it is not.
    pub fn blocked_until(&self, api: Api, now: Timestamp) -> Option<Timestamp> {
        self.allowance(api).blocked_until.filter(|until| *until > now)
    }

    /// Skips the account's repositories until then.
    pub fn throttle(&mut self, until: Timestamp) {
        self.throttled_until = Some(until);
    }

    /// Until when the account's repositories are skipped; `None` if they are not.
    pub fn throttled_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.throttled_until.filter(|until| *until > now)
    }

    /// Stops lookups of single repositories of the account until then.
    pub fn defer_lookups(&mut self, until: Timestamp) {
        self.no_lookups_until = Some(until);
    }

    /// Until when its repositories are not looked up one by one; `None` if they may be.
    pub fn no_lookups_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.no_lookups_until.filter(|until| *until > now)
    }

    /// Counts a request and returns true if it may be sent. REST requests have to stay within
    /// [`MAX_REQUESTS_PER_MINUTE`](super::MAX_REQUESTS_PER_MINUTE); GraphQL is metered in points instead.
    pub fn admit(&mut self, api: Api, now: Timestamp) -> bool {
        api == Api::GraphQl || self.rate.admit(now)
    }

    /// Whether the rate of REST requests is used up now.
    pub fn is_rate_reached(&self, now: Timestamp) -> bool {
        self.rate.is_reached(now)
    }

    /// When the budget resets, if less than a tenth of it is left; otherwise `None`.
    pub fn low_until(&self, api: Api, now: Timestamp) -> Option<Timestamp> {
        let Budget { limit, remaining, resets_at } = self.allowance(api).budget?;
        (remaining.saturating_mul(10) < limit && resets_at > now).then_some(resets_at)
    }

    /// The budget as GitHub last reported it.
    pub fn budget(&self, api: Api) -> Option<Budget> {
        self.allowance(api).budget
    }

    /// The smaller remaining share of the two budgets, from 0 to 1. Ignores budgets that have reset since; `None` if
    /// there is no other.
    pub fn share_left(&self, now: Timestamp) -> Option<f64> {
        let known = [Api::Rest, Api::GraphQl].into_iter().filter_map(|api| self.budget(api));
        let in_force = known.filter(|budget| budget.limit > 0 && budget.resets_at > now);
        in_force.map(|budget| budget.remaining as f64 / budget.limit as f64).reduce(f64::min)
    }

    /// Whether any of these limits is still in force.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        let holds = |api| {
            self.blocked_until(api, now).is_some()
                || self.budget(api).is_some_and(|budget| budget.resets_at > now)
        };
        self.is_deferred(now) || !self.rate.is_over(now) || [Api::Rest, Api::GraphQl].into_iter().any(holds)
    }

    /// Whether the account's repositories, or lookups of them, are deferred.
    fn is_deferred(&self, now: Timestamp) -> bool {
        self.throttled_until(now).is_some() || self.no_lookups_until(now).is_some()
    }

    /// Whether other execution environments need to know these limits: work is deferred, an API is blocked, less than
    /// half of a budget is left, or many requests were sent in the last minute.
    pub fn holds_back(&self, now: Timestamp) -> bool {
        let is_scarce =
            |budget: Budget| budget.resets_at > now && budget.remaining < budget.limit.div_ceil(2);
        let holds_back =
            |api| self.blocked_until(api, now).is_some() || self.budget(api).is_some_and(is_scarce);
        self.is_deferred(now)
            || self.rate.is_worth_sharing(now)
            || [Api::Rest, Api::GraphQl].into_iter().any(holds_back)
    }

    /// Merges what another execution environment knows of the same account.
    pub fn merge(&mut self, other: &Self) {
        self.throttled_until = self.throttled_until.max(other.throttled_until);
        self.no_lookups_until = self.no_lookups_until.max(other.no_lookups_until);
        self.rate.merge(&other.rate);
        for api in [Api::Rest, Api::GraphQl] {
            let theirs = other.allowance(api);
            let ours = self.allowance_mut(api);
            ours.blocked_until = ours.blocked_until.max(theirs.blocked_until);
            // Until its reset, a budget only shrinks.
            let age = |budget: &Budget| (budget.resets_at, std::cmp::Reverse(budget.remaining));
            ours.budget = ours.budget.into_iter().chain(theirs.budget).max_by_key(age);
        }
    }

    fn allowance(&self, api: Api) -> &Allowance {
        match api {
            Api::Rest => &self.rest,
            Api::GraphQl => &self.graph_ql,
        }
    }

    fn allowance_mut(&mut self, api: Api) -> &mut Allowance {
        match api {
            Api::Rest => &mut self.rest,
            Api::GraphQl => &mut self.graph_ql,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn budget(remaining: u64, resets_at: i64) -> Budget {
        Budget { limit: 5_000, remaining, resets_at: at(resets_at) }
    }

    #[test]
    fn budget_with_less_than_a_tenth_left_is_low_until_its_reset() {
        let mut limits = AccountLimits::of(&Fingerprint::of("t"));
        assert_eq!(limits.low_until(Api::Rest, at(0)), None);
        limits.note(Api::Rest, budget(500, 60));
        assert_eq!(limits.low_until(Api::Rest, at(0)), None);
        limits.note(Api::Rest, budget(499, 60));
        assert_eq!(limits.low_until(Api::Rest, at(0)), Some(at(60)));
        assert_eq!(limits.low_until(Api::GraphQl, at(0)), None);
        assert_eq!(limits.low_until(Api::Rest, at(60)), None);
    }

    #[test]
    fn share_left_is_the_smaller_one_of_the_budgets_in_force() {
        let mut limits = AccountLimits::of(&Fingerprint::of("t"));
        assert_eq!(limits.share_left(at(0)), None);
        limits.note(Api::GraphQl, budget(2_500, 60));
        assert_eq!(limits.share_left(at(0)), Some(0.5));
        limits.note(Api::Rest, budget(500, 30));
        assert_eq!(limits.share_left(at(29)), Some(0.1));
        assert_eq!(limits.share_left(at(30)), Some(0.5));
        assert_eq!(limits.share_left(at(60)), None);
    }

    #[test]
    fn used_up_budget_blocks_its_own_api_until_its_reset() {
        let mut limits = AccountLimits::of(&Fingerprint::of("t"));
        limits.note(Api::GraphQl, budget(0, 60));
        assert_eq!(limits.blocked_until(Api::GraphQl, at(59)), Some(at(60)));
        assert_eq!(limits.blocked_until(Api::GraphQl, at(60)), None);
        assert_eq!(limits.blocked_until(Api::Rest, at(59)), None);
    }

    #[test]
    fn merged_limits_take_the_later_time_and_the_smaller_budget() {
        let mut ours = AccountLimits::of(&Fingerprint::of("t"));
        ours.note(Api::Rest, budget(100, 60));
        ours.block(Api::GraphQl, at(9));
        let mut theirs = AccountLimits::of(&Fingerprint::of("t"));
        theirs.note(Api::Rest, budget(90, 60));
        theirs.note(Api::GraphQl, budget(4_000, 60));
        theirs.block(Api::GraphQl, at(30));
        theirs.throttle(at(40));
        ours.merge(&theirs);
        assert_eq!((ours.throttled_until(at(39)), ours.throttled_until(at(40))), (Some(at(40)), None));
        assert_eq!(ours.rest.budget, Some(budget(90, 60)));
        assert_eq!(ours.graph_ql.budget, Some(budget(4_000, 60)));
        assert_eq!(ours.blocked_until(Api::GraphQl, at(0)), Some(at(30)));
        theirs.note(Api::Rest, budget(5_000, 3_660));
        ours.merge(&theirs);
        assert_eq!(ours.rest.budget, Some(budget(5_000, 3_660)));
    }
}
