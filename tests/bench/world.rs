//! The simulated world of the benchmark: repositories with issues of usual size, delays that stand for the distances to
//! GitHub and DynamoDB, a clock that can be moved, and the counters.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use test_world::clock::Clock;
use test_world::dynamodb::{self, Capacity, On, Outcome};
use test_world::github::{self, GitHub, GraphQlCall, Matching};
use test_world::{TABLE_NAME, TestWorld};
use tokio::runtime::Runtime;

use crate::item_size::item_size;

/// The delay of GitHub's REST API.
pub const REST_DELAY: Duration = Duration::from_millis(40);
/// The delay of GitHub's GraphQL API.
pub const GRAPHQL_DELAY: Duration = Duration::from_millis(120);
/// The delay of DynamoDB.
pub const DYNAMODB_DELAY: Duration = Duration::from_millis(4);

/// The length of an issue's text, in characters. GitHub's other JSON adds some 2.5 KB.
const BODY_LENGTH: usize = 2_000;

/// Longer than a pass stays fresh.
const FRESHNESS: Duration = Duration::from_secs(31);

/// Longer than GitHub delays a change.
const SETTLING: Duration = Duration::from_secs(125);

/// A simulated world with its repositories.
pub struct World {
    local: TestWorld,
    /// Their names, in the order of their numbers.
    pub repositories: Vec<String>,
    /// The file that lists them if they are too many for a variable.
    names: Option<PathBuf>,
    /// Whether the service closes some connections before the end of an answer.
    gives_up_answers: bool,
}

/// The requests to GitHub and DynamoDB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counted {
    /// Requests to GitHub's REST API.
    pub rest_requests: u64,
    /// Requests to its GraphQL API.
    pub graphql_requests: u64,
    /// The points that those cost.
    pub graphql_points: u64,
    /// Requests to DynamoDB.
    pub dynamodb_requests: u64,
    /// Read request units that DynamoDB bills.
    pub read_units: f64,
    /// Write request units that it bills, including the indexes.
    pub write_units: f64,
    /// Conditional writes that were refused.
    pub refused: u64,
}

impl Counted {
    /// These and others.
    pub fn and(self, other: Self) -> Self {
        Self {
            rest_requests: self.rest_requests + other.rest_requests,
            graphql_requests: self.graphql_requests + other.graphql_requests,
            graphql_points: self.graphql_points + other.graphql_points,
            dynamodb_requests: self.dynamodb_requests + other.dynamodb_requests,
            read_units: self.read_units + other.read_units,
            write_units: self.write_units + other.write_units,
            refused: self.refused + other.refused,
        }
    }

    /// Requests to GitHub by either API.
    pub fn github_requests(&self) -> u64 {
        self.rest_requests + self.graphql_requests
    }
}

impl World {
    /// Starts a world with this many repositories, and open issues in each. Its servers run on `runtime`, without
    /// delays yet.
    pub fn start(runtime: &Runtime, repositories: usize, issues: u64) -> Self {
        let body: String = "What happens, what should happen. ".chars().cycle().take(BODY_LENGTH).collect();
        Self::start_with_bodies(runtime, repositories, issues, &body)
    }

    /// Starts a world with such large bodies that the service gives up some answers before their end, at its own limits
    /// or at the end of a pass.
    pub fn start_with_answers_given_up(
        runtime: &Runtime,
        repositories: usize,
        issues: u64,
        body: &str,
    ) -> Self {
        let mut world = Self::start_with_bodies(runtime, repositories, issues, body);
        world.gives_up_answers = true;
        world
    }

    fn start_with_bodies(runtime: &Runtime, repositories: usize, issues: u64, body: &str) -> Self {
        let local = runtime.block_on(TestWorld::start(Clock::running()));
        let repositories: Vec<String> =
            (0..repositories).map(|n| format!("acme/repository-{n:04}")).collect();
        local.github.arrange(|github| {
            let now = github.now();
            // The benchmark measures the cost of passes, so the budgets must not end.
            let in_a_year = now + SignedDuration::from_hours(24 * 365);
            github.set_budget(1_000_000, 1_000_000, in_a_year);
            github.set_graphql_budget(1_000_000, 1_000_000, in_a_year);
            for repository in &repositories {
                github.create_repository(repository);
                for n in 0..issues {
                    let age = i64::try_from(issues - n).expect("few enough");
                    open(github, repository, now - SignedDuration::from_mins(60 + age), body);
                }
            }
        });
        Self { local, repositories, names: None, gives_up_answers: false }
    }

