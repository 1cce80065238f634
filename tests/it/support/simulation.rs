//! The scenarios of the simulation: what a heartbeat finds, what must be the same in the end however it was disturbed,
//! and which changes must have been reported to each agent.
//!
//! `deaths.rs` lets the heartbeat die at each of its requests; `overlaps.rs` runs another heartbeat in between. The
//! clocks of the service, the table and GitHub move only when a test moves them. A case that fails prints how to run it
//! alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use agent_heartbeat::app::App;
use serde_json::Value;
use test_world::TABLE_NAME;
use test_world::dynamodb::On;
use test_world::github::{Fault, Matching, State};
use test_world::scheduler::{Admission, Driven, Stop, Stopped};

use crate::support::app::{Agent, Answer, TestApp, open_spread, until_held};
use crate::support::audits::{INTERVAL, tracking};
use crate::support::checked::Checked;
use crate::support::follower::{Follower, as_words};

const API: &str = "acme/api";
const DOCS: &str = "acme/docs";
const WEB: &str = "acme/web";
/// Its name from the simulated heartbeat on.
const SITE: &str = "acme/site";

/// Longer than a lease lasts, longer than a pass is fresh, and longer than GitHub delays a change.
pub const A_WHILE: u64 = 150;

/// The agent whose heartbeat is disturbed. It has sent heartbeats before.
pub const ALPHA: &str = "alpha";
/// An agent that has also sent heartbeats before.
pub const BETA: &str = "beta";
/// An agent whose first heartbeat follows alpha's disturbed one.
pub const NEWCOMER: &str = "newcomer";

/// An agent that has sent heartbeats before, and sends the next one only at the end.
pub const ABSENT: &str = "absent";

/// The label whose issues the follower never receives. Among the changes is one that adds it to an issue.
const EXCLUDED: &str = "bug";

/// The length of the follower's pages.
const FEW: usize = 3;

/// The fields that depend on how the end was reached. All others must be equal.
const PATH_DEPENDENT: [(&str, &str); 12] = [
    ("revision", "counts the writes of a row, including repeated ones"),
    ("readAt", "the `Date` of the answer that was written; a later pass gets a later one"),
    ("provedAt", "likewise, of the answer that proved a removal"),
    ("changeFence", "the last pass that reported a change; reporting it twice is allowed"),
    ("changeKindFence", "likewise"),
    ("changeOrder", "likewise"),
    ("fence", "the pass that wrote the checkpoint last"),
    ("seq", "counts the writes of that pass to the fleet's items"),
    ("lastChangeFence", "the last pass that reported a change of the repository"),
    ("settled", "a backfill that one pass began and another ended settles a pass later"),
    ("trackedSince", "the `Date` in the pass that began the backfill, until it is settled"),
    ("auditedAt", "the `Date` in the pass that completed the audit"),
];

/// What a simulated heartbeat finds.
#[derive(Clone, Copy, Debug)]
pub enum Scenario {
    /// Three repositories: one with edits, a close, an issue deleted, one moved, one opened and one that only its
    /// audit finds changed; one under a new name; and one to be read for the first time.
    Whole,
    /// The same after a heartbeat that died and another that could not read GitHub: no stored count is trusted.
    AfterTrouble,
    /// One repository with an edit, a close and an issue deleted, and one to be read for the first time.
    Small,
}

