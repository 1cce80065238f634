//! Ends a pass: what it met becomes problems, and its marks, its record and the fleet's state are written, in
//! that order. Who reads the state can rely on the rest.

use crate::domain::{Outcome, Problem, ProblemCode, RepositoryName, Severity, counted};
use crate::store::{Ended, Fleet, Overtaken, PassRecord};

use super::work::{Roster, Unknown, Work, WorkResult};
use super::{Pass, PassEnd, PassReport, audit};

/// So many repositories that failed alike are told one by one.
const MOST_NAMED: usize = 20;

impl Pass<'_> {
    pub(super) async fn end(
        &self,
        mut roster: Roster,
        mut fleet: Fleet,
        mut outcome: Outcome,
    ) -> Result<PassReport, PassEnd> {
        let now = self.app.clock.now();
        for work in &mut roster.work {
            work.note_health(now);
        }
        let marks_are_stored = self.store_all(&mut roster.work).await;
        if self.is_stale.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(PassEnd::Overtaken(Overtaken(self.app.store.state().await?)));
        }
        for work in &roster.work {
            fleet.repositories.insert(work.id(), work.tracked.clone());
        }
        let tally = Tally::of(&roster, self.fence());
        add_failures(&mut outcome, &roster, &tally);
        for work in &roster.work {
            if let Some(absent) = work.tracked.held_absent {
                outcome.add(audit::held_problem(work, absent));
            }
        }
        let record = self.record(&tally, &outcome);
        let is_worth_a_record =
            record.touched > 0 || !record.problems.is_empty() || !record.deferred.is_empty();
        if is_worth_a_record {
            self.app.store.put_pass(&record, self.app.config.run_retention).await?;
        }
        let ended = self.ended(&tally, &record, marks_are_stored);
        if let Err(overtaken) = self.app.store.end_pass(self.claim, &ended).await? {
            return Err(PassEnd::Overtaken(overtaken));
        }
        Ok(PassReport {
            ended,
            outcome,
            summary: record.summary,
            fleet,
            deferred: record.deferred,
            got_further: roster.work.iter().any(|work| work.got_further),
            touched: record.touched,
            github_requests: record.github_requests,
        })
    }

    /// Writes the marks that are not in the table yet: those of the repositories whose health changed, since a
    /// page's own writes include its marks. Returns whether all are.
    async fn store_all(&self, work: &mut [Work]) -> bool {
        let mut all_stored = true;
        for work in work {
            if let Err(error) = self.store(work).await {
                tracing::warn!(repository.name = %work.name, cause = %error, "Marks were not stored.");
                all_stored = false;
            }
        }
        all_stored
    }

    fn record(&self, tally: &Tally, outcome: &Outcome) -> PassRecord {
        PassRecord {
            pass_id: self.claim.pass_id(),
            fence: self.fence(),
            started_at: self.started_at,
            ended_at: self.app.clock.now(),
            status: outcome.status(),
            summary: tally.summary(),
            problems: outcome.problems().to_vec(),
            touched: tally.touched,
            deferred: tally.deferred.clone(),
            github_requests: self.github.requests(),
        }
    }

    fn ended(&self, tally: &Tally, record: &PassRecord, marks_are_stored: bool) -> Ended {
        let before = self.claim.before().ended.as_ref();
        let takes_over = self.claim.takes_over();
        let fence = self.fence();
        let fresh_before = before.and_then(|ended| ended.fresh_at);
        Ended {
            pass_id: record.pass_id,
            fence,
            at: record.ended_at,
            status: record.status,
            fresh_at: if tally.backfilling > 0 {
                None
            } else if tally.agrees() {
                self.github.first_date().max(fresh_before)
            } else {
                fresh_before
            },
            freshness_seconds: self.freshness(tally.configured),
            last_change_fence: if tally.may_have_changed || takes_over {
                fence
            } else {
                before.map_or(0, |ended| ended.last_change_fence)
            },
            search_all_fence: if takes_over || !marks_are_stored {
                fence
            } else {
                before.map_or(0, |ended| ended.search_all_fence)
            },
            problems_from: (!record.problems.is_empty()).then_some(record.pass_id),
        }
    }

    /// For how long this pass serves every beat: as configured, or longer where passes like this one that follow
    /// each other at once would use up more than half of what GitHub grants in an hour. An idle pass asks twice
    /// for each repository; one that could not ask everything counts as such.
    fn freshness(&self, repositories: usize) -> u64 {
        let configured = self.app.config.freshness.as_secs();
        let Some(hourly_limit) = self.github.hourly_limit().filter(|limit| *limit > 0) else {
            return configured;
        };
        let requests = self.github.requests().max(2 * repositories as u64);
        let half = (hourly_limit / 2).max(1);
        // A pass that begins within the hour counts whole. One that takes most of the half stays alone in it.
        let share = (half + 1).saturating_sub(requests).max(half.div_ceil(2));
        configured.max((requests * 3_600).div_ceil(share))
    }
}

