//! One execution environment of a function: its process, its Runtime API, and its CPU time.

use std::process::Stdio;
use std::time::Duration;

use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;
use serde_json::Value;
use test_world::lambda::Lambda;
use tokio::process::{Child, Command};

/// How long the CPU time must not change until the process counts as waiting.
const STILL: Duration = Duration::from_millis(10);

/// How often the CPU time is read before the process counts as one that never waits.
const MAX_READINGS: usize = 500;

/// How a function is started.
pub(crate) struct Function {
    /// The program, then its arguments.
    pub(crate) command: Vec<String>,
}

/// A running process of a function. It is killed when this is dropped.
pub(crate) struct Environment {
    process: Child,
    pid: Pid,
    cpu: ClockId,
    lambda: Lambda,
}

impl Environment {
    /// Starts a process with exactly these variables and Lambda's own.
    pub(crate) async fn start(function: &Function, variables: &[(String, String)]) -> Self {
        let lambda = Lambda::start().await;
        let (program, arguments) = function.command.split_first().expect("a function has a program");
        let process = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(variables.iter().cloned())
            .envs([
                ("AWS_LAMBDA_RUNTIME_API", lambda.address()),
                ("AWS_LAMBDA_FUNCTION_NAME", "api"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
                ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/api"),
                ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/22/[$LATEST]0123456789abcdef"),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let id = process.id().expect("it was not waited for");
        let pid = Pid::from_raw(i32::try_from(id).expect("process ids are small"));
        let cpu = clock_getcpuclockid(pid).expect("a process has a clock until it is waited for");
        Self { process, pid, cpu, lambda }
    }

    /// Waits until init is over.
    pub(crate) async fn is_ready(&mut self) {
        self.lambda.next_event_requested().await;
    }

    /// Sends an event, and waits for the answer and for the request for the next event.
    pub(crate) async fn invoke(&mut self, event: Value) -> Value {
        let answer = self.lambda.invoke(event).await;
        self.lambda.next_event_requested().await;
        answer.unwrap_or_else(|error| panic!("the function failed: {error}"))
    }

    /// The CPU time, user and system, of all threads, once all of them wait.
    pub(crate) async fn cpu_at_rest(&self) -> Duration {
        let mut last = self.cpu();
        for _ in 0..MAX_READINGS {
            tokio::time::sleep(STILL).await;
            let now = self.cpu();
            if now == last {
                return now;
            }
            last = now;
        }
        panic!("the function never waits");
    }

    fn cpu(&self) -> Duration {
        self.cpu.now().expect("the process was not waited for").into()
    }

    /// The most resident memory so far, in MB.
    pub(crate) fn peak_resident_megabytes(&self) -> f64 {
        let path = format!("/proc/{}/status", self.pid);
        let status = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux reports it");
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kilobytes");
        kilobytes / 1024.0
    }

    /// Kills the process.
    pub(crate) async fn end(mut self) {
        self.process.kill().await.expect("it runs until it is killed");
    }
}
