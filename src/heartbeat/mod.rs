//! One beat: runs the pass or joins one that another beat ran, tells the agent what changed since its last
//! beat, and records the run.
//!
//! A beat is always answered. What goes wrong on the way becomes a problem in the answer.

mod answer;
mod touches;

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use crate::app::App;
use crate::domain::{
    AgentName, AgentRun, Outcome, Phase, Position, Problem, ProblemCode, RunStatus, RunType, Severity,
};
use crate::pass::{self, Crashed, PassEnd, PassReport, guard};
use crate::store::{Agent, Claim, Ended, Fleet, FleetState, Overtaken, StoreError};

pub use answer::AgentHeartbeatResponse;

use answer::{Told, coalesced_summary};

/// How long after its freshness has run out the last pass is called stale.
const STALE_AFTER: Duration = Duration::from_secs(60);

/// A beat on its way to its answer.
struct Beat<'a> {
    app: &'a App,
    agent: &'a AgentName,
    run_type: RunType,
    run_id: Uuid,
    started_at: Timestamp,
    outcome: Outcome,
}

/// What a beat has to go by once there is a pass to speak of, or none.
struct Basis {
    /// How the last pass ended; none before the first.
    ended: Option<Ended>,
    /// The repositories, when they were read anyway.
    fleet: Option<Fleet>,
    /// The end of the summary.
    summary: String,
    /// Whether another beat ran the pass.
    coalesced: bool,
    /// The position of an agent that beats for the first time: what came before is not told.
    first_position: Position,
}

/// Answers a beat of `agent`. `deadline` is when the invocation ends, where that is known.
pub async fn beat(
    app: &App,
    agent: &AgentName,
    run_type: RunType,
    deadline: Option<Timestamp>,
) -> AgentHeartbeatResponse {
    let mut beat = Beat {
        app,
        agent,
        run_type,
        run_id: app.clock.new_id(),
        started_at: app.clock.now(),
        outcome: Outcome::default(),
    };
    let (state, known) = futures_util::join!(app.store.state(), app.store.agent(agent));
    match (state, known) {
        (Ok(state), Ok(known)) => {
            let basis = beat.basis(state, deadline).await;
            beat.finish(basis, known).await
        }
        (Err(error), _) | (_, Err(error)) => beat.without_table(&error).await,
    }
}

