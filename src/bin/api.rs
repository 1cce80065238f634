//! The Lambda function behind API Gateway. Wiring only.

use std::process::ExitCode;
use std::sync::Arc;

use agent_heartbeat::{app::App, config, http, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init(config::rust_log().as_deref());
    let app = match App::from_env().await {
        Ok(app) => Arc::new(app),
        Err(error) => {
            tracing::error!(cause = %error, "The service cannot start.");
            return ExitCode::FAILURE;
        }
    };
    match lambda_http::run(http::service(app)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(cause = %error, "The Lambda runtime stopped.");
            ExitCode::FAILURE
        }
    }
}