/// The pass in numbers.
#[derive(Debug, Default)]
struct Tally {
    configured: usize,
    synced: usize,
    failed: usize,
    deferred: Vec<RepositoryName>,
    backfilling: usize,
    held: usize,
    touched: u64,
    first_read: u64,
    /// Whether a repository that was not finished came further all the same.
    deferred_got_further: bool,
    may_have_changed: bool,
}

impl Tally {
    fn of(roster: &Roster, fence: u64) -> Self {
        let mut tally = Self::default();
        let results = roster.work.iter().map(|work| (&work.name, &work.result));
        let unknown = roster.unknown.iter().map(|Unknown { name, result }| (name, result));
        for (name, result) in results.chain(unknown) {
            tally.configured += 1;
            match result {
                WorkResult::Synced => tally.synced += 1,
                WorkResult::Failed(_) => tally.failed += 1,
                WorkResult::Deferred | WorkResult::UnderWay => tally.deferred.push(name.clone()),
            }
        }
        tally.backfilling = roster.work.iter().filter(|work| work.tracked.backfill.is_some()).count();
        tally.held = roster.work.iter().filter(|work| work.tracked.held_absent.is_some()).count();
        tally.first_read = roster.work.iter().map(|work| work.first_read).sum();
        tally.deferred_got_further =
            roster.work.iter().any(|work| work.got_further && matches!(work.result, WorkResult::Deferred));
        tally.touched = roster.work.iter().map(|work| work.touched).sum();
        tally.may_have_changed = roster.work.iter().any(|work| work.tracked.last_change_fence == fence);
        tally
    }

    fn agrees(&self) -> bool {
        self.configured > 0 && self.synced == self.configured && self.held == 0
    }

    /// Whether no repository is well: each failed, or there was no time to see it fail too.
    fn all_failed(&self) -> bool {
        self.failed > 0 && self.synced == 0 && !self.deferred_got_further
    }

    fn summary(&self) -> String {
        if self.configured == 0 {
            return "Synced nothing: no repository is tracked.".to_owned();
        }
        let mut summary = format!(
            "Synced {} of {}: {} changed",
            self.synced,
            counted(self.configured as u64, "repository", "repositories"),
            counted(self.touched, "issue", "issues"),
        );
        if self.first_read > 0 {
            summary.push_str(&format!(", {} read for the first time", self.first_read));
        }
        if !self.deferred.is_empty() {
            let rest = counted(self.deferred.len() as u64, "repository is", "repositories are");
            summary.push_str(&format!("; {rest} left to the next pass"));
        }
        summary.push('.');
        summary
    }
}

/// Turns the failures into problems: warnings while any repository is well, errors when none is. Each is told with
/// its repository, unless so many failed alike that the answer would be all about that; what lies with the token is
/// told once.
fn add_failures(outcome: &mut Outcome, roster: &Roster, tally: &Tally) {
    let of_work = roster.work.iter().map(|work| (&work.name, &work.result));
    let of_unknown = roster.unknown.iter().map(|unknown| (&unknown.name, &unknown.result));
    let mut alike: Vec<(Problem, Vec<&RepositoryName>)> = Vec::new();
    for (name, result) in of_work.chain(of_unknown) {
        let WorkResult::Failed(problem) = result else {
            continue;
        };
        let cause = &problem.message;
        tracing::warn!(repository.name = %name, phase = problem.phase.as_str(), cause, "A repository failed.");
        match alike.iter_mut().find(|(known, _)| known == problem) {
            Some((_, names)) => names.push(name),
            None => alike.push((problem.clone(), vec![name])),
        }
    }
    for (mut problem, names) in alike {
        if tally.all_failed() {
            problem.severity = Severity::Error;
        }
        if concerns_all(problem.code) {
            if outcome.problems().iter().all(|known| known.code != problem.code) {
                outcome.add(problem);
            }
        } else if let ([first, second, more @ ..], true) = (&names[..], names.len() > MOST_NAMED) {
            problem.message = format!("{first}, {second} and {} more: {}", more.len(), problem.message);
            outcome.add(problem);
        } else {
            names.into_iter().for_each(|name| outcome.add(problem.clone().of(name)));
        }
    }
}

/// Whether the cause lies with the token as a whole, so that every repository meets it.
fn concerns_all(code: ProblemCode) -> bool {
    matches!(
        code,
        ProblemCode::GithubRateLimited
            | ProblemCode::GithubUnauthorized
            | ProblemCode::CredentialsUnavailable
    )
}
