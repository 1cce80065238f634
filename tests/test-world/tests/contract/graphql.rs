//! Compares the simulated GitHub's GraphQL schema and the service's documents with GitHub's schema.

use std::path::{Path, PathBuf};
use std::{fs, sync::LazyLock};

use apollo_compiler::ast::Value;
use apollo_compiler::schema::{ExtendedType, FieldDefinition, InputValueDefinition};
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Node, Schema};

use crate::published;

const OURS: &str = include_str!("../../src/github/graphql/schema.graphql");

/// GitHub's schema. The published file defines two fields of one type twice; the first definitions count.
static GITHUBS: LazyLock<Valid<Schema>> = LazyLock::new(|| {
    let schema = Schema::parse(published::schema(), "published.graphql").unwrap_or_else(|refused| {
        for error in refused.errors.iter() {
            let message = error.error.to_string();
            let twice =
                message.starts_with("duplicate definitions") && message.contains("`EnterpriseOwnerInfo`");
            assert!(twice, "{message}");
        }
        refused.partial
    });
    schema.validate().unwrap_or_else(|refused| panic!("{}", refused.errors))
});

fn parsed(schema: &str) -> Valid<Schema> {
    Schema::parse_and_validate(schema, "schema.graphql")
        .unwrap_or_else(|refused| panic!("{}", refused.errors))
}

/// How `ours` differs from `theirs`. It may lack what a document can leave out.
fn differences(ours: &Schema, theirs: &Schema) -> Vec<String> {
    let mut found = Vec::new();
    let root = |schema: &Schema| schema.schema_definition.query.as_ref().map(|query| query.name.clone());
    if root(ours) != root(theirs) {
        found.push("the root of queries has another name".to_owned());
    }
    for (name, ours) in ours.types.iter().filter(|(_, ours)| !ours.is_built_in()) {
        match (ours, theirs.types.get(name)) {
            (ExtendedType::Scalar(_), Some(ExtendedType::Scalar(_))) => {}
            (ExtendedType::Object(ours), Some(ExtendedType::Object(theirs))) => {
                for (field, ours) in &ours.fields {
                    let path = format!("{name}.{field}");
                    match theirs.fields.get(field) {
                        Some(theirs) => found.extend(field_differences(&path, ours, theirs)),
                        None => found.push(format!("{path} is not GitHub's")),
                    }
                }
            }
            (ExtendedType::InputObject(ours), Some(ExtendedType::InputObject(theirs))) => {
                let ours: Vec<_> = ours.fields.values().map(|field| &field.node).collect();
                let theirs: Vec<_> = theirs.fields.values().map(|field| &field.node).collect();
                found.extend(input_differences(name, &ours, &theirs));
            }
            (ExtendedType::Enum(ours), Some(ExtendedType::Enum(theirs))) => {
                let unknown = ours.values.keys().filter(|value| !theirs.values.contains_key(*value));
                found.extend(unknown.map(|value| format!("{name}.{value} is not GitHub's")));
            }
            (_, Some(_)) => found.push(format!("{name} is of another kind")),
            (_, None) => found.push(format!("{name} is not GitHub's")),
        }
    }
    found
}

fn field_differences(path: &str, ours: &FieldDefinition, theirs: &FieldDefinition) -> Vec<String> {
    let inputs = |field: &FieldDefinition| field.arguments.clone();
    let (our_inputs, their_inputs) = (inputs(ours), inputs(theirs));
    let mut found = input_differences(
        path,
        &our_inputs.iter().collect::<Vec<_>>(),
        &their_inputs.iter().collect::<Vec<_>>(),
    );
    if ours.ty != theirs.ty {
        found.push(format!("{path} is {}, and GitHub's is {}", ours.ty, theirs.ty));
    }
    found
}

/// Arguments of a field, or fields of an input.
fn input_differences(
    path: &str,
    ours: &[&Node<InputValueDefinition>],
    theirs: &[&Node<InputValueDefinition>],
) -> Vec<String> {
    let default = |input: &InputValueDefinition| -> Option<Node<Value>> { input.default_value.clone() };
    let mut found = Vec::new();
    for our in ours {
        match theirs.iter().find(|their| their.name == our.name) {
            None => found.push(format!("{path}({}) is not GitHub's", our.name)),
            Some(their) if our.ty != their.ty || default(our) != default(their) => {
                found.push(format!("{path}({our}) is GitHub's {their}"));
            }
            Some(_) => {}
        }
    }
    let missing = theirs.iter().filter(|their| their.is_required());
    let missing = missing.filter(|their| ours.iter().all(|our| our.name != their.name));
    found.extend(missing.map(|their| format!("{path} lacks {their}, which GitHub requires")));
    found
}

#[test]
fn simulated_schema_is_a_subset_of_githubs() {
    assert_eq!(differences(&parsed(OURS), &GITHUBS), Vec::<String>::new());
}

#[test]
fn every_kind_of_difference_is_found() {
    for (right, wrong, path) in [
        ("nameWithOwner: String!", "nameWithOwner: String", "Repository.nameWithOwner"),
        ("nameWithOwner: String!", "ownerWithName: String!", "Repository.ownerWithName"),
        ("followRenames: Boolean = true", "followRenames: Boolean = false", "Query.repository"),
        ("states: [IssueState!]", "states: [IssueState]", "Repository.issues"),
        ("name: String!, owner: String!", "owner: String!", "Query.repository"),
        ("after: String, filterBy", "behind: String, filterBy", "Repository.issues"),
        ("direction: OrderDirection!", "direction: OrderDirection", "IssueOrder"),
        ("  CLOSED\n", "  CLOSED\n  AJAR\n", "IssueState.AJAR"),
        ("scalar DateTime", "scalar DateTime\nscalar Moment", "Moment"),
    ] {
        assert!(OURS.contains(right), "{right} is not there to be changed");
        let found = differences(&parsed(&OURS.replacen(right, wrong, 1)), &GITHUBS);
        assert!(matches!(found.as_slice(), [one] if one.starts_with(path)), "{wrong}: {found:?}");
    }
}

#[test]
fn every_document_of_the_service_is_valid_by_githubs_schema() {
    let documents = documents(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src"));
    assert!(!documents.is_empty(), "the service sends no document");
    for path in documents {
        let text = fs::read_to_string(&path).expect("a file that was found can be read");
        for schema in [&*GITHUBS, &parsed(OURS)] {
            if let Err(refused) = ExecutableDocument::parse_and_validate(schema, text.as_str(), &path) {
                panic!("{}", refused.errors);
            }
        }
    }
}

/// The GraphQL documents below a folder.
fn documents(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the service has its sources");
    let paths = entries.map(|entry| entry.expect("a folder's entry can be read").path());
    paths
        .flat_map(|path| match path.extension() {
            _ if path.is_dir() => documents(&path),
            Some(extension) if extension == "graphql" => vec![path],
            _ => Vec::new(),
        })
        .collect()
}
