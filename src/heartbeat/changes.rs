//! The changes that a heartbeat reports to its agent.

use crate::app::App;
use crate::feed::{self, ChangePage};
use crate::store::StoreError;

use super::request::Heartbeat;
use super::served::ServeResult;

/// The changes after the agent's delivery cursor or, without one, since the pass that served it. If they cannot be
/// read, the result is an empty page and a problem is due: the next heartbeat reports them.
pub(super) async fn unreported(
    app: &App,
    heartbeat: &Heartbeat<'_>,
    result: &ServeResult,
) -> (ChangePage, Option<StoreError>) {
    let cursor = heartbeat.known.as_ref().map_or(result.first_cursor, |agent| agent.delivery_cursor);
    let Some(last_pass) = result.served.last_pass() else { return (ChangePage::empty(cursor), None) };
    match feed::changes_after(app, last_pass, cursor, app.timing.backlog.changes).await {
        // Nothing is delivered to the schedule: it reports what its own passes changed, and nothing later.
        Ok(page) => (ChangePage { has_more: page.has_more && heartbeat.origin.is_agent(), ..page }, None),
        Err(error) => (ChangePage::empty(cursor), Some(error)),
    }
}
