//! The Lambda handler behind API Gateway: `lambda_http` converts each event to a request, and the router's response to
//! the form that the event's sender expects.

use std::convert::Infallible;
use std::fmt::Debug;
use std::future::ready;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use lambda_http::{Adapter, Body, Context, LambdaEvent, Request, Service, service_fn};
use serde::Serialize;
use serde_json::value::RawValue;
use tower::util::{MapRequest, MapResponse};

use crate::app::App;

use super::event::{self, Sender};
use super::headers::harden;
use super::refusal::Refusal;
use super::router::router;

/// The service that answers Lambda's HTTP events, valid or not.
pub fn service(
    app: Arc<App>,
) -> impl Service<
    LambdaEvent<Box<RawValue>>,
    Response = impl Serialize + Debug + Send + 'static,
    Error = Infallible,
    Future: Send + 'static,
> + Clone {
    let routes = MapResponse::new(MapRequest::new(router(app), event::with_uri_as_sent), Text);
    service_fn(move |LambdaEvent { payload, context }: LambdaEvent<Box<RawValue>>| {
        let event = event::parse(&payload);
        let sender = Sender::of(&event);
        let mut handler = Adapter::from(routes.clone());
        // The adapter converts the event before it returns the future, so `convert` catches its panics.
        let answer = convert(|| Ok(handler.call(LambdaEvent::new(event::read(event, sender)?, context))));
        answer.unwrap_or_else(|refusal| {
            let refuse = service_fn(move |_: Request| ready(Ok(Text(refusal.clone().into_response()))));
            Adapter::from(refuse).call(LambdaEvent::new(sender.empty_request(), Context::default()))
        })
    })
}

/// Converts an event. A panic that `event.rs` did not prevent becomes a refusal, not a failed invocation.
fn convert<T>(make: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
    catch_unwind(AssertUnwindSafe(make)).unwrap_or_else(|_| {
        tracing::error!("Failed to convert an HTTP event (panic); the request is refused with 400.");
        Err(Refusal::Event)
    })
}

/// A response with a text body. `lambda_http` would send unknown media types in base64.
struct Text(Response);

impl lambda_http::IntoResponse for Text {
    fn into_response(self) -> BoxFuture<'static, lambda_http::Response<Body>> {
        async {
            let (parts, body) = harden(self.0).into_parts();
            // The whole body is in memory already: no response is streamed.
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
            lambda_http::Response::from_parts(parts, String::from_utf8_lossy(&body).into_owned().into())
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::{Refusal, convert};

    #[test]
    fn conversion_that_panics_is_a_refusal() {
        assert_eq!(convert(|| Ok(7)), Ok(7));
        assert_eq!(convert::<()>(|| panic!("as a test may")), Err(Refusal::Event));
    }
}
