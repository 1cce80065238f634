//! The service in its own process: the real handler, wired as in the binary `api`, except for the clock.

use std::sync::Arc;

use agent_heartbeat::app::{App, Aws, StartError, Timing};
use agent_heartbeat::clock::Clock;
use agent_heartbeat::config::{self, Config};
use agent_heartbeat::telemetry::{self, Metrics};
use agent_heartbeat::transport::Transport;
use agent_heartbeat::{http, start};
use jiff::SignedDuration;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use test_world::AGENT_TOKEN;
use tower::Service;
use tower::util::ServiceExt as _;

use crate::wire::{self, Function, Request, Time};

/// API Gateway's limit for an answer, which is also the functions' timeout.
const INVOCATION: SignedDuration = SignedDuration::from_secs(30);

/// Serves the benchmark until it hangs up.
pub fn run() {
    telemetry::init(config::rust_log().as_deref(), start::INVOCATIONS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let time = Time::default();
    let app = runtime.block_on(app(&time)).expect("the benchmark's environment is right");
    let metrics = Metrics::begin(&app.config.table_name);
    runtime.block_on(app.prepare());
    let [heartbeat, read] =
        [include_str!("../../events/heartbeat.json"), include_str!("../../events/issues.json")]
            .map(|event| serde_json::from_str(event).expect("an event"));
    let service = http::service(Arc::new(app));
    let handler = Handler { service, heartbeat, read, time: time.clone(), metrics };
    wire::serve(&runtime, &time, &handler).expect("the connection to the benchmark works");
}

async fn app(time: &Time) -> Result<App, StartError> {
    let config = Config::from_env()?;
    let timing = Timing::default();
    let transport = Transport::new(config.ssl_cert_file.as_deref(), timing.connect)?;
    let aws = Aws::from_env(&transport).await?;
    let time = time.clone();
    App::new(config, timing, Clock::from_fn(move || time.now()), &transport, &aws)
}

struct Handler<S> {
    service: S,
    /// The sample event from which each heartbeat's event is made.
    heartbeat: Value,
    /// The sample event from which each read's event is made.
    read: Value,
    time: Time,
    metrics: Metrics,
}

impl<S> Function for Handler<S>
where
    S: Service<LambdaEvent<Box<RawValue>>, Response: serde::Serialize, Error: std::fmt::Debug> + Clone,
{
    /// The event's text, as Lambda delivers it, and whether it is a read.
    type Event = (String, bool);

    fn event(&self, request: &Request) -> Self::Event {
        let (mut event, path, query, tag) = match request {
            Request::Heartbeat { agent, body } => {
                let mut event = self.heartbeat.clone();
                if let Some(body) = body {
                    event["body"] = body.clone().into();
                    event["isBase64Encoded"] = false.into();
                }
                (event, format!("/api/agents/{agent}/heartbeat"), String::new(), None)
            }
            Request::Read { target, tag } => {
                let (path, query) = target.split_once('?').unwrap_or((target, ""));
                (self.read.clone(), path.to_owned(), query.to_owned(), tag.as_ref())
            }
        };
        event["rawPath"] = path.clone().into();
        event["rawQueryString"] = query.into();
        event["requestContext"]["http"]["path"] = path.into();
        event["headers"]["authorization"] = format!("Bearer {AGENT_TOKEN}").into();
        if let Some(tag) = tag {
            event["headers"]["if-none-match"] = tag.clone().into();
        }
        (event.to_string(), matches!(request, Request::Read { .. }))
    }

    async fn invoke(&self, (event, is_read): Self::Event) -> String {
        let mut context = Context::default();
        let deadline = (self.time.now() + INVOCATION).as_millisecond();
        context.deadline = u64::try_from(deadline).expect("after 1970");
        let event = LambdaEvent::new(RawValue::from_string(event).expect("an event is JSON"), context);
        let answer = self.service.clone().oneshot(event).await.expect("handlers always answer");
        self.metrics.emit("a benchmark's invocation");
        let answer = serde_json::to_value(answer).expect("an answer is JSON");
        if !is_read {
            return answer["body"].as_str().expect("a text").to_owned();
        }
        let text = answer["body"].as_str().unwrap_or_default();
        let body: Value = serde_json::from_str(text).unwrap_or_default();
        let (status, tag) = (&answer["statusCode"], &answer["headers"]["etag"]);
        json!({ "status": status, "tag": tag, "bytes": text.len(), "body": body }).to_string()
    }
}
