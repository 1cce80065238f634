//! How much of GitHub's budgets is left to an account, and until when GitHub wants to hear nothing of it.
//!
//! Only rules; who meters is the client, and where it is kept is the fleet's state.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::request_rate::RequestRate;
use super::{Fingerprint, millis, optional_millis};

/// GitHub counts an account's REST requests and its GraphQL points apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// Counted in requests.
    Rest,
    /// Counted in points.
    GraphQl,
}

/// What GitHub grants an account in an hour, and how much of it is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// Requests or points an hour.
    pub limit: u64,
    /// Those that are left.
    pub remaining: u64,
    /// When all are granted anew.
    #[serde(with = "millis")]
    pub resets_at: Timestamp,
}

/// What is known of one of an account's budgets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Allowance {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    budget: Option<Budget>,
    /// Until when nothing may be asked.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    closed_until: Option<Timestamp>,
}

/// What is known of the limits of one account: of whoever a token is of, or of a GitHub App's installation. It is
/// stored, so that no sandbox asks while a limit that another one met is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountLimits {
    /// Whose they are.
    #[serde(rename = "token")]
    account: Fingerprint,
    #[serde(default)]
    rest: Allowance,
    #[serde(default, rename = "graphql")]
    graph_ql: Allowance,
    /// Until when its repositories are left out, so that what is left lasts.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    throttled_until: Option<Timestamp>,
    /// Until when its repositories are not looked up one by one: the last time took much of the REST budget.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    no_lookups_until: Option<Timestamp>,
    /// The REST requests of the last minute.
    #[serde(default, skip_serializing_if = "RequestRate::is_empty")]
    rate: RequestRate,
}

impl AccountLimits {
    /// Nothing is known yet of this account's limits.
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

    /// Whether these are that account's.
    pub fn are_of(&self, account: &Fingerprint) -> bool {
        self.account == *account
    }

    /// Whether both are the same account's.
    pub fn are_those_of(&self, other: &Self) -> bool {
        self.account == other.account
    }

    /// Takes in what an answer said of a budget. One that is used up is closed until it is granted anew.
    pub fn note(&mut self, api: Api, budget: Budget) {
        let allowance = self.allowance_mut(api);
        allowance.budget = Some(budget);
        if budget.remaining == 0 {
            self.close(api, budget.resets_at);
        }
    }

    /// Nothing may be asked of this API until then.
    pub fn close(&mut self, api: Api, until: Timestamp) {
        let allowance = self.allowance_mut(api);
        allowance.closed_until = allowance.closed_until.max(Some(until));
    }

    /// Until when nothing may be asked of this API; none when it may.
    pub fn closed_until(&self, api: Api, now: Timestamp) -> Option<Timestamp> {
        self.allowance(api).closed_until.filter(|until| *until > now)
    }

    /// Its repositories are left out until then.
    pub fn spare(&mut self, until: Timestamp) {
        self.throttled_until = Some(until);
    }

