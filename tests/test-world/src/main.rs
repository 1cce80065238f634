//! The local world as a program: the service beats in it, for people to watch and try.
//!
//! `run` shows three beats and ends, `dev` keeps the function reachable until it is
//! interrupted, `invoke EVENT` sends one event to the function that `dev` runs. The
//! Makefile's targets of these names build what they need first. `with COMMAND` runs a
//! command that uses the functions, and ends with it (`make schemathesis`, `make sample-events`). `github` serves
//! the made-up GitHub alone until it is interrupted, for the functions of a deployment
//! (`infra/checks/deployment`). Standard output takes answers only; all else goes to
//! standard error. Nothing here is part of the service.

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
    // Ending this future drops what it started, so every process goes with it.
    tokio::select! {
        ended = carry_out(&words) => match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                eprintln!("{failure}");
                failure.exit_code()
            }
        },
        () = interrupted() => if matches!(words[..], ["dev" | "github"]) { ExitCode::SUCCESS } else { ExitCode::from(130) },
    }
}

async fn carry_out(words: &[&str]) -> Result<(), Failure> {
    match words {
        ["run"] => demo::run().await,
        ["dev"] => demo::dev().await,
        ["invoke", event] => demo::invoke(Path::new(event)).await,
        ["with", program, arguments @ ..] => demo::with(program, arguments).await,
        ["github"] => demo::github().await,
        _ => Err(Failure::Usage),
    }
}

/// Ends when the terminal or the system asks this process to stop.
async fn interrupted() {
    let watch = |kind| signal(kind).expect("the system lets a process watch for its signals");
    let mut interrupt = watch(SignalKind::interrupt());
    let mut terminate = watch(SignalKind::terminate());
    let mut hangup = watch(SignalKind::hangup());
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}
