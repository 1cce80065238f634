//! The feed of changes: reads what changed after a cursor, page by page, in order and at a bounded cost.
//!
//! An agent's cursor is stored in the table and moves with its heartbeats (`changes_after`). A program that follows
//! all changes keeps its cursor itself ([`follow`]). Reading the feed writes nothing and takes no lease.

mod backlog;
mod change_page;
mod changes;
mod cursor;
mod follow;
mod sources;

pub use change_page::ReportedChange;
pub use follow::{FeedPage, FollowError, follow};

pub(crate) use change_page::ChangePage;
pub(crate) use changes::changes_after;
