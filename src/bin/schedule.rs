//! The Lambda function behind EventBridge Scheduler. Wiring only.

use std::process::ExitCode;
use std::sync::Arc;

use agent_heartbeat::sweep::Topic;
use agent_heartbeat::{schedule, start};
use jiff::Timestamp;
use lambda_runtime::{LambdaEvent, Runtime, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    start::run(|app| {
        let topic = Topic::of(&app);
        Runtime::new(service_fn(move |event: LambdaEvent<Value>| {
            let (app, topic) = (Arc::clone(&app), topic.clone());
            async move {
                let deadline = i64::try_from(event.context.deadline).ok();
                let deadline = deadline.and_then(|millis| Timestamp::from_millisecond(millis).ok());
                let answer = schedule::handle(&app, topic.as_ref(), event.payload, deadline).await;
                answer.map_err(lambda_runtime::Error::from)
            }
        }))
    })
    .await
}
