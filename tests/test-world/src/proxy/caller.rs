//! An unsigned client of AWS's JSON protocols for this crate's tests. The SDK would retry requests and translate the
//! answers that they check.

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// Sends one request on a new connection. Returns the status and the body, null if it is not JSON.
pub(crate) async fn call(url: &str, target: &str, body: &Value) -> Result<(u16, Value), Error> {
    let request = Request::post(url)
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", target)
        .header("x-amz-date", "20261122T060000Z")
        .header("authorization", "AWS4-HMAC-SHA256 Credential=local, SignedHeaders=host, Signature=none")
        .body(Full::new(Bytes::from(body.to_string())))
        .expect("its parts are constants and an URL");
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("answers are sent whole").to_bytes();
    Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
}
