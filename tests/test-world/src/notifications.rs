//! SNS: a topic that records what is published, behind a [`Proxy`].
//!
//! It has only `Publish`, the one operation that the service calls, with the errors and limits of
//! <https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>. Like SNS it has AWS's query protocol: forms in, XML out.

use std::collections::HashMap;
use std::sync::Mutex;

use hyper::body::Bytes;
use serde_json::Value;

use crate::proxy::{Answer, Call, Capacity, Proxy, Upstream};
use crate::scheduler::Scheduler;

pub use crate::fault::Held;
pub use crate::proxy::{Exchange, Fault, On, Outcome};

/// The only topic.
pub const TOPIC_ARN: &str = "arn:aws:sns:us-east-1:123456789012:agents";

/// The longest message in all its forms together, in bytes.
const MAX_MESSAGE: usize = 262_144;

/// A running SNS.
pub type Notifications = Proxy<Topics>;

/// The state of [`Notifications`].
#[derive(Default)]
pub struct Topics {
    published: Mutex<Vec<Message>>,
}

/// A published message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The subject of e-mails.
    pub subject: String,
    /// The message for each protocol; the one named `default` for all others.
    pub forms: HashMap<String, String>,
}

impl Notifications {
    /// Starts a server on a free port.
    pub async fn start() -> Self {
        Self::start_behind(Scheduler::default()).await
    }

    /// Starts a server whose requests this scheduler admits.
    pub async fn start_behind(scheduler: Scheduler) -> Self {
        Self::in_front_of(Topics::default(), scheduler).await
    }

    /// The published messages, in order, whether SNS's answer arrived or not.
    pub fn messages(&self) -> Vec<Message> {
        self.upstream().published().clone()
    }
}

impl Message {
    /// The form for a protocol.
    pub fn form(&self, protocol: &str) -> &str {
        self.forms.get(protocol).or_else(|| self.forms.get("default")).expect("each message has a default")
    }
}

impl Topics {
    fn published(&self) -> std::sync::MutexGuard<'_, Vec<Message>> {
        self.published.lock().expect("nothing panics while it holds this lock")
    }

    fn publish(&self, fields: &HashMap<String, String>) -> Result<(), (u16, &'static str, &'static str)> {
        let invalid = |message| Err((400, "InvalidParameter", message));
        let field = |name: &str| fields.get(name).map(String::as_str);
        if field("TopicArn") != Some(TOPIC_ARN) {
            return Err((404, "NotFound", "Topic does not exist"));
        }
        let message = field("Message").unwrap_or_default();
        if message.is_empty() {
            return invalid("Invalid parameter: Empty message");
        }
        if message.len() > MAX_MESSAGE {
            return invalid("Invalid parameter: Message too long");
        }
        let subject = field("Subject").unwrap_or_default();
        let is_good =
            subject.starts_with(|c: char| c.is_ascii_graphic()) && !subject.chars().any(char::is_control);
        if fields.contains_key("Subject") && (!is_good || subject.len() >= 100) {
            return invalid("Invalid parameter: Subject");
        }
        let forms = match field("MessageStructure") {
            None => HashMap::from([("default".to_owned(), message.to_owned())]),
            Some("json") => {
                let Ok(Value::Object(forms)) = serde_json::from_str(message) else {
                    return invalid(
                        "Invalid parameter: Message Structure - JSON message body failed to parse",
                    );
                };
                // A value that is no text is ignored.
                let texts =
                    forms.into_iter().filter_map(|(name, form)| Some((name, form.as_str()?.to_owned())));
                texts.collect()
            }
            Some(_) => return invalid("Invalid parameter: MessageStructure"),
        };
        if !forms.contains_key("default") {
            return invalid("Invalid parameter: Message Structure - No default entry in JSON message body");
        }
        self.published().push(Message { subject: subject.to_owned(), forms });
        Ok(())
    }
}

impl Upstream for Topics {
    const NAME: &'static str = "SNS";
    const CONTENT_TYPE: &'static str = "text/xml";
    const THROTTLED: (u16, &'static str) = (429, "Throttled");
    const FAILED: (u16, &'static str) = (500, "InternalError");
    const DENIED: (u16, &'static str) = (403, "AuthorizationError");

    fn exception((status, code): (u16, &str), message: &str) -> Answer {
        let kind = if status < 500 { "Sender" } else { "Receiver" };
        let error = format!("<Type>{kind}</Type><Code>{code}</Code><Message>{message}</Message>");
        xml(status, "ErrorResponse", &format!("<Error>{error}</Error><RequestId>none</RequestId>"))
    }

    async fn answer(&self, call: Call) -> Answer {
        if call.operation != "Publish" {
            return Self::exception((400, "InvalidAction"), "The local SNS knows only Publish.");
        }
        let fields = form_urlencoded::parse(&call.body).into_owned().collect();
        match self.publish(&fields) {
            Ok(()) => {
                let id = "<PublishResult><MessageId>00000000-0000-4000-8000-000000000000</MessageId></PublishResult>";
                let request = "<ResponseMetadata><RequestId>none</RequestId></ResponseMetadata>";
                xml(200, "PublishResponse", &format!("{id}{request}"))
            }
            Err((status, code, message)) => Self::exception((status, code), message),
        }
    }
}

fn xml(status: u16, name: &str, content: &str) -> Answer {
    let body = format!("<{name} xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\">{content}</{name}>");
    Answer { status, body: Bytes::from(body), capacity: Capacity::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(fields: &[(&str, &str)]) -> HashMap<String, String> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        fields.iter().map(own).collect()
    }

    #[test]
    fn messages_are_recorded_by_protocol_and_wrong_ones_refused() {
        let topics = Topics::default();
        let forms = r#"{"default":"a text","sqs":"{}","email":7}"#;
        let good =
            [("TopicArn", TOPIC_ARN), ("Message", forms), ("MessageStructure", "json"), ("Subject", "S")];
        assert_eq!(topics.publish(&fields(&good)), Ok(()));
        let published = topics.published().clone();
        assert_eq!((published[0].form("sqs"), published[0].form("email")), ("{}", "a text"));
        let refused = |changed: &[(&str, &str)]| {
            let mut all = fields(&good);
            all.extend(fields(changed));
            topics.publish(&all).expect_err("an error").1
        };
        let long = format!(r#"{{"default":"{}"}}"#, "x".repeat(MAX_MESSAGE));
        let codes = [
            refused(&[("TopicArn", "another")]),
            refused(&[("Message", r#"{"sqs":"x"}"#)]),
            refused(&[("Message", &long)]),
            refused(&[("Subject", &"x".repeat(100))]),
        ];
        assert_eq!(codes, ["NotFound", "InvalidParameter", "InvalidParameter", "InvalidParameter"]);
        assert_eq!(topics.published().len(), 1);
    }
}
