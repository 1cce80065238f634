//! The pages for readers, compared with what they describe: the variables that the configuration reads, the codes of
//! problems, the description of the API, and the links between the pages.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use agent_heartbeat::config::Config;
use agent_heartbeat::domain::ProblemCode;
use serde_json::{Value, json};
use utoipa::PartialSchema as _;

use crate::support::cases::wish;

const CONFIGURATION: &str = "docs/configuration.md";
const API: &str = "docs/api.md";

/// More would not be read.
const MAX_README_LINES: usize = 160;

/// Variables without a default.
const REQUIRED: [&str; 3] = ["TABLE_NAME", "AGENT_TOKENS_SECRET_ID", "GITHUB_CREDENTIALS_SECRET_ID"];

/// Defaults that are no value: they depend on another variable, or there is none.
const IN_WORDS: [&str; 4] = ["required", "empty", "none", "beside the REST API"];

/// Folders whose files are not ours.
const FOREIGN: [&str; 4] = [".git", ".local", "node_modules", "target"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn file(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect("a text")
}

/// The rows of the page's table whose head has this first cell.
fn table(page: &str, first: &str) -> Vec<Vec<String>> {
    let page = file(page);
    let lines = page.lines().skip_while(|line| !line.starts_with(&format!("| {first} |"))).skip(2);
    let rows = lines.take_while(|line| line.starts_with('|'));
    let rows =
        rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect());
    rows.collect()
}

/// The words in backticks in a cell.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// The configuration from the required variables and at most one other; and the names of all variables that were read.
fn read(variable: Option<(&str, &str)>) -> (Result<Config, Vec<String>>, BTreeSet<String>) {
    let names = RefCell::new(BTreeSet::new());
    let config = Config::read(|name| {
        names.borrow_mut().insert(name.to_owned());
        match variable {
            Some((given, value)) if given == name => Some(value.to_owned()),
            _ => REQUIRED.contains(&name).then(|| "something".to_owned()),
        }
    });
    (config.map_err(|error| error.0), names.into_inner())
}

/// The variables that `config.rs` reads, also those that it reads before the rest.
fn variables() -> BTreeSet<String> {
    let source = file("src/config.rs");
    let at_once = source.split("std::env::var(\"").skip(1).filter_map(|rest| rest.split('"').next());
    let (_, mut variables) = read(None);
    variables.extend(at_once.map(str::to_owned));
    variables
}

#[test]
fn table_of_variables_lists_exactly_what_is_read() {
    let rows = table(CONFIGURATION, "variable");
    let listed: Vec<String> = rows.iter().flat_map(|row| quoted(&row[0])).map(str::to_owned).collect();
    let listed_once: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!((listed.len(), listed_once), (rows.len(), variables()));
}

#[test]
fn table_of_variables_states_the_default_of_each() {
    let unset = format!("{:?}", read(None).0.expect("a configuration"));
    for row in table(CONFIGURATION, "variable") {
        let [variable, _, default] = &row[..] else { panic!("three cells: {row:?}") };
        let variable = quoted(variable)[0];
        let default_of = default.trim_matches('`');
        let is_required = read(Some((variable, ""))).0.is_err();
        assert_eq!(is_required, default == "required", "{variable}: {default}");
        let in_words = IN_WORDS.iter().any(|words| default.starts_with(words));
        if in_words {
            continue;
        }
        // Setting a variable to its default changes nothing.
        let set = read(Some((variable, default_of))).0.unwrap_or_else(|why| panic!("{variable}: {why:?}"));
        assert_eq!(format!("{set:?}"), unset, "{variable} has another default than {default}");
    }
}

#[test]
fn table_of_variables_states_the_bounds_of_each_number() {
    let mut numbers = 0;
    for row in table(CONFIGURATION, "variable") {
        let [variable, meaning, _] = &row[..] else { panic!("three cells: {row:?}") };
        let variable = quoted(variable)[0];
        let bounds = meaning.rsplit_once('(').and_then(|(_, rest)| rest.split_once(')'));
        let bounds = bounds.and_then(|(bounds, _)| bounds.split_once(" to "));
        let bounds = bounds.and_then(|(least, most)| Some((least.parse().ok()?, most.parse().ok()?)));
        let is_good = |number: u64| read(Some((variable, &number.to_string()))).0.is_ok();
        // Every number takes 100, and only a number takes it but no word.
        let is_number = is_good(100) && read(Some((variable, "no-number"))).0.is_err();
        assert_eq!(bounds.is_some(), is_number, "{variable}: {meaning}");
        if let Some((least, most)) = bounds {
            let good = [least - 1, least, most, most + 1].map(is_good);
            assert_eq!(good, [false, true, true, false], "{variable}: {least} to {most}");
            numbers += 1;
        }
    }
    assert!(numbers > 3, "{numbers}");
}

/// The table of problems as the codes state it.
fn table_of_problems() -> String {
    let text = |code| serde_json::to_value(code).expect("JSON").as_str().expect("a word").to_owned();
    let row = |code: ProblemCode| format!("| `{}` | {} | {} |\n", text(code), code.meaning(), code.way_out());
    ProblemCode::ALL.map(row).concat()
}

