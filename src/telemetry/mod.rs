//! Logs and metrics for the operator: lines on standard output, which Lambda sends to CloudWatch.

mod logs;
mod metrics;

pub(crate) use self::logs::causes;
pub use self::logs::init;
pub use self::metrics::{Count, Measure, Metrics};
