//! The ways in which a command can fail. Each message says what to do.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(
        "Usage: test-world run | dev | invoke EVENT | with COMMAND | with-history COMMAND | github   (or use make: make help)"
    )]
    Usage,
    #[error(
        "GITHUB_TOKEN is required, because REPOSITORIES names repositories on the real GitHub. The token must be able to \
         read their issues:\nREPOSITORIES=owner/name GITHUB_TOKEN=... make run. Without REPOSITORIES, made-up \
         repositories are used."
    )]
    TokenMissing,
    #[error(
        "PORT must be a port from 1 to 65535, or 0 for any free one (got `{0}`). Example: make dev PORT=9001"
    )]
    InvalidPort(String),
    #[error(
        "Port {0} is in use on this machine's loopback address: another `make dev`, a `cargo lambda watch` or another \
         program listens on it. Stop that, or use another port: `make dev PORT=9001`, then \
         `cargo lambda invoke --invoke-port 9001 ...`."
    )]
    PortInUse(u16),
    #[error("Port {port} cannot be used: {error}. Use another port: `make dev PORT=9001`.")]
    PortUnavailable { port: u16, error: io::Error },
    #[error("CARGO_LAMBDA is required (path of cargo-lambda's binary). `make run` and `make dev` set it.")]
    CargoLambdaMissing,
    #[error("Failed to start {program}: {error}")]
    NotStarted { program: PathBuf, error: io::Error },
    #[error("{0} ended unexpectedly ({1}); see its output above.")]
    ProcessEnded(String, ExitStatus),
    #[error("The function was not ready within {0} s; see its output above.")]
    NotReady(u64),
    #[error("{0}")]
    Unreachable(String),
    #[error("The function failed: {0}")]
    FunctionError(String),
    #[error("Unexpected answer of the function: {0}.")]
    Unreadable(&'static str),
    #[error("The heartbeat was refused{}.", .0.map(|status| format!(" with HTTP {status}")).unwrap_or_default())]
    Refused(Option<u16>),
    #[error("The heartbeat ended with the status `error`; its `problems` above say why.")]
    HeartbeatFailed,
    #[error(
        "`make dev` is not running in this folder. Start it in another terminal, then send the event again."
    )]
    NoSession,
    #[error("The command failed ({0}); see its output above.")]
    CommandFailed(ExitStatus),
    #[error("The command did not end within {0} s.")]
    CommandHangs(u64),
    #[error("{path}: {error}")]
    File { path: PathBuf, error: io::Error },
    #[error("Standard output was closed before everything was printed.")]
    OutputClosed,
}

impl Failure {
    /// A failure to read or write a file.
    pub(crate) fn file(path: &Path, error: io::Error) -> Self {
        Self::File { path: path.to_owned(), error }
    }

    /// 2 if the arguments or variables are wrong, else 1.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage | Self::TokenMissing | Self::InvalidPort(_) | Self::CargoLambdaMissing => {
                ExitCode::from(2)
            }
            _ => ExitCode::FAILURE,
        }
    }
}
