//! The map of the crate, kept true: who uses whom, which crate is named where, and how long a file may be.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What each module may use of the others. `domain` is open to all and uses none of them.
const ARROWS: [(&str, &[&str]); 14] = [
    ("bin", &["http", "schedule", "start"]),
    ("http", &["heartbeat", "app", "secrets", "telemetry"]),
    ("schedule", &["heartbeat", "app"]),
    ("start", &["app", "config", "telemetry"]),
    ("heartbeat", &["pass", "app", "store", "telemetry"]),
    ("pass", &["app", "github", "store", "telemetry"]),
    ("app", &["config", "secrets", "github", "store", "clock", "transport"]),
    ("github", &["secrets", "clock", "telemetry", "transport"]),
    ("store", &["telemetry"]),
    ("secrets", &["clock", "telemetry"]),
    ("config", &[]),
    ("clock", &[]),
    ("telemetry", &[]),
    ("transport", &[]),
];

/// Which modules may name a crate, told by the start of its name.
const CRATES: [(&str, &[&str]); 10] = [
    ("lambda_http", &["http"]),
    ("lambda_runtime", &["bin", "start"]),
    ("metrics", &["telemetry"]),
    ("reqwest", &["github", "transport"]),
    ("aws_config", &["app", "store", "secrets", "transport"]),
    ("aws_s", &["store", "secrets", "app", "transport"]),
    // The types of events; `aws_s` are the SDK's and smithy's.
    ("aws_lambda_events", &["http"]),
    ("axum", &["http"]),
    // Only its derive outside `http`: what agents are shown describes itself, as it serializes itself with serde. It is
    // no client and does nothing until the description is asked for.
    ("utoipa", &["http", "heartbeat", "domain"]),
    ("tokio", &["bin", "app", "github", "secrets", "pass"]),
];

/// The longest file, in lines.
const MAX_LENGTH: usize = 450;

struct Source {
    /// Below `src`.
    path: PathBuf,
    text: String,
}

impl Source {
    /// The first part of the path: `app.rs` and `pass/plan.rs` are of `app` and `pass`.
    fn module(&self) -> String {
        let first = self.path.iter().next().expect("a name");
        first.to_string_lossy().trim_end_matches(".rs").to_owned()
    }

    /// Its lines without those that are comments.
    fn code(&self) -> String {
        let lines = self.text.lines().filter(|line| !line.trim_start().starts_with("//"));
        lines.map(|line| format!("{line}\n")).collect()
    }

    /// The modules of this crate that it names, by `crate::` or, in the binaries, by the crate's own name.
    fn uses(&self) -> BTreeSet<String> {
        let code = self.code();
        ["crate::", "agent_heartbeat::"]
            .iter()
            .flat_map(|root| code.split(root).skip(1).flat_map(first_names).collect::<Vec<_>>())
            .collect()
    }

    /// Whether it names a crate whose name starts so.
    fn names(&self, start: &str) -> bool {
        let code = self.code();
        code.match_indices(start).any(|(at, _)| {
            let is_a_word = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            let rest = &code[at..];
            let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            is_a_word && rest[word..].starts_with("::")
        })
    }
}

