//! One repository in one pass.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::domain::{
    AuditProgress, Outcome, Phase, Problem, Recount, RepositoryFailure, RepositoryId, RepositoryName,
    TrackedRepository,
};
use crate::github::{GitHubError, Listing, Probe, Target};
use crate::store::Fleet;

use super::problems;
use super::rows::Applied;
use super::step::StepError;

/// One configured repository and how far the pass has come with it.
#[derive(Debug)]
pub(super) struct Work {
    /// The name in the configuration.
    pub(super) name: RepositoryName,
    /// Its marks.
    pub(super) tracked: TrackedRepository,
    /// Its marks as they stand in the table.
    pub(super) stored: Option<TrackedRepository>,
    /// What the probe saw; none where there is none.
    pub(super) probe: Option<Probe>,
    /// GitHub's number of open issues that the cached one is to be held against when an audit ends.
    pub(super) open_on_github: Option<u64>,
    /// The listing, once it has begun.
    pub(super) listing: Option<ListingUnderWay>,
    /// What is left to read of it.
    pub(super) pages: Option<Listing>,
    /// How its listing came out.
    pub(super) result: WorkResult,
    /// Whether two probes in a row saw the same number of open issues in what is settled, and it is neither the cached
    /// one nor differs from it by what the last audit left.
    pub(super) has_drifted: bool,
    /// Whether its audit saw an issue in an older version too soon to believe it: what it leaves is not explained.
    pub(super) is_too_soon: bool,
    /// Whether an operator said, now or before, that what its held audit found is true.
    pub(super) is_believed: bool,
    /// How its audit came out; none when none was due, or it is complete.
    pub(super) audit_result: Option<WorkResult>,
    /// Its issues that changed and that agents may be told of: without the excluded ones.
    pub(super) recount: Recount,
    /// Whether rows may have been written that are not counted.
    pub(super) has_uncounted: bool,
    /// How many of its issues a backfill read in this pass.
    pub(super) imported: u64,
    /// Whether anything was read that had not been read before.
    pub(super) got_further: bool,
    /// Whether an issue cannot be read, its number included.
    pub(super) has_unnumbered: bool,
}

/// A configured name of which nothing is known yet, and why GitHub did not show it.
#[derive(Debug)]
pub(super) struct Unknown {
    pub(super) name: RepositoryName,
    pub(super) result: WorkResult,
}

/// All that is configured: what can be worked on, and what cannot yet.
#[derive(Debug, Default)]
pub(super) struct Worklist {
    /// What the table held when the pass began, and what it has written of names since.
    pub(super) fleet: Fleet,
    /// What was met while the list was made.
    pub(super) outcome: Outcome,
    pub(super) work: Vec<Work>,
    pub(super) unknown: Vec<Unknown>,
    /// Why an operator's word was not heeded.
    pub(super) confirmation_error: Option<Problem>,
    /// Those that are remembered and not configured any more.
    pub(super) untracked: Vec<Work>,
    /// Those whose configured name stands for another repository now.
    pub(super) replaced: Vec<RepositoryId>,
    /// Whether one was retired.
    pub(super) has_retired: bool,
    /// Repositories that are not worked on, and that a dead pass changed.
    pub(super) changed_by_dead: Vec<RepositoryId>,
    /// Whether a repository could not be searched for what a dead pass changed in it.
    pub(super) is_search_incomplete: bool,
    /// Where each repository is among the work.
    places: HashMap<RepositoryId, usize>,
}

impl Worklist {
    /// An empty one, with what the table holds.
    pub(super) fn new(fleet: Fleet) -> Self {
        Self { fleet, ..Self::default() }
    }

    /// Adds a repository that is not there yet.
    pub(super) fn add(&mut self, work: Work) {
        self.places.insert(work.id(), self.work.len());
        self.work.push(work);
    }

    /// All work of which rows may have changed.
    pub(super) fn all_work(&self) -> impl Iterator<Item = &Work> {
        self.work.iter().chain(&self.untracked)
    }

    pub(super) fn all_work_mut(&mut self) -> impl Iterator<Item = &mut Work> {
        self.work.iter_mut().chain(&mut self.untracked)
    }

    /// The work on a repository, if it is there.
    pub(super) fn of(&self, id: RepositoryId) -> Option<&Work> {
        self.places.get(&id).map(|place| &self.work[*place])
    }

    /// All configured names.
    pub(super) fn names(&self) -> impl Iterator<Item = &RepositoryName> {
        let known = self.work.iter().map(|work| &work.name);
        known.chain(self.unknown.iter().map(|unknown| &unknown.name))
    }
}

/// A listing in this pass.
#[derive(Debug)]
pub(super) struct ListingUnderWay {
    /// Where it began; none at the very first issue.
    pub(super) from: Option<Timestamp>,
    /// Whether all before its start is settled, so that its pages move the settled watermark.
    pub(super) settles: bool,
    /// The `Date` of its first answer.
    pub(super) first_date: Option<Timestamp>,
    /// The first second of which a page was reached by its position and brought news. Its neighbour may have slipped
    /// onto a page already read, so it is to be read once more.
    pub(super) crowded: Option<Timestamp>,
    /// The checkpoints it found.
    pub(super) before: TrackedRepository,
    /// The fence of the last pass, when agents have been told of all that it wrote here.
    pub(super) told: Option<u64>,
}

