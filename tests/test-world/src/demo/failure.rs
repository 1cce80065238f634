//! How a command can fail, each with the sentence a person needs to get on.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};

/// A reason why a command could not do what it is for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(
        "Use: test-world run | dev | invoke EVENT | with COMMAND | github   (or the Makefile: make help)"
    )]
    Usage,
    #[error(
        "GITHUB_TOKEN is not set, and REPOSITORIES names repositories on the real GitHub. A token that may read \
         their issues is enough:\nREPOSITORIES=owner/name GITHUB_TOKEN=... make run. Without REPOSITORIES, the \
         beats are over made-up ones."
    )]
    TokenMissing,
    #[error(
        "PORT must be a port from 1 to 65535, or 0 for any free one (got `{0}`). Example: make dev PORT=9001"
    )]
    InvalidPort(String),
    #[error(
        "Port {0} is in use on this machine's loopback address: another `make dev`, a `cargo lambda watch` or another \
         program listens there. End it, or use another port: `make dev PORT=9001`, then \
         `cargo lambda invoke --invoke-port 9001 ...`."
    )]
    PortInUse(u16),
    #[error("Port {port} cannot be used: {error}. Use another one: `make dev PORT=9001`.")]
    PortUnavailable { port: u16, error: io::Error },
    #[error("CARGO_LAMBDA does not name cargo-lambda's binary: start this by `make run` or `make dev`.")]
    CargoLambdaMissing,
    #[error("{program} could not be started: {error}")]
    NotStarted { program: PathBuf, error: io::Error },
    #[error("{0} ended before it was asked to ({1}); what it said stands above.")]
    LastPass(String, ExitStatus),
    #[error("The function did not get ready within {0} s.")]
    NotReady(u64),
    #[error("{0}")]
    Unreachable(String),
    #[error("The function failed: {0}")]
    FunctionError(String),
    #[error("This is not what a function answers: {0}.")]
    Unreadable(&'static str),
    #[error("The beat was refused{}.", .0.map(|status| format!(" with HTTP {status}")).unwrap_or_default())]
    Refused(Option<u16>),
    #[error("The beat ended in `error`; its `errors` above say why.")]
    BeatFailed,
    #[error("`make dev` does not run here. Start it in another terminal, then send the event again.")]
    NoSession,
    #[error("The command failed ({0}); what it said stands above.")]
    CommandFailed(ExitStatus),
    #[error("The command did not end within {0} s.")]
    CommandHangs(u64),
    #[error("{path}: {error}")]
    File { path: PathBuf, error: io::Error },
    #[error("Standard output was closed before everything was printed.")]
    OutputClosed,
}

impl Failure {
    /// A file that could not be used.
    pub(crate) fn file(path: &Path, error: io::Error) -> Self {
        Self::File { path: path.to_owned(), error }
    }

    /// 2 when the call itself was wrong, else 1.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage | Self::TokenMissing | Self::InvalidPort(_) | Self::CargoLambdaMissing => {
                ExitCode::from(2)
            }
            _ => ExitCode::FAILURE,
        }
    }
}