    /// Adds repositories up to this number, as copies of the first one, which the service has read, in GitHub and in
    /// the table: thousands of first listings would take minutes. From here on a file lists the repositories.
    pub fn grow(&mut self, repositories: usize) {
        let first = &self.repositories[0];
        let items = self.local.dynamodb.items(TABLE_NAME);
        let id = self.local.github.world().repository_id(first);
        let item = |sk: String| {
            items.iter().find(|item| item["sk"] == sk.as_str()).expect("the service has read it").clone()
        };
        let (checkpoint, name) = (item(format!("REPO#{id}")), item(format!("NAME#{first}")));
        let (at, body) = {
            let github = self.local.github.world();
            let issue = github.issue(first, 1);
            (issue.updated_at, issue.body.clone().unwrap_or_default())
        };
        for n in self.repositories.len()..repositories {
            let repository = format!("acme/repository-{n:04}");
            let id = self.local.github.arrange(|github| {
                let id = github.create_repository(&repository);
                open(github, &repository, at, &body);
                id
            });
            let (mut checkpoint, mut name) = (checkpoint.clone(), name.clone());
            checkpoint["sk"] = format!("REPO#{id}").into();
            checkpoint["name"] = repository.clone().into();
            name["sk"] = format!("NAME#{repository}").into();
            for item in [&mut checkpoint, &mut name] {
                item["id"] = id.into();
                self.local.dynamodb.put_item(TABLE_NAME, item);
            }
            self.repositories.push(repository);
        }
        let file = std::env::temp_dir().join(format!("agent-heartbeat-bench-{}.txt", std::process::id()));
        std::fs::write(&file, self.repositories.join("\n")).expect("a file can be written");
        self.names = Some(file);
    }