impl Scenario {
    /// The changes to report to the agents.
    fn changes(self) -> &'static [&'static str] {
        match self {
            Self::Whole | Self::AfterTrouble => &[
                "closed acme/api#1",
                "edited acme/api#2",
                "deleted acme/api#3",
                "moved acme/api#4",
                "edited acme/api#5",
                "opened acme/api#7",
                "edited acme/site#1",
                "opened acme/site#4",
            ],
            Self::Small => &["closed acme/api#1", "edited acme/api#2", "deleted acme/api#3"],
        }
    }

    fn tracked(self) -> &'static [&'static str] {
        match self {
            Self::Whole | Self::AfterTrouble => &[API, WEB, DOCS],
            Self::Small => &[API, DOCS],
        }
    }

    /// The world just before the heartbeat: alpha and beta know the tracked repositories, and all changes are unread.
    pub async fn begin(self) -> TestApp {
        let app = tracking(&[API, WEB]).with("REPOSITORIES", &self.tracked().join(",")).start().await;
        let long_ago = app.ago(1_000);
        app.world.github.arrange(|github| {
            for (repository, issues) in [(API, 5), (WEB, 2)] {
                open_spread(github, repository, issues, long_ago);
                github.open_pull_request(repository, "It keeps the issues out of later listings");
            }
            github.edit_issue(API, 5, |issue| {
                issue.labels = vec!["bug".to_owned()];
                issue.updated_at = long_ago;
            });
        });
        for _ in 0..2 {
            app.agent(ALPHA).beat().await;
            app.agent(BETA).beat().await;
            app.agent(ABSENT).beat().await;
            app.pass_time(A_WHILE);
        }
        // An audit is also due where issues changed.
        app.pass_time(2 * INTERVAL);
        app.world.github.arrange(|github| {
            github.close_issue(API, 1);
            github.edit_issue(API, 2, |issue| issue.title = "Another title".to_owned());
            github.delete_issue(API, 3);
            if !matches!(self, Self::Small) {
                github.transfer_issue(API, 4, WEB);
                github.rename_label(API, "bug", "defect");
                github.open_issue(API, "New");
                github.add_label(WEB, 1, "bug");
                github.rename_repository(WEB, SITE);
            }
            github.create_repository(DOCS);
            github.open_issues(DOCS, 2);
        });
        if let Self::AfterTrouble = self {
            let mut held = app.world.dynamodb.hold_answer(On::operation("UpdateItem"));
            let beta = app.agent(BETA);
            let mut dying = Box::pin(beta.beat());
            assert!(until_held(&mut dying, &mut held).await.is_none());
            drop(dying);
            held.release();
            app.pass_time(A_WHILE);
            cannot_read(&app, &app.agent(BETA)).await;
            app.pass_time(A_WHILE);
        }
        app
    }
}

/// The outcome of the first pass after the disturbed one.
#[derive(Clone, Copy, Debug)]
pub enum Next {
    /// It completes.
    Reads,
    /// GitHub does not answer it: requests of the disturbed pass arrive, or the pass resumes, before another has read
    /// the same changes.
    CannotRead,
}

/// One run of a scenario.
pub struct Run<'a> {
    app: &'a TestApp,
    /// The execution environment of beta and the newcomer: Lambda gives an environment one invocation at a time.
    elsewhere: Arc<App>,
    scenario: Scenario,
    /// The issues whose changes have been reported to each agent.
    reported: BTreeMap<&'static str, BTreeSet<String>>,
    /// Alpha's delivery cursor before its heartbeat.
    alpha_at: Value,
    /// The last pass that had ended before alpha's heartbeat.
    ended_before: Value,
    /// The last pass that had ended when the newcomer came; `None` before that.
    ended_for_newcomer: Option<Value>,
    /// A program that has followed the changes since before the first of them.
    follower: Follower,
}

impl<'a> Run<'a> {
    pub async fn of(scenario: Scenario, app: &'a TestApp) -> Self {
        let mut follower = Follower::new(app, EXCLUDED);
        follower.page(app, FEW).await.expect("a page");
        Self {
            app,
            elsewhere: app.another_environment(),
            scenario,
            reported: BTreeMap::new(),
            alpha_at: cursor(app, ALPHA),
            ended_before: ended(app),
            ended_for_newcomer: None,
            follower,
        }
    }

    /// Lets the follower read one page.
    pub async fn follow(&mut self) {
        self.follower.page(self.app, FEW).await.expect("a page");
    }

    /// Sends an agent's heartbeat. The newcomer's first one finds no running pass, and runs one.
    pub async fn beat(&mut self, name: &'static str) {
        let is_first = name == NEWCOMER && self.ended_for_newcomer.is_none();
        if is_first {
            self.ended_for_newcomer = Some(ended(self.app));
        }
        let agent = self.app.agent(name);
        let agent = if name == ALPHA { agent } else { agent.in_environment(Arc::clone(&self.elsewhere)) };
        let answer = agent.beat().await;
        assert_eq!(answer.status(), "ok", "{:#}", answer.0);
        assert!(!(is_first && answer.is_coalesced()), "{:#}", answer.0);
        self.answered(name, &answer);
        self.follow().await;
    }