/// An audit in this pass.
pub(super) struct AuditUnderWay<'w> {
    pub(super) work: &'w mut Work,
    pub(super) progress: AuditProgress,
}

/// How a repository came out of a pass.
#[derive(Debug)]
pub(super) enum WorkResult {
    /// There is more to do.
    UnderWay,
    /// It agrees with GitHub.
    Synced,
    /// Nothing in it is newer than its cursor, but the open issues are more or fewer than the cached ones.
    Drifted,
    /// There was no time left. Not a failure.
    Deferred,
    /// It failed.
    Failed(Problem),
}

impl WorkResult {
    /// What failed.
    pub(super) fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Failed(problem) => Some(problem),
            _ => None,
        }
    }

    /// What follows from a step that was not finished: what has to wait is deferred, everything else fails.
    pub(super) fn after(phase: Phase, error: &StepError, now: Timestamp) -> Self {
        match error {
            StepError::GitHub(GitHubError::Deadline) | StepError::PutOff => Self::Deferred,
            StepError::GitHub(error) => Self::Failed(problems::github(error, phase, now)),
            StepError::Store(error) => Self::Failed(problems::store(error, phase)),
            StepError::Panicked => Self::Failed(problems::panicked(phase)),
        }
    }
}

impl Work {
    pub(super) fn new(
        name: &RepositoryName,
        tracked: TrackedRepository,
        stored: Option<TrackedRepository>,
        probe: Option<Probe>,
    ) -> Self {
        Self {
            name: name.clone(),
            stored,
            tracked,
            probe,
            open_on_github: None,
            listing: None,
            pages: None,
            result: WorkResult::UnderWay,
            has_drifted: false,
            is_too_soon: false,
            is_believed: false,
            audit_result: None,
            recount: Recount::default(),
            has_uncounted: false,
            imported: 0,
            got_further: false,
            has_unnumbered: false,
        }
    }

    pub(super) fn id(&self) -> RepositoryId {
        self.tracked.id
    }

    /// As it is asked for.
    pub(super) fn target(&self) -> Target<'_> {
        Target::new(&self.tracked.name, &self.name)
    }

    pub(super) fn is_under_way(&self) -> bool {
        matches!(self.result, WorkResult::UnderWay)
    }

    /// Whether only an audit can tell why its number of open issues is another.
    pub(super) fn is_to_be_audited(&self) -> bool {
        matches!(self.result, WorkResult::Drifted) && self.tracked.held.is_none()
    }

    /// Whether all that GitHub showed of it is read: listed to the end, or nothing was newer.
    pub(super) fn is_read(&self) -> bool {
        matches!(self.result, WorkResult::Synced | WorkResult::Drifted)
    }

    /// Whether the table would say something else. A settled mark on its way to the cursor waits for company:
    /// a mark that lags costs a page to read again, never an issue.
    pub(super) fn needs_storing(&self) -> bool {
        let Some(stored) = &self.stored else { return true };
        if self.tracked.is_settled() != stored.is_settled() {
            return true;
        }
        TrackedRepository { settled: stored.settled, ..self.tracked.clone() } != *stored
    }

    /// Takes what a step of the listing or of the audit met.
    pub(super) fn take(&mut self, phase: Phase, met: Result<(), StepError>, fence: u64, now: Timestamp) {
        let Err(error) = met else { return };
        if matches!(error, StepError::Panicked) {
            // Some rows may have been written and some not.
            self.tracked.recount = true;
            self.tracked.last_change_fence = fence;
            self.has_uncounted = true;
        }
        let result = WorkResult::after(phase, &error, now);
        match phase {
            Phase::Reconcile => self.audit_result = Some(result),
            Phase::Sync | Phase::Record => self.result = result,
        }
    }

    /// Takes over what the writes of a page, or of an answer about one issue, came to.
    pub(super) fn count(&mut self, applied: &Applied, fence: u64) {
        self.tracked.open_count = self.tracked.open_count.saturating_add_signed(applied.open_difference);
        self.tracked.recount |= applied.was_refused || applied.is_unsure;
        self.recount.add(&applied.recount);
        self.has_uncounted |= applied.is_unsure;
        self.is_too_soon |= applied.is_too_soon;
        if applied.changed > 0 || applied.is_unsure {
            self.tracked.last_change_fence = fence;
        }
    }

    /// What failed: its listing, or else its audit.
    pub(super) fn failure(&self) -> Option<&Problem> {
        let audit = self.audit_result.as_ref().and_then(WorkResult::problem);
        self.result.problem().or(audit)
    }

    /// Notes its health for the table: the kind of failure, and since when.
    pub(super) fn note_health(&mut self, now: Timestamp) {
        self.tracked.failure = match self.failure() {
            Some(problem) => {
                let before = self.tracked.failure.filter(|failure| failure.code == problem.code);
                before.or(Some(RepositoryFailure { code: problem.code, since: now }))
            }
            None if self.is_read() => None,
            None => self.tracked.failure,
        };
    }
}
