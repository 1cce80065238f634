//! The AgentRun, and what the agent has been told.

use crate::domain::{AgentRun, Minute, Phase, Position, Problem, ProblemCode, kept_until};
use crate::store::{Answered, Lease, Stale, StoreError};

use super::answer::ChangePage;
use super::{AgentHeartbeatResponse, Beat, Recording, Served};

/// Why a beat is not fully recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum NotRecorded {
    #[error(transparent)]
    Table(#[from] StoreError),
    #[error("another attempt at the same request has begun")]
    TakenOver,
    #[error("what is kept under its Idempotency-Key could not be read")]
    KeyUnknown,
}

impl From<Stale> for NotRecorded {
    fn from(_: Stale) -> Self {
        Self::TakenOver
    }
}

impl Beat<'_> {
    /// Records the beat and answers it, also when it cannot be recorded.
    pub(super) async fn close(
        mut self,
        basis: &Served,
        told: &ChangePage,
        position: Option<Position>,
    ) -> AgentHeartbeatResponse {
        let mut answer = self.answer(basis, told);
        if let Err(why) = self.put_run(&self.run(basis, &answer)).await {
            self.not_recorded(&why);
            answer = self.answer(basis, told);
        } else if let Err(why) = self.note_told(&answer, position).await {
            self.not_recorded(&why);
            answer = self.answer(basis, told);
            // The run is there and says otherwise, and so may what is kept; if this fails too, the log has it.
            let _ = self.put_run(&self.run(basis, &answer)).await;
            let _ = self.keep(&answer).await;
        }
        self.summarize(basis, &answer);
        answer
    }

    /// Notes, once the run is there, that its answer is told. What is kept under the request's key comes before the agent's
    /// position, which moves last: an answer that is lost is sent again or told again. Without a position, what the agent
    /// was told before is not known, or there is nobody to tell, and it stays.
    async fn note_told(
        &self,
        answer: &AgentHeartbeatResponse,
        position: Option<Position>,
    ) -> Result<(), NotRecorded> {
        self.keep(answer).await?;
        if let Some(position) = position {
            self.put_agent(position, answer).await?;
        }
        Ok(())
    }

    async fn keep(&self, answer: &AgentHeartbeatResponse) -> Result<(), NotRecorded> {
        let Recording::Attempt(key, attempt) = &self.recording else { return Ok(()) };
        let text = serde_json::to_string(answer).expect("an answer is JSON");
        let expires_at = kept_until(answer.finished_at);
        Ok(self.app.store.keep_answer(self.agent, key, attempt, &text, expires_at).await??)
    }

    fn not_recorded(&mut self, why: &NotRecorded) {
        self.outcome.add(Problem::warning(
            ProblemCode::RunNotRecorded,
            Phase::Record,
            format!("this beat is not fully recorded: {why}; what it tells is told again by the next"),
        ));
    }

    /// Leaves a trace of the beat that runs a pass, should it die.
    pub(super) async fn record_running(&self, claim: &Lease) {
        let run = AgentRun {
            run_id: self.run_id,
            agent_name: self.agent.to_string(),
            run_type: self.run_type,
            status: None,
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
        if let Err(error) = self.put_run(&run).await {
            tracing::warn!(run.id = %self.run_id, cause = %error, "The start of a run was not recorded.");
        }
    }

    fn run(&self, basis: &Served, answer: &AgentHeartbeatResponse) -> AgentRun {
        AgentRun {
            run_id: self.run_id,
            agent_name: self.agent.to_string(),
            run_type: self.run_type,
            status: Some(answer.status),
            started_at: self.started_at,
            finished_at: Some(answer.finished_at),
            summary: answer.summary.clone(),
            warnings: answer.warnings.clone(),
            errors: answer.errors.clone(),
            touched_issue_urls: answer.touched_issue_urls.clone(),
            touched_count: answer.touched_count,
            pass_id: basis.pass_id,
            coalesced: basis.coalesced,
        }
    }

    async fn put_agent(&self, told: Position, answer: &AgentHeartbeatResponse) -> Result<(), StoreError> {
        let minute = Minute::of(self.started_at);
        let answered = Answered { minute, told, at: answer.finished_at, token: self.token };
        self.app.store.put_agent(self.agent, self.known, answered).await
    }

    async fn put_run(&self, run: &AgentRun) -> Result<(), NotRecorded> {
        let attempt = match &self.recording {
            Recording::Plain => None,
            Recording::Attempt(_, attempt) => Some(attempt),
            Recording::Off => return Err(NotRecorded::KeyUnknown),
        };
        Ok(self.app.store.put_run(self.agent, run, attempt, self.app.config.run_retention).await??)
    }
}
