//! The tables of `README.md`, held against what they describe: the variables that the configuration reads, and the
//! codes of problems.

use std::cell::RefCell;
use std::collections::BTreeSet;

use agent_heartbeat::config::Config;
use agent_heartbeat::domain::ProblemCode;
use utoipa::PartialSchema as _;

/// What cannot be left out.
const REQUIRED: [&str; 3] = ["TABLE_NAME", "AGENT_TOKENS_SECRET_ID", "GITHUB_CREDENTIALS_SECRET_ID"];

/// A default that depends on something else, or is nothing: not a value.
const IN_WORDS: [&str; 4] = ["required", "empty", "none", "beside the REST API"];

fn file(path: &str) -> String {
    std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).expect("a text")
}

/// The rows of the table whose head has this first cell.
fn table(first: &str) -> Vec<Vec<String>> {
    let readme = file("README.md");
    let lines = readme.lines().skip_while(|line| !line.starts_with(&format!("| {first} |"))).skip(2);
    let rows = lines.take_while(|line| line.starts_with('|'));
    let rows =
        rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect());
    rows.collect()
}

/// What stands in backticks in a cell.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// A configuration with nothing but what is required, and one variable if there is one; with the names that were read.
fn read(variable: Option<(&str, &str)>) -> (Result<Config, Vec<String>>, BTreeSet<String>) {
    let asked = RefCell::new(BTreeSet::new());
    let config = Config::read(|name| {
        asked.borrow_mut().insert(name.to_owned());
        match variable {
            Some((given, value)) if given == name => Some(value.to_owned()),
            _ => REQUIRED.contains(&name).then(|| "something".to_owned()),
        }
    });
    (config.map_err(|error| error.0), asked.into_inner())
}

/// The variables that `config.rs` reads, also those that are wanted before the rest.
fn variables() -> BTreeSet<String> {
    let source = file("src/config.rs");
    let at_once = source.split("std::env::var(\"").skip(1).filter_map(|rest| rest.split('"').next());
    let (_, mut variables) = read(None);
    variables.extend(at_once.map(str::to_owned));
    variables
}

#[test]
fn readme_table_of_variables_lists_exactly_what_is_read() {
    let rows = table("variable");
    let listed: Vec<String> = rows.iter().flat_map(|row| quoted(&row[0])).map(str::to_owned).collect();
    let listed_once: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!((listed.len(), listed_once), (rows.len(), variables()));
}

#[test]
fn readme_table_of_variables_tells_the_default_of_each() {
    let unset = format!("{:?}", read(None).0.expect("a configuration"));
    for row in table("variable") {
        let [variable, _, default] = &row[..] else { panic!("three cells: {row:?}") };
        let variable = quoted(variable)[0];
        let default_of = default.trim_matches('`');
        let is_required = read(Some((variable, ""))).0.is_err();
        assert_eq!(is_required, default == "required", "{variable}: {default}");
        let in_words = IN_WORDS.iter().any(|words| default.starts_with(words));
        if in_words {
            continue;
        }
        // As long as it is the default, to set it changes nothing; another good value does.
        let set = read(Some((variable, default_of))).0.unwrap_or_else(|why| panic!("{variable}: {why:?}"));
        assert_eq!(format!("{set:?}"), unset, "{variable} has another default than {default}");
    }
}

#[test]
fn readme_table_of_variables_tells_the_bounds_of_each_number() {
    let mut numbers = 0;
    for row in table("variable") {
        let [variable, meaning, _] = &row[..] else { panic!("three cells: {row:?}") };
        let variable = quoted(variable)[0];
        let told = meaning.rsplit_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(told, _)| told);
        let told = told.and_then(|told| told.split_once(" to "));
        let told = told.and_then(|(least, most)| Some((least.parse().ok()?, most.parse().ok()?)));
        let is_good = |number: u64| read(Some((variable, &number.to_string()))).0.is_ok();
        let is_number =
            read(Some((variable, "no number"))).0.is_err_and(|why| why[0].contains("must be an integer"));
        assert_eq!(told.is_some(), is_number, "{variable}: {meaning}");
        if let Some((least, most)) = told {
            let good = [least - 1, least, most, most + 1].map(is_good);
            assert_eq!(good, [false, true, true, false], "{variable}: {least} to {most}");
            numbers += 1;
        }
    }
    assert!(numbers > 3, "{numbers}");
}

#[test]
fn readme_table_of_problems_lists_exactly_the_codes_there_are() {
    let schema = serde_json::to_value(ProblemCode::schema()).expect("JSON");
    let codes = schema["enum"].as_array().expect("the codes").iter().filter_map(|code| code.as_str());
    let codes: BTreeSet<String> = codes.map(str::to_owned).collect();
    let rows = table("code");
    let listed: Vec<String> = rows.iter().flat_map(|row| quoted(&row[0])).map(str::to_owned).collect();
    let listed_once: BTreeSet<String> = listed.iter().cloned().collect();
    assert!(codes.len() > 15, "{codes:?}");
    assert_eq!((listed.len(), listed_once), (codes.len(), codes));
    for row in rows {
        assert!(row.len() == 3 && row.iter().all(|cell| !cell.is_empty()), "{row:?}");
    }
}
