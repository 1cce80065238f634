//! How a heartbeat was served: by which pass, or by none.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::{DeliveryCursor, Outcome, Problem, Status, Usage};
use crate::pass::PassReport;
use crate::store::LastPass;

/// How long after its freshness has expired the last pass counts as stale.
const STALE_AFTER: Duration = Duration::from_secs(60);

/// How a heartbeat was served.
pub(super) enum Served {
    /// By a pass that it ran itself.
    Ran {
        last_pass: LastPass,
        /// What the pass did.
        summary: String,
        /// Whether any repository was synced.
        has_succeeded: bool,
    },
    /// By the last pass, which another heartbeat ran.
    Joined {
        last_pass: LastPass,
        /// How long ago that pass finished.
        age: Duration,
        is_fresh: bool,
        /// When the lease of the running pass expires; `None` if no pass is running.
        lease_until: Option<Timestamp>,
    },
    /// By no pass: the first one has not finished yet.
    FirstPassRunning { lease_until: Option<Timestamp> },
    /// By no pass: the one that it tried to run failed.
    Failed {
        /// The failed pass; `None` if it could not acquire the lease.
        pass_id: Option<Uuid>,
        /// The last pass that finished before.
        last_pass: Option<LastPass>,
        failure: PassFailure,
    },
    /// By no pass: the table could not be read.
    TableUnavailable,
}

/// Why a pass failed as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PassFailure {
    Table,
    Panic,
}

impl Served {
    /// The last pass that finished.
    pub(super) fn last_pass(&self) -> Option<&LastPass> {
        match self {
            Self::Ran { last_pass, .. } | Self::Joined { last_pass, .. } => Some(last_pass),
            Self::Failed { last_pass, .. } => last_pass.as_ref(),
            Self::FirstPassRunning { .. } | Self::TableUnavailable => None,
        }
    }

    /// The pass that this heartbeat ran, even if it failed, or joined.
    pub(super) fn pass_id(&self) -> Option<Uuid> {
        match self {
            Self::Ran { last_pass, .. } | Self::Joined { last_pass, .. } => Some(last_pass.pass_id),
            Self::Failed { pass_id, .. } => *pass_id,
            Self::FirstPassRunning { .. } | Self::TableUnavailable => None,
        }
    }

    /// Whether another heartbeat runs or ran the pass.
    pub(super) fn is_coalesced(&self) -> bool {
        matches!(self, Self::Joined { .. } | Self::FirstPassRunning { .. })
    }

    /// The status of a pass that another heartbeat ran.
    pub(super) fn joined_status(&self) -> Option<Status> {
        match self {
            Self::Joined { last_pass, .. } => Some(last_pass.status),
            _ => None,
        }
    }

    /// When the lease of another heartbeat's pass expires.
    pub(super) fn lease_until(&self) -> Option<Timestamp> {
        match self {
            Self::Joined { lease_until, .. } | Self::FirstPassRunning { lease_until } => *lease_until,
            _ => None,
        }
    }

    /// Whether the last pass is too long ago to rely on, or the one that this heartbeat tried to run failed as a whole.
    pub(super) fn is_stale(&self) -> bool {
        match self {
            Self::Ran { .. } => false,
            Self::Joined { last_pass, age, .. } => {
                *age > Duration::from_secs(last_pass.freshness_seconds) + STALE_AFTER
            }
            Self::FirstPassRunning { .. } | Self::Failed { .. } | Self::TableUnavailable => true,
        }
    }

    /// Whether a fresh pass that succeeded served this heartbeat.
    pub(super) fn is_fresh(&self) -> bool {
        match self {
            Self::Ran { has_succeeded, .. } => *has_succeeded,
            Self::Joined { is_fresh, .. } => *is_fresh,
            _ => false,
        }
    }
}

/// How a heartbeat was served, with everything else that came of it.
pub(super) struct ServeResult {
    pub(super) served: Served,
    /// Where delivery starts for an agent without a delivery cursor: earlier changes are not reported.
    pub(super) first_cursor: DeliveryCursor,
    pub(super) outcome: Outcome,
    /// The passes that this heartbeat ran.
    pub(super) passes: PassTotals,
}

impl ServeResult {
    pub(super) fn new(served: Served, first_cursor: DeliveryCursor) -> Self {
        Self { served, first_cursor, outcome: Outcome::default(), passes: PassTotals::default() }
    }

    pub(super) fn with(mut self, problem: Problem) -> Self {
        self.outcome.add(problem);
        self
    }
}

/// The passes that one heartbeat ran, in total.
#[derive(Debug, Default)]
pub(super) struct PassTotals {
    /// All that started.
    pub(super) count: u64,
    /// How long they took.
    pub(super) took: Duration,
    /// What those that finished requested from GitHub.
    pub(super) asked: Usage,
    /// How many issues they changed.
    pub(super) touched: u64,
    /// How many repositories the last one deferred. Earlier ones deferred the same repositories, so they do not add up.
    pub(super) deferred: usize,
}

impl PassTotals {
    /// Adds a pass that finished.
    pub(super) fn add(&mut self, report: &PassReport) {
        self.asked.add(&report.asked);
        self.touched += report.changed;
        self.deferred = report.deferred.len();
    }
}
