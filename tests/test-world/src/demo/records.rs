//! The table at a glance: what kinds of items there are, how many, and a key of each to look up.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

/// The kinds in the order in which a reader meets them.
const KINDS: [&str; 10] = [
    "fleet state",
    "repository",
    "configured name",
    "unfinished audit",
    "issue",
    "pass",
    "agent",
    "AgentRun",
    "keyed request",
    "other",
];

/// A line for each kind that has items. The example is the newest of those with a time in their key.
pub(crate) fn table(items: &[Value]) -> String {
    let mut kinds: BTreeMap<usize, (usize, String)> = BTreeMap::new();
    for item in items {
        let key = ["pk", "sk"].map(|name| item[name].as_str().unwrap_or_default());
        let (count, example) = kinds.entry(kind(key)).or_default();
        *count += 1;
        *example = key.join("  ");
    }
    let mut table = format!("{:<18}{:>5}  for example (pk  sk)\n", "records", "");
    for (kind, (count, example)) in kinds {
        writeln!(table, "{:<18}{count:>5}  {example}", KINDS[kind])
            .expect("a string takes all that is written");
    }
    table
}

/// The index in [`KINDS`].
fn kind([pk, sk]: [&str; 2]) -> usize {
    let sort = sk.split('#').next().unwrap_or_default();
    match (pk.split('#').next().unwrap_or_default(), sort) {
        ("FLEET", "STATE") => 0,
        ("FLEET", "REPO") => 1,
        ("FLEET", "NAME") => 2,
        ("REPO", "AUDIT") => 3,
        ("REPO", "ISSUE") => 4,
        ("PASSES", _) => 5,
        ("AGENTS", _) => 6,
        ("AGENT", "RUN") => 7,
        ("AGENT", "KEY") => 8,
        _ => 9,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_counts_each_kind_and_shows_its_last_key() {
        let items = [
            json!({"pk": "AGENT#alpha", "sk": "KEY#1"}),
            json!({"pk": "AGENT#alpha", "sk": "RUN#1"}),
            json!({"pk": "FLEET", "sk": "STATE"}),
            json!({"pk": "AGENT#alpha", "sk": "RUN#2"}),
        ];
        let table = table(&items);
        let lines: Vec<Vec<&str>> =
            table.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            lines,
            [
                vec!["fleet", "state", "1", "FLEET", "STATE"],
                vec!["AgentRun", "2", "AGENT#alpha", "RUN#2"],
                vec!["keyed", "request", "1", "AGENT#alpha", "KEY#1"],
            ]
        );
    }
}
