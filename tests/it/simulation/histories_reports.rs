//! What each agent, and a follower of the feed, knows of each issue in a random history, according to the changes
//! reported to it, and what it has missed.
//!
//! An agent that receives a change looks at the issue, and knows it as of the last pass that had ended then. In the end
//! it must know every issue as it is. The issues of a repository's first listing need not be reported. Whether the rows
//! are right is tested elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use agent_heartbeat::feed::FeedPage;
use serde_json::Value;
use test_world::TABLE_NAME;

use crate::simulation::histories_edits::version;
use crate::support::app::TestApp;
use crate::support::follower::Follower;

/// An issue: its repository's partition and its sort key.
pub type Key = (String, String);

/// Issues, with the parts of them whose changes are reported.
type Issues = BTreeMap<Key, Value>;

/// The changes reported to the agents in a history.
#[derive(Default)]
pub struct Reports {
    /// The fence of the last pass that ended.
    fence: Value,
    /// The issues at the end of that pass.
    ended: Issues,
    /// The issues of each repository as its first listing left them.
    first_read: Issues,
    /// The partitions of the repositories whose first listing is complete, and when that was observed.
    read: BTreeMap<String, String>,
    agents: BTreeMap<String, Agent>,
    /// What the follower knows; `None` before its first page with a cursor.
    followed: Option<Issues>,
}

#[derive(Default)]
struct Agent {
    /// Its stored delivery cursor.
    cursor: Value,
    /// Its ended AgentRuns observed so far.
    runs: BTreeSet<String>,
    /// Issues that those reported and the cursor does not cover yet, and the state of all issues then.
    uncovered: Vec<(Vec<Key>, Issues)>,
    /// What it knows; `None` before its first heartbeat.
    knows: Option<Issues>,
}

impl Reports {
    /// Observes the effect of one step. Only one actor acts in a step, so nothing is overlooked.
    pub fn observe(&mut self, app: &TestApp, agents: &[&str]) {
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
                    let reported = rows.iter().filter(|row| urls.contains(&row["url"])).map(|row| key(row));
                    agent.uncovered.push((reported.collect(), self.ended.clone()));
                }
            }
            agent.move_cursor(
                app.world.dynamodb.item(TABLE_NAME, "AGENTS", name).unwrap_or_default()["told"].clone(),
            );
        }
    }

    /// Notes the page that the follower has just read.
    pub fn follow(&mut self, page: &FeedPage) {
        if page.next_cursor.is_none() {
            return;
        }
        // What it finds when it takes its first cursor and then lists the issues.
        let knows = self.followed.get_or_insert_with(|| self.ended.clone());
        for change in &page.changes {
            let key = (format!("REPO#{}", change.repository), format!("ISSUE#{:010}", change.number.0));
            if let Some(issue) = self.ended.get(&key) {
                knows.insert(key, issue.clone());
            }
        }
    }

    /// Every agent with a heartbeat knows each issue as it is, and the follower each one that is not excluded. The
    /// exception is an issue that `is_gone` from GitHub: a late write may leave a closed row of it that was never
    /// reported, and no agent needs it.
    pub fn assert_nothing_missed(&self, follower: &Follower, is_gone: impl Fn(&Key) -> bool) {
        for (name, agent) in &self.agents {
            if let Some(knows) = &agent.knows {
                self.assert_knows_all(name, knows, |_| true, &is_gone);
            }
        }
        if let Some(knows) = &self.followed {
            self.assert_knows_all(
                "the follower",
                knows,
                |issue| !follower.excludes(&issue["labels"]),
                &is_gone,
            );
        }
    }

    fn assert_knows_all(
        &self,
        name: &str,
        knows: &Issues,
        concerns: impl Fn(&Value) -> bool,
        is_gone: impl Fn(&Key) -> bool,
    ) {
        for (key, issue) in self.ended.iter().filter(|(_, issue)| concerns(issue)) {
            let known = knows.get(key);
            let is_reported = known == Some(issue) || self.first_read.get(key) == Some(issue);
            assert!(
                is_reported
                    || self.was_over(key, issue)
                    || (known.is_none() && issue["state"] == "closed" && is_gone(key)),
                "{name} missed {key:?}, which it knows as {known:#?}: {issue:#}"
            );
        }
    }

    /// Whether an issue was closed when its repository was first listed, and has not changed since.
    fn was_over(&self, (partition, _): &Key, issue: &Value) -> bool {
        let updated_at = issue["updatedAt"].as_str().expect("an instant");
        issue["state"] == "closed" && self.read.get(partition).is_some_and(|read| updated_at <= read.as_str())
    }
}

impl Agent {
    /// A heartbeat counts as answered once it has moved the delivery cursor: only sending the answer remains then. The
    /// first heartbeat that stores a cursor is the agent's first. Heartbeats that the table did not store do not count.
    fn move_cursor(&mut self, cursor: Value) {
        if cursor == self.cursor {
            return;
        }
        self.cursor = cursor;
        let mut answered = std::mem::take(&mut self.uncovered);
        if self.knows.is_none() {
            self.knows = answered.pop().map(|(_, ended)| ended);
            return;
        }
        for (reported, ended) in answered {
            let reported =
                reported.into_iter().filter_map(|key| Some((key.clone(), ended.get(&key)?.clone())));
            self.knows.get_or_insert_default().extend(reported);
        }
    }
}

fn key(row: &Value) -> Key {
    let text = |name: &str| row[name].as_str().expect("a key").to_owned();
    (text("pk"), text("sk"))
}
