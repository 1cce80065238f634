//! Starts an execution environment, in the same way for every function: logging, configuration, handles, preparation.
//! Then runs Lambda's runtime, which receives the events, and writes the metrics line after each of them.
//!
//! How a function answers an event is defined in its binary.

use std::process::ExitCode;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use lambda_runtime::layers::TracingLayer;
use lambda_runtime::{Error, LambdaInvocation, Runtime, Service};
use tower::layer::layer_fn;

use crate::app::App;
use crate::config;
use crate::telemetry::{self, Metrics};

/// The module in which Lambda's runtime opens the span of an invocation. The span has the request's ids.
pub const INVOCATIONS: &str = "lambda_runtime::layers::trace";

/// Starts the service and runs `function` until the execution environment ends. Invalid configuration ends the process,
/// with all mistakes in the log.
pub async fn run<S>(function: impl FnOnce(Arc<App>) -> Runtime<S>) -> ExitCode
where
    S: Service<LambdaInvocation, Response = (), Error = Error, Future: 'static>,
{
    telemetry::init(config::rust_log().as_deref(), INVOCATIONS);
    let app = match App::from_env().await {
        Ok(app) => Arc::new(app),
        Err(error) => {
            tracing::error!(cause = %error, "Failed to start the service.");
            return ExitCode::FAILURE;
        }
    };
    let metrics = Metrics::begin(&app.config.table_name);
    app.prepare().await;
    let runtime = function(app).layer(layer_fn(|inner| Measured { inner, metrics }));
    match runtime.layer(TracingLayer::new()).run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(cause = %error, "The Lambda runtime stopped with an error.");
            ExitCode::FAILURE
        }
    }
}

/// Writes the metrics of each invocation after it is answered, whatever its result. The caller does not wait for that,
/// and Lambda freezes the execution environment only when it requests the next event.
struct Measured<S> {
    inner: S,
    metrics: Metrics,
}

impl<S> Service<LambdaInvocation> for Measured<S>
where
    S: Service<LambdaInvocation, Response = (), Error = Error, Future: 'static>,
{
    type Response = ();
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<(), Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, invocation: LambdaInvocation) -> Self::Future {
        let metrics = self.metrics;
        let request_id = invocation.context.request_id.clone();
        self.inner.call(invocation).inspect(move |_| metrics.emit(&request_id)).boxed_local()
    }
}