impl Beat<'_> {
    /// Runs the pass if it is this beat's to run; joins the last one otherwise.
    async fn basis(&mut self, state: FleetState, deadline: Option<Timestamp>) -> Basis {
        let now = self.app.clock.now();
        if state.is_fresh(now) || state.is_claimed(now) {
            return self.join(state).await;
        }
        match self.claim(state.clone()).await {
            Ok(Ok(claim)) => {
                self.record_running(&claim).await;
                self.run_passes(claim, deadline).await
            }
            Ok(Err(Overtaken(state))) => self.join(state).await,
            Err(error) => self.failed(state, &error),
        }
    }

    async fn claim(&self, state: FleetState) -> Result<Result<Claim, Overtaken>, StoreError> {
        let now = self.app.clock.now();
        let until = now.checked_add(self.app.timing.claim).unwrap_or(now);
        self.app.store.claim(state, self.app.clock.new_id(), now, until).await
    }

    /// An agent's beat runs one pass. A scheduled one, for which nobody waits, runs one after another while
    /// something is left to the next pass and the last one got further.
    async fn run_passes(&mut self, claim: Claim, deadline: Option<Timestamp>) -> Basis {
        let first_position = Position::after(claim.before().ended_fence());
        let (mut basis, mut goes_on) = self.run_pass(&claim, deadline).await;
        while goes_on && self.run_type == RunType::Scheduled && self.has_time_for_another(deadline) {
            let claimed = match self.app.store.state().await {
                Ok(state) => self.claim(state).await,
                Err(error) => Err(error),
            };
            // Another beat has the claim, or the table does not answer: what was done stands.
            let Ok(Ok(claim)) = claimed else { break };
            (basis, goes_on) = self.run_pass(&claim, deadline).await;
        }
        Basis { first_position, ..basis }
    }

    /// Runs one pass; tells also whether another one at once would get further.
    async fn run_pass(&mut self, claim: &Claim, deadline: Option<Timestamp>) -> (Basis, bool) {
        let basis = match guard(pass::run(self.app, claim, self.pass_deadline(deadline))).await {
            Ok(Ok(report)) => {
                let goes_on = report.got_further && !report.deferred.is_empty();
                return (self.ran(report), goes_on);
            }
            Ok(Err(PassEnd::Overtaken(Overtaken(state)))) => self.join(state).await,
            Ok(Err(PassEnd::Store(error))) => {
                self.give_back(claim).await;
                self.failed(claim.before().clone(), &error)
            }
            Err(Crashed) => {
                self.give_back(claim).await;
                let problem = Problem::error(ProblemCode::PhaseCrashed, Phase::Sync, Crashed.to_string());
                self.outcome.add(problem);
                Basis::without_pass(claim.before().clone(), "The pass crashed.")
            }
        };
        (basis, false)
    }

    /// Nobody is to wait for a pass that failed. Should this fail too, the claim runs out.
    async fn give_back(&self, claim: &Claim) {
        if let Err(error) = self.app.store.release(claim).await {
            tracing::warn!(pass.id = %claim.pass_id(), cause = %error, "A claim was not given back.");
        }
    }

    fn has_time_for_another(&self, deadline: Option<Timestamp>) -> bool {
        let timing = &self.app.timing;
        let least = timing.answering + 2 * timing.pass_ending;
        let left = deadline.map(|deadline| Duration::try_from(deadline.duration_since(self.app.clock.now())));
        left.is_some_and(|left| left.unwrap_or_default() > least)
    }

    /// When the pass must stop working: its own budget, or what the invocation leaves of it. A deadline that
    /// has passed already is a stand-in's: the budget is whole then.
    fn pass_deadline(&self, deadline: Option<Timestamp>) -> Timestamp {
        let timing = &self.app.timing;
        let now = self.app.clock.now();
        let budget = now.checked_add(timing.pass_budget).unwrap_or(now);
        let end = deadline
            .filter(|deadline| *deadline > self.started_at)
            .and_then(|deadline| deadline.checked_sub(timing.answering).ok())
            .map_or(budget, |deadline| deadline.min(budget));
        end.checked_sub(timing.pass_ending).unwrap_or(end)
    }

    fn ran(&mut self, report: PassReport) -> Basis {
        self.outcome = report.outcome;
        tracing::info!(
            pass.id = %report.ended.pass_id,
            pass.fence = report.ended.fence,
            pass.deferred = report.deferred.len(),
            github.requests = report.github_requests,
            issues.touched = report.touched,
            "A pass ended."
        );
        Basis {
            fleet: Some(report.fleet),
            summary: report.summary,
            coalesced: false,
            first_position: Position::after(report.ended.fence.saturating_sub(1)),
            ended: Some(report.ended),
        }
    }

    /// Answers from the last pass that ended, without waiting for one that runs.
    async fn join(&mut self, state: FleetState) -> Basis {
        let now = self.app.clock.now();
        let Some(ended) = state.ended else {
            self.outcome.add(Problem::warning(
                ProblemCode::FirstPassRunning,
                Phase::Sync,
                "the first pass is still running; beat again in a few seconds",
            ));
            return Basis {
                ended: None,
                fleet: None,
                summary: "Joined the first pass, which is still running.".to_owned(),
                coalesced: true,
                first_position: Position::after(0),
            };
        };
        let age = Duration::try_from(now.duration_since(ended.at)).unwrap_or_default();
        if age > Duration::from_secs(ended.freshness_seconds) + STALE_AFTER {
            let message =
                format!("the last pass ended {} s ago, and the next has not ended yet", age.as_secs());
            self.outcome.add(Problem::warning(ProblemCode::Stale, Phase::Sync, message));
        }
        if let Some(pass_id) = ended.problems_from {
            self.add_problems_of(pass_id, age).await;
        }
        Basis {
            summary: coalesced_summary(age),
            fleet: None,
            coalesced: true,
            first_position: Position::after(ended.fence.saturating_sub(1)),
            ended: Some(ended),
        }
    }

    /// Adds the problems of a pass that ended so long ago, which is taken off what there was to wait.
    async fn add_problems_of(&mut self, pass_id: Uuid, age: Duration) {
        match self.app.store.pass(pass_id).await {
            Ok(Some(record)) => {
                for problem in record.problems {
                    let wait = problem.retry_after_seconds;
                    let left = wait.and_then(|wait| wait.checked_sub(age.as_secs()));
                    self.outcome.add(problem.retry_after(left.filter(|left| *left > 0)));
                }
            }
            Ok(None) => {}
            Err(error) => self.outcome.add(table_problem(&error, Severity::Error)),
        }
    }

    fn failed(&mut self, state: FleetState, error: &StoreError) -> Basis {
        self.outcome.add(table_problem(error, Severity::Error));
        Basis::without_pass(state, "The pass did not end.")
    }

    async fn finish(mut self, basis: Basis, known: Option<Agent>) -> AgentHeartbeatResponse {
        let position = known.map_or(basis.first_position, |agent| agent.told);
        let told = match self.tell(&basis, position).await {
            Ok(told) => told,
            Err(error) => {
                self.outcome.add(table_problem(&error, Severity::Error));
                Told::nothing(position)
            }
        };
        let position = Some(told.position);
        self.close(&basis, &told, position).await
    }

    /// What the agent was told before is not known: its position stays, and the next beat tells what is new.
    async fn without_table(mut self, error: &StoreError) -> AgentHeartbeatResponse {
        self.outcome.add(table_problem(error, Severity::Error));
        let basis = Basis::without_pass(FleetState::default(), "Synced nothing: the table cannot be used.");
        let told = Told::nothing(basis.first_position);
        self.close(&basis, &told, None).await
    }

    /// Records the beat and answers it, also when it cannot be recorded.
    async fn close(
        mut self,
        basis: &Basis,
        told: &Told,
        position: Option<Position>,
    ) -> AgentHeartbeatResponse {
        let mut answer = self.answer(basis, told);
        if let Err(error) = self.record(basis, &answer, position).await {
            self.outcome.add(Problem::warning(
                ProblemCode::RunNotRecorded,
                Phase::Record,
                format!("this beat is not recorded: {error}; what it tells is told again by the next"),
            ));
            answer = self.answer(basis, told);
        }
        answer.log();
        answer
    }

    /// Leaves a trace of the beat that runs a pass, should it die.
    async fn record_running(&self, claim: &Claim) {
        let run = AgentRun {
            run_id: self.run_id,
            agent_name: self.agent.to_string(),
            run_type: self.run_type,
            status: RunStatus::Running,
            started_at: self.started_at,
            finished_at: None,
            summary: "Running a pass.".to_owned(),
            warnings: Vec::new(),
            errors: Vec::new(),
            touched_issue_urls: Vec::new(),
            touched_count: 0,
            pass_id: Some(claim.pass_id()),
            coalesced: false,
        };
        if let Err(error) = self.app.store.put_run(self.agent, &run, self.app.config.run_retention).await {
            tracing::warn!(run.id = %self.run_id, cause = %error, "The start of a run was not recorded.");
        }
    }

    /// Records the run and then moves the agent's position: what was not recorded is told again.
    async fn record(
        &self,
        basis: &Basis,
        answer: &AgentHeartbeatResponse,
        position: Option<Position>,
    ) -> Result<(), StoreError> {
        let run = AgentRun {
            run_id: self.run_id,
            agent_name: self.agent.to_string(),
            run_type: self.run_type,
            status: answer.status,
            started_at: self.started_at,
            finished_at: Some(answer.finished_at),
            summary: answer.summary.clone(),
            warnings: answer.warnings.clone(),
            errors: answer.errors.clone(),
            touched_issue_urls: answer.touched_issue_urls.clone(),
            touched_count: answer.touched_count,
            pass_id: basis.ended.as_ref().map(|ended| ended.pass_id),
            coalesced: basis.coalesced,
        };
        self.app.store.put_run(self.agent, &run, self.app.config.run_retention).await?;
        match position {
            Some(told) => self.app.store.put_agent(self.agent, told, answer.finished_at).await,
            None => Ok(()),
        }
    }
}

impl Basis {
    fn without_pass(state: FleetState, summary: &str) -> Self {
        Self {
            first_position: Position::after(state.ended_fence()),
            ended: state.ended,
            fleet: None,
            summary: summary.to_owned(),
            coalesced: false,
        }
    }
}

fn table_problem(error: &StoreError, severity: Severity) -> Problem {
    let message = format!("{error}; check TABLE_NAME and the function's access to it, then beat again");
    Problem { severity, ..Problem::error(ProblemCode::StoreUnavailable, Phase::Sync, message) }
}
