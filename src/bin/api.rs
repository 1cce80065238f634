//! The Lambda function behind API Gateway. Wiring only.

use std::process::ExitCode;

use agent_heartbeat::{http, start};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    start::run(async |app| lambda_http::run(http::service(app)).await).await
}
