//! A summary of the table: each kind of item, how many there are, and an example of their keys.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

/// The kinds of items, in the order in which the summary lists them.
const KINDS: [&str; 13] = [
    "fleet state",
    "change counts",
    "repository",
    "configured name",
    "unfinished audit",
    "issue",
    "pass",
    "agent",
    "AgentRun",
    "keyed request",
    "sweeps' state",
    "unsent message",
    "other",
];

/// One line for each kind that has items. The example is the last key, which is the newest if keys contain a time.
pub(crate) fn table(items: &[Value]) -> String {
    let mut kinds: BTreeMap<usize, (usize, String)> = BTreeMap::new();
    for item in items {
        let key = ["pk", "sk"].map(|name| item[name].as_str().unwrap_or_default());
        let (count, example) = kinds.entry(kind(key)).or_default();
        *count += 1;
        *example = key.join("  ");
    }
    let mut table = format!("{:<18}{:>5}  for example (pk  sk)\n", "items", "");
    for (kind, (count, example)) in kinds {
        writeln!(table, "{:<18}{count:>5}  {example}", KINDS[kind]).expect("writing to a string cannot fail");
    }
    table
}

/// The index in [`KINDS`].
fn kind([pk, sk]: [&str; 2]) -> usize {
    let sort = sk.split('#').next().unwrap_or_default();
    match (pk.split('#').next().unwrap_or_default(), sort) {
        ("FLEET", "STATE") => 0,
        ("FLEET", "COUNTS") => 1,
        ("FLEET", "REPO") => 2,
        ("FLEET", "NAME") => 3,
        ("REPO", "AUDIT") => 4,
        ("REPO", "ISSUE") => 5,
        ("PASSES", _) => 6,
        ("AGENTS", _) => 7,
        ("AGENT", "RUN") => 8,
        ("AGENT", "KEY") => 9,
        ("FLEET", "WATCH") => 10,
        ("FLEET", "UNSENT") => 11,
        _ => 12,
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
            json!({"pk": "FLEET", "sk": "COUNTS"}),
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
                vec!["change", "counts", "1", "FLEET", "COUNTS"],
                vec!["AgentRun", "2", "AGENT#alpha", "RUN#2"],
                vec!["keyed", "request", "1", "AGENT#alpha", "KEY#1"],
            ]
        );
    }
}
