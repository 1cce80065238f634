//! The fields that each line of the service's log can have, read from its source.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, LazyLock};

use crate::support::checked::Names;

/// What `tracing_subscriber` writes into every line.
const OF_EVERY_LINE: [&str; 5] = ["level", "message", "spans", "target", "timestamp"];

/// The fields by the line's message.
static LINES: LazyLock<BTreeMap<String, Names>> = LazyLock::new(|| {
    let mut sources = Vec::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut sources);
    let mut lines: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (message, fields) in sources.iter().flat_map(|source| lines_in(source)) {
        lines.entry(message).or_default().extend(fields);
    }
    assert!(lines.len() > 15, "the log's lines were found: {lines:#?}");
    let standard = || OF_EVERY_LINE.map(str::to_owned);
    lines
        .into_iter()
        .map(|(line, fields)| (line, Arc::new(fields.into_iter().chain(standard()).collect())))
        .collect()
});

/// The fields of the line with this message; `None` if the service has no such line.
pub fn fields_of(message: &str) -> Option<Names> {
    LINES.get(message).cloned()
}

fn read(folder: &Path, sources: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(std::fs::read_to_string(&path).expect("a text"));
        }
    }
}

/// The message and the field names of each call of `tracing::warn!` and the other macros.
fn lines_in(source: &str) -> Vec<(String, Vec<String>)> {
    let calls = ["trace", "debug", "info", "warn", "error"].map(|level| format!("tracing::{level}!("));
    let lines = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    let source = lines.map(|line| format!("{line}\n")).collect::<String>();
    let starts = calls.iter().flat_map(|call| source.match_indices(call).map(|(at, call)| at + call.len()));
    starts.filter_map(|at| line_of(arguments(&source[at..]))).collect()
}

fn line_of(arguments: Vec<String>) -> Option<(String, Vec<String>)> {
    let (message, fields) = arguments.split_last()?;
    let message = message.strip_prefix('"')?.strip_suffix('"')?.to_owned();
    let name = |field: &String| {
        field.split('=').next().unwrap_or_default().trim().trim_start_matches(['%', '?']).to_owned()
    };
    Some((message, fields.iter().map(name).collect()))
}

/// The parts between commas, up to the closing parenthesis.
fn arguments(text: &str) -> Vec<String> {
    let (mut depth, mut is_text, mut arguments) = (0, false, vec![String::new()]);
    for c in text.chars() {
        match c {
            '"' => is_text = !is_text,
            _ if is_text => {}
            ')' | ']' | '}' if depth == 0 => break,
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                arguments.push(String::new());
                continue;
            }
            _ => {}
        }
        arguments.last_mut().expect("one at least").push(c);
    }
    let trimmed = arguments.iter().map(|argument| argument.trim().to_owned());
    trimmed.filter(|argument| !argument.is_empty()).collect()
}

#[test]
fn lines_of_the_log_are_found_with_their_fields() {
    let source = "tracing::warn!(a.b = %x(1, 2), cause, %why, \"It, (or not), failed.\");\n\
                  tracing::info!(\n    // A comment, its own.\n    c = y,\n    \"It went well.\",\n);";
    let found = |message: &str, fields: &[&str]| {
        (message.to_owned(), fields.iter().map(|field| (*field).to_owned()).collect::<Vec<_>>())
    };
    let mut lines = lines_in(source);
    lines.sort();
    assert_eq!(
        lines,
        [found("It went well.", &["c"]), found("It, (or not), failed.", &["a.b", "cause", "why"])]
    );
    let refused = fields_of("A request was refused.").expect("it is logged");
    assert!(
        refused.contains("http.status") && refused.contains("cause") && refused.len() == 7,
        "{refused:?}"
    );
}
