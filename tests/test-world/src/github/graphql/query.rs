//! A GraphQL request: its body, parsed and validated once for the log, the faults and the answer.

use apollo_compiler::ExecutableDocument;
use apollo_compiler::executable::{Field, Operation, Value as Literal};
use apollo_compiler::request::coerce_variable_values;
use apollo_compiler::response::JsonMap;
use apollo_compiler::validation::Valid;
use serde::Deserialize;
use serde_json::Value;

use super::super::log::GraphQlCall;
use super::cost::Cost;
use super::error::QueryError;
use super::schema;

/// A request to `/graphql`.
#[derive(Debug)]
pub(in crate::github) struct Query {
    /// The `owner/name`s of the requested repositories, in order, as the document and its variables write them.
    pub(in crate::github) repositories: Vec<String>,
    /// The variables as they were sent.
    variables: Value,
    pub(super) content: Result<Content, Refused>,
}

/// A document that can be executed.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) document: Valid<ExecutableDocument>,
    pub(super) operation_name: Option<String>,
    pub(super) variables: Valid<JsonMap>,
    pub(super) cost: Cost,
    /// Whether the caller requests only the cost.
    pub(super) dry_run: bool,
}

/// Why a request is invalid, whatever the data.
#[derive(Debug)]
pub(super) enum Refused {
    /// The body is not a GraphQL request: 400 with this message.
    Body(&'static str),
    /// The document or its variables are invalid: 200 with errors.
    Document(Vec<QueryError>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    #[serde(default)]
    query: Value,
    #[serde(default)]
    variables: Value,
    #[serde(default)]
    operation_name: Option<String>,
}

impl Query {
    pub(in crate::github) fn parse(body: &[u8]) -> Self {
        let body: Body = match serde_json::from_slice(body) {
            Ok(body) => body,
            Err(_) => return Self::refused(Value::Null, Refused::Body("Problems parsing JSON")),
        };
        let raw = match &body.variables {
            Value::Null => JsonMap::new(),
            sent => match serde_json::from_value(sent.clone()) {
                Ok(variables) => variables,
                Err(_) => return Self::refused(Value::Null, Refused::Body("Variables are invalid JSON.")),
            },
        };
        let Value::String(text) = &body.query else {
            let message = "A query attribute must be specified and must be a string.";
            return Self::refused(body.variables, Refused::Body(message));
        };
        match Content::parse(text, body.operation_name, &raw) {
            Ok((content, repositories)) => {
                Self { repositories, variables: body.variables, content: Ok(content) }
            }
            Err(errors) => Self::refused(body.variables, Refused::Document(errors)),
        }
    }

    /// The entry for the log, before any points are spent.
    pub(in crate::github) fn logged(&self) -> GraphQlCall {
        let (repositories, variables) = (self.repositories.clone(), self.variables.clone());
        GraphQlCall { repositories, variables, points: 0 }
    }

    fn refused(variables: Value, refused: Refused) -> Self {
        Self { repositories: Vec::new(), variables, content: Err(refused) }
    }

    /// The points that the request costs. A dry run and a body that is not a GraphQL request cost none.
    pub(in crate::github) fn points(&self) -> u64 {
        match &self.content {
            Ok(content) if content.dry_run => 0,
            Ok(content) => content.cost.points(),
            Err(Refused::Document(_)) => 1,
            Err(Refused::Body(_)) => 0,
        }
    }
}

impl Content {
    /// The content and the requested repositories.
    ///
    /// # Errors
    ///
    /// GitHub's errors if the document or its variables are invalid.
    fn parse(
        text: &str,
        operation_name: Option<String>,
        raw: &JsonMap,
    ) -> Result<(Self, Vec<String>), Vec<QueryError>> {
        let document =
            ExecutableDocument::parse_and_validate(schema(), text, "query").map_err(|refused| {
                refused
                    .errors
                    .iter()
                    .map(|diagnostic| QueryError::from(diagnostic.to_json()))
                    .collect::<Vec<_>>()
            })?;
        let refused = |error: apollo_compiler::request::RequestError| {
            vec![QueryError::from(error.to_graphql_error(&document.sources))]
        };
        let operation = document.operations.get(operation_name.as_deref()).map_err(refused)?;
        let variables = coerce_variable_values(schema(), operation, raw).map_err(refused)?;
        let cost = Cost::of(&document, operation, &variables)?;
        let repositories = repositories(&document, operation, &variables);
        let dry_run = operation
            .root_fields(&document)
            .filter(|field| field.name == "rateLimit")
            .any(|field| argument(field, "dryRun", &variables) == Some(Value::Bool(true)));
        Ok((Self { document, operation_name, variables, cost, dry_run }, repositories))
    }
}

fn repositories(document: &ExecutableDocument, operation: &Operation, variables: &JsonMap) -> Vec<String> {
    let text = |field: &Field, name: &str| match argument(field, name, variables) {
        Some(Value::String(text)) => text,
        other => panic!("`{name}` of a repository in a valid document is {other:?}"),
    };
    operation
        .root_fields(document)
        .filter(|field| field.name == "repository")
        .map(|field| format!("{}/{}", text(field, "owner"), text(field, "name")))
        .collect()
}

/// A field's argument, if it is a string or a boolean.
fn argument(field: &Field, name: &str, variables: &JsonMap) -> Option<Value> {
    match field.specified_argument_by_name(name)?.as_ref() {
        Literal::String(text) => Some(Value::String(text.clone())),
        Literal::Boolean(truth) => Some(Value::Bool(*truth)),
        Literal::Variable(variable) => serde_json::to_value(variables.get(variable.as_str())?).ok(),
        _ => None,
    }
}
