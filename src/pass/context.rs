//! What all steps of a pass share.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use crate::app::App;
use crate::domain::{ProbeMemory, RepositoryName, Usage};
use crate::github::Session;
use crate::store::{Lease, StoreError, WriteError};

use super::account_notes::AccountNotes;

/// How many repositories are read concurrently. GitHub allows 100 concurrent requests for all users of a token
/// together.
pub(super) const REPOSITORIES_AT_ONCE: usize = 8;

/// The limits of a pass, and what its caller wants from it.
#[derive(Clone, Copy, Debug)]
pub struct PassOptions<'a> {
    /// It starts no request, write or retry after this time, except those of its end.
    pub deadline: Timestamp,
    /// The requests to GitHub of the earlier passes in this invocation: all passes together keep within the budget.
    pub asked_before: &'a Usage,
    /// The repository whose audit on hold an operator confirms.
    pub confirmed: Option<&'a RepositoryName>,
}

/// A pass that runs.
pub(super) struct Pass<'a> {
    pub(super) app: &'a App,
    pub(super) lease: &'a Lease,
    pub(super) github: Session<'a>,
    pub(super) options: PassOptions<'a>,
    pub(super) started_at: Timestamp,
    /// How many absent issues the audits of all repositories have requested.
    pub(super) absent_requested: AtomicUsize,
    /// What the pass knows about each account's budgets.
    pub(super) account_notes: AccountNotes,
    /// What the next pass has to know about the probe.
    pub(super) probe_memory: Mutex<ProbeMemory>,
    is_superseded: AtomicBool,
}

impl<'a> Pass<'a> {
    pub(super) fn new(app: &'a App, lease: &'a Lease, options: PassOptions<'a>) -> Self {
        Self {
            app,
            lease,
            github: app.github.session(options.deadline, lease.before().limits()),
            options,
            started_at: app.clock.now(),
            absent_requested: AtomicUsize::new(0),
            account_notes: AccountNotes::default(),
            probe_memory: Mutex::new(lease.before().probe()),
            is_superseded: AtomicBool::new(false),
        }
    }

    pub(super) fn fence(&self) -> u64 {
        self.lease.fence()
    }

    /// GitHub's clock in this pass: the `Date` of its first response.
    pub(super) fn date(&self) -> Timestamp {
        self.github.first_date().unwrap_or(self.started_at)
    }

    /// The time until the deadline; zero after it.
    pub(super) fn time_left(&self) -> Duration {
        elapsed(self.app.clock.now(), self.options.deadline)
    }

    /// Whether the pass must start nothing more: the time is up, or a later pass has taken over.
    pub(super) fn is_over(&self) -> bool {
        self.is_superseded() || self.app.clock.now() >= self.options.deadline
    }

    pub(super) fn is_superseded(&self) -> bool {
        self.is_superseded.load(Ordering::Relaxed)
    }

    /// Makes this pass stop: a later one has taken over.
    pub(super) fn mark_superseded(&self) {
        self.is_superseded.store(true, Ordering::Relaxed);
    }

    /// Whether a fenced write was carried out. If not, a later pass has taken over, and this one stops.
    pub(super) fn is_written(&self, written: Result<(), WriteError>) -> Result<bool, StoreError> {
        match written {
            Ok(()) => Ok(true),
            Err(WriteError::Superseded) => {
                self.mark_superseded();
                Ok(false)
            }
            Err(WriteError::Store(error)) => Err(error),
        }
    }

    /// Each pass starts with another repository, so that none waits forever if the time never suffices for all.
    pub(super) fn first_in_turn(&self, of: usize) -> usize {
        // Multiples of the golden ratio, modulo 1, spread evenly for any number of passes.
        const GOLDEN_RATIO: u64 = 0x9E37_79B9_7F4A_7C15;
        let share = u128::from(self.fence().wrapping_mul(GOLDEN_RATIO));
        usize::try_from((share * of as u128) >> 64).unwrap_or_default()
    }

    pub(super) fn in_turn<'w, T>(&self, all: &'w mut [T]) -> impl Iterator<Item = &'w mut T> + use<'w, T> {
        let (before, after) = all.split_at_mut(self.first_in_turn(all.len()));
        after.iter_mut().chain(before)
    }
}

/// The time between two instants; zero if `to` is before `from`.
pub(super) fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}
