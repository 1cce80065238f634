//! What the tests share: the service under test, who calls it, its logs, and sample data.

pub mod app;
pub mod audits;
pub mod backlogs;
pub mod browser;
pub mod cases;
pub mod changed;
pub mod checked;
pub mod described;
pub mod environment;
pub mod follower;
pub mod github_app;
pub mod installations;
pub mod item_size;
pub mod log;
pub mod logged;
pub mod probe;
pub mod roles;
pub mod samples;
pub mod simulation;
pub mod source_files;