    /// The service's environment variables for this world.
    pub fn environment(&self) -> HashMap<&'static str, String> {
        let mut environment: HashMap<_, _> = self.local.environment().into_iter().collect();
        let names = match &self.names {
            Some(file) => format!("@{}", file.display()),
            None => self.repositories.join(","),
        };
        environment.insert("REPOSITORIES", names);
        environment
    }

    /// By how much its clock is ahead of the system's.
    pub fn ahead_millis(&self) -> i64 {
        self.local.clock.ahead_millis().expect("it runs")
    }

    /// Puts the world at its distance: the answer to every request is delayed by itself, however many arrive at once.
    pub fn move_away(&self) {
        // The first fault that matches a request applies to it.
        self.local.github.fault(Matching::graphql(), github::Fault::Delay(GRAPHQL_DELAY).forever());
        self.local.github.fault(Matching::anything(), github::Fault::Delay(REST_DELAY).forever());
        self.local.dynamodb.fault(On::anything(), dynamodb::Fault::Delay(DYNAMODB_DELAY).forever());
    }

    /// Removes the delays, for work that is not measured.
    pub fn move_near(&self) {
        self.local.github.heal();
        self.local.dynamodb.heal();
    }

    /// Lets time pass until the last pass is no longer fresh.
    pub fn outlive_freshness(&self) {
        self.local.clock.advance(FRESHNESS);
    }

    /// Lets time pass until GitHub shows every change so far.
    pub fn outlive_settling(&self) {
        self.local.clock.advance(SETTLING);
    }

    /// Lets hours pass.
    pub fn pass_hours(&self, hours: u64) {
        self.local.clock.advance(Duration::from_secs(3_600 * hours));
    }

    /// Renames the first `count` issues of a repository, all within a moment.
    pub fn edit(&self, repository: &str, count: u64, title: &str) {
        self.local.github.arrange(|github| {
            for number in 1..=count {
                github.edit_issue(repository, number, |issue| issue.title = title.to_owned());
            }
        });
    }

    /// Copies the row of a repository's first issue, which changed, until this many changed in the same pass. The
    /// copies are in the table only: reading them from GitHub would take an hour.
    pub fn copy_changed_issue(&self, repository: &str, changes: u64) {
        let id = self.local.github.arrange(|github| github.repository_id(repository));
        let partition = format!("REPO#{id}");
        let dynamodb = &self.local.dynamodb;
        let mut row = dynamodb.item(TABLE_NAME, &partition, "ISSUE#0000000001").expect("it is cached");
        let order = row["changeOrder"].as_str().expect("it changed");
        let fence = order.split_once('#').expect("a fence and a number").0.to_owned();
        for number in 2..=changes {
            row["number"] = number.into();
            row["openNumber"] = number.into();
            row["sk"] = format!("ISSUE#{number:010}").into();
            row["changeOrder"] = format!("{fence}#{number:010}").into();
            row["url"] = format!("https://github.com/{repository}/issues/{number}").into();
            dynamodb.put_item(TABLE_NAME, &row);
        }
        let mut counts = dynamodb.item(TABLE_NAME, "FLEET", "COUNTS").expect("a pass changed something");
        counts["entries"] = serde_json::json!([counts["upto"], 0, changes]);
        dynamodb.put_item(TABLE_NAME, &counts);
    }

    /// Copies an agent's item until there are `agents` of them, each of this many bytes if a size is given. The name ends
    /// with three digits.
    pub fn copy_agent(&self, name: &str, agents: usize, size: Option<usize>) {
        let dynamodb = &self.local.dynamodb;
        let mut item = dynamodb.item(TABLE_NAME, "AGENTS", name).expect("it sent a heartbeat");
        if let Some(size) = size {
            let missing = size - item_size(&item) - "padding".len();
            item["padding"] = "x".repeat(missing).into();
        }
        let stem = name.trim_end_matches(|end: char| end.is_ascii_digit());
        for n in 0..agents {
            item["sk"] = format!("{stem}{n:03}").into();
            dynamodb.put_item(TABLE_NAME, &item);
        }
    }

    /// Whether the last pass deferred a repository to the next one: then it is recorded. The peer runs no passes.
    pub fn has_deferred(&self) -> bool {
        let dynamodb = &self.local.dynamodb;
        let state = dynamodb.item(TABLE_NAME, "FLEET", "STATE").unwrap_or_default();
        let Some(pass) = state["ended"]["passId"].as_str() else { return false };
        let record = dynamodb.item(TABLE_NAME, "PASSES", pass).unwrap_or_default();
        record["deferred"].as_array().is_some_and(|deferred| !deferred.is_empty())
    }

    /// How many rows of open issues are in the table.
    pub fn open_rows(&self) -> usize {
        let items = self.local.dynamodb.items(TABLE_NAME);
        items.iter().filter(|item| item.get("openNumber").is_some()).count()
    }

    /// Resets the counters.
    pub fn forget_requests(&self) {
        self.local.github.clear_requests();
        self.local.dynamodb.clear_requests();
    }

    /// The requests since the last reset. Aborts the run if anything but a condition was refused.
    pub fn counted(&self) -> Counted {
        let requests = self.local.github.requests();
        for request in &requests {
            let is_fine = request.status.map_or(self.gives_up_answers, |status| status == 200);
            assert!(is_fine, "{} was answered {:?}", request.path, request.status);
        }
        let exchanges = self.local.dynamodb.requests();
        let is_refused = |outcome: &Outcome| match outcome {
            Outcome::Ok => false,
            Outcome::Refused { code, .. } if code == "ConditionalCheckFailedException" => true,
            other => panic!("DynamoDB did not answer: {other:?}"),
        };
        let Capacity { read_units, write_units } = exchanges.iter().map(|exchange| exchange.capacity).sum();
        let graphql: Vec<&GraphQlCall> =
            requests.iter().filter_map(|request| request.graphql.as_ref()).collect();
        Counted {
            rest_requests: (requests.len() - graphql.len()) as u64,
            graphql_requests: graphql.len() as u64,
            graphql_points: graphql.iter().map(|call| call.points).sum(),
            dynamodb_requests: exchanges.len() as u64,
            read_units,
            write_units,
            refused: exchanges.iter().filter(|exchange| is_refused(&exchange.outcome)).count() as u64,
        }
    }

    /// GitHub, to measure the world itself.
    pub fn github(&self) -> &GitHub {
        &self.local.github
    }

    /// DynamoDB's URL.
    pub fn dynamodb_url(&self) -> &str {
        self.local.dynamodb.url()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(file) = &self.names {
            let _ = std::fs::remove_file(file);
        }
    }
}

/// Opens an issue of usual size. Three of twenty are in progress.
fn open(github: &mut github::World, repository: &str, at: Timestamp, body: &str) {
    let number = github.open_issue_at(repository, "An issue with a title of usual length", at);
    github.edit_issue(repository, number, |issue| {
        let status = if number % 20 < 3 { "status/in-progress" } else { "status/backlog" };
        issue.labels = ["bug", status].map(str::to_owned).into();
        issue.body = Some(body.to_owned());
        issue.updated_at = at;
    });
}
