//! What people do on GitHub in a random history, and what the cache must contain in the end.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::{Value, json};
use test_world::github::{Issue, State, World};

use crate::simulation::histories_reports::Key;
use crate::support::app::TestApp;
use crate::support::checked::Checked;

/// The tracked repositories, by the names they are configured under.
pub const HOME: [&str; 2] = ["acme/api", "acme/web"];

/// A repository that is not tracked.
const AWAY: &str = "acme/away";

const LABELS: [&str; 2] = ["bug", "status/ready"];

/// The label whose issues are excluded for the follower of the feed.
pub const EXCLUDED: &str = LABELS[0];

/// An edit of an issue of a tracked repository, or of the repository.
#[derive(Clone, Debug)]
pub struct Edit {
    repository: usize,
    /// Which issue, among those that this edit applies to; without any, nothing is done.
    issue: usize,
    what: What,
    /// For this many seconds GitHub still shows the state before the edit.
    late: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Open,
    Title(u8),
    /// Adds a label, or removes it.
    Label(usize),
    Comment,
    Close,
    Reopen,
    Delete,
    /// To a tracked repository, possibly the same one, or to one that is not tracked.
    Transfer(usize),
    Hide,
    Show,
    /// Turns it into a pull request.
    Convert,
    /// Undoes its last edit, as a restore from a backup does: `updated_at` decreases.
    Restore,
    RenameRepository,
    HideRepository,
    ShowRepository,
    SwitchIssuesOff,
    SwitchIssuesOn,
    /// Renames a label everywhere. No `updated_at` changes.
    RenameLabel(usize),
}

/// Which edits a history has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Those that listings show.
    ByListings,
    /// Also those that only an audit shows.
    ByAudits,
}

pub fn edit(seen: Seen) -> impl Strategy<Value = Edit> {
    let label = 0..LABELS.len();
    let by_listings = prop_oneof![
        8 => Just(What::Open),
        4 => (0..3_u8).prop_map(What::Title),
        4 => label.clone().prop_map(What::Label),
        1 => Just(What::Comment),
        6 => Just(What::Close),
        4 => Just(What::Reopen),
        1 => Just(What::RenameRepository),
        1 => Just(What::HideRepository),
        1 => Just(What::ShowRepository),
        1 => Just(What::SwitchIssuesOff),
        1 => Just(What::SwitchIssuesOn),
    ];
    let by_audits = prop_oneof![
        3 => Just(What::Delete),
        3 => (0..=HOME.len()).prop_map(What::Transfer),
        2 => Just(What::Convert),
        2 => Just(What::Restore),
        2 => Just(What::Hide),
        2 => Just(What::Show),
        1 => label.prop_map(What::RenameLabel),
    ];
    let what = match seen {
        Seen::ByListings => by_listings.boxed(),
        Seen::ByAudits => prop_oneof![3 => by_listings, 1 => by_audits].boxed(),
    };
    // GitHub delays a change by at most two minutes.
    let late = prop::option::weighted(0.4, prop::sample::select(vec![5, 60, 120]));
    (0..HOME.len(), 0..6_usize, what, late).prop_map(|(repository, issue, what, late)| Edit {
        repository,
        issue,
        what,
        late,
    })
}

/// The tracked repositories' current names.
pub struct Names {
    current: [String; 2],
    renames: u32,
}

impl Names {
    /// The names at the beginning. Also creates a repository that is not tracked.
    pub fn new(app: &TestApp) -> Self {
        app.world.github.arrange(|github| github.create_repository(AWAY));
        Self { current: HOME.map(str::to_owned), renames: 0 }
    }

    /// A repository's current name.
    pub fn current(&self, repository: usize) -> &str {
        &self.current[repository]
    }

    /// Applies an edit, if possible.
    pub fn carry_out(&mut self, github: &mut World, edit: &Edit) {
        let name = self.current[edit.repository].clone();
        match edit.what {
            What::Open => {
                let number = github.open_issue(&name, "Opened");
                show_late(github, &name, number, edit.late);
            }
            What::RenameRepository => {
                self.renames += 1;
                self.current[edit.repository] = format!("acme/renamed-{}", self.renames);
                github.rename_repository(&name, &self.current[edit.repository]);
            }
            What::HideRepository => github.hide_repository(&name),
            What::ShowRepository => github.show_repository(&name),
            What::SwitchIssuesOff => github.disable_issues(&name),
            What::SwitchIssuesOn => github.enable_issues(&name),
            What::RenameLabel(label) => {
                let issues = github.repository(&name).issues();
                if issues.into_iter().any(|issue| issue.labels.iter().any(|name| name == LABELS[label])) {
                    self.renames += 1;
                    github.rename_label(&name, LABELS[label], &format!("renamed-{}", self.renames));
                }
            }
            what => self.change(github, &name, edit, what),
        }
    }

