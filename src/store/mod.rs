//! The table's reads and writes. `keys.rs` explains its layout.
//!
//! Nothing here decides what to write. What it does guarantee: a write to the fleet's items carries the pass's
//! fence and is refused below the stored one, and a row is written over exactly the revision it was planned on.

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
