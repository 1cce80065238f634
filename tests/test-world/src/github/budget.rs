//! GitHub's primary rate limit: what each token has left in its hour. REST requests and GraphQL points have separate
//! budgets.
//!
//! Secondary limits are not simulated; tests add them as faults.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

const DEFAULT_LIMIT: u64 = 5_000;

/// The budgets of all tokens. All start equal.
#[derive(Debug)]
pub(super) struct Budgets {
    beginning: Budget,
    of_token: HashMap<String, Budget>,
}

/// One token's budget in its current window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub(super) limit: u64,
    pub(super) remaining: u64,
    pub(super) reset: Timestamp,
}

/// The token's budget is used up: the request is rejected.
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

    /// A token's budget at `now`, in a new window if the last one is over.
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

    /// Subtracts a request, or a query's points. The last query may cost more than is left.
    ///
    /// # Errors
    ///
    /// If nothing is left.
    pub(super) fn spend(&mut self, amount: u64) -> Result<(), UsedUp> {
        if self.remaining == 0 {
            return Err(UsedUp);
        }
        self.remaining = self.remaining.saturating_sub(amount);
        Ok(())
    }
}
