//! The outside world of agent-heartbeat in one process.
//!
//! Tests use it as a library, on free ports; people use it as a program (`make dev`).

pub mod clock;
pub mod dynamodb;
pub mod github;
pub mod secrets;
pub mod template;
