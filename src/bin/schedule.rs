//! The Lambda function behind EventBridge Scheduler. Wiring only.

use std::process::ExitCode;
use std::sync::Arc;

use agent_heartbeat::{schedule, start};
use jiff::Timestamp;
use lambda_runtime::{LambdaEvent, Runtime, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    start::run(|app| {
        Runtime::new(service_fn(move |event: LambdaEvent<Value>| {
            let app = Arc::clone(&app);
            async move {
                let deadline = i64::try_from(event.context.deadline).ok();
                let deadline = deadline.and_then(|millis| Timestamp::from_millisecond(millis).ok());
                schedule::handle(&app, event.payload, deadline).await.map_err(lambda_runtime::Error::from)
            }
        }))
    })
    .await
}
