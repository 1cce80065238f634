//! The table's reads and writes. `keys.rs` explains its layout.
//!
//! This module does not decide what to write. It guarantees two things. A write to the fleet's items carries the pass's
//! fencing token and is rejected if the stored token is higher. A row is written only over the revision that it was
//! planned on.

mod agents;
mod audits;
mod conflicts;
mod counts;
mod fenced;
mod fleet;
mod holds;
mod initial_state;
mod issue_writes;
mod issues;
mod keys;
mod lease;
mod open_issues;
mod recent;
mod repositories;
mod requests;
mod runs;
mod table;
mod watch;
mod watched;

pub use agents::{Agent, AgentRecord, AgentsFrom, AgentsRead, AnsweredHeartbeat};
pub use fleet::{FleetState, LastPass};
pub use holds::HoldError;
pub use initial_state::InitialState;
pub use issue_writes::RowWrite;
pub use issues::{ChangedIssue, ChangesRead, IssuePageRead};
pub use lease::{Lease, LeaseError};
pub use open_issues::{ListedIssue, OpenIssue, OpenPageRead};
pub use recent::{RecentChanges, RepositoriesRead};
pub use repositories::{ConfiguredName, Fleet, NameTarget};
pub use requests::AttemptStart;
pub use runs::{PassRecord, RecordsRead};
pub use table::{ConnectError, Store, StoreError, StorePatience, WriteError};
pub use watch::{SweepState, Unsent, WatchState};
pub use watched::WatchedAgent;
