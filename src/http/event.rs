//! Reads Lambda's HTTP events (both kinds of API Gateway's, Function URLs' and load balancers') into the types that
//! `lambda_http` converts to requests.
//!
//! Every event gets an answer, whatever a caller puts into it. `lambda_http` panics if host, path and query do not form
//! a URL, or a body is not base64. It may keep only the last of several headers with one name, and it rejects a whole
//! event for one member of an unexpected type. So it gets only what an answer depends on: method, path, query, headers,
//! cookies and body. The query stands behind the path, encoded and validated, so that `lambda_http` parses none;
//! [`with_uri_as_sent`] makes the request's URI of both. The request context is left out:
//! `RequestExt::request_context()` is empty, and so are the query parameters, the path parameters and the stage
//! variables that `RequestExt` has.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lambda_http::aws_lambda_events::alb::AlbTargetGroupRequest;
use lambda_http::aws_lambda_events::apigw::{ApiGatewayProxyRequest, ApiGatewayV2httpRequest};
use lambda_http::request::LambdaRequest;
use lambda_http::{Request, RequestExt as _};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::body::InvalidBody;
use super::path;
use super::query::InvalidQuery;
use super::refusal::Refusal;
use super::sent_query::{self, Parts};

/// The sender of an event. It determines where the event has its method and path, and the form of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    /// An HTTP API with payload format 2.0, or a Function URL.
    HttpApi,
    /// A REST API, or an HTTP API with payload format 1.0.
    RestApi,
    /// An Application Load Balancer, with or without multi-value headers.
    LoadBalancer,
}

/// An event as JSON. Text that is not JSON reads as `null`, which is not an HTTP request.
pub(super) fn parse(payload: &RawValue) -> Value {
    serde_json::from_str(payload.get()).unwrap_or_default()
}

impl Sender {
    /// `requestContext` decides first: cargo-lambda's events have an `httpMethod` too, which is not the request's
    /// method. An event that is not an HTTP request counts as a REST API's, whose answers have the fewest members.
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

    /// An empty request, in place of one that cannot be read.
    pub(super) fn empty_request(self) -> LambdaRequest {
        self.request(Method::GET, "/".to_owned(), HeaderMap::new(), None, false)
    }

    /// The query, percent-encoded, with the meaning that it has for the client. Empty if there is none.
    fn query(self, event: &Value) -> Result<String, Refusal> {
        let [all, last] =
            ["multiValueQueryStringParameters", "queryStringParameters"].map(|name| &event[name]);
        match self {
            // As the client sent it, percent-encoded (<https://github.com/aws/aws-lambda-dotnet/issues/720>), also from
            // `cargo lambda watch` (its `trigger_router.rs`). Function URLs turn `+` into a space and leave `%20` and
            // `%2B` as they are (<https://github.com/aws/aws-lambda-web-adapter/issues/491>). `queryStringParameters`
            // is no substitute: it joins repeated parameters with commas, which values may contain
            // (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>).
            Self::HttpApi => sent_query::of_text(&event["rawQueryString"]),
            // Decoded: `%2B` arrives as `+` (<https://github.com/micronaut-projects/micronaut-aws/pull/1412>), and `+`
            // as a space (<https://github.com/aws/aws-cdk/issues/19827>). The members are null without a query.
            // `queryStringParameters` has the last value of each parameter, and the order of names is lost
            // (<https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html>).
            // Amazon's own emulator of HTTP APIs with payload format 1.0 decodes too (`Tools/LambdaTestTool-v2` in
            // <https://github.com/aws/aws-lambda-dotnet>, which is compared with API Gateway).
            Self::RestApi => sent_query::of_parameters(all, last, Parts::Decoded),
            // Not decoded, and only one of the two members: with multi-value headers all values, otherwise the last
            // (<https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html>).
            Self::LoadBalancer => sent_query::of_parameters(all, last, Parts::AsSent),
        }
    }

    /// `path` is the path, and the query behind it.
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

/// The event, reduced to the members that an answer depends on, each of them valid.
pub(super) fn read(mut event: Value, sender: Sender) -> Result<LambdaRequest, Refusal> {
    let (method, sent_path) = match sender {
        Sender::HttpApi => (&event["requestContext"]["http"]["method"], &event["rawPath"]),
        Sender::RestApi | Sender::LoadBalancer => (&event["httpMethod"], &event["path"]),
    };
    let method = Method::from_bytes(method.as_str().ok_or(Refusal::Event)?.as_bytes());
    let method = method.map_err(|_| Refusal::Event)?;
    let stage = event["requestContext"]["stage"].as_str();
    let proxied = event["pathParameters"]["proxy"].as_str();
    let mut path = path::routed(sent_path.as_str().ok_or(Refusal::Event)?, stage, proxied);
    if Uri::try_from(&path).is_err() {
        return Err(Refusal::Path);
    }
    let query = sender.query(&event)?;
    if !query.is_empty() {
        path = format!("{path}?{query}");
        if Uri::try_from(&path).is_err() {
            return Err(InvalidQuery::TooLong.into());
        }
    }
    let mut headers = headers(event["multiValueHeaders"].take(), event["headers"].take())?;
    if let (Sender::HttpApi, Value::Array(cookies)) = (sender, event["cookies"].take()) {
        put_cookies(&mut headers, &cookies)?;
    }
    let is_base64 = event["isBase64Encoded"] == true;
    let body = match event["body"].take() {
        Value::Null => None,
        Value::String(body) if !is_base64 || STANDARD.decode(&body).is_ok() => Some(body),
        _ => return Err(InvalidBody::NotAnObject.into()),
    };
    Ok(sender.request(method, path, headers, body, is_base64))
}

/// Gives the request the URI of its event. `lambda_http` takes the path for a path alone, and it resolves dot segments,
/// so `/x/../api/health` would become another path.
pub(super) fn with_uri_as_sent(mut request: Request) -> Request {
    if let Ok(uri) = Uri::try_from(request.raw_http_path()) {
        *request.uri_mut() = uri;
    }
    request
}

/// All values of all headers. If there is `multiValueHeaders`, `headers` has only the last value of each header.
fn headers(all: Value, last: Value) -> Result<HeaderMap, Refusal> {
    let object = |headers: Value| match headers {
        Value::Object(headers) if !headers.is_empty() => Some(headers),
        _ => None,
    };
    let named: Map<String, Value> = object(all).or_else(|| object(last)).unwrap_or_default();
    let mut headers = HeaderMap::new();
    for (name, values) in named {
        // No code can look up a header with such a name.
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { continue };
        // `lambda_http` would build a URL from it, and panics if the host is invalid there.
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

/// Takes the cookies of an event that has a list of them. An HTTP API moves all `cookie` headers there
/// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>); a Function URL
/// (<https://github.com/aws/aws-lambda-rust-runtime/pull/586>) and `cargo lambda watch` (its `trigger_router.rs`) keep the
/// header beside the list. So the list replaces the header: otherwise each cookie would be there twice. The other senders
/// have the header alone.
fn put_cookies(headers: &mut HeaderMap, cookies: &[Value]) -> Result<(), Refusal> {
    headers.remove(header::COOKIE);
    for cookie in cookies {
        headers.try_append(header::COOKIE, header_value(cookie)).map_err(|_| Refusal::Event)?;
    }
    Ok(())
}

/// An invalid value becomes an empty one, so that the header still counts: a request with two tokens, one of them
/// invalid, has two.
fn header_value(value: &Value) -> HeaderValue {
    let value = value.as_str().and_then(|value| HeaderValue::from_str(value).ok());
    value.unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
