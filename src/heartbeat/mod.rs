//! One heartbeat: runs the pass or joins one that another heartbeat ran, reports to the agent what changed since its
//! previous heartbeat, and records the run.
//!
//! An admitted heartbeat is always answered. Whatever fails on the way becomes a problem in the response.

mod admission;
mod changes;
mod contract;
mod declared;
mod passes;
mod problems;
mod record;
mod request;
mod response;
mod serve;
mod served;
mod summary;
mod verdicts;

use crate::app::App;

pub use contract::AgentHeartbeatResponse;
pub(crate) use request::{HeartbeatRequest, Rejected, Reply, ScheduledRequest};

use admission::{Admission, Admitted};
use record::Kept;
use response::ForAgent;
use verdicts::Verdicts;

/// Answers an agent's heartbeat, or replays the response to an earlier copy of the same request.
///
/// # Errors
///
/// If the agent exceeds its rate limit, the same request is still running, or its idempotency key was used with another
/// body. Nothing is synced then.
pub(crate) async fn handle(app: &App, request: HeartbeatRequest<'_>) -> Result<Reply, Rejected> {
    Ok(match admission::admit(app, request).await? {
        Admission::Replayed(response) => Reply::Replayed(response),
        Admission::Admitted(admitted) => Reply::Answered(Box::new(run(app, *admitted).await)),
    })
}

/// Answers a scheduled heartbeat, or an operator's confirmation of an audit on hold.
pub(crate) async fn handle_scheduled(app: &App, request: ScheduledRequest<'_>) -> AgentHeartbeatResponse {
    run(app, admission::admit_scheduled(app, request).await).await
}

/// The steps of one heartbeat.
async fn run(app: &App, Admitted { heartbeat, state }: Admitted<'_>) -> AgentHeartbeatResponse {
    let holds = state.as_ref().map(|state| state.holds.clone()).unwrap_or_default();
    let hold = holds.of(heartbeat.agent).filter(|_| heartbeat.origin.is_agent());
    let mut result = serve::serve(app, &heartbeat, state).await;
    for wrong in heartbeat.origin.sender().iter().flat_map(|sender| &sender.body.wrong) {
        result.outcome.add(problems::body_member_ignored(wrong));
    }
    let (page, unread) = changes::unreported(app, &heartbeat, &result).await;
    let (verdicts, unjudged) = match verdicts::judge(app, &heartbeat, &result.served, hold).await {
        Ok(verdicts) => (verdicts, None),
        Err(error) => (Verdicts::default(), Some(error)),
    };
    if let Some(error) = unread.or(unjudged) {
        result.outcome.add(problems::table_unavailable(&error));
    }
    let interval = app.config.heartbeat_interval;
    let for_agent = ForAgent { page: &page, verdicts: &verdicts, hold };
    let mut response = response::build(&heartbeat, &result, &for_agent, app.clock.now(), interval);
    let kept =
        Kept { cursor: page.cursor, stop_pages: &verdicts.stop_pages, judged: verdicts.judged.as_ref() };
    let recorded = record::record(app, &heartbeat, &result.served, &response, kept).await;
    if let Err(failure) = recorded {
        result.outcome.add(problems::run_not_recorded(&failure.cause));
        response = response::build(&heartbeat, &result, &for_agent, app.clock.now(), interval);
        // The agent's item was not written, so nobody waits for its next heartbeat.
        response.watch = None;
        if failure.is_run_stored {
            record::correct(app, &heartbeat, &result.served, &response, kept).await;
        }
    }
    summary::log(&heartbeat, &result, &response);
    response
}
