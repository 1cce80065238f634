//! Reads Lambda's HTTP events, API Gateway's of both kinds, Function URLs' and load balancers', into the types that
//! `lambda_http` makes requests of.
//!
//! Whatever a caller can put into an event gets an answer. `lambda_http` builds a URL of host, path and query and panics
//! where there can be none, as on a body that is not base64; of two headers of one name it may keep the last only; and it
//! rejects a whole event for one member of an unexpected type. So it gets only what an answer depends on: method, path,
//! headers and body. No request context is handed over: `RequestExt::request_context()` is empty, and so are the query,
//! the path parameters and the stage variables.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lambda_http::aws_lambda_events::alb::AlbTargetGroupRequest;
use lambda_http::aws_lambda_events::apigw::{ApiGatewayProxyRequest, ApiGatewayV2httpRequest};
use lambda_http::request::LambdaRequest;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Refusal, path};

/// The sender of an event: it decides where the event has its method and path, and which answer is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    /// An HTTP API with payload format 2.0, or a Function URL.
    HttpApi,
    /// A REST API, or an HTTP API with payload format 1.0.
    RestApi,
    /// An Application Load Balancer, with or without multi-value headers.
    LoadBalancer,
}

/// An event as JSON. Text that is not JSON reads as `null`, which is no HTTP request.
pub(super) fn parse(payload: &RawValue) -> Value {
    serde_json::from_str(payload.get()).unwrap_or_default()
}

impl Sender {
    /// cargo-lambda's events have `httpMethod` too, and there it is not the request's: so `requestContext` decides first.
    /// What is no HTTP request at all counts as a REST API's, whose answers have the fewest members.
    pub(super) fn of(event: &Value) -> Self {
        let context = &event["requestContext"];
        if context["http"].is_object() {
            Self::HttpApi
        } else if context["elb"].is_object() {
            Self::LoadBalancer
        } else {
            Self::RestApi
        }
    }

    /// A request without content, for an event that has none which can be read.
    pub(super) fn empty_request(self) -> LambdaRequest {
        self.request(Method::GET, "/".to_owned(), HeaderMap::new(), None, false)
    }

    fn request(
        self,
        method: Method,
        path: String,
        headers: HeaderMap,
        body: Option<String>,
        is_base64_encoded: bool,
    ) -> LambdaRequest {
        match self {
            Self::HttpApi => {
                let mut event = ApiGatewayV2httpRequest::default();
                event.request_context.http.method = method;
                event.raw_path = Some(path);
                event.headers = headers;
                event.body = body;
                event.is_base64_encoded = is_base64_encoded;
                LambdaRequest::ApiGatewayV2(event)
            }
            Self::RestApi => {
                let mut event = ApiGatewayProxyRequest::default();
                event.http_method = method;
                event.path = Some(path);
                event.multi_value_headers = headers;
                event.body = body;
                event.is_base64_encoded = is_base64_encoded;
                LambdaRequest::ApiGatewayV1(event)
            }
            Self::LoadBalancer => {
                let mut event = AlbTargetGroupRequest::default();
                event.http_method = method;
                event.path = Some(path);
                event.multi_value_headers = headers;
                event.body = body;
                event.is_base64_encoded = is_base64_encoded;
                LambdaRequest::Alb(event)
            }
        }
    }
}

/// The event with only those members that an answer depends on, each of them valid.
pub(super) fn read(mut event: Value, sender: Sender) -> Result<LambdaRequest, Refusal> {
    let (method, sent_path) = match sender {
        Sender::HttpApi => (&event["requestContext"]["http"]["method"], &event["rawPath"]),
        Sender::RestApi | Sender::LoadBalancer => (&event["httpMethod"], &event["path"]),
    };
    let method = Method::from_bytes(method.as_str().ok_or(Refusal::Event)?.as_bytes());
    let method = method.map_err(|_| Refusal::Event)?;
    let stage = event["requestContext"]["stage"].as_str();
    let proxied = event["pathParameters"]["proxy"].as_str();
    let path = path::routed(sent_path.as_str().ok_or(Refusal::Event)?, stage, proxied);
    if Uri::try_from(&path).is_err() {
        return Err(Refusal::Path);
    }
    let headers = headers(event["multiValueHeaders"].take(), event["headers"].take())?;
    let is_base64 = event["isBase64Encoded"] == true;
    let body = match event["body"].take() {
        Value::Null => None,
        Value::String(body) if !is_base64 || STANDARD.decode(&body).is_ok() => Some(body),
        _ => return Err(Refusal::Body),
    };
    Ok(sender.request(method, path, headers, body, is_base64))
}

/// All values of all headers. `headers` has only the last value of each where there is `multiValueHeaders`, and would hide
/// the others.
fn headers(all: Value, last: Value) -> Result<HeaderMap, Refusal> {
    let object = |headers: Value| match headers {
        Value::Object(headers) if !headers.is_empty() => Some(headers),
        _ => None,
    };
    let named: Map<String, Value> = object(all).or_else(|| object(last)).unwrap_or_default();
    let mut headers = HeaderMap::new();
    for (name, values) in named {
        // Nobody can ask for a header of such a name.
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { continue };
        // `lambda_http` would build a URL of it, and panics on a host that no URL can have.
        if name == header::HOST {
            continue;
        }
        let values = match values {
            Value::Array(values) => values,
            one => vec![one],
        };
        for value in values {
            headers.try_append(&name, header_value(&value)).map_err(|_| Refusal::Event)?;
        }
    }
    Ok(headers)
}

/// A value that no header can have is an empty one, but it is there: two tokens are not one because one is garbage.
fn header_value(value: &Value) -> HeaderValue {
    let value = value.as_str().and_then(|value| HeaderValue::from_str(value).ok());
    value.unwrap_or(HeaderValue::from_static(""))
}
