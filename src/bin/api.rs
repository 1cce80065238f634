//! The Lambda function behind API Gateway. Wiring only.

use std::process::ExitCode;

use agent_heartbeat::{http, start};
use lambda_runtime::Runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    start::run(|app| Runtime::new(http::service(app))).await
}
