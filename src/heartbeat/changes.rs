//! Finds the changes that an agent has not received yet, and decides where to look for them.

use crate::app::App;
use crate::domain::DeliveryCursor;
use crate::store::{LastPass, StoreError};

use super::backlog::Backlog;
use super::change_page::ChangePage;
use super::request::Heartbeat;
use super::served::ServeResult;
use super::sources::Repositories;

/// The changes after the agent's delivery cursor or, without one, since the pass that served it. If they cannot be
/// read, the result is an empty page and a problem is due: the next heartbeat reports them.
pub(super) async fn unreported(
    app: &App,
    heartbeat: &Heartbeat<'_>,
    result: &ServeResult,
) -> (ChangePage, Option<StoreError>) {
    let cursor = heartbeat.known.map_or(result.first_cursor, |agent| agent.delivery_cursor);
    let Some(last_pass) = result.served.last_pass() else { return (ChangePage::empty(cursor), None) };
    match changes_after(app, last_pass, cursor).await {
        // Nothing is delivered to the schedule: it reports what its own passes changed, and nothing later.
        Ok(page) => (ChangePage { has_more: page.has_more && heartbeat.origin.is_agent(), ..page }, None),
        Err(error) => (ChangePage::empty(cursor), Some(error)),
    }
}

/// Reads nothing if nothing has changed since.
async fn changes_after(
    app: &App,
    last_pass: &LastPass,
    cursor: DeliveryCursor,
) -> Result<ChangePage, StoreError> {
    if cursor.within.is_none() && cursor.fence >= last_pass.last_change_fence {
        let now = DeliveryCursor::after(cursor.fence.max(last_pass.fence));
        let are_kinds_reported = cursor.kinds_after == cursor.fence;
        let kinds_after = if are_kinds_reported { now.kinds_after } else { cursor.kinds_after };
        return Ok(ChangePage::empty(DeliveryCursor { kinds_after, ..now }));
    }
    let from = cursor.complete_fence() + 1;
    let repositories = match last_pass.recent.since(from) {
        Some(ids) if last_pass.search_all_fence < from => Repositories::known(ids),
        _ => Repositories::all(),
    };
    Backlog::new(app, cursor, last_pass).read(repositories).await
}
