//! The route for Prometheus: agents and the copy as gauges, in the text format 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
//!
//! A state is a series for each of its values, 1 for the current one and 0 for the others, as OpenMetrics' state sets and
//! kube-state-metrics do it. Names of agents need no escapes.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use jiff::Timestamp;

use crate::app::App;
use crate::domain::{Presence, Severity, Work};
use crate::views::{
    self, AgentFilter, AgentView, Cursor, FleetStatus, MAX_AGENTS, PageRequest, Readable, Reading,
};

use super::auth::FleetReader;
use super::query;
use super::read_answers::{Forbidden, Refusals};
use super::refusal::Refusal;
use super::shown::shown_as;

/// Scrape the agents and the copy
///
/// Shows the agents that the token covers, and how fresh the cached issues are, in the text format of Prometheus. Needs a
/// token with the right `read`.
#[utoipa::path(
    get,
    path = "/api/metrics",
    tag = "reading",
    security(("agentToken" = [])),
    responses(
        (
            status = 200, description = "Prometheus's text format 0.0.4", body = String, content_type = "text/plain",
            headers(("ETag" = String, description = "Identifies this version")),
        ),
        Refusals,
        Forbidden,
    ),
)]
pub(super) async fn metrics(
    reader: FleetReader,
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    query::read(uri.query(), |_| ())?;
    let status = views::status(&app).await?;
    let reader = reader.reader();
    let named = reader.named_agents(app.clock.now());
    let filter = AgentFilter { state: None, work: None, issue: None, named: &named };
    let readable = Readable {
        covers: &|name| reader.covers(name),
        next: &|after| reader.next_covered(after).cloned(),
        coverage: &reader.coverage(),
    };
    let mut request = PageRequest { limit: MAX_AGENTS, cursor: None };
    let mut agents = Vec::new();
    loop {
        request.cursor = match views::agents(&app, &filter, readable, &request, &[]).await? {
            Reading::Read { page, .. } => {
                agents.extend(page.agents);
                page.next_cursor.map(Cursor)
            }
            // Only for a client that names a tag.
            Reading::Unchanged { .. } => None,
        };
        if request.cursor.is_none() {
            return Ok(shown_as("text/plain; version=0.0.4", &headers, text(&status, &agents).into_bytes()));
        }
    }
}

fn text(status: &FleetStatus, agents: &[AgentView]) -> String {
    let seconds = |at: Timestamp| at.as_duration().as_secs_f64().to_string();
    let flag = |is_so: bool| u8::from(is_so).to_string();
    let label = |agent: &AgentView| format!("{{agent=\"{}\"}}", agent.name);
    let in_state = |agent: &AgentView, state: &str| format!("{{agent=\"{}\",state=\"{state}\"}}", agent.name);
    let fresh = status.fresh_at.map(|at| (String::new(), seconds(at)));
    let problems = [("warning", Severity::Warning), ("error", Severity::Error)].map(|(word, severity)| {
        let count = status.problems.iter().filter(|problem| problem.severity == severity).count();
        (format!("{{severity=\"{word}\"}}"), count.to_string())
    });
    let last = agents.iter().filter_map(|of| Some((label(of), seconds(of.last_heartbeat_at?))));
    let presence = agents
        .iter()
        .flat_map(|of| Presence::ALL.map(|state| (in_state(of, state.as_str()), flag(of.state == state))));
    let work = agents
        .iter()
        .flat_map(|of| Work::ALL.map(|state| (in_state(of, state.as_str()), flag(of.work == state))));
    let held = agents.iter().map(|of| (label(of), flag(of.hold.is_some())));
    [
        gauge("fresh_timestamp_seconds", "All that GitHub showed until then is in the table.", fresh),
        gauge("problems", "The problems of the last pass.", problems),
        gauge("agent_last_heartbeat_timestamp_seconds", "When its last heartbeat was answered.", last),
        gauge("agent_state", "Whether the agent is there.", presence),
        gauge("agent_work", "Whether the agent's work goes on.", work),
        gauge("agent_held", "Whether an operator holds the agent.", held),
    ]
    .concat()
}

/// A metric with its samples: labels and values.
fn gauge(name: &str, help: &str, samples: impl IntoIterator<Item = (String, String)>) -> String {
    let name = format!("agent_heartbeat_{name}");
    let lines = samples.into_iter().map(|(labels, value)| format!("{name}{labels} {value}\n"));
    format!("# HELP {name} {help}\n# TYPE {name} gauge\n{}", lines.collect::<String>())
}
