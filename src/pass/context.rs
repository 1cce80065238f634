//! What all steps of a pass share.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use crate::app::App;
use crate::domain::{ProbeMemory, RepositoryName, Usage};
use crate::github::Session;
use crate::store::{Lease, Stale};

use super::account_notes::AccountNotes;

/// How many repositories are worked on at the same time. GitHub allows 100 concurrent requests for all uses of
/// a token together.
pub(super) const REPOSITORIES_AT_ONCE: usize = 8;

/// What a pass is to keep to.
#[derive(Clone, Copy, Debug)]
pub struct PassOptions<'a> {
    /// It works until then at most, and then ends.
    pub deadline: Timestamp,
    /// What the passes before it in the same invocation asked of GitHub: together they keep within the budget.
    pub asked_before: &'a Usage,
    /// The repository whose held audit an operator confirms.
    pub confirmed: Option<&'a RepositoryName>,
}

/// A pass that runs.
pub(super) struct Pass<'a> {
    pub(super) app: &'a App,
    pub(super) lease: &'a Lease,
    pub(super) github: Session<'a>,
    pub(super) options: PassOptions<'a>,
    pub(super) started_at: Timestamp,
    /// How many absent issues the audits of all repositories have asked for.
    pub(super) absent_asked: AtomicUsize,
    /// What was met of each account.
    pub(super) account_notes: AccountNotes,
    /// What the next pass is to know of the probe.
    pub(super) probe_memory: Mutex<ProbeMemory>,
    is_superseded: AtomicBool,
}

impl<'a> Pass<'a> {
    /// The pass that `lease` allows.
    pub(super) fn new(app: &'a App, lease: &'a Lease, options: PassOptions<'a>) -> Self {
        Self {
            app,
            lease,
            github: app.github.session(options.deadline, lease.before().limits()),
            options,
            started_at: app.clock.now(),
            absent_asked: AtomicUsize::new(0),
            account_notes: AccountNotes::default(),
            probe_memory: Mutex::new(lease.before().probe()),
            is_superseded: AtomicBool::new(false),
        }
    }

    pub(super) fn fence(&self) -> u64 {
        self.lease.fence()
    }

    /// GitHub's time in this pass.
    pub(super) fn date(&self) -> Timestamp {
        self.github.first_date().unwrap_or(self.started_at)
    }

    /// How much time is left until the deadline.
    pub(super) fn time_left(&self) -> Duration {
        elapsed(self.app.clock.now(), self.options.deadline)
    }

    /// Whether nothing more may be begun: the time is up, or a later pass has taken over.
    pub(super) fn is_over(&self) -> bool {
        self.is_superseded() || self.app.clock.now() >= self.options.deadline
    }

    pub(super) fn is_superseded(&self) -> bool {
        self.is_superseded.load(Ordering::Relaxed)
    }

    /// A later pass has taken over: this one stops.
    pub(super) fn mark_superseded(&self) {
        self.is_superseded.store(true, Ordering::Relaxed);
    }

    /// Whether a fenced write was carried out. Where it was not, a later pass has taken over, and this one stops.
    pub(super) fn is_written(&self, written: Result<(), Stale>) -> bool {
        if let Err(Stale) = written {
            self.mark_superseded();
        }
        written.is_ok()
    }

    /// Each pass begins with another repository, so that none is left out for ever when the time does not suffice
    /// for all.
    pub(super) fn first_in_turn(&self, of: usize) -> usize {
        // The golden ratio's multiples fall evenly over the circle, however few or many are taken.
        const GOLDEN_RATIO: u64 = 0x9E37_79B9_7F4A_7C15;
        let share = u128::from(self.fence().wrapping_mul(GOLDEN_RATIO));
        usize::try_from((share * of as u128) >> 64).unwrap_or_default()
    }

    pub(super) fn in_turn<'w, T>(&self, all: &'w mut [T]) -> impl Iterator<Item = &'w mut T> + use<'w, T> {
        let (before, after) = all.split_at_mut(self.first_in_turn(all.len()));
        after.iter_mut().chain(before)
    }
}

/// The time between two instants; zero when they are in the wrong order.
pub(super) fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}
