//! The API's description as it is served, and answers compared with it.

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::Validator;
use serde_json::Value;

use crate::support::app::{Reply, TestApp};

/// The header of a replayed answer.
pub const REPLAYED: &str = "idempotency-replayed";

/// The description, and the statuses that answers have had, by operation.
pub struct Description {
    pub document: Value,
    statuses: BTreeMap<String, BTreeSet<String>>,
}

/// The names of an object's fields.
pub fn names(object: &Value) -> BTreeSet<String> {
    object.as_object().expect("an object").keys().cloned().collect()
}

/// The JSON pointer to an operation.
pub fn operation(method: &str, path: &str) -> String {
    format!("/paths/{}/{}", path.replace('~', "~0").replace('/', "~1"), method.to_lowercase())
}

impl Description {
    /// The description as it is served to everybody.
    pub async fn served(app: &TestApp) -> Self {
        let mut event = TestApp::event("heartbeat.json");
        let path = "/api/openapi.json";
        event["rawPath"] = path.into();
        event["requestContext"]["http"]["path"] = path.into();
        event["requestContext"]["http"]["method"] = "GET".into();
        event["headers"].as_object_mut().expect("headers").remove("authorization");
        let reply = app.stranger().sends(&event).await;
        assert_eq!((reply.status, reply.headers["content-type"].as_str()), (200, "application/json"));
        Self { document: reply.body.into_value(), statuses: BTreeMap::new() }
    }

    /// The schema at this place, closed to additional fields.
    pub fn validator(&self, schema: &Value) -> Validator {
        let mut components = self.document["components"].clone();
        for schema in components["schemas"].as_object_mut().expect("schemas").values_mut() {
            if schema["properties"].is_object() {
                schema["additionalProperties"] = false.into();
            }
        }
        let mut root = schema.clone();
        root["components"] = components;
        jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .should_validate_formats(true)
            .build(&root)
            .expect("a schema")
    }

    /// Compares an answer with the description of its status.
    pub fn covers(&mut self, operation: &str, reply: &Reply) {
        let status = reply.status.to_string();
        let described = &self.document.pointer(operation).expect("it is described")["responses"][&status];
        assert!(described.is_object(), "{operation} does not describe {reply:#?}");
        if let Some(kind) = reply.headers.get("content-type") {
            let kind = kind.split(';').next().expect("a media type");
            let schema = &described["content"][kind]["schema"];
            assert!(schema.is_object(), "{operation} does not describe {reply:#?}");
            let errors: Vec<String> =
                self.validator(schema).iter_errors(&reply.body).map(|error| error.to_string()).collect();
            assert_eq!(errors, [""; 0], "{:#}", reply.body);
        } else {
            assert!(described["content"].is_null(), "{operation} describes a body of {reply:#?}");
        }
        let headers = described["headers"].as_object().into_iter().flatten();
        let headers: BTreeSet<String> = headers.map(|(name, _)| name.to_lowercase()).collect();
        for header in ["retry-after", "www-authenticate", "etag", "link", "x-poll-interval", REPLAYED] {
            let is_there = reply.headers.contains_key(header);
            // Only a repeated answer, and only a page that is not the last one, has these headers.
            let may_lack = [REPLAYED, "link"].contains(&header);
            let is_missing = headers.contains(header) && !is_there && !may_lack;
            let is_not_described = is_there && !headers.contains(header);
            assert!(!is_missing && !is_not_described, "{operation} {header}: {reply:#?}");
        }
        self.statuses.entry(operation.to_owned()).or_default().insert(status);
    }

    /// Fails if the description of an operation has a status that no answer has had.
    pub fn assert_statuses_met(&self, operation: &str) {
        let described = names(&self.document.pointer(operation).expect("it is described")["responses"]);
        assert_eq!(self.statuses.get(operation), Some(&described), "{operation}");
    }
}