    fn change(&self, github: &mut World, name: &str, edit: &Edit, what: What) {
        let allows = |issue: &&Issue| match what {
            What::Close => issue.state == State::Open,
            What::Reopen => issue.state == State::Closed,
            What::Delete | What::Transfer(_) | What::Convert | What::Restore => !issue.is_pull_request,
            _ => true,
        };
        let numbers: Vec<u64> =
            github.repository(name).issues().filter(allows).map(|issue| issue.number).collect();
        if numbers.is_empty() {
            return;
        }
        let number = numbers[edit.issue % numbers.len()];
        match what {
            What::Title(title) => {
                github.edit_issue(name, number, |issue| issue.title = format!("Title {title}"));
            }
            What::Label(label) => github.edit_issue(name, number, |issue| {
                let before = issue.labels.len();
                issue.labels.retain(|name| name != LABELS[label]);
                if issue.labels.len() == before {
                    issue.labels.push(LABELS[label].to_owned());
                }
            }),
            What::Comment => github.comment(name, number),
            What::Close => github.close_issue(name, number),
            What::Reopen => github.reopen_issue(name, number),
            What::Delete => return github.delete_issue(name, number),
            What::Convert => github.convert_to_pull_request(name, number),
            What::Restore => {
                github.restore_issue(name, number);
                return;
            }
            What::Hide => return github.hide_issue(name, number),
            What::Show => return github.show_issue(name, number),
            What::Transfer(to) => {
                let target = self.current.get(to).map_or(AWAY, String::as_str);
                let there = github.transfer_issue(name, number, target);
                return show_late(github, target, there, edit.late);
            }
            What::Open
            | What::RenameRepository
            | What::HideRepository
            | What::ShowRepository
            | What::SwitchIssuesOff
            | What::SwitchIssuesOn
            | What::RenameLabel(_) => {}
        }
        show_late(github, name, number, edit.late);
    }

    /// Lets the token see all tracked repositories and their issues again.
    pub fn show(&self, github: &mut World) {
        for name in &self.current {
            github.show_repository(name);
            github.enable_issues(name);
        }
    }

    /// Whether GitHub does not have this issue any more.
    pub fn lacks_issue(&self, app: &TestApp, (partition, sort_key): &Key) -> bool {
        app.world.github.arrange(|github| {
            !self.current.iter().any(|name| {
                let is_this = format!("REPO#{}", github.repository_id(name)) == *partition;
                let mut issues = github.repository(name).issues();
                is_this && issues.any(|issue| format!("ISSUE#{:010}", issue.number) == *sort_key)
            })
        })
    }

    /// The cached open issues equal GitHub's, and each stored count equals its rows.
    pub fn assert_in_sync(&self, app: &TestApp) {
        for name in &self.current {
            let id = app.world.github.arrange(|github| github.repository_id(name));
            let mut open = app.items(&format!("REPO#{id}"), "ISSUE#");
            open.retain(|row| row.get("openUpdatedAt").is_some());
            assert_eq!(
                app.checkpoints(name)["openCount"].as_u64(),
                Some(open.len() as u64),
                "the count of {name}"
            );
            app.world.github.arrange(|github| {
                assert_eq!(cached(github, name, &open), expected(github, name), "the open issues of {name}");
            });
        }
    }
}

/// The cached open issues, with the fields that agents see. The rows may still contain an issue that GitHub hides: a
/// 404 proves nothing until it has lasted for an interval.
fn cached(github: &World, name: &str, open: &[Checked]) -> BTreeMap<u64, Value> {
    let repository = github.repository(name);
    let shown: BTreeSet<u64> = repository.visible_issues(github.now()).map(|issue| issue.number).collect();
    let is_hidden =
        |number| !shown.contains(&number) && repository.issues().any(|issue| issue.number == number);
    let rows = open.iter().map(|row| (row["number"].as_u64().expect("a number"), version(row)));
    rows.filter(|(number, _)| !is_hidden(*number)).collect()
}

/// GitHub's open issues, in the cache's format.
fn expected(github: &World, name: &str) -> BTreeMap<u64, Value> {
    let issues = github.repository(name).visible_issues(github.now());
    let open = issues.filter(|issue| issue.state == State::Open && !issue.is_pull_request).map(|issue| {
        let row = json!({
            "title": issue.title,
            "state": "open",
            "labels": issue.labels,
            "updatedAt": format!("{:.3}", issue.updated_at),
        });
        (issue.number, version(&row))
    });
    open.collect()
}

/// The parts of a row whose changes are reported to agents.
pub fn version(row: &Value) -> Value {
    let mut labels: Vec<&str> =
        row["labels"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    labels.sort_unstable();
    json!({
        "title": row["title"],
        "state": row["state"],
        "labels": labels,
        "updatedAt": row["updatedAt"],
        "gone": row["gone"]["reason"],
    })
}

fn show_late(github: &mut World, name: &str, number: u64, late: Option<i64>) {
    if let Some(seconds) = late {
        let until = github.now() + SignedDuration::from_secs(seconds);
        github.show_late(name, number, until);
    }
}
