//! The start of a sandbox, the same for every function: logging, the environment, the handles, the preparation. Then
//! Lambda's runtime, which brings the events, and what follows each of them: the line with its metrics.
//!
//! What a function answers is the binaries' own.

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

/// Where Lambda's runtime opens the span of an invocation, which has its ids.
pub const INVOCATIONS: &str = "lambda_runtime::layers::trace";

/// Starts the service and runs the `function` made of it until the sandbox ends. An environment that is wrong ends
/// the process, with all its mistakes in the log.
pub async fn run<S>(function: impl FnOnce(Arc<App>) -> Runtime<S>) -> ExitCode
where
    S: Service<LambdaInvocation, Response = (), Error = Error, Future: 'static>,
{
    telemetry::init(config::rust_log().as_deref(), INVOCATIONS);
    let app = match App::from_env().await {
        Ok(app) => Arc::new(app),
        Err(error) => {
            tracing::error!(cause = %error, "The service cannot start.");
            return ExitCode::FAILURE;
        }
    };
    let metrics = Metrics::begin(&app.config.table_name);
    app.prepare().await;
    let runtime = function(app).layer(layer_fn(|inner| Measured { inner, metrics }));
    match runtime.layer(TracingLayer::new()).run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(cause = %error, "The Lambda runtime stopped.");
            ExitCode::FAILURE
        }
    }
}

/// Tells the metrics of each invocation once it is answered, whatever came of it: the sender need not wait for that,
/// and Lambda freezes the sandbox only when it asks for the next event.
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
        self.inner.call(invocation).inspect(move |_| metrics.tell(&request_id)).boxed_local()
    }
}
