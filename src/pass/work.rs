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

/// A repository, and the pass's progress on it.
#[derive(Debug)]
pub(super) struct Work {
    /// The name in the configuration.
    pub(super) name: RepositoryName,
    /// Its checkpoints and health, as the pass moves them.
    pub(super) tracked: TrackedRepository,
    /// The same as the table holds it; `None` if it is not stored yet.
    pub(super) stored: Option<TrackedRepository>,
    /// What the probe saw; `None` if the repository was not probed.
    pub(super) probe: Option<Probe>,
    /// GitHub's open-issue count, which a completed audit compares with the cached count; `None` if it is outdated.
    pub(super) open_on_github: Option<u64>,
    /// The listing, once it has started.
    pub(super) listing: Option<ListingUnderWay>,
    /// The pages of it that are left to read.
    pub(super) pages: Option<Listing>,
    /// The result of its listing.
    pub(super) result: WorkResult,
    /// Whether two consecutive probes saw the same open-issue count, all changes were settled, and the difference to
    /// the cached count is not the one that the last audit left unexplained.
    pub(super) has_drifted: bool,
    /// Whether its audit saw an older version of an issue too soon to trust it. A difference that such an audit leaves
    /// is not explained.
    pub(super) is_too_soon: bool,
    /// Whether an operator has confirmed, in this pass or before, what its audit on hold found.
    pub(super) is_confirmed: bool,
    /// The result of its audit; `None` if none was due, or it is complete.
    pub(super) audit_result: Option<WorkResult>,
    /// Its changed issues that are reported to agents: those without an excluded label.
    pub(super) recount: Recount,
    /// Whether rows may have been written that `recount` lacks.
    pub(super) has_uncounted: bool,
    /// Whether lists of issues, or verdicts about them, may have changed although no change is reported to agents.
    pub(super) changes_lists: bool,
    /// How many of its issues a backfill imported in this pass.
    pub(super) imported: u64,
    /// Whether the pass read anything that no pass had read before.
    pub(super) got_further: bool,
    /// Whether an issue is unreadable and its number is too.
    pub(super) has_unnumbered: bool,
}

/// A configured name that GitHub did not show and that no stored repository has, and why.
#[derive(Debug)]
pub(super) struct Unknown {
    pub(super) name: RepositoryName,
    pub(super) result: WorkResult,
}

/// All repositories of a pass, and what the pass knows about them.
#[derive(Debug, Default)]
pub(super) struct Worklist {
    /// What the table held when the pass began, with the names that the pass has stored since.
    pub(super) fleet: Fleet,
    /// The problems found while the list was made.
    pub(super) outcome: Outcome,
    /// The configured repositories that are known.
    pub(super) work: Vec<Work>,
    pub(super) unknown: Vec<Unknown>,
    /// Why an operator's confirmation was rejected.
    pub(super) confirmation_error: Option<Problem>,
    /// Stored repositories that are no longer configured.
    pub(super) untracked: Vec<Work>,
    /// Stored repositories whose configured name now belongs to another repository.
    pub(super) replaced: Vec<RepositoryId>,
    /// Whether the pass may have retired a repository.
    pub(super) has_retired: bool,
    /// Repositories outside this list that a dead pass changed.
    pub(super) changed_by_dead: Vec<RepositoryId>,
    /// Whether the search for a dead pass's changes missed a repository.
    pub(super) is_search_incomplete: bool,
    /// The index of each repository in `work`.
    places: HashMap<RepositoryId, usize>,
}

impl Worklist {
    /// An empty list on top of what the table holds.
    pub(super) fn new(fleet: Fleet) -> Self {
        Self { fleet, ..Self::default() }
    }

    /// Adds a repository that is not in the list yet.
    pub(super) fn add(&mut self, work: Work) {
        self.places.insert(work.id(), self.work.len());
        self.work.push(work);
    }

    /// All work whose rows may have changed.
    pub(super) fn all_work(&self) -> impl Iterator<Item = &Work> {
        self.work.iter().chain(&self.untracked)
    }

    pub(super) fn all_work_mut(&mut self) -> impl Iterator<Item = &mut Work> {
        self.work.iter_mut().chain(&mut self.untracked)
    }

