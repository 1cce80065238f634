//! What comes of a pass: its report, or why it has none.

use crate::domain::{Outcome, Problem, RepositoryName, Usage};
use crate::store::{LastPass, LeaseLost, StoreError};

/// What a pass that ended did.
#[derive(Debug)]
pub struct PassReport {
    /// How it ended, as it is stored.
    pub ended: LastPass,
    /// What it met.
    pub outcome: Outcome,
    /// Why an operator's word was not heeded; it concerns nobody else.
    pub confirmation_error: Option<Problem>,
    /// What it did, in one sentence.
    pub summary: String,
    /// The repositories it had no time to finish.
    pub deferred: Vec<RepositoryName>,
    /// Whether another pass at once may finish the deferred ones: this one got further, and GitHub's budget allows
    /// it.
    pub may_go_on: bool,
    /// Whether any repository came out well, or further. One whose audit is held does.
    pub succeeded: bool,
    /// How many issues it changed.
    pub touched: u64,
    /// What it asked of GitHub.
    pub asked: Usage,
}

/// Why a pass has no end of its own.
#[derive(Debug)]
pub enum PassEnd {
    /// Another pass took the claim over; here is the state as it is now.
    LeaseLost(Box<LeaseLost>),
    /// The table could not be read or written.
    Store(StoreError),
}

impl From<LeaseLost> for PassEnd {
    fn from(lost: LeaseLost) -> Self {
        Self::LeaseLost(Box::new(lost))
    }
}

impl From<StoreError> for PassEnd {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
