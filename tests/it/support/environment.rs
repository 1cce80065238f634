//! A deployed function: a process of its own in the test world, with a Lambda that sends it events.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use test_world::clock::Clock;
use test_world::lambda::{Answer, Lambda, request_id};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use crate::support::app::{Setup, TestApp};
use crate::support::checked::Checked;

/// The function behind API Gateway.
pub const API: &str = env!("CARGO_BIN_EXE_api");

/// The function behind EventBridge Scheduler.
pub const SCHEDULE: &str = env!("CARGO_BIN_EXE_schedule");

/// A running function. Its process is killed when it is dropped.
pub struct Environment {
    lambda: Lambda,
    process: Child,
    output: JoinSet<Output>,
}

/// The lines that a function has written, parsed.
pub struct Log(pub Vec<Checked>);

/// Everything that a function has written.
#[derive(Debug, Default)]
pub struct Output {
    pub stdout: String,
    pub stderr: String,
}

/// A function's process with the service's variables and this address of Lambda.
pub fn command(function: &str, app: &TestApp, lambda: &str) -> Command {
    let mut command = Command::new(function);
    command
        .env_clear()
        .envs(&app.variables)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .envs([
            ("AWS_LAMBDA_RUNTIME_API", lambda),
            ("AWS_LAMBDA_FUNCTION_NAME", "heartbeat"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ]);
    command
}

/// A world that begins this many seconds before the system's time. A function uses the system's clock, so the world
/// must reach the present before a heartbeat.
pub fn ago(setup: Setup, seconds: u64) -> Setup {
    setup.beginning(Clock::system().now() - Duration::from_secs(seconds))
}

impl Environment {
    /// Starts a function with the service's environment.
    pub async fn start(function: &str, app: &TestApp) -> Self {
        let lambda = Lambda::start().await;
        let mut process = command(function, app, lambda.address()).spawn().expect("the function was built");
        let mut stdout = process.stdout.take().expect("a pipe");
        let mut stderr = process.stderr.take().expect("a pipe");
        let mut output = JoinSet::new();
        output.spawn(async move {
            let mut written = Output::default();
            let read = tokio::join!(
                stdout.read_to_string(&mut written.stdout),
                stderr.read_to_string(&mut written.stderr)
            );
            read.0.and(read.1).expect("text");
            written
        });
        Self { lambda, process, output }
    }

    /// Sends an event and returns the answer.
    pub async fn invoke(&mut self, event: Value) -> Answer {
        self.lambda.next_event_requested().await;
        self.lambda.invoke(event).await
    }

    /// Sends an agent's heartbeat to a function behind API Gateway and returns the answer.
    pub async fn beat(&mut self, agent: &str) -> Checked {
        let mut event = TestApp::event("heartbeat.json");
        let path = format!("/api/agents/{agent}/heartbeat");
        event["rawPath"] = path.clone().into();
        event["requestContext"]["http"]["path"] = path.into();
        let answer = self.invoke(event).await.expect("a response");
        assert_eq!(answer["statusCode"], 200, "{answer:#}");
        let answer = serde_json::from_str(answer["body"].as_str().expect("a text"));
        Checked::answer(answer.expect("a beat's answer"))
    }

    /// Ends the function when it requests its next event, and returns its log.
    pub async fn end(self) -> Log {
        let written = self.end_with_output().await;
        assert_eq!(written.stderr, "");
        let lines = written.stdout.lines().map(|line| serde_json::from_str(line).expect("a line of JSON"));
        Log(lines.map(Checked::line).collect())
    }

    /// The same, with everything as it was written.
    pub async fn end_with_output(mut self) -> Output {
        self.lambda.next_event_requested().await;
        self.process.kill().await.expect("it runs");
        self.output.join_next().await.expect("one reads").expect("to the end")
    }
}

impl Log {
    /// The metrics lines of the `n`th invocation.
    pub fn all_metrics(&self, n: u64) -> Vec<&Checked> {
        let is_metrics = |line: &&Checked| line.is_metrics() && line["requestId"] == request_id(n);
        self.0.iter().filter(is_metrics).collect()
    }

    /// The only metrics line of the `n`th invocation.
    pub fn metrics(&self, n: u64) -> &Checked {
        let [line] = self.all_metrics(n)[..] else { panic!("one line: {:#?}", self.0) };
        line
    }
}
