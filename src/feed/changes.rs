//! Decides where to look for the changes after a cursor.

use crate::app::App;
use crate::domain::DeliveryCursor;
use crate::store::{LastPass, StoreError};

use super::backlog::{Backlog, PageSize};
use super::change_page::ChangePage;
use super::sources::Repositories;

/// The first changes after the cursor, at most `limit` (at least 1), and how many there are. Reads nothing if nothing
/// has changed since.
///
/// # Errors
/// [`StoreError`] if DynamoDB fails or an item cannot be read.
pub(crate) async fn changes_after(
    app: &App,
    last_pass: &LastPass,
    cursor: DeliveryCursor,
    limit: usize,
) -> Result<ChangePage, StoreError> {
    read(app, last_pass, cursor, PageSize { changes: limit, counts_rest: true }).await
}

/// Likewise, with or without counting the changes beyond the page.
pub(super) async fn read(
    app: &App,
    last_pass: &LastPass,
    cursor: DeliveryCursor,
    size: PageSize,
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
    Backlog::new(app, cursor, last_pass, size).read(repositories).await
}
