//! The cost of a document, and whether GitHub accepts it.
//!
//! GitHub calculates the cost before it executes the query: the requests for each connection and the possible nodes,
//! both multiplied by the sizes of the enclosing connections. The cost does not depend on the data.

use apollo_compiler::ExecutableDocument;
use apollo_compiler::collections::IndexMap;
use apollo_compiler::executable::{Field, Operation, Selection, SelectionSet, Value};
use apollo_compiler::response::JsonMap;

use super::error::{Failure, QueryError};

/// The largest page of any connection.
const MAX_FIRST: i64 = 100;
/// The largest number of nodes of one call.
const MAX_NODES: u64 = 500_000;

/// The cost of a call.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    /// Requests that GitHub needs for all connections.
    requests: u64,
    /// Nodes that the answer can have.
    pub(super) nodes: u64,
}

impl Cost {
    /// Calculates the cost of a document.
    ///
    /// # Errors
    ///
    /// GitHub's errors about connections without a valid `first`, or too many nodes.
    pub(super) fn of(
        document: &ExecutableDocument,
        operation: &Operation,
        variables: &JsonMap,
    ) -> Result<Self, Vec<QueryError>> {
        let mut count = Count { document, variables, cost: Self::default(), errors: Vec::new() };
        count.all(&[&operation.selection_set], 1, &[]);
        if count.errors.is_empty() && count.cost.nodes > MAX_NODES {
            let message = format!(
                "This query requests up to {} possible nodes which exceeds the maximum limit of {MAX_NODES}.",
                count.cost.nodes
            );
            count.errors.push(Failure::new("MAX_NODE_LIMIT_EXCEEDED", message).at(&[]));
        }
        if count.errors.is_empty() { Ok(count.cost) } else { Err(count.errors) }
    }

    /// The points that the call costs.
    pub(super) fn points(self) -> u64 {
        (self.requests.saturating_add(50) / 100).max(1)
    }
}

struct Count<'a> {
    document: &'a ExecutableDocument,
    variables: &'a JsonMap,
    cost: Cost,
    errors: Vec<QueryError>,
}

impl<'a> Count<'a> {
    /// Counts the selection of `parents` objects. Fields with the same response key are one field.
    fn all(&mut self, selected: &[&'a SelectionSet], parents: u64, path: &[&'a str]) {
        let mut fields: IndexMap<&'a str, Vec<&'a Field>> = IndexMap::default();
        for set in selected {
            self.collect(set, &mut fields);
        }
        for (key, fields) in fields {
            let inner: Vec<&SelectionSet> = fields.iter().map(|field| &field.selection_set).collect();
            let path = [path, &[key]].concat();
            let held = match fields.first() {
                Some(field) if is_connection(field) => self.connection(field, &inner, parents, &path),
                _ => parents,
            };
            self.all(&inner, held, &path);
        }
    }

    /// Counts one connection of `parents` objects and returns how many nodes all of them can have.
    fn connection(&mut self, field: &Field, inner: &[&'a SelectionSet], parents: u64, path: &[&str]) -> u64 {
        self.cost.requests = self.cost.requests.saturating_add(parents);
        let name = &field.name;
        let refused = match self.first(field) {
            Some(first) if first > MAX_FIRST => Failure::new(
                "EXCESSIVE_PAGINATION",
                format!(
                    "Requesting {first} records on the `{name}` connection exceeds the `first` limit of \
                     {MAX_FIRST} records."
                ),
            ),
            Some(first) => match u64::try_from(first) {
                Ok(first) if first > 0 => {
                    let nodes = parents.saturating_mul(first);
                    self.cost.nodes = self.cost.nodes.saturating_add(nodes);
                    return nodes;
                }
                _ => Failure::new(
                    None,
                    format!("`first` on the `{name}` connection must be from 1 to {MAX_FIRST}."),
                ),
            },
            // `totalCount` alone needs no page.
            None if !self.selects(inner, "nodes") => return parents,
            None => Failure::new(
                "MISSING_PAGINATION_BOUNDARIES",
                format!(
                    "You must provide a `first` or `last` value to properly paginate the `{name}` connection."
                ),
            ),
        };
        self.errors.push(refused.at(path));
        0
    }

    fn first(&self, field: &Field) -> Option<i64> {
        match field.specified_argument_by_name("first")?.as_ref() {
            Value::Int(first) => first.try_to_i32().ok().map(i64::from),
            Value::Variable(name) => self.variables.get(name.as_str())?.as_i64(),
            _ => None,
        }
    }

    fn selects(&self, sets: &[&'a SelectionSet], name: &str) -> bool {
        let mut fields = IndexMap::default();
        for set in sets {
            self.collect(set, &mut fields);
        }
        fields.values().flatten().any(|field| field.name == name)
    }

    fn collect(&self, set: &'a SelectionSet, fields: &mut IndexMap<&'a str, Vec<&'a Field>>) {
        for selection in &set.selections {
            match selection {
                Selection::Field(field) => {
                    fields.entry(field.response_key().as_str()).or_default().push(field);
                }
                Selection::InlineFragment(inline) => self.collect(&inline.selection_set, fields),
                Selection::FragmentSpread(spread) => {
                    let fragment = spread.fragment_def(self.document);
                    self.collect(
                        &fragment.expect("a valid document has its fragments").selection_set,
                        fields,
                    );
                }
            }
        }
    }
}

fn is_connection(field: &Field) -> bool {
    field.ty().inner_named_type().ends_with("Connection")
}