/// With `UPDATE_PROBLEMS` the table is written.
#[test]
fn table_of_problems_equals_what_the_codes_state() {
    const HEAD: &str = "| code | what it means | what to do |\n| --- | --- | --- |\n";
    let page = file(API);
    let (before, rest) = page.split_once(HEAD).expect("the table");
    let (rows, after) = rest.split_once("\n\n").expect("text after the table");
    let stated = table_of_problems();
    if wish("UPDATE_PROBLEMS").is_some() {
        let text = format!("{before}{HEAD}{stated}\n{after}");
        return std::fs::write(root().join(API), text).expect("the file can be written");
    }
    assert_eq!(format!("{rows}\n"), stated, "{API} is out of date: run `make problems`");
}

#[test]
fn words_of_problems_cover_every_code_as_plain_text() {
    let schema = serde_json::to_value(ProblemCode::schema()).expect("JSON");
    let codes: BTreeSet<String> =
        schema["enum"].as_array().expect("the codes").iter().map(ToString::to_string).collect();
    let all = ProblemCode::ALL.map(|code| serde_json::to_string(&code).expect("JSON"));
    assert_eq!((all.len(), all.into_iter().collect::<BTreeSet<_>>()), (codes.len(), codes));
    for text in ProblemCode::ALL.iter().flat_map(|code| [code.meaning(), code.way_out()]) {
        assert!(!text.is_empty() && !text.ends_with('.'), "{text}");
        assert!(!text.contains(['|', '[', ']', '\n', '<', '*']), "{text}");
        assert_eq!(text.matches('`').count() % 2, 0, "{text}");
    }
}

/// The service serves this file. `make openapi` sets `UPDATE_OPENAPI`, which writes it.
#[test]
fn openapi_json_equals_what_the_types_and_handlers_state() {
    let stated = agent_heartbeat::http::description();
    if wish("UPDATE_OPENAPI").is_some() {
        let text = serde_json::to_string_pretty(&stated).expect("JSON");
        std::fs::write(root().join("docs/openapi.json"), text + "\n").expect("the file can be written");
    }
    let written: Value = serde_json::from_str(&file("docs/openapi.json")).expect("JSON");
    let stated = serde_json::to_value(stated).expect("JSON");
    assert!(stated == written, "docs/openapi.json is out of date: run `make openapi`");
}

/// Every page below the folder.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() && !FOREIGN.contains(&name.as_str()) {
            found.extend(pages(&path));
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
    found
}

/// The targets of a page's links, without what is in code.
fn links(page: &str) -> Vec<String> {
    let mut is_code = false;
    let lines = page.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    // Code in backticks may continue on the next line.
    let text = lines.collect::<Vec<_>>().join("\n");
    let prose = text.split('`').step_by(2).collect::<Vec<_>>().join("``");
    prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()).map(str::to_owned).collect()
}

/// The anchors that GitHub gives a page's headings.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut is_code = false;
    let mut found = BTreeSet::new();
    for line in page.lines() {
        is_code ^= line.trim_start().starts_with("```");
        let text = line.trim_start_matches('#');
        if is_code || text.len() == line.len() || !text.starts_with(' ') {
            continue;
        }
        let text = text.trim().to_lowercase().replace(' ', "-");
        let anchor: String = text.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect();
        let count = counts.entry(anchor.clone()).or_default();
        found.insert(if *count == 0 { anchor } else { format!("{anchor}-{count}") });
        *count += 1;
    }
    found
}

#[test]
fn relative_links_lead_to_existing_files_and_headings() {
    let pages = pages(root());
    let (mut count, mut broken) = (0, Vec::new());
    for page in &pages {
        let text = std::fs::read_to_string(page).expect("a text");
        for link in links(&text) {
            // GitHub resolves the last against the repository's address.
            if link.contains("://") || link.starts_with("mailto:") || link.starts_with("../../actions/") {
                continue;
            }
            count += 1;
            let (path, anchor) = link.split_once('#').map_or((link.as_str(), None), |(p, a)| (p, Some(a)));
            let target =
                if path.is_empty() { page.clone() } else { page.parent().expect("a folder").join(path) };
            let has_anchor = anchor.is_none_or(|anchor| {
                std::fs::read_to_string(&target).is_ok_and(|text| anchors(&text).contains(anchor))
            });
            if !target.exists() || !has_anchor {
                broken.push(format!("{}: {link}", page.strip_prefix(root()).expect("below it").display()));
            }
        }
    }
    assert!(pages.len() > 10 && count > 40, "{count} links in {pages:?}");
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn readme_is_short_and_leads_to_every_page() {
    let readme = file("README.md");
    assert!(readme.lines().count() <= MAX_README_LINES, "{} lines", readme.lines().count());
    let linked: BTreeSet<String> = links(&readme).into_iter().collect();
    for page in pages(root()).iter().filter_map(|page| page.strip_prefix(root()).ok()) {
        let is_for_readers = page.parent() == Some(Path::new("")) || page.starts_with("docs");
        let name = page.display().to_string();
        assert!(!is_for_readers || name == "README.md" || linked.contains(&name), "no link to {name}");
    }
}

#[test]
fn links_and_anchors_are_found_as_github_makes_them() {
    let page = "# A title: `make run`\n[a](b.md#c) and `[x](y)`\n```sh\n# no heading [d](e)\n```\n## Twice\n## Twice\n";
    assert_eq!(links(page), ["b.md#c"]);
    assert_eq!(json!(anchors(page)), json!(["a-title-make-run", "twice", "twice-1"]));
}