    /// Lets beta run a pass while GitHub answers nothing.
    pub async fn fail_a_pass(&mut self) {
        let beta = self.app.agent(BETA).in_environment(Arc::clone(&self.elsewhere));
        let answer = cannot_read(self.app, &beta).await;
        self.answered(BETA, &answer);
        self.follow().await;
    }

    /// Notes the changes reported to an agent. They must be among the scenario's, and in the heartbeat's AgentRun.
    pub fn answered(&mut self, agent: &'static str, answer: &Answer) {
        for touch in answer.touched() {
            assert!(self.scenario.changes().contains(&&*touch), "reported to {agent}: {touch}");
        }
        let runs = self.app.runs(agent);
        let run = runs.iter().find(|run| run["runId"] == answer.0["runId"]).expect("an AgentRun");
        assert_eq!(run["touchedIssueUrls"], answer.0["touchedIssueUrls"]);
        self.reported.entry(agent).or_default().extend(issues(run));
    }

    /// Notes what alpha's heartbeat reported before it died. It counts as answered if alpha's delivery cursor has
    /// moved: only sending the answer remains then.
    pub fn alpha_has_died(&mut self) {
        if cursor(self.app, ALPHA) != self.alpha_at {
            let runs = self.app.runs(ALPHA);
            let run = runs.last().expect("the AgentRun of a heartbeat that moved the cursor");
            assert!(run["finishedAt"].is_string(), "{run:#}");
            self.reported.entry(ALPHA).or_default().extend(issues(run));
        }
    }

    /// The end of every run: all agents send heartbeats, and again when the requests `in_flight` have arrived. Returns
    /// the table both times.
    pub async fn settle(&mut self, in_flight: Option<Stopped>) -> [Vec<Value>; 2] {
        self.app.pass_time(A_WHILE);
        for agent in [NEWCOMER, ALPHA, BETA] {
            self.beat(agent).await;
        }
        let once = self.end();
        drop(in_flight);
        self.app.world.scheduler.idle().await;
        self.app.pass_time(A_WHILE);
        for agent in [ALPHA, BETA, NEWCOMER, ABSENT] {
            self.beat(agent).await;
        }
        self.follower.catch_up(self.app, FEW).await;
        [once, self.end()]
    }

    /// Every change was reported to every agent. The newcomer must have received those that a pass found which had not
    /// ended when it came.
    pub fn assert_all_reported(&self) {
        let changes = self.scenario.changes().iter();
        let changes: BTreeSet<String> =
            changes.filter_map(|touch| Some(touch.split_once(' ')?.1.to_owned())).collect();
        let concerns_newcomer = self.ended_for_newcomer.as_ref() == Some(&self.ended_before);
        for agent in [ALPHA, BETA, NEWCOMER, ABSENT] {
            if agent != NEWCOMER || concerns_newcomer {
                assert_eq!(self.reported.get(agent), Some(&changes), "reported to {agent}");
            }
        }
        self.assert_all_followed();
    }

    /// The follower received every change, except of the excluded issue, and each issue's latest one.
    fn assert_all_followed(&self) {
        let received: BTreeSet<String> = as_words(&self.follower.received).into_iter().collect();
        let changes: BTreeSet<String> =
            self.scenario.changes().iter().map(|&change| change.to_owned()).collect();
        let excluded: BTreeSet<String> = BTreeSet::from(["edited acme/site#1".to_owned()]);
        assert_eq!(received, &changes - &excluded);
        self.follower.assert_has_latest(self.app);
    }

    /// The rows and the checkpoints, without the fields that depend on the path.
    fn end(&self) -> Vec<Value> {
        let mut items = self.app.items("REPO#", "ISSUE#");
        items.extend(self.app.items("FLEET", "REPO#"));
        let mut items: Vec<Value> = items.into_iter().map(Checked::into_value).collect();
        items.iter_mut().for_each(remove_path_dependent);
        items
    }
}

