//! A function's answer, formatted for a person.

use serde_json::Value;

use super::Failure;

/// The answer of one successful invocation.
pub(crate) struct Answer {
    /// The HTTP status, if the event was an HTTP request.
    pub(crate) http_status: Option<u16>,
    /// The body of an HTTP answer; otherwise the function's whole payload.
    pub(crate) body: String,
}

impl Answer {
    /// Parses a function's payload, with or without API Gateway's envelope.
    pub(crate) fn read(payload: &[u8]) -> Result<Self, Failure> {
        let text = std::str::from_utf8(payload).map_err(|_| Failure::Unreadable("it is not UTF-8"))?;
        let envelope: Value =
            serde_json::from_str(text).map_err(|_| Failure::Unreadable("it is not JSON"))?;
        let Some(status) = envelope.get("statusCode").and_then(Value::as_u64) else {
            return Ok(Self { http_status: None, body: text.to_owned() });
        };
        if envelope.get("isBase64Encoded") == Some(&Value::Bool(true)) {
            return Err(Failure::Unreadable("the body is not text"));
        }
        let body = envelope.get("body").and_then(Value::as_str).unwrap_or_default();
        Ok(Self { http_status: u16::try_from(status).ok(), body: body.to_owned() })
    }

    /// The body. JSON is indented, and its fields keep their order.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(payload: &str) -> Answer {
        Answer::read(payload.as_bytes()).expect("a valid payload")
    }

    #[test]
    fn http_answer_is_its_body_with_fields_in_their_order() {
        let answer =
            read(r#"{"statusCode":200,"isBase64Encoded":false,"body":"{\"status\":\"ok\",\"errors\":[]}"}"#);
        assert_eq!(answer.http_status, Some(200));
        assert_eq!(answer.pretty(), "{\n  \"status\": \"ok\",\n  \"errors\": []\n}");
    }

    #[test]
    fn other_answer_is_the_payload_itself() {
        let answer = read(r#"{"status":"ok"}"#);
        assert_eq!(answer.http_status, None);
        assert_eq!(answer.body, r#"{"status":"ok"}"#);
    }

    #[test]
    fn body_that_is_not_json_is_shown_unchanged() {
        assert_eq!(read(r#"{"statusCode":502,"body":"Bad gateway"}"#).pretty(), "Bad gateway");
    }
}
