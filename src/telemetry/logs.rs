//! Logs: JSON lines, each with Lambda's request id and X-Ray's trace id as `spans.0.requestId` and
//! `spans.0.xrayTraceId`.

use std::error::Error;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// An error and its causes in one line. The AWS SDK's own rendering would add headers and bodies.
pub(crate) fn causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

/// This crate's modules. They log no secrets, headers or bodies at any level.
const OURS: &str = "agent_heartbeat";

/// Starts logging at the levels of `RUST_LOG` (`info`, `warn,agent_heartbeat=debug`, …), or at `info` if it is unset
/// or invalid. Whatever it says, each line carries the spans of the module `always`, and other crates log nothing below
/// `info`: there, `lambda_runtime` logs whole events including the agents' tokens, `aws_smithy_runtime` logs requests
/// and responses including their headers, and a new version of any crate may do the same.
pub fn init(rust_log: Option<&str>, always: &'static str) {
    let filter = rust_log
        .and_then(|text| text.parse::<Targets>().ok())
        .unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    tracing_subscriber::registry()
        .with(tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(false))
        .with(filter.with_target(always, LevelFilter::INFO))
        .with(Targets::new().with_default(LevelFilter::INFO).with_target(OURS, LevelFilter::TRACE))
        .init();
}
