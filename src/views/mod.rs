//! What can be read: the fleet's status, agents and their runs, passes, repositories, and issues. Each function answers
//! one route. It reads at most the table, so it never delays a pass.
//!
//! Responses hold instants and never ages, so equal state makes equal bytes. Lists are read page by page
//! (`page.rs`): a cursor is the position of the last item, so an item that stays is on exactly one page.

mod agents;
mod agents_tag;
mod changes;
mod issue_filter;
mod issue_view;
mod issues;
mod page;
mod passes;
mod problem_words;
mod read_error;
mod repositories;
mod runs;
mod status;

pub use agents::{AgentFilter, AgentIssueView, AgentPage, AgentView, Readable, agent, agents};
pub use changes::{ChangePage, ChangeView, changes};
pub use issue_filter::{Assignee, IssueFilter, StateFilter};
pub use issue_view::{GoneView, IssueDetail, IssueView};
pub use issues::{IncompleteView, IssuePage, issue, issues};
pub use page::{Cursor, InvalidCursor, MAX_AGENTS, MAX_LIMIT, PageRequest, Position, Reading};
pub use passes::{PassPage, PassView, pass, passes};
pub use problem_words::{ProblemWords, ProblemWordsView, problem_words};
pub use read_error::ReadError;
pub use repositories::{
    AuditOnHoldView, FailureView, RepositoryPage, RepositoryState, RepositoryView, repositories, repository,
};
pub use runs::{RunPage, RunStatus, RunView, run, runs};
pub use status::{FleetStatus, LastPassView, PassHourView, status};
