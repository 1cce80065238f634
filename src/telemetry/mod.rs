//! Logs and metrics for the operator: lines on standard output, which Lambda sends to CloudWatch.

mod logs;
mod metrics;

pub use self::logs::{causes, init};
pub use self::metrics::{Count, Measure, Metrics};
