//! In every history one agent works on issues of both repositories: its verdicts agree with the rows, whatever happened.

use serde_json::{Value, json};
use test_world::TABLE_NAME;

use crate::simulation::histories_edits::HOME;
use crate::support::app::{Agent, Answer, TestApp};

/// The numbers of the issues, in each repository.
const NUMBERS: [u64; 4] = [1, 2, 3, 4];

/// The agent, which declares its issues by the configured names of their repositories.
pub fn at_work<'a>(app: &'a TestApp, agent: &str) -> Agent<'a> {
    let page = |repository: &str, number| format!("https://github.com/{repository}/issues/{number}");
    let urls = HOME.iter().flat_map(|name| NUMBERS.map(|number| page(name, number)));
    app.agent(agent).with_body(&json!({ "activeIssueUrls": urls.collect::<Vec<_>>() }).to_string())
}

/// Each declared issue has a verdict, unless the table failed. `go` stands for an open row alone, and a row of an issue on
/// which work is over for `stop` alone.
pub fn assert_verdicts(app: &TestApp, answer: &Answer) {
    let verdicts = answer.0["activeIssues"].as_array().expect("a list");
    if verdicts.is_empty() {
        assert!(answer.codes().contains(&"store_unavailable"), "{:#}", answer.0);
        return;
    }
    let issues = HOME.iter().flat_map(|name| NUMBERS.map(|number| (name, number)));
    assert_eq!(verdicts.len(), issues.clone().count());
    for ((name, number), verdict) in issues.zip(verdicts) {
        let row = row(app, name, number);
        let is_open = row["state"] == "open" && row["gone"].is_null();
        if verdict["verdict"] == "go" {
            assert!(is_open && row["missingSince"].is_null(), "{verdict:#} {row:#}");
        }
        if row.is_object() && !is_open {
            assert_eq!(verdict["verdict"], "stop", "{verdict:#} {row:#}");
        }
    }
}

/// The row of an issue of the repository to which this configured name refers; null if there is none.
fn row(app: &TestApp, name: &str, number: u64) -> Value {
    let known = app.world.dynamodb.item(TABLE_NAME, "FLEET", &format!("NAME#{name}")).unwrap_or_default();
    let partition = format!("REPO#{}", known["id"]);
    app.world.dynamodb.item(TABLE_NAME, &partition, &format!("ISSUE#{number:010}")).unwrap_or_default()
}
