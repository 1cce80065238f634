//! What the operator is told: logs and metrics, lines on standard output, which Lambda hands to CloudWatch.

mod logs;
mod metrics;

pub use self::logs::{causes, init};
pub use self::metrics::{Count, Measure, Metrics};
