//! The result of a pass: its report, or why there is none.

use crate::domain::{Outcome, Problem, RepositoryName, Usage};
use crate::store::LastPass;

/// What a pass did that ended.
#[derive(Debug)]
pub struct PassReport {
    /// Its end, as the fleet's state stores it.
    pub ended: LastPass,
    /// Its problems, and the status that follows from them.
    pub outcome: Outcome,
    /// Why the operator's confirmation was rejected, for the caller that sent it alone.
    pub confirmation_error: Option<Problem>,
    /// What it did, in one sentence, with counts.
    pub summary: String,
    /// The repositories that it left to a later pass.
    pub deferred: Vec<RepositoryName>,
    /// Whether another pass, run immediately, may finish the deferred repositories: this one made progress, and
    /// GitHub's budget allows it.
    pub may_go_on: bool,
    /// Whether any repository is well, or made progress. One whose audit is on hold counts as well.
    pub succeeded: bool,
    /// How many changed issues it reports to agents.
    pub changed: u64,
    /// Its requests to GitHub, by account.
    pub asked: Usage,
}
