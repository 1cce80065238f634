//! What the program does: its commands, told as stories.
//!
//! How processes are started is in `functions`, what an answer looks like in `answer`.
//! The stories never look into the service: they beat as an agent does, and read the
//! table as an operator would.

mod answer;
mod door;
mod env_file;
mod failure;
mod functions;
mod process;
mod records;
mod session;
mod surroundings;

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use test_world::clock::Clock;
use test_world::github::GitHub;
use test_world::{AGENT_TOKEN, GITHUB_TOKEN, TABLE_NAME, TestWorld};

use answer::Answer;
use door::{ANY_PORT, Door};
use env_file::{DEV_ENV, EnvFile};
use functions::{API, Functions, SCHEDULE};
use session::Session;
use surroundings::{LOCAL_FRESHNESS, Surroundings, Tracked};

pub(crate) use failure::Failure;

/// A command that runs for longer hangs.
const MAX_COMMAND: Duration = Duration::from_secs(180);

/// The event of one beat of the agent `alpha`.
const HEARTBEAT: &str = "events/heartbeat.json";

/// Beats and prints the answers: three beats over the made-up repositories, or one over real ones.
pub(crate) async fn run() -> Result<(), Failure> {
    let surroundings = Surroundings::from_env()?;
    let stack = surroundings.start_stack().await?;
    let mut functions = surroundings.start_functions(&stack, &[API], "warn").await?;

    match &surroundings.tracked {
        Tracked::OnGitHub { repositories, api_url, .. } => {
            let github = api_url.as_deref().unwrap_or("the real GitHub");
            eprintln!("\nOne beat over {repositories} on {github}:");
            beat(&mut functions).await?;
        }
        Tracked::MadeUp => three_beats(&mut functions, &stack).await?,
    }
    eprintln!(
        "\nThe records, in the table {TABLE_NAME} of the local DynamoDB ({}):",
        surroundings.storage_words()
    );
    eprint!("{}", records::table(&stack.dynamodb.items(TABLE_NAME)));
    Ok(())
}

/// Shows what a beat is for: the first one reads, the next one tells what changed, the last one costs nothing.
async fn three_beats(functions: &mut Functions, stack: &TestWorld) -> Result<(), Failure> {
    eprintln!("\nBeat 1 reads all open issues of the three made-up repositories:");
    let first = beat(functions).await?;

    let (closed, opened) = stack.github.arrange(|world| {
        world.close_issue("acme/api", 1);
        let number = world.open_issue("acme/web", "The price tag is upside down");
        (world.html_url("acme/api", 1), world.html_url("acme/web", number))
    });
    eprintln!("\nOn the local GitHub, {closed} was closed and {opened} opened.");
    wait_until_stale(stack, first.finished_at).await;

    eprintln!("\nBeat 2 tells both:");
    beat(functions).await?;

    eprintln!("\nBeat 3 comes so soon that beat 2's pass serves it, and GitHub is not asked:");
    beat(functions).await?;
    Ok(())
}

/// Keeps the functions running, where `cargo lambda invoke` looks for them, until this future is dropped.
pub(crate) async fn dev() -> Result<(), Failure> {
    let surroundings = Surroundings::from_env()?;
    // A port that is taken is no reason to wait for all the rest first.
    let mut door = Door::open(surroundings.port()?).await?;
    let stack = surroundings.start_stack().await?;
    let mut functions = surroundings.start_functions(&stack, &[API, SCHEDULE], "info").await?;
    door.lead_to(functions.address());
    let _session = Session::open(&door.url())?;
    let env_file = EnvFile::write(DEV_ENV.into(), &surroundings.environment(&stack))?;

    let github = stack.github.url();
    let invoke = format!("cargo lambda invoke{}", door.invoke_options());
    eprintln!("\nThe service runs until Ctrl-C. Send a heartbeat:");
    eprintln!(
        "  curl -X POST -H 'Authorization: Bearer {AGENT_TOKEN}' {}/api/agents/alpha/heartbeat",
        functions::function_url(&door.url(), API)
    );
    eprintln!("or sample events, in another terminal (README.md lists them all):");
    eprintln!("  {invoke} {API} --data-file {HEARTBEAT}");
    eprintln!("  {invoke} {SCHEDULE} --data-file events/schedule.json");
    if let Some(folder) = surroundings.cargo_lambda_to_add() {
        eprintln!("`cargo lambda` is not installed. To use the one that runs here:");
        eprintln!("  export PATH=\"{}:$PATH\"", folder.display());
    }
    eprintln!("Build and restart functions of your own beside these, in the same local world:");
    eprintln!("  cargo lambda watch --invoke-port 9001 --env-file {}", env_file.path().display());
    if matches!(surroundings.tracked, Tracked::MadeUp) {
        eprintln!("Close an issue on the local GitHub:");
        eprintln!(
            "  curl -X PATCH -H 'Authorization: Bearer {GITHUB_TOKEN}' {github}/repos/acme/api/issues/1 \\\n    \
             -d '{{\"state\":\"closed\"}}'"
        );
    }
    eprintln!(
        "Around it: GitHub {github}, Secrets Manager {}, DynamoDB {} (table {TABLE_NAME}).",
        stack.secrets.url(),
        stack.dynamodb.url(),
    );
    Err(functions.follow_builds().await)
}

