//! Lambda's Runtime API for one environment: events go in, answers come out.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// So long the execution environment may take to ask or to answer: as long as Lambda grants an init.
const PATIENCE: Duration = Duration::from_secs(10);

/// X-Ray's id of every invocation.
pub const TRACE_ID: &str = "Root=1-6a113060-0123456789abcdef01234567;Sampled=0";

/// The request id of the `n`th invocation of an execution environment.
pub fn request_id(n: u64) -> String {
    format!("8476a536-e9f4-11e8-9739-{n:012}")
}

/// A running Runtime API. It serves until it is dropped.
pub struct Lambda {
    address: String,
    asked: mpsc::UnboundedReceiver<()>,
    events: mpsc::UnboundedSender<Value>,
    answers: mpsc::UnboundedReceiver<Answer>,
    _serving: JoinSet<std::io::Result<()>>,
}

/// What a function made of an event: its response, or its error.
pub type Answer = Result<Value, String>;

struct Shared {
    /// How many events were handed over.
    invocations: AtomicU64,
    asked: mpsc::UnboundedSender<()>,
    events: Mutex<mpsc::UnboundedReceiver<Value>>,
    answers: mpsc::UnboundedSender<Answer>,
}

impl Lambda {
    /// Starts one on a free port.
    pub async fn start() -> Self {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port on the loopback");
        let address = listener.local_addr().expect("a bound listener has an address").to_string();
        let (asking, asked) = mpsc::unbounded_channel();
        let (events, to_come) = mpsc::unbounded_channel();
        let (answering, answers) = mpsc::unbounded_channel();
        let shared = Shared {
            invocations: AtomicU64::new(0),
            asked: asking,
            events: Mutex::new(to_come),
            answers: answering,
        };
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/{outcome}", post(answered))
            .with_state(Arc::new(shared));
        let mut serving = JoinSet::new();
        serving.spawn(axum::serve(listener, router).into_future());
        Self { address, asked, events, answers, _serving: serving }
    }

    /// What `AWS_LAMBDA_RUNTIME_API` is to say.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Waits until the execution environment asks for an event: its init, or the last invocation, is over.
    pub async fn asked_for_an_event(&mut self) {
        let asked = timeout(PATIENCE, self.asked.recv()).await;
        asked.ok().flatten().expect("a function asks for its first event within ten seconds");
    }

    /// Hands an event over and waits for the answer.
    pub async fn invoke(&mut self, event: Value) -> Answer {
        self.events.send(event).expect("the Runtime API serves while this is here");
        let answer = timeout(PATIENCE, self.answers.recv()).await;
        answer.ok().flatten().expect("a function answers within ten seconds")
    }
}

async fn next(State(shared): State<Arc<Shared>>) -> Response {
    let _ = shared.asked.send(());
    let Some(event) = shared.events.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let deadline = Timestamp::now() + Duration::from_secs(30);
    let headers = [
        ("lambda-runtime-aws-request-id", request_id(shared.invocations.fetch_add(1, Ordering::Relaxed) + 1)),
        ("lambda-runtime-deadline-ms", deadline.as_millisecond().to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:123456789012:function:api".to_owned(),
        ),
        ("lambda-runtime-trace-id", TRACE_ID.to_owned()),
        ("content-type", "application/json".to_owned()),
    ];
    (headers, event.to_string()).into_response()
}

async fn answered(
    State(shared): State<Arc<Shared>>,
    Path((_, outcome)): Path<(String, String)>,
    body: String,
) -> StatusCode {
    let answer = match serde_json::from_str(&body) {
        Ok(answer) if outcome == "response" => Ok(answer),
        _ => Err(body),
    };
    let _ = shared.answers.send(answer);
    StatusCode::ACCEPTED
}
