//! What the tests share: the service under test, who calls it, its logs, and sample data.

pub mod app;
pub mod cases;
pub mod checked;
pub mod log;
pub mod logged;
pub mod roles;
pub mod samples;
pub mod sandbox;
pub mod source_files;
