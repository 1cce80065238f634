//! Lets a program follow all changes with a cursor that it keeps itself.

use crate::app::App;
use crate::domain::DeliveryCursor;
use crate::store::{LastPass, StoreError};

use super::backlog::PageSize;
use super::change_page::{ChangePage, ReportedChange};
use super::changes;
use super::cursor::FeedCursor;

/// One page of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedPage {
    /// The changes after the given cursor: each issue once, with its last change, oldest change first. Never an issue
    /// with an excluded label.
    pub changes: Vec<ReportedChange>,
    /// The text of the cursor after them. It equals the given one if nothing has changed. `None` before the first pass
    /// has ended: there is nothing to follow yet.
    pub next_cursor: Option<String>,
    /// Whether there is another page now.
    pub has_more: bool,
    /// After how many seconds the next pass may have found changes: for so long the last one counts as fresh.
    pub poll_seconds: u64,
}

/// Why there is no page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// The text is not a cursor.
    #[error("not a cursor of the changes")]
    InvalidCursor,
    /// The cursor belongs to another table, or to a time that a restore of the table undid. The client starts again: it
    /// takes a new cursor, lists the issues, and then follows from that cursor.
    #[error("the table has been replaced or restored since this cursor was made")]
    OtherTable,
    /// DynamoDB failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The first changes after the cursor, at most `limit` (at least 1). Without a cursor the client starts now: an empty
/// page with the present cursor.
///
/// One read unit if nothing has changed. Otherwise also the reads of the changed repositories, below 40 units in total:
/// a page that would cost more has fewer changes.
///
/// # Errors
/// [`FollowError`] if the text is not a cursor, the cursor is of another table, or DynamoDB fails.
pub async fn follow(app: &App, cursor: Option<&str>, limit: usize) -> Result<FeedPage, FollowError> {
    let given = cursor.map(|text| FeedCursor::parse(text).ok_or(FollowError::InvalidCursor)).transpose()?;
    let state = app.store.state().await?;
    let (Some(generation), Some(last_pass)) = (state.generation, &state.ended) else {
        let poll_seconds = app.config.freshness.as_secs();
        let nothing = FeedPage { changes: Vec::new(), next_cursor: None, has_more: false, poll_seconds };
        return if given.is_none() { Ok(nothing) } else { Err(FollowError::OtherTable) };
    };
    let page = match given {
        None => ChangePage::empty(DeliveryCursor::after(last_pass.fence)),
        Some(given) if given.generation != generation || given.newest_fence() > last_pass.fence => {
            return Err(FollowError::OtherTable);
        }
        Some(given) if is_current(&given.delivery, last_pass) => ChangePage::empty(given.delivery),
        Some(given) => {
            let size = PageSize { changes: limit.max(1), counts_rest: false };
            changes::read(app, last_pass, given.delivery, size).await?
        }
    };
    Ok(FeedPage {
        changes: page.changes,
        next_cursor: Some(FeedCursor::new(generation, page.cursor).to_string()),
        has_more: page.has_more,
        poll_seconds: last_pass.freshness_seconds,
    })
}

/// Whether nothing has changed since, and the cursor can stay as it is: from an older one the next change would have to
/// be searched for in all repositories.
fn is_current(cursor: &DeliveryCursor, last_pass: &LastPass) -> bool {
    let LastPass { last_change_fence, search_all_fence, retired_fence, .. } = last_pass;
    let oldest = *last_change_fence.max(search_all_fence).max(retired_fence);
    cursor.within.is_none() && cursor.fence >= oldest
}