    /// The work on a configured repository.
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
    /// Its start; `None` if it starts at the very first issue.
    pub(super) from: Option<Timestamp>,
    /// Whether everything before its start is settled, so that its pages move the settled watermark.
    pub(super) settles: bool,
    /// The `Date` of its first response.
    pub(super) first_date: Option<Timestamp>,
    /// The first second with a page that GitHub's link led to and that brought changes. An issue of that second may
    /// have moved to a page that was already read, so the second has to be read once more.
    pub(super) crowded: Option<Timestamp>,
    /// The checkpoints when it started.
    pub(super) before: TrackedRepository,
    /// The fence of the last pass, if everything that it wrote here is reported to agents.
    pub(super) reported_fence: Option<u64>,
}

/// An audit in this pass.
pub(super) struct AuditUnderWay<'w> {
    pub(super) work: &'w mut Work,
    pub(super) progress: AuditProgress,
}

/// The result of a pass for one repository.
#[derive(Debug)]
pub(super) enum WorkResult {
    /// There is more to do.
    UnderWay,
    /// It agrees with GitHub.
    Synced,
    /// Nothing in it is newer than its cursor, but its open-issue count differs from GitHub's.
    Drifted,
    /// It waits for a later pass. Not a failure.
    Deferred,
    /// Its listing or audit failed.
    Failed(Problem),
}

impl WorkResult {
    /// The problem, if it failed.
    pub(super) fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Failed(problem) => Some(problem),
            _ => None,
        }
    }

    /// The result of a step that failed. A lack of time or of budget defers the repository.
    pub(super) fn after(phase: Phase, error: &StepError, now: Timestamp) -> Self {
        match error {
            StepError::GitHub(GitHubError::Deadline) | StepError::BudgetLow => Self::Deferred,
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
            is_confirmed: false,
            audit_result: None,
            recount: Recount::default(),
            has_uncounted: false,
            changes_lists: false,
            imported: 0,
            got_further: false,
            has_unnumbered: false,
        }
    }

    pub(super) fn id(&self) -> RepositoryId {
        self.tracked.id
    }

    /// What GitHub's client needs to request it.
    pub(super) fn target(&self) -> Target<'_> {
        Target::new(&self.tracked.name, &self.name)
    }

    pub(super) fn is_under_way(&self) -> bool {
        matches!(self.result, WorkResult::UnderWay)
    }

    /// Whether only an audit can explain why its open-issue count differs.
    pub(super) fn needs_audit(&self) -> bool {
        matches!(self.result, WorkResult::Drifted) && self.tracked.held.is_none()
    }

    /// Whether everything that GitHub showed is read: it was listed to the end, or nothing was newer.
    pub(super) fn is_read(&self) -> bool {
        matches!(self.result, WorkResult::Synced | WorkResult::Drifted)
    }

    /// Whether the table holds something else. A settled watermark that has not reached the cursor is stored with the
    /// next other change: a watermark that lags costs one page to read again, and never an issue.
    pub(super) fn needs_storing(&self) -> bool {
        let Some(stored) = &self.stored else { return true };
        if self.tracked.is_settled() != stored.is_settled() {
            return true;
        }
        TrackedRepository { settled: stored.settled, ..self.tracked.clone() } != *stored
    }

    /// Notes how a step of the listing or of the audit ended.
    pub(super) fn note(&mut self, phase: Phase, ended: Result<(), StepError>, fence: u64, now: Timestamp) {
        let Err(error) = ended else { return };
        if matches!(error, StepError::Panicked) {
            // Some rows may have been written and some not.
            self.tracked.recount = true;
            self.tracked.last_change_fence = fence;
            self.has_uncounted = true;
        }
        let result = WorkResult::after(phase, &error, now);
        match phase {
            Phase::Reconcile => self.audit_result = Some(result),
            Phase::Request | Phase::Sync | Phase::Record => self.result = result,
        }
    }

    /// Adds up the writes of a page, or of one issue.
    pub(super) fn count(&mut self, applied: &Applied, fence: u64) {
        self.tracked.open_count = self.tracked.open_count.saturating_add_signed(applied.open_difference);
        self.tracked.recount |= applied.was_refused || applied.is_unsure;
        self.recount.add(&applied.recount);
        self.has_uncounted |= applied.is_unsure;
        self.is_too_soon |= applied.is_too_soon;
        self.changes_lists |= applied.changes_lists;
        if applied.changed > 0 || applied.is_unsure {
            self.tracked.last_change_fence = fence;
        }
    }

    /// The problem of its listing, or else of its audit.
    pub(super) fn failure(&self) -> Option<&Problem> {
        let audit = self.audit_result.as_ref().and_then(WorkResult::problem);
        self.result.problem().or(audit)
    }

    /// Updates the stored health: the kind of failure, and since when it lasts.
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
