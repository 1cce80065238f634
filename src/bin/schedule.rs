//! The Lambda function behind EventBridge Scheduler. Wiring only.

use std::process::ExitCode;
use std::sync::Arc;

use agent_heartbeat::{app::App, config, schedule, telemetry};
use jiff::Timestamp;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;

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
    let handler = service_fn(|event: LambdaEvent<Value>| {
        let app = Arc::clone(&app);
        async move {
            let deadline = i64::try_from(event.context.deadline).ok();
            let deadline = deadline.and_then(|millis| Timestamp::from_millisecond(millis).ok());
            schedule::beat(&app, event.payload, deadline).await.map_err(lambda_runtime::Error::from)
        }
    });
    match lambda_runtime::run(handler).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(cause = %error, "The Lambda runtime stopped.");
            ExitCode::FAILURE
        }
    }
}
