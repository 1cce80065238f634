//! The functions as Lambda runs them: each in its own process, with events from cargo-lambda's emulation of Lambda's
//! runtime API.
//!
//! cargo-lambda could also build, start and restart them. But then a function that ends at once, because of a wrong
//! configuration, leaves its caller waiting forever, and a function survives when cargo-lambda is killed. If they are
//! started here, their end is noticed, and dropping [`Functions`] leaves no process.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::Failure;
use super::answer::Answer;
use super::process::Process;

/// The function behind API Gateway: the name of its binary.
pub(crate) const API: &str = "api";

/// The function behind EventBridge: the name of its binary.
pub(crate) const SCHEDULE: &str = "schedule";

const READY_SECONDS: u64 = 60;

/// The interval between two checks of a condition.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Running functions, which end when this is dropped.
pub(crate) struct Functions {
    address: SocketAddr,
    processes: Vec<Process>,
    /// Answers the invocations that name no function.
    unnamed: JoinSet<()>,
}

impl Functions {
    /// Starts cargo-lambda and these functions, which must include [`API`], and waits until `api` answers. They get
    /// the caller's environment without its AWS variables, and `environment` in addition.
    pub(crate) async fn start(
        cargo_lambda: &Path,
        names: &[&str],
        environment: &[(&'static str, String)],
    ) -> Result<Self, Failure> {
        let address = free_address().map_err(not_started(cargo_lambda))?;

        let mut emulator = Command::new(cargo_lambda);
        emulator
            .args(["lambda", "watch", "--only-lambda-apis"])
            .args(["--invoke-address", &address.ip().to_string()])
            .args(["--invoke-port", &address.port().to_string()])
            // At `info` it prints a greeting.
            .env("RUST_LOG", "warn");
        let emulator = Process::start("cargo-lambda".to_owned(), emulator)?;
        let mut functions = Self { address, processes: vec![emulator], unnamed: JoinSet::new() };
        // A function ends if nothing listens when it requests its first event.
        functions.until_ready(invocations(&functions.url(), API)).await?;

        for name in names {
            let mut function = Command::new(binary(name)?);
            for (variable, _) in std::env::vars_os() {
                if variable.to_string_lossy().starts_with("AWS_") {
                    function.env_remove(variable);
                }
            }
            function
                // A CI sets these, and they would override the addresses derived from GITHUB_API_URL.
                .env_remove("GITHUB_GRAPHQL_URL")
                .env_remove("GITHUB_SERVER_URL")
                .envs(environment.iter().map(|(name, value)| (*name, value)))
                .env("API_URL", function_url(&functions.url(), API))
                .env("AWS_LAMBDA_RUNTIME_API", format!("{}/.rt/{name}", functions.url()))
                .env("AWS_LAMBDA_FUNCTION_NAME", name)
                .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
                .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256");
            functions.processes.push(Process::start(format!("The function `{name}`"), function)?);
        }
        functions.unnamed.spawn(refuse_unnamed(functions.url()));
        functions.until_ready(format!("{}/api/health", function_url(&functions.url(), API))).await?;
        Ok(functions)
    }

    /// The address at which cargo-lambda takes invocations.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sends an event to a function. Fails if one of the processes ends in the meantime.
    pub(crate) async fn invoke(&mut self, function: &str, event: &Value) -> Result<Answer, Failure> {
        let url = self.url();
        self.unless_ended(invoke(&url, function, event)).await
    }

    /// Runs a command to its end. Fails if one of the processes ends in the meantime.
    pub(crate) async fn run(&mut self, mut command: tokio::process::Command) -> Result<(), Failure> {
        let outcome = async {
            let status =
                command.status().await.map_err(not_started(Path::new(command.as_std().get_program())))?;
            if status.success() { Ok(()) } else { Err(Failure::CommandFailed(status)) }
        };
        self.unless_ended(outcome).await
    }

    /// Completes when one of the processes ends, which is always a failure.
    pub(crate) async fn ended(&mut self) -> Failure {
        loop {
            if let Some(failure) = self.processes.iter_mut().find_map(Process::ended) {
                return failure;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Restarts each function that cargo has rebuilt, until one of the processes ends.
    pub(crate) async fn follow_builds(&mut self) -> Failure {
        loop {
            for process in &mut self.processes {
                match process.restart_if_rebuilt() {
                    Ok(None) => {}
                    Ok(Some(name)) => eprintln!("{name} was rebuilt; restarting it."),
                    Err(failure) => return failure,
                }
            }
            let waited = tokio::time::timeout(POLL_INTERVAL, self.ended()).await;
            if let Ok(failure) = waited {
                return failure;
            }
        }
    }

    /// Waits until the address answers, with whatever status.
    async fn until_ready(&mut self, url: String) -> Result<(), Failure> {
        let answer = async {
            while let Err(Failure::Unreachable(_)) = send(Request::get(&url), Bytes::new()).await {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        let answer = tokio::time::timeout(Duration::from_secs(READY_SECONDS), answer);
        self.unless_ended(async { answer.await.map_err(|_| Failure::NotReady(READY_SECONDS)) }).await
    }

    async fn unless_ended<T>(
        &mut self,
        outcome: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            outcome = outcome => outcome,
            failure = self.ended() => Err(failure),
        }
    }
}

impl Drop for Functions {
    fn drop(&mut self) {
        // The functions first: they log an error if cargo-lambda ends before them.
        while self.processes.pop().is_some() {}
    }
}

/// Sends an event to a function at this address and waits for its answer, without a timeout.
pub(crate) async fn invoke(url: &str, function: &str, event: &Value) -> Result<Answer, Failure> {
    let request = Request::post(invocations(url, function));
    let response = send(request, event.to_string().into()).await?;
    let payload = response.body();
    if response.status() != StatusCode::OK {
        let error: Value = serde_json::from_slice(payload).unwrap_or_default();
        let message = error["errorMessage"].as_str().map(str::to_owned);
        return Err(Failure::FunctionError(
            message.unwrap_or_else(|| String::from_utf8_lossy(payload).into_owned()),
        ));
    }
    Answer::read(payload)
}

/// The function's HTTP address, like its Function URL on AWS. `url` is cargo-lambda's address.
pub(crate) fn function_url(url: &str, name: &str) -> String {
    format!("{url}/lambda-url/{name}")
}

/// The address of Lambda's Invoke API for this function.
fn invocations(url: &str, function: &str) -> String {
    format!("{url}/2015-03-31/functions/{function}/invocations")
}

/// Answers each invocation that names no function with an error. cargo-lambda queues them for the function `_`, which
/// exists only in a package with one binary; here the caller would wait forever.
async fn refuse_unnamed(url: String) {
    let invocations = format!("{url}/.rt/_/2018-06-01/runtime/invocation");
    let error = json!({
        "errorType": "Function name missing",
        "errorMessage": format!(
            "name one of the functions: `cargo lambda invoke {API} ...` or `cargo lambda invoke {SCHEDULE} ...`; over \
             HTTP, begin the path with /lambda-url/{API}"
        ),
    });
    loop {
        let next = send(Request::get(format!("{invocations}/next")), Bytes::new()).await;
        let id = next
            .as_ref()
            .ok()
            .and_then(|next| next.headers().get("lambda-runtime-aws-request-id")?.to_str().ok());
        let refused = match id {
            Some(id) => {
                send(Request::post(format!("{invocations}/{id}/error")), error.to_string().into()).await
            }
            None => next,
        };
        if refused.is_err() {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

async fn send(request: hyper::http::request::Builder, body: Bytes) -> Result<Response<Bytes>, Failure> {
    let request = request.body(Full::new(body)).expect("the request is valid");
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request).await.map_err(|error| {
        if error.is_connect() {
            Failure::Unreachable(error.to_string())
        } else {
            Failure::FunctionError(error.to_string())
        }
    })?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| Failure::FunctionError(error.to_string()))?;
    Ok(Response::from_parts(parts, body.to_bytes()))
}

/// The path of a function's binary, which cargo puts beside this program.
fn binary(name: &str) -> Result<PathBuf, Failure> {
    let this = std::env::current_exe().map_err(not_started(Path::new(name)))?;
    Ok(this.with_file_name(name))
}

fn not_started(program: &Path) -> impl FnOnce(io::Error) -> Failure {
    let program = program.to_owned();
    move |error| Failure::NotStarted { program, error }
}

/// A free address. cargo-lambda does not report which port it got if its port is 0.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
