//! The program's commands, each in one function that reads from top to bottom.
//!
//! `functions` starts the processes, and `answer` formats answers. The commands use the service from outside only: they
//! send heartbeats as an agent does, and read the table as an operator does. Only `history` changes an item.

mod answer;
mod env_file;
mod failure;
mod forwarded_port;
mod functions;
mod heartbeat;
mod history;
mod process;
mod reading;
mod records;
mod scenes;
mod session;
mod silence;
mod surroundings;

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use test_world::clock::Clock;
use test_world::github::GitHub;
use test_world::{AGENT_TOKEN, GITHUB_TOKEN, TABLE_NAME, TestWorld, VIEWER_TOKEN};

use answer::Answer;
use env_file::{DEV_ENV, EnvFile};
use forwarded_port::{ANY_PORT, DEFAULT_PORT, ForwardedPort};
use functions::{API, Functions, SCHEDULE};
use heartbeat::{HEARTBEAT, HeartbeatAnswer, read, wait_until_stale};
use scenes::Scenes;
use session::Session;
use surroundings::{Surroundings, Tracked};

pub(crate) use failure::Failure;

/// How long a command may run.
const MAX_COMMAND: Duration = Duration::from_secs(600);

/// Sends heartbeats and prints the answers: four over the made-up repositories, or one over real ones. Then lets an agent
/// go silent.
pub(crate) async fn run() -> Result<(), Failure> {
    let surroundings = Surroundings::from_env()?;
    let world = surroundings.start_world().await?;
    let mut functions = surroundings.start_functions(&world, &[API, SCHEDULE], "warn").await?;

    match &surroundings.tracked {
        Tracked::OnGitHub { repositories, api_url, .. } => {
            let github = api_url.as_deref().unwrap_or("the real GitHub");
            eprintln!("\nOne heartbeat over {repositories} on {github}:");
            send_heartbeat(&mut functions).await?;
        }
        Tracked::MadeUp => {
            four_heartbeats(&mut functions, &world).await?;
            eprintln!(
                "\nThe agent beta promised a heartbeat every 5 min and sends none. Its times go back by 12 min; then"
            );
            eprintln!("the schedule runs. Subscribers of the SNS topic get by e-mail:\n");
            // Standard output has JSON alone.
            eprintln!("{}", silence::report(&mut functions, &world).await?);
        }
    }
    eprintln!("\nThe table {TABLE_NAME} in the local DynamoDB ({}):", surroundings.storage_description());
    eprint!("{}", records::table(&world.dynamodb.items(TABLE_NAME)));
    // The service ends here, so these commands need `dev`.
    let url = functions::function_url(&forwarded_port::url(DEFAULT_PORT), API);
    eprintln!("\nAll of it can be read. `make dev` keeps the service running; then, in another terminal:");
    eprint!("{}", reading::commands(&url, surroundings.is_made_up()));
    Ok(())
}

/// Shows what heartbeats do: the first imports issues, the second reports changes, the third needs no request to GitHub,
/// the fourth says stop.
async fn four_heartbeats(functions: &mut Functions, world: &TestWorld) -> Result<(), Failure> {
    eprintln!("\nBeat 1 reads all open issues of the three made-up repositories:");
    let first = send_heartbeat(functions).await?;

    let (closed, opened) = world.github.arrange(|github| {
        github.close_issue("acme/api", 1);
        let number = github.open_issue("acme/web", "The price tag is upside down");
        (github.html_url("acme/api", 1), github.html_url("acme/web", number))
    });
    eprintln!("\nOn the local GitHub, {closed} was closed and {opened} opened.");
    wait_until_stale(world, first.finished_at).await;

    eprintln!("\nBeat 2 reports both:");
    send_heartbeat(functions).await?;

    eprintln!("\nBeat 3 arrives so soon that beat 2's pass serves it, without a request to GitHub:");
    send_heartbeat(functions).await?;

    eprintln!(
        "\nBeat 4 declares that the agent works on the closed issue, and the answer says stop (`stopIssueUrls`):"
    );
    let declared = json!({"intervalSeconds": 300, "activeIssueUrls": [closed]});
    print(&heartbeat::of_agent(functions, "alpha", &declared).await?.0)?;
    Ok(())
}

