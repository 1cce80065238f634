//! GitHub's primary rate limit: how much each token has left in its hour, in requests to REST and in points of
//! GraphQL, apart from each other.
//!
//! Secondary limits are not simulated; tests order them as faults.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

const DEFAULT_LIMIT: u64 = 5_000;

/// The budgets of all tokens. Each begins like the others and is used up on its own.
#[derive(Debug)]
pub(super) struct Budgets {
    beginning: Budget,
    of_token: HashMap<String, Budget>,
}

/// What one token has in the current window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub(super) limit: u64,
    pub(super) remaining: u64,
    pub(super) reset: Timestamp,
}

/// A token's budget is used up: the request is refused.
#[derive(Debug)]
pub(super) struct UsedUp;

impl Budgets {
    pub(super) fn new(reset: Timestamp) -> Self {
        let beginning = Budget { limit: DEFAULT_LIMIT, remaining: DEFAULT_LIMIT, reset };
        Self { beginning, of_token: HashMap::new() }
    }

    pub(super) fn set(&mut self, limit: u64, remaining: u64, reset: Timestamp) {
        self.beginning = Budget { limit, remaining, reset };
        self.of_token.clear();
    }

    pub(super) fn set_of(&mut self, token: String, limit: u64, remaining: u64, reset: Timestamp) {
        self.of_token.insert(token, Budget { limit, remaining, reset });
    }

    /// What a token has at `now`, in a new window if the last one is over.
    pub(super) fn of(&mut self, token: &str, now: Timestamp) -> &mut Budget {
        let budget = self.of_token.entry(token.to_owned()).or_insert(self.beginning);
        if budget.reset <= now {
            budget.remaining = budget.limit;
            budget.reset = now + SignedDuration::from_hours(1);
        }
        budget
    }
}

impl Budget {
    pub(super) fn used(&self) -> u64 {
        self.limit.saturating_sub(self.remaining)
    }

    /// Takes a request, or a query's points, off. The last one may cost more than is left.
    pub(super) fn spend(&mut self, amount: u64) -> Result<(), UsedUp> {
        if self.remaining == 0 {
            return Err(UsedUp);
        }
        self.remaining = self.remaining.saturating_sub(amount);
        Ok(())
    }
}
