//! The start of a sandbox, the same for every function: logging, the environment, the handles, the preparation.
//!
//! What a function answers, and the Lambda runtime that brings its events, are the binaries' own.

use std::fmt::Display;
use std::process::ExitCode;
use std::sync::Arc;

use crate::app::App;
use crate::{config, telemetry};

/// Starts the service and hands it over to `serve`, which runs until the sandbox ends. An environment that is
/// wrong ends the process, with all its mistakes in the log.
pub async fn run<E: Display>(serve: impl AsyncFnOnce(Arc<App>) -> Result<(), E>) -> ExitCode {
    telemetry::init(config::rust_log().as_deref());
    let app = match App::from_env().await {
        Ok(app) => Arc::new(app),
        Err(error) => {
            tracing::error!(cause = %error, "The service cannot start.");
            return ExitCode::FAILURE;
        }
    };
    app.prepare().await;
    match serve(app).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(cause = %error, "The Lambda runtime stopped.");
            ExitCode::FAILURE
        }
    }
}
