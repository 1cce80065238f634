//! The answer to an admitted GraphQL call: executed, or refused.

use std::cell::Cell;

use apollo_compiler::resolvers::Execution;
use serde_json::{Value, json};

use super::super::answer::Answer;
use super::super::budget::UsedUp;
use super::super::render::About;
use super::super::world::World;
use super::error::{Failure, QueryError};
use super::faults::Partial;
use super::query::{Query, Refused};
use super::resolvers::Root;
use super::schema;
use super::service::{Trouble, timed_out};

impl World {
    /// Counts a query on its token's points and returns how many it took, or refuses it.
    pub(in crate::github) fn admit_query(
        &mut self,
        token: Option<&str>,
        query: &Query,
    ) -> Result<u64, Answer> {
        let Some(token) = token else {
            let message = "This endpoint requires you to be authenticated.";
            return Err(Answer::error(401, message, &About::GraphQl));
        };
        if let Some(Trouble::Absent) = self.graphql_trouble(query) {
            return Err(Answer::error(404, "Not Found", &About::Anything));
        }
        let (now, payer) = (self.now(), self.payer(Some(token)));
        let points = query.points();
        self.points.of(&payer, now).spend(points).map_err(|UsedUp| {
            let message = "API rate limit already exceeded for user ID 1001.";
            Answer::json(
                200,
                &json!({
                    "data": null,
                    "errors": errors(vec![Failure::new("RATE_LIMITED", message).at(&[])]),
                }),
            )
        })?;
        Ok(points)
    }

    /// Answers an admitted query; `partial` is what a test wants lacking.
    pub(in crate::github) fn answer_query(
        &mut self,
        token: Option<&str>,
        query: &Query,
        partial: Option<&Partial>,
    ) -> Answer {
        match self.graphql_trouble(query) {
            Some(Trouble::TimedOut) => return timed_out(),
            Some(Trouble::NotExecuted(errors)) => return Answer::json(200, &json!({ "errors": errors })),
            Some(Trouble::Absent) | None => {}
        }
        let content = match &query.content {
            Ok(content) => content,
            Err(Refused::Document(refused)) => {
                return Answer::json(200, &json!({ "errors": errors(refused.clone()) }));
            }
            Err(Refused::Body(words)) => return Answer::error(400, words, &About::GraphQl),
        };
        let lacking = self.graphql.lacks.errors(&content.document);
        if !lacking.is_empty() {
            return Answer::json(200, &json!({ "errors": lacking }));
        }
        let (now, payer) = (self.now(), self.payer(token));
        let root = Root {
            budget: *self.points.of(&payer, now),
            token,
            may_read_issues: self.may_read_issues(token),
            world: self,
            cost: content.cost,
            dry_run: content.dry_run,
            partial,
            repositories: Cell::new(0),
        };
        let executed = Execution::new(schema(), &content.document)
            .operation_name(content.operation_name.as_deref())
            .and_then(|execution| {
                execution
                    .enable_schema_introspection(true)
                    .coerced_variable_values(&content.variables)
                    .execute_sync(&root)
            })
            .expect("the operation and its variables were looked at before");
        let mut answer = json!({ "data": executed.data });
        if !executed.errors.is_empty() {
            answer["errors"] = errors(executed.errors.into_iter().map(QueryError::from).collect());
        }
        Answer::json(200, &answer)
    }
}

fn errors(errors: Vec<QueryError>) -> Value {
    errors.iter().map(QueryError::render).collect()
}