    /// Until when its repositories are left out; none when they are not.
    pub fn throttled_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.throttled_until.filter(|until| *until > now)
    }

    /// Its repositories are not looked up one by one until then.
    pub fn defer_lookups(&mut self, until: Timestamp) {
        self.no_lookups_until = Some(until);
    }

    /// Until when its repositories are not looked up one by one; `None` when they may be.
    pub fn no_lookups_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.no_lookups_until.filter(|until| *until > now)
    }

    /// Counts a request that is about to be sent. Returns whether it may be: within the rate for REST requests.
    /// GraphQL is metered in points.
    pub fn admit(&mut self, api: Api, now: Timestamp) -> bool {
        api == Api::GraphQl || self.rate.admit(now)
    }

    /// Whether the REST requests of the last minute are as many as the rate allows.
    pub fn is_rate_reached(&self, now: Timestamp) -> bool {
        self.rate.is_reached(now)
    }

    /// When the budget is granted anew of which less than a tenth is left; none while there is more.
    pub fn low_until(&self, api: Api, now: Timestamp) -> Option<Timestamp> {
        let Budget { limit, remaining, resets_at } = self.allowance(api).budget?;
        (remaining.saturating_mul(10) < limit && resets_at > now).then_some(resets_at)
    }

    /// What GitHub last said of this budget.
    pub fn budget(&self, api: Api) -> Option<Budget> {
        self.allowance(api).budget
    }

    /// The smaller share of the two budgets that is left. One that is granted anew by now says nothing any more;
    /// none where neither says anything.
    pub fn share_left(&self, now: Timestamp) -> Option<f64> {
        let told = [Api::Rest, Api::GraphQl].into_iter().filter_map(|api| self.budget(api));
        let in_force = told.filter(|budget| budget.limit > 0 && budget.resets_at > now);
        in_force.map(|budget| budget.remaining as f64 / budget.limit as f64).reduce(f64::min)
    }

    /// Whether it says anything that still holds.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        let holds = |api| {
            self.closed_until(api, now).is_some()
                || self.budget(api).is_some_and(|budget| budget.resets_at > now)
        };
        self.is_deferred(now) || !self.rate.is_over(now) || [Api::Rest, Api::GraphQl].into_iter().any(holds)
    }

    /// Whether its repositories, or looking them up, wait.
    fn is_deferred(&self, now: Timestamp) -> bool {
        self.throttled_until(now).is_some() || self.no_lookups_until(now).is_some()
    }

    /// Whether it holds anybody back: nothing may or need be asked, less than half of a budget is left,
    /// or many requests were sent in the last minute.
    pub fn holds_back(&self, now: Timestamp) -> bool {
        let is_scarce =
            |budget: Budget| budget.resets_at > now && budget.remaining < budget.limit.div_ceil(2);
        let holds_back =
            |api| self.closed_until(api, now).is_some() || self.budget(api).is_some_and(is_scarce);
        self.is_deferred(now)
            || self.rate.is_worth_sharing(now)
            || [Api::Rest, Api::GraphQl].into_iter().any(holds_back)
    }

    /// Takes in what another sandbox learnt of the same account.
    pub fn merge(&mut self, other: &Self) {
        self.throttled_until = self.throttled_until.max(other.throttled_until);
        self.no_lookups_until = self.no_lookups_until.max(other.no_lookups_until);
        self.rate.merge(&other.rate);
        for api in [Api::Rest, Api::GraphQl] {
            let theirs = other.allowance(api);
            let ours = self.allowance_mut(api);
            ours.closed_until = ours.closed_until.max(theirs.closed_until);
            // Within one hour a budget only shrinks.
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
    fn a_budget_is_low_when_less_than_a_tenth_is_left_and_until_it_is_granted_anew() {
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
    fn the_share_that_is_left_is_the_smaller_one_of_what_is_in_force() {
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
    fn a_used_up_budget_closes_its_own_api_until_it_is_granted_anew() {
        let mut limits = AccountLimits::of(&Fingerprint::of("t"));
        limits.note(Api::GraphQl, budget(0, 60));
        assert_eq!(limits.closed_until(Api::GraphQl, at(59)), Some(at(60)));
        assert_eq!(limits.closed_until(Api::GraphQl, at(60)), None);
        assert_eq!(limits.closed_until(Api::Rest, at(59)), None);
    }

    #[test]
    fn what_two_sandboxes_know_comes_to_the_later_and_the_smaller() {
        let mut ours = AccountLimits::of(&Fingerprint::of("t"));
        ours.note(Api::Rest, budget(100, 60));
        ours.close(Api::GraphQl, at(9));
        let mut theirs = AccountLimits::of(&Fingerprint::of("t"));
        theirs.note(Api::Rest, budget(90, 60));
        theirs.note(Api::GraphQl, budget(4_000, 60));
        theirs.close(Api::GraphQl, at(30));
        theirs.spare(at(40));
        ours.merge(&theirs);
        assert_eq!((ours.throttled_until(at(39)), ours.throttled_until(at(40))), (Some(at(40)), None));
        assert_eq!(ours.rest.budget, Some(budget(90, 60)));
        assert_eq!(ours.graph_ql.budget, Some(budget(4_000, 60)));
        assert_eq!(ours.closed_until(Api::GraphQl, at(0)), Some(at(30)));
        theirs.note(Api::Rest, budget(5_000, 3_660));
        ours.merge(&theirs);
        assert_eq!(ours.rest.budget, Some(budget(5_000, 3_660)));
    }
}
