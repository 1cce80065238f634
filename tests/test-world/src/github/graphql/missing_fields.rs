//! A schema without some fields: how an older Enterprise Server answers a document that names one.
//!
//! Enterprise Server validates with graphql-ruby, which executes nothing of such a document. Public reports show its
//! errors: turbot/steampipe-plugin-github#305 (GHES 3.8), refined-github/refined-github#6946 (3.5),
//! facebook/sapling#906 (3.10). The path begins with the operation or the fragment, not with a field of the answer.

use std::collections::BTreeSet;

use apollo_compiler::ExecutableDocument;
use apollo_compiler::executable::{Selection, SelectionSet};
use serde_json::{Value, json};

/// The missing fields, as type and name.
#[derive(Debug, Default)]
pub(super) struct MissingFields(pub(super) BTreeSet<(String, String)>);

impl MissingFields {
    /// An error for each use of a missing field in the document.
    pub(super) fn errors(&self, document: &ExecutableDocument) -> Vec<Value> {
        let mut errors = Vec::new();
        for operation in document.operations.iter() {
            let name = operation.name.as_ref().map_or("query".to_owned(), |name| format!("query {name}"));
            self.check(&operation.selection_set, &[name], &mut errors);
        }
        for fragment in document.fragments.values() {
            let name = format!("fragment {}", fragment.name);
            self.check(&fragment.selection_set, &[name], &mut errors);
        }
        errors
    }

    fn check(&self, set: &SelectionSet, path: &[String], errors: &mut Vec<Value>) {
        for selection in &set.selections {
            match selection {
                Selection::Field(field) => {
                    let path = [path, &[field.response_key().to_string()]].concat();
                    if self.0.contains(&(set.ty.to_string(), field.name.to_string())) {
                        errors.push(undefined_field(&path, set.ty.as_str(), field.name.as_str()));
                    }
                    self.check(&field.selection_set, &path, errors);
                }
                Selection::InlineFragment(inline) => self.check(&inline.selection_set, path, errors),
                Selection::FragmentSpread(_) => {}
            }
        }
    }
}

fn undefined_field(path: &[String], type_name: &str, field: &str) -> Value {
    json!({
        "path": path,
        "extensions": { "code": "undefinedField", "typeName": type_name, "fieldName": field },
        "locations": [{ "line": 1, "column": 1 }],
        "message": format!("Field '{field}' doesn't exist on type '{type_name}'"),
    })
}