/// The first names of what follows a path's root: `a::b` has `a`; `{a::b, c}` has `a` and `c`.
fn first_names(rest: &str) -> Vec<String> {
    let name = |text: &str| {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
        text[..end.unwrap_or(text.len())].to_owned()
    };
    let Some(list) = rest.strip_prefix('{') else {
        return vec![name(rest)];
    };
    let mut depth = 0;
    let mut names = vec![name(list)];
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(name(&list[at + 1..])),
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn sources() -> Vec<Source> {
    read_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

fn read_sources(root: &Path) -> Vec<Source> {
    fn read(folder: &Path, root: &Path, found: &mut Vec<Source>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                read(&path, root, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(Source {
                    text: std::fs::read_to_string(&path).expect("a text"),
                    path: path.strip_prefix(root).expect("below the root").to_owned(),
                });
            }
        }
    }
    let mut found = Vec::new();
    read(root, root, &mut found);
    assert!(found.len() > 30, "the sources were found");
    found
}

#[test]
fn every_module_has_its_arrows_and_every_arrow_its_module() {
    let found: BTreeSet<String> = sources().iter().map(Source::module).collect();
    let known = ARROWS.map(|(module, _)| module);
    let known: BTreeSet<String> = known.into_iter().chain(["domain", "lib"]).map(str::to_owned).collect();
    assert_eq!(found, known);
}

#[test]
fn modules_use_only_what_the_arrows_allow() {
    let mut wrong = Vec::new();
    for source in sources() {
        let module = source.module();
        let allowed = ARROWS.iter().find(|(name, _)| *name == module).map_or(&[][..], |(_, allowed)| allowed);
        for used in source.uses() {
            let is_fine =
                used == module || allowed.contains(&used.as_str()) || (used == "domain" && module != "bin");
            if !is_fine {
                wrong.push(format!("{} uses {used}", source.path.display()));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn every_arrow_is_used() {
    let sources = sources();
    for (module, allowed) in ARROWS {
        let used: BTreeSet<String> =
            sources.iter().filter(|source| source.module() == module).flat_map(Source::uses).collect();
        for arrow in allowed {
            assert!(used.contains(*arrow), "{module} does not use {arrow} any more");
        }
    }
}

#[test]
fn clients_are_named_only_where_they_belong() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (start, allowed) in CRATES {
            if source.names(start) && !allowed.contains(&source.module().as_str()) {
                wrong.push(format!("{} names {start}", source.path.display()));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn what_decides_names_no_client_and_no_runtime() {
    let mut pure = 0;
    for source in sources() {
        if source.module() == "domain" || source.path.ends_with("pass/plan.rs") {
            pure += 1;
            for (start, allowed) in CRATES {
                let is_fine = allowed.contains(&"domain") || !source.names(start);
                assert!(is_fine, "{} names {start}", source.path.display());
            }
            assert!(!source.code().contains("async "), "{}", source.path.display());
            assert!(!source.code().contains(".await"), "{}", source.path.display());
        }
    }
    assert!(pure > 5, "the pure files were found");
}

#[test]
fn the_outside_world_is_never_part_of_the_service() {
    for source in sources() {
        assert!(!source.names("test_world"), "{}", source.path.display());
    }
}

#[test]
fn files_are_short_and_begin_with_why_they_exist() {
    for source in sources() {
        let lines = source.text.lines().count();
        assert!(lines <= MAX_LENGTH, "{} has {lines} lines", source.path.display());
        assert!(source.text.starts_with("//! "), "{}", source.path.display());
    }
}

/// What stands in backticks in the last column of a page's tables.
fn named_in_the_last_column(page: &str) -> Vec<&str> {
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let last = rows.filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next());
    last.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn what_the_page_of_threats_names_as_proof_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_default();
    let (page, rules, make) = (read("docs/threats.md"), read("infra/checks/rules.guard"), read("Makefile"));
    let mut tests = BTreeMap::new();
    for source in read_sources(&root.join("tests/it")) {
        let name = source.path.file_stem().expect("a name").to_string_lossy().into_owned();
        tests.insert(name, source.text);
    }
    let is_there = |name: &str| match (name.split_once("::"), name.strip_prefix("make ")) {
        (Some((file, sentence)), _) => {
            tests.get(file).is_some_and(|text| text.contains(&format!("fn {sentence}(")))
        }
        (None, Some(target)) => make.contains(&format!("\n{target}: ")),
        (None, None) => {
            rules.contains(&format!("rule {name} {{"))
                || tests.contains_key(name)
                || root.join(name).is_file()
        }
    };
    let named = named_in_the_last_column(&page);
    let missing: Vec<&&str> = named.iter().filter(|name| !is_there(name)).collect();
    assert!(named.len() > 30 && missing.is_empty(), "{missing:#?} of {}", named.len());
    assert!(!is_there("tokens::no_such_sentence") && !is_there("make nothing") && !is_there("no_such_rule"));
}

#[test]
fn the_eyes_of_these_tests_see() {
    let source = Source {
        path: "pass/x.rs".into(),
        text: "// use crate::api::http;\nuse crate::{app::App, store::{A, B}, clock};\nfn f() { crate::config::x() }\n\
               type T = my_reqwest::X; struct W(aws_config::Y);\n"
            .to_owned(),
    };
    assert_eq!(source.uses().into_iter().collect::<Vec<_>>(), ["app", "clock", "config", "store"]);
    assert_eq!(
        ["reqwest", "aws_", "aws", "tokio"].map(|start| source.names(start)),
        [false, true, true, false]
    );
}
