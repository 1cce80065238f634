//! What can be read, and by whom.

mod agents;
mod agents_tag;
mod changes;
mod conventions;
mod description;
mod fleet;
mod hostile;
mod issue_pages;
mod issues;
mod metrics;
mod problems;
mod runs;
