//! Lambda's HTTP events: API Gateway's of both kinds and Function URLs'.
//!
//! Whatever a caller can put into an event gets an answer. So nothing here is stricter than the answer needs: only
//! method, path, headers and body are read, of a host or a query nothing depends. The crates that convert events
//! whole panic on some of them, such as a `Host` that no URL can have, and callers would see a failure of the
//! service's.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::Refusal;

/// The answer to an event, in the form that its kind takes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventAnswer {
    status_code: u16,
    headers: Map<String, Value>,
    body: String,
    is_base64_encoded: bool,
    /// None are set. HTTP APIs and Function URLs know the member, and the one that cargo-lambda plays wants it to be
    /// there; REST APIs take an answer that has it for a broken one.
    #[serde(skip_serializing_if = "Option::is_none")]
    cookies: Option<[(); 0]>,
}

/// An event, whatever it holds: one that cannot be parsed is as good as an empty one.
pub(super) fn read(payload: &RawValue) -> Value {
    serde_json::from_str(payload.get()).unwrap_or_default()
}

/// The request that an event brings.
pub(super) fn request(event: &Value) -> Result<Request, Refusal> {
    // REST APIs have the method on top, as HTTP APIs do that are told to send events of that form. What cargo-lambda puts
    // there is not the request's, so the other place comes first.
    let (method, path) = match &event["requestContext"]["http"]["method"] {
        Value::String(method) => (method, &event["rawPath"]),
        _ => match &event["httpMethod"] {
            Value::String(method) => (method, &event["path"]),
            _ => return Err(Refusal::Event),
        },
    };
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| Refusal::Event)?;
    let path = without_stage(path.as_str().ok_or(Refusal::Event)?, &event["requestContext"]["stage"]);
    let mut request = Request::new(body(event)?);
    *request.method_mut() = method;
    *request.uri_mut() = uri(path).ok_or(Refusal::Path)?;
    *request.headers_mut() = headers(event)?;
    Ok(request)
}

/// API Gateway puts a named stage before the path; the routes know nothing of stages. Every route is below
/// `/api/`, which tells a stage of that very name from the path's own first part.
fn without_stage<'a>(path: &'a str, stage: &Value) -> &'a str {
    let rest = stage.as_str().and_then(|stage| path.strip_prefix('/')?.strip_prefix(stage));
    rest.filter(|rest| rest.starts_with("/api/")).unwrap_or(path)
}

/// Some fronts decode a path and some do not: what cannot stand in one is encoded, and the rest is left as it is.
fn uri(path: &str) -> Option<Uri> {
    let mut encoded = String::with_capacity(path.len() + 1);
    if !path.starts_with('/') {
        encoded.push('/');
    }
    for byte in path.bytes() {
        if byte.is_ascii_graphic() && !b"\"#<>?\\^`{|}".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    Uri::try_from(encoded).ok()
}

/// All headers. REST APIs send the last value of each as well, in `headers`, which would hide the others.
fn headers(event: &Value) -> Result<HeaderMap, Refusal> {
    let mut headers = HeaderMap::new();
    let all = event["multiValueHeaders"].as_object().filter(|all| !all.is_empty());
    for (name, values) in all.or(event["headers"].as_object()).into_iter().flatten() {
        // Nobody can ask for a header of such a name.
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { continue };
        let values = match values {
            Value::Array(values) => &values[..],
            one => std::slice::from_ref(one),
        };
        for value in values {
            headers.try_append(&name, header_value(value)).map_err(|_| Refusal::Event)?;
        }
    }
    Ok(headers)
}

/// What no header can say is as good as nothing, but it is there: two tokens are not one because one is garbage.
fn header_value(value: &Value) -> HeaderValue {
    let value = value.as_str().and_then(|value| HeaderValue::from_str(value).ok());
    value.unwrap_or(HeaderValue::from_static(""))
}

fn body(event: &Value) -> Result<Body, Refusal> {
    match &event["body"] {
        Value::Null => Ok(Body::empty()),
        Value::String(text) if event["isBase64Encoded"] == true => {
            STANDARD.decode(text).map(Body::from).map_err(|_| Refusal::Body)
        }
        Value::String(text) => Ok(Body::from(text.clone())),
        _ => Err(Refusal::Body),
    }
}

/// What answers this event. Every answer of this service is text, and has one value for each header.
pub(super) async fn answer(event: &Value, response: Response) -> EventAnswer {
    let (parts, body) = response.into_parts();
    // Nothing streams here: the whole body is at hand.
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let value = |value: &HeaderValue| Value::from(String::from_utf8_lossy(value.as_bytes()));
    EventAnswer {
        status_code: parts.status.as_u16(),
        headers: parts.headers.iter().map(|(name, text)| (name.as_str().to_owned(), value(text))).collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
        is_base64_encoded: false,
        cookies: event["requestContext"]["http"].is_object().then_some([]),
    }
}
