//! What a function answered, ready to be shown.

use serde_json::Value;

use super::Failure;

/// The answer of one invocation that did not fail.
pub(crate) struct Answer {
    /// HTTP's status, when the event came over HTTP.
    pub(crate) http_status: Option<u16>,
    /// The body of an answer over HTTP; else the function's whole payload.
    pub(crate) body: String,
}

impl Answer {
    /// Reads a function's payload, with API Gateway's envelope or without.
    pub(crate) fn read(payload: &[u8]) -> Result<Self, Failure> {
        let text = std::str::from_utf8(payload).map_err(|_| Failure::Unreadable("it is not UTF-8"))?;
        let envelope: Value =
            serde_json::from_str(text).map_err(|_| Failure::Unreadable("it is not JSON"))?;
        let Some(status) = envelope.get("statusCode").and_then(Value::as_u64) else {
            return Ok(Self {
                http_status: None,
                body: text.to_owned(),
            });
        };
        if envelope.get("isBase64Encoded") == Some(&Value::Bool(true)) {
            return Err(Failure::Unreadable("the body is not text"));
        }
        let body = envelope.get("body").and_then(Value::as_str).unwrap_or_default();
        Ok(Self {
            http_status: u16::try_from(status).ok(),
            body: body.to_owned(),
        })
    }

    /// The body, indented if it is JSON, its fields in the order they were sent in.
    pub(crate) fn pretty(&self) -> String {
        let mut pretty = Vec::new();
        let copied = serde_transcode::transcode(
            &mut serde_json::Deserializer::from_str(&self.body),
            &mut serde_json::Serializer::pretty(&mut pretty),
        );
        match (copied, String::from_utf8(pretty)) {
            (Ok(()), Ok(pretty)) => pretty,
            _ => self.body.clone(),
        }
    }
}
