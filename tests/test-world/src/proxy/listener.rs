//! The HTTP server of a [`Proxy`](super::Proxy), which can reset connections.

use std::convert::Infallible;
use std::sync::Arc;

use axum::serve::Listener;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{Answer, Call, Cut, Shared, Upstream};

/// Serves until the sender of `running` is dropped.
pub(super) async fn listen<U: Upstream>(
    mut listener: TcpListener,
    shared: Arc<Shared<U>>,
    running: watch::Receiver<()>,
) {
    let accept = async {
        loop {
            let (stream, _) = Listener::accept(&mut listener).await;
            let connection = converse(stream, shared.clone(), running.clone());
            tokio::spawn(while_running(running.clone(), connection));
        }
    };
    let _: Option<Infallible> = while_running(running.clone(), accept).await;
}

/// Serves one connection.
async fn converse<U: Upstream>(stream: TcpStream, shared: Arc<Shared<U>>, running: watch::Receiver<()>) {
    // Without it small answers wait for the caller's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| respond(request, shared.clone(), running.clone()));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if (&mut connection).await.is_err() {
        // Closes with a reset, so that the caller does not see an orderly end.
        let _ = connection.into_parts().io.into_inner().set_zero_linger();
    }
}

async fn respond<U: Upstream>(
    request: Request<Incoming>,
    shared: Arc<Shared<U>>,
    running: watch::Receiver<()>,
) -> Result<Response<Full<Bytes>>, Cut> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let target = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    let operation = match target.and_then(|target| target.rsplit('.').next()) {
        Some(operation) => operation.to_owned(),
        None => action(&body).unwrap_or_else(|| format!("{} {}", parts.method, parts.uri.path())),
    };
    let call = Call { operation, headers: parts.headers, body };
    // On its own task: a request that was sent takes effect even if its caller has given up.
    let handled = while_running(running, async move { shared.handle(call).await });
    let answer = tokio::spawn(handled).await.ok().flatten().ok_or(Cut)??;
    Ok(render::<U>(answer))
}

/// The operation of AWS's query protocol.
fn action(body: &[u8]) -> Option<String> {
    let mut fields = form_urlencoded::parse(body);
    fields.find(|(name, _)| name == "Action").map(|(_, action)| action.into_owned())
}

fn render<U: Upstream>(answer: Answer) -> Response<Full<Bytes>> {
    Response::builder()
        .status(answer.status)
        .header("content-type", U::CONTENT_TYPE)
        .body(Full::new(answer.body))
        .expect("statuses come from the service or a fault, and headers are constants")
}

async fn while_running<T>(mut running: watch::Receiver<()>, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        result = work => Some(result),
        // Nothing is ever sent, so this ends when the sender is dropped.
        _ = running.changed() => None,
    }
}
