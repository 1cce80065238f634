//! The structure of the crate: which module uses which, no circle between files, and which crate is named where.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::support::source_files::{SourceFile, SourceTree};

/// What each module may use of the others. `domain` is open to all and uses none of them.
const ARROWS: [(&str, &[&str]); 18] = [
    ("bin", &["http", "schedule", "start", "sweep"]),
    ("http", &["heartbeat", "views", "app", "secrets", "telemetry"]),
    ("schedule", &["heartbeat", "sweep", "app", "store"]),
    ("sweep", &["names", "app", "store", "telemetry"]),
    ("start", &["app", "config", "telemetry"]),
    ("heartbeat", &["pass", "feed", "names", "app", "store", "telemetry"]),
    ("views", &["feed", "names", "app", "store"]),
    ("names", &["app", "store"]),
    ("feed", &["app", "store"]),
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

/// Which modules may name a crate, by the start of its name.
const CRATES: [(&str, &[&str]); 10] = [
    ("lambda_http", &["http"]),
    ("lambda_runtime", &["bin", "start"]),
    ("metrics", &["telemetry"]),
    ("reqwest", &["github", "transport"]),
    ("aws_config", &["app", "store", "secrets", "transport"]),
    // `sweep` has the client of SNS, which must not be in `app`: the function behind the API would link it.
    ("aws_s", &["store", "secrets", "app", "transport", "sweep"]),
    // The types of events; `aws_s` are the SDK's and smithy's.
    ("aws_lambda_events", &["http"]),
    ("axum", &["http"]),
    // Only its derive outside `http`: what agents are shown describes itself, as it serializes itself with serde. It is
    // no client and does nothing until the description is asked for.
    ("utoipa", &["http", "heartbeat", "views", "domain"]),
    ("tokio", &["bin", "app", "github", "secrets", "pass", "sweep"]),
];

/// The service's sources.
fn sources() -> SourceTree {
    SourceTree::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

#[test]
fn arrows_name_every_module() {
    let tree = sources();
    let found: BTreeSet<&str> = tree.files().map(SourceFile::room).collect();
    let known: BTreeSet<&str> = ARROWS.iter().map(|(module, _)| *module).chain(["domain", "lib"]).collect();
    assert_eq!(found, known);
}

#[test]
fn modules_use_only_what_the_arrows_allow() {
    let tree = sources();
    let mut used = BTreeSet::new();
    let mut wrong = Vec::new();
    for file in tree.files() {
        for other in tree.used_by(file) {
            let (from, to) = (file.room(), other.room());
            let allowed =
                ARROWS.iter().find(|(name, _)| *name == from).map_or(&[][..], |(_, allowed)| allowed);
            used.insert((from.to_owned(), to.to_owned()));
            if from != to && !allowed.contains(&to) && (to != "domain" || from == "bin") {
                wrong.push(format!("{} uses {}", file.path.display(), other.path.display()));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
    for (module, allowed) in ARROWS {
        for arrow in allowed {
            let is_used = used.contains(&(module.to_owned(), (*arrow).to_owned()));
            assert!(is_used, "{module} does not use {arrow} any more");
        }
    }
}

#[test]
fn files_use_each_other_in_one_direction() {
    let circles = sources().circles();
    assert!(circles.is_empty(), "circles between files:\n{}", circles.join("\n"));
}

#[test]
fn crates_are_named_only_where_they_belong() {
    let mut wrong = Vec::new();
    for file in sources().files() {
        assert!(!file.names_crate("test_world"), "{}", file.path.display());
        for (start, allowed) in CRATES {
            if file.names_crate(start) && !allowed.contains(&file.room()) {
                wrong.push(format!("{} names {start}", file.path.display()));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn pure_files_name_no_client_and_no_runtime() {
    let mut pure = 0;
    for file in sources().files() {
        if file.room() == "domain"
            || ["pass/plan.rs", "sweep/decide.rs", "sweep/message.rs"]
                .iter()
                .any(|pure| file.path.ends_with(pure))
        {
            pure += 1;
            for (start, allowed) in CRATES {
                let is_fine = allowed.contains(&"domain") || !file.names_crate(start);
                assert!(is_fine, "{} names {start}", file.path.display());
            }
            let mut code = file.text.lines().filter(|line| !line.trim_start().starts_with("//"));
            assert!(
                !code.any(|line| line.contains("async ") || line.contains(".await")),
                "{}",
                file.path.display()
            );
        }
    }
    assert!(pure > 5, "the pure files were found");
}

#[test]
fn files_begin_with_why_they_exist() {
    for file in sources().files() {
        assert!(file.text.starts_with("//! "), "{}", file.path.display());
    }
}

/// What the last column of a page's tables has in backticks.
fn named_in_the_last_column(page: &str) -> Vec<&str> {
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let last = rows.filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next());
    last.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn threats_page_names_tests_and_rules_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_default();
    let (page, rules, make) = (read("docs/threats.md"), read("infra/checks/rules.guard"), read("Makefile"));
    let tree = SourceTree::read(&root.join("tests/it"));
    let mut tests: BTreeMap<String, String> = BTreeMap::new();
    for file in tree.files() {
        let stem = file.path.file_stem().expect("a name").to_string_lossy().into_owned();
        tests.entry(stem).or_default().push_str(&file.text);
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
fn circles_and_arrows_are_found_through_imports_and_re_exports() {
    let file = |path: &str, text: &str| SourceFile::parse(Path::new(path), text);
    let tree = SourceTree::new([
        file("lib.rs", "pub mod a; mod b;"),
        file("a/mod.rs", "mod x; mod y; pub use x::{X, y_of as other}; pub use crate::b::B;"),
        file("a/x.rs", "use super::y; pub struct X; pub fn y_of() { y::f() }"),
        file("a/y.rs", "pub fn f() { let _ = format!(\"{}\", super::other()); }"),
        file(
            "b.rs",
            "// use crate::c;\npub struct B(reqwest_like::X);\n#[cfg(test)] mod tests { use crate::a::X; }",
        ),
        file("c.rs", "use crate::a::{self, B}; fn g() -> B { a::other() }"),
    ]);
    let used = |path: &str| {
        let file = tree.files().find(|file| file.path == Path::new(path)).expect("a file");
        tree.used_by(file).iter().map(|file| file.path.display().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(used("c.rs"), ["a/x.rs", "b.rs"]);
    assert!(used("b.rs").is_empty() && used("a/mod.rs").is_empty());
    assert_eq!(tree.circles(), ["a/x.rs -> a/y.rs", "a/y.rs -> a/x.rs"]);
    let b = tree.files().find(|file| file.path == Path::new("b.rs")).expect("a file");
    assert_eq!(["reqwest", "request", "like"].map(|start| b.names_crate(start)), [true, false, false]);
}
