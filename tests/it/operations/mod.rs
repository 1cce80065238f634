//! Starting, scheduling, logs, metrics, the deployment, and the structure of the code.

pub mod architecture;
pub mod deployment;
pub mod logs;
pub mod metrics;
pub mod pages;
pub mod request_ids;
pub mod schedule;
pub mod start;
