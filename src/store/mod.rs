//! The table's reads and writes. `keys.rs` explains its layout.
//!
//! This module does not decide what to write. It guarantees two things. A write to the fleet's items carries the pass's
//! fencing token and is rejected if the stored token is higher. A row is written only over the revision that it was
//! planned on.

mod agents;
mod audits;
mod beginning;
mod conflicts;
mod counts;
mod fenced;
mod fleet;
mod issues;
mod keys;
mod lease;
mod recent;
mod repositories;
mod requests;
mod runs;
mod table;

pub use agents::{Agent, Answered};
pub use beginning::Beginning;
pub use fleet::{FleetState, LastPass};
pub use issues::{ChangedIssue, ChangesRead, OpenIssue, Put};
pub use lease::{Lease, LeaseLost, Stale};
pub use recent::{RecentChanges, RepositoriesRead};
pub use repositories::{ConfiguredName, Fleet};
pub use requests::Moved;
pub use runs::PassRecord;
pub use table::{Store, StoreError, StorePatience, Unreachable};