/// Keeps the functions running at the address that `cargo lambda invoke` uses, until this future is dropped.
pub(crate) async fn dev() -> Result<(), Failure> {
    let mut surroundings = Surroundings::from_env()?;
    surroundings.has_history = true;
    // First, so that a port in use is reported at once.
    let mut port = ForwardedPort::open(surroundings.port()?).await?;
    let world = surroundings.start_world().await?;
    let mut functions = surroundings.start_functions(&world, &[API, SCHEDULE], "info").await?;
    if surroundings.is_made_up() {
        history::fill(&mut functions, &world).await?;
    }
    port.forward_to(functions.address());
    let _session = Session::open(&port.url())?;
    let env_file = EnvFile::write(DEV_ENV.into(), &surroundings.environment(&world))?;

    let github = world.github.url();
    let invoke = format!("cargo lambda invoke{}", port.invoke_options());
    let url = functions::function_url(&port.url(), API);
    eprintln!("\nThe service runs until Ctrl-C. Send a heartbeat:");
    eprintln!("  curl -X POST -H 'Authorization: Bearer {AGENT_TOKEN}' {url}/api/agents/alpha/heartbeat");
    eprintln!("or send sample events in another terminal (CONTRIBUTING.md lists all):");
    eprintln!("  {invoke} {API} --data-file {HEARTBEAT}");
    eprintln!("  {invoke} {SCHEDULE} --data-file events/schedule.json");
    if let Some(folder) = surroundings.cargo_lambda_to_add() {
        eprintln!("`cargo lambda` is not on your PATH. To add the one that runs here:");
        eprintln!("  export PATH=\"{}:$PATH\"", folder.display());
    }
    eprintln!("Look at the board in a browser, and sign in with the token {VIEWER_TOKEN}:");
    eprintln!("  {url}/api/board");
    eprintln!("Read what is stored, with a token that may only read (docs/reading.md):");
    eprint!("{}", reading::commands(&url, surroundings.is_made_up()));
    eprintln!("Run your own build of the functions in the same local world, rebuilt on each change:");
    eprintln!("  cargo lambda watch --invoke-port 9001 --env-file {}", env_file.path().display());
    if surroundings.is_made_up() {
        eprintln!("Close an issue on the local GitHub:");
        eprintln!(
            "  curl -X PATCH -H 'Authorization: Bearer {GITHUB_TOKEN}' {github}/repos/acme/api/issues/1 \\\n    \
             -d '{{\"state\":\"closed\"}}'"
        );
    }
    eprintln!(
        "The local world: GitHub {github}, Secrets Manager {}, DynamoDB {} (table {TABLE_NAME}).",
        world.secrets.url(),
        world.dynamodb.url(),
    );
    Err(functions.follow_builds().await)
}

/// Sends one event to the function that `dev` runs and prints its answer.
pub(crate) async fn invoke(event: &Path) -> Result<(), Failure> {
    let event = read(event)?;
    let url = Session::url()?;
    // Only events of HTTP requests have this field.
    let function = if event.get("requestContext").is_some() { API } else { SCHEDULE };
    let answer = functions::invoke(&url, function, &event).await.map_err(|failure| match failure {
        Failure::Unreachable(_) => Failure::NoSession,
        other => other,
    })?;
    if let Some(status) = answer.http_status {
        eprintln!("HTTP {status}");
    }
    print(&answer)
}

/// Runs a command beside the functions, and fails if the command fails. The command gets `SERVICE_URL`, `AGENT_TOKEN`,
/// `INVOKE_PORT` (for `cargo lambda invoke`), `ENV_FILE`, a file with the functions' environment, and `SCENES_URL`, where
/// it can change the world. The table is empty, or has a history as with [`dev`]; then there is also `VIEWER_TOKEN`.
pub(crate) async fn with(has_history: bool, program: &str, arguments: &[&str]) -> Result<(), Failure> {
    let mut surroundings = Surroundings::from_env()?;
    surroundings.has_history = has_history;
    let world = Arc::new(surroundings.start_world().await?);
    let mut functions = surroundings.start_functions(&world, &[API, SCHEDULE], "error").await?;
    if has_history && surroundings.is_made_up() {
        history::fill(&mut functions, &world).await?;
    }
    let mut port = ForwardedPort::open(ANY_PORT).await?;
    port.forward_to(functions.address());
    let env_file = std::env::temp_dir().join(format!("agent-heartbeat-{}.env", std::process::id()));
    let env_file = EnvFile::write(env_file, &surroundings.environment(&world))?;
    let scenes = Scenes::start(Arc::clone(&world)).await?;
    let mut command = tokio::process::Command::new(program);
    command
        .args(arguments)
        .env("SERVICE_URL", functions::function_url(&port.url(), API))
        .env("AGENT_TOKEN", AGENT_TOKEN)
        .env("VIEWER_TOKEN", VIEWER_TOKEN)
        .env("SCENES_URL", scenes.url())
        .env("INVOKE_PORT", port.port().to_string())
        .env("ENV_FILE", env_file.path())
        .kill_on_drop(true);
    let command = tokio::time::timeout(MAX_COMMAND, functions.run(command));
    command.await.unwrap_or(Err(Failure::CommandHangs(MAX_COMMAND.as_secs())))
}

/// Serves the simulated GitHub and prints its address on one line, for a program to read.
pub(crate) async fn github() -> Result<(), Failure> {
    let github = GitHub::start(Clock::system()).await;
    surroundings::make_up(&github);
    print_line(github.url())?;
    std::future::pending().await
}

/// Sends one heartbeat and prints its answer. The status `error` is a failure.
async fn send_heartbeat(functions: &mut Functions) -> Result<HeartbeatAnswer, Failure> {
    let answer = functions.invoke(API, &read(Path::new(HEARTBEAT))?).await?;
    print(&answer)?;
    heartbeat::parse(&answer)
}

fn print(answer: &Answer) -> Result<(), Failure> {
    print_line(&answer.pretty())
}

fn print_line(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|_| Failure::OutputClosed)
}
