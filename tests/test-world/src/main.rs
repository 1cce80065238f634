//! The test world as a program, to try the service without an account.
//!
//! `run` sends four heartbeats, lets an agent go silent, and ends. `dev` keeps the functions reachable until it is
//! interrupted. `invoke EVENT` sends one event to a function that `dev` runs. The Makefile's targets of these names build what they need first.
//! `with COMMAND` runs a command that uses the functions (`make examples`), `with-history COMMAND` one that
//! finds what `dev` shows (`make schemathesis`, `make sample-events`).
//! `github` serves only the simulated GitHub until it is interrupted, for the functions of a deployment
//! (`infra/checks/deployment`). Standard output gets answers only; everything else goes to standard error. Nothing here
//! is part of the service.

mod demo;

use std::env;
use std::path::Path;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use demo::Failure;

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // Dropping this future ends every process that it started.
    tokio::select! {
        ended = execute(&words) => match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                eprintln!("{failure}");
                failure.exit_code()
            }
        },
        () = interrupted() => if matches!(words[..], ["dev" | "github"]) { ExitCode::SUCCESS } else { ExitCode::from(130) },
    }
}

async fn execute(words: &[&str]) -> Result<(), Failure> {
    match words {
        ["run"] => demo::run().await,
        ["dev"] => demo::dev().await,
        ["invoke", event] => demo::invoke(Path::new(event)).await,
        ["with", program, arguments @ ..] => demo::with(false, program, arguments).await,
        ["with-history", program, arguments @ ..] => demo::with(true, program, arguments).await,
        ["github"] => demo::github().await,
        _ => Err(Failure::Usage),
    }
}

/// Completes when the terminal or the system sends a signal to stop.
async fn interrupted() {
    let watch = |kind| signal(kind).expect("a signal handler can be installed");
    let mut interrupt = watch(SignalKind::interrupt());
    let mut terminate = watch(SignalKind::terminate());
    let mut hangup = watch(SignalKind::hangup());
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}