/// Lets an agent run a pass while GitHub answers nothing. The answer reports the error.
async fn cannot_read(app: &TestApp, agent: &Agent<'_>) -> Answer {
    app.world.github.fault(Matching::anything(), Fault::Status(502).forever());
    let answer = agent.beat().await;
    app.world.github.heal();
    assert_eq!((answer.status(), answer.is_coalesced()), ("error", false), "{:#}", answer.0);
    answer
}

fn remove_path_dependent(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|name, _| PATH_DEPENDENT.iter().all(|(excluded, _)| name != excluded));
        fields.values_mut().for_each(remove_path_dependent);
    }
}

/// An agent's delivery cursor.
fn cursor(app: &TestApp, agent: &str) -> Value {
    app.world.dynamodb.item(TABLE_NAME, "AGENTS", agent).unwrap_or_default()["told"].clone()
}

/// The fence of the last pass that ended.
fn ended(app: &TestApp) -> Value {
    app.state()["ended"]["fence"].clone()
}

/// The issues in an AgentRun, as `acme/api#1`.
fn issues(run: &Value) -> impl Iterator<Item = String> {
    let urls = run["touchedIssueUrls"].as_array().expect("a list").iter().filter_map(Value::as_str);
    urls.map(|url| url.replace("https://github.com/", "").replace("/issues/", "#"))
}

/// A run that nothing disturbs: the requests of alpha's heartbeat, in order, and the table in the end.
pub async fn undisturbed(scenario: Scenario, admission: Admission) -> (Vec<String>, Vec<Value>) {
    let app = scenario.begin().await;
    let mut run = Run::of(scenario, &app).await;
    let alpha = app.agent(ALPHA);
    let mut heartbeat = Box::pin(alpha.beat());
    let Driven::Finished(answer) = app.world.scheduler.drive(admission, None, &mut heartbeat).await else {
        panic!("a request was stopped");
    };
    let order = app.world.scheduler.order();
    assert_eq!(answer.touched(), scenario.changes(), "{:#}", answer.0);
    run.answered(ALPHA, &answer);
    app.pass_time(A_WHILE);
    let [once, again] = run.settle(None).await;
    assert_eq!(once, again);
    run.assert_all_reported();
    for name in scenario.tracked() {
        let name = if *name == WEB { SITE } else { name };
        let github = app.world.github.world();
        let issues = github.repository(name).visible_issues(github.now());
        let open = issues.filter(|issue| issue.state == State::Open && !issue.is_pull_request);
        let open: Vec<u64> = open.map(|issue| issue.number).collect();
        drop(github);
        assert_eq!(app.open_rows(name), open, "{name}");
    }
    (order, again)
}

#[tokio::test]
async fn simulated_heartbeat_sends_the_same_requests_each_time() {
    let (order, end) = undisturbed(Scenario::Whole, Admission::OneByOne).await;
    assert!((40..=64).contains(&order.len()), "{}: {order:#?}", order.len());
    for server in ["DynamoDB", "GitHub", "Secrets Manager"] {
        assert!(order.iter().any(|request| request.starts_with(server)), "{server}");
    }
    assert_eq!(undisturbed(Scenario::Whole, Admission::OneByOne).await, (order, end));
}

/// The numbers of the requests to stop at; only one if `SIMULATION_K` names it.
#[expect(clippy::disallowed_methods, reason = "a setting of the tests, not of the service")]
pub fn places(requests: usize) -> Vec<usize> {
    match std::env::var("SIMULATION_K") {
        Ok(k) => vec![k.parse().expect("SIMULATION_K is the number of a request")],
        Err(_) => (1..=requests).collect(),
    }
}

/// Prints the case if its test fails.
pub struct Case {
    test: &'static str,
    stop: Stop,
    what: Option<String>,
}

impl Case {
    pub fn new(test: &'static str, stop: Stop) -> Self {
        Self { test, stop, what: None }
    }

    /// Notes what was stopped.
    pub fn is_of(&mut self, stopped: &Stopped) {
        self.what = Some(stopped.what().to_owned());
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (Stop::Before(k) | Stop::After(k)) = self.stop;
            eprintln!("Stopped {:?}: {}", self.stop, self.what.as_deref().unwrap_or("nothing yet"));
            eprintln!(
                "To run it alone: SIMULATION_K={k} cargo test -p agent-heartbeat --test it {}",
                self.test
            );
        }
    }
}