/// Sends one event to the function that `dev` runs and prints its answer.
pub(crate) async fn invoke(event: &Path) -> Result<(), Failure> {
    let event = read(event)?;
    let url = Session::url()?;
    // Only what came over HTTP has one.
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

/// Runs a command that uses the functions, and fails if it does. It finds them by `SERVICE_URL` and `AGENT_TOKEN`, by
/// `INVOKE_PORT` for `cargo lambda invoke`, and their environment in the file `ENV_FILE`.
pub(crate) async fn with(program: &str, arguments: &[&str]) -> Result<(), Failure> {
    let surroundings = Surroundings::from_env()?;
    let stack = surroundings.start_stack().await?;
    let mut functions = surroundings.start_functions(&stack, &[API, SCHEDULE], "error").await?;
    let mut door = Door::open(ANY_PORT).await?;
    door.lead_to(functions.address());
    let env_file = std::env::temp_dir().join(format!("agent-heartbeat-{}.env", std::process::id()));
    let env_file = EnvFile::write(env_file, &surroundings.environment(&stack))?;
    let mut command = tokio::process::Command::new(program);
    command
        .args(arguments)
        .env("SERVICE_URL", functions::function_url(&door.url(), API))
        .env("AGENT_TOKEN", AGENT_TOKEN)
        .env("INVOKE_PORT", door.port().to_string())
        .env("ENV_FILE", env_file.path())
        .kill_on_drop(true);
    let command = tokio::time::timeout(MAX_COMMAND, functions.run(command));
    command.await.unwrap_or(Err(Failure::CommandHangs(MAX_COMMAND.as_secs())))
}

/// Serves the made-up GitHub and prints where it is, on one line, for a program to read.
pub(crate) async fn github() -> Result<(), Failure> {
    let github = GitHub::start(Clock::system()).await;
    surroundings::make_up(&github);
    print_line(github.url())?;
    std::future::pending().await
}

/// One beat: its answer is printed, whatever it says, and is a failure when it says `error`.
async fn beat(functions: &mut Functions) -> Result<Beat, Failure> {
    let answer = functions.invoke(API, &read(Path::new(HEARTBEAT))?).await?;
    print(&answer)?;
    if answer.http_status != Some(200) {
        return Err(Failure::Refused(answer.http_status));
    }
    let beat: Beat = serde_json::from_str(&answer.body)
        .map_err(|_| Failure::Unreadable("the beat's answer lacks what every answer has"))?;
    if beat.status == "error" {
        return Err(Failure::BeatFailed);
    }
    Ok(beat)
}

/// What the stories need of a beat's answer.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Beat {
    status: String,
    finished_at: Timestamp,
}

/// Waits until the pass that ended by `finished` no longer serves a beat.
async fn wait_until_stale(stack: &TestWorld, finished: Timestamp) {
    // The table knows: the service may let a pass serve longer than configured, to spare GitHub's rate limit.
    let state = stack.dynamodb.item(TABLE_NAME, "FLEET", "STATE").unwrap_or_default();
    let seconds = state["ended"]["freshnessSeconds"].as_u64();
    let freshness = seconds.map_or(LOCAL_FRESHNESS, Duration::from_secs);
    let age = Duration::try_from(stack.clock.now().duration_since(finished)).unwrap_or_default();
    eprintln!("A pass serves every beat for {} s; waiting for that.", freshness.as_secs());
    // Clocks that round to milliseconds must not make it a near miss.
    tokio::time::sleep(freshness.saturating_sub(age) + Duration::from_millis(50)).await;
}

fn read(event: &Path) -> Result<serde_json::Value, Failure> {
    let text = std::fs::read(event).map_err(|error| Failure::file(event, error))?;
    serde_json::from_slice(&text).map_err(|error| Failure::file(event, error.into()))
}

fn print(answer: &Answer) -> Result<(), Failure> {
    print_line(&answer.pretty())
}

fn print_line(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|_| Failure::OutputClosed)
}
