//! What each agent knows of each issue in a random history, from what it was told, and what it has missed.
//!
//! An agent that is told of an issue looks at it, and knows it as it was in the last pass that had ended then. What it
//! knows at last must be how the issue is. Of what a repository's first reading brought it need not be told. Whether
//! the rows are right is not asked here.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use test_world::TABLE_NAME;

use crate::simulation::histories_edits::version;
use crate::support::app::TestApp;

/// An issue: its repository's partition and its sort key.
pub type Key = (String, String);

/// Issues, with what agents are told changes of.
type Issues = BTreeMap<Key, Value>;

/// What the agents have been told in a history.
#[derive(Default)]
pub struct ChangePage {
    /// The fence of the last pass that ended.
    fence: Value,
    /// The issues as they were then.
    ended: Issues,
    /// The issues of each repository as its first reading left them.
    first_read: Issues,
    /// The partitions of the repositories whose first reading is complete, and when it was seen to be.
    read: BTreeMap<String, String>,
    agents: BTreeMap<String, Agent>,
}

#[derive(Default)]
struct Agent {
    /// Its stored position.
    position: Value,
    /// Its AgentRuns that were seen ended.
    runs: BTreeSet<String>,
    /// What those told that the position does not count yet, and all issues as they were then.
    not_counted: Vec<(Vec<Key>, Issues)>,
    /// What it knows; none before its first beat.
    knows: Option<Issues>,
}

impl ChangePage {
    /// Takes in what one step of the history did. Each step is one actor's, so that nothing is overlooked.
    pub fn look(&mut self, app: &TestApp, agents: &[&str]) {
        let rows = app.items("REPO#", "ISSUE#");
        let issues: Issues = rows.iter().map(|row| (key(row), version(row))).collect();
        for marks in app.items("FLEET", "REPO#") {
            let partition = marks["sk"].as_str().expect("a key").to_owned();
            if marks.get("backfill").is_none_or(Value::is_null) && !self.read.contains_key(&partition) {
                let first = issues.iter().filter(|((pk, _), _)| *pk == partition);
                self.first_read.extend(first.map(|(key, issue)| (key.clone(), issue.clone())));
                self.read.insert(partition, format!("{:.3}", app.world.clock.now()));
            }
        }
        let fence = app.state()["ended"]["fence"].clone();
        if fence != self.fence {
            (self.fence, self.ended) = (fence, issues);
        }
        for name in agents {
            let agent = self.agents.entry((*name).to_owned()).or_default();
            for run in app.runs(name) {
                let id = run["runId"].as_str().expect("an id").to_owned();
                if run.get("finishedAt").is_some() && agent.runs.insert(id) {
                    let urls = run["touchedIssueUrls"].as_array().expect("a list");
                    let told = rows.iter().filter(|row| urls.contains(&row["url"])).map(|row| key(row));
                    agent.not_counted.push((told.collect(), self.ended.clone()));
                }
            }
            agent.move_to(
                app.world.dynamodb.item(TABLE_NAME, "AGENTS", name).unwrap_or_default()["told"].clone(),
            );
        }
    }

    /// Every agent that has beaten knows each issue as it is, but for one that `is_gone` from GitHub: a write that
    /// arrives late may leave a closed row of it, of which no agent ever heard and of which there is nothing to know.
    pub fn assert_nothing_missed(&self, is_gone: impl Fn(&Key) -> bool) {
        for (name, agent) in &self.agents {
            let Some(knows) = &agent.knows else { continue };
            for (key, issue) in &self.ended {
                let known = knows.get(key);
                let is_told = known == Some(issue) || self.first_read.get(key) == Some(issue);
                assert!(
                    is_told
                        || self.was_over(key, issue)
                        || (known.is_none() && issue["state"] == "closed" && is_gone(key)),
                    "{name} missed {key:?}, which it knows as {known:#?}: {issue:#}"
                );
            }
        }
    }

    /// Whether an issue was closed when its repository was first read, and has rested since.
    fn was_over(&self, (partition, _): &Key, issue: &Value) -> bool {
        let updated_at = issue["updatedAt"].as_str().expect("an instant");
        issue["state"] == "closed" && self.read.get(partition).is_some_and(|read| updated_at <= read.as_str())
    }
}

impl Agent {
    /// A beat counts as answered once it has moved the position: nothing was left to do then but to send the answer.
    /// The first that leaves one is the agent's first; those that the table could not remember are as if they had
    /// never been.
    fn move_to(&mut self, position: Value) {
        if position == self.position {
            return;
        }
        self.position = position;
        let mut answered = std::mem::take(&mut self.not_counted);
        if self.knows.is_none() {
            self.knows = answered.pop().map(|(_, ended)| ended);
            return;
        }
        for (told, ended) in answered {
            let told = told.into_iter().filter_map(|key| Some((key.clone(), ended.get(&key)?.clone())));
            self.knows.get_or_insert_default().extend(told);
        }
    }
}

fn key(row: &Value) -> Key {
    let text = |name: &str| row[name].as_str().expect("a key").to_owned();
    (text("pk"), text("sk"))
}
