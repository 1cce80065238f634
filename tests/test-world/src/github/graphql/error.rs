//! GraphQL errors as GitHub writes them: the kind of error is at the top, as `type`.
//!
//! The engine's own errors know no type, and what a resolver says of one goes through the engine as text.

use apollo_compiler::parser::LineColumn;
use apollo_compiler::resolvers::FieldError;
use apollo_compiler::response::GraphQLError;
use serde_json::{Value, json};

/// One entry of `errors`.
#[derive(Clone, Debug)]
pub(super) struct QueryError {
    failure: Failure,
    path: Value,
    locations: Vec<LineColumn>,
}

/// Why something cannot be had: GitHub's name for it, if it has one, and its words.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    kind: Option<String>,
    message: String,
}

impl Failure {
    pub(super) fn new(kind: impl Into<Option<&'static str>>, message: impl Into<String>) -> Self {
        Self { kind: kind.into().map(str::to_owned), message: message.into() }
    }

    /// For the engine, which puts a path to it: [`QueryError::from`] takes it apart again.
    pub(super) fn into_field_error(self) -> FieldError {
        FieldError { message: format!("{}\n{}", self.kind.unwrap_or_default(), self.message) }
    }

    pub(super) fn at(self, path: &[&str]) -> QueryError {
        QueryError { failure: self, path: json!(path), locations: Vec::new() }
    }
}

impl QueryError {
    pub(super) fn render(&self) -> Value {
        let mut rendered = json!({ "message": self.failure.message });
        if let Some(kind) = &self.failure.kind {
            rendered["type"] = json!(kind);
        }
        if self.path.as_array().is_some_and(|path| !path.is_empty()) {
            rendered["path"] = self.path.clone();
        }
        if !self.locations.is_empty() {
            let locations = self.locations.iter().map(|at| json!({ "line": at.line, "column": at.column }));
            rendered["locations"] = locations.collect();
        }
        rendered
    }
}

impl From<GraphQLError> for QueryError {
    fn from(error: GraphQLError) -> Self {
        let resolvers = error.message.strip_prefix("resolver error: ");
        let failure = match resolvers.and_then(|text| text.split_once('\n')) {
            Some((kind, message)) => {
                Failure { kind: (!kind.is_empty()).then(|| kind.to_owned()), message: message.to_owned() }
            }
            None => Failure::new(None, error.message),
        };
        let path = serde_json::to_value(&error.path).expect("a path is names and numbers");
        Self { failure, path, locations: error.locations }
    }
}
