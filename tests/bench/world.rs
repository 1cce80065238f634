//! The local world as the benchmark arranges it: repositories with issues of usual size, the distances to
//! GitHub and DynamoDB as ordered delays, a clock that can be moved, and the counters.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use local_stack::clock::Clock;
use local_stack::dynamodb::{self, Capacity, On, Outcome};
use local_stack::github::{self, GitHub, GraphQlCall, Matching};
use local_stack::{LocalStack, TABLE_NAME};
use tokio::runtime::Runtime;

/// How far away things are.
pub const REST_DELAY: Duration = Duration::from_millis(40);
/// How far away GitHub's GraphQL API is.
pub const GRAPHQL_DELAY: Duration = Duration::from_millis(120);
/// How far away DynamoDB is.
pub const DYNAMODB_DELAY: Duration = Duration::from_millis(4);

/// How long an issue's text is, in characters. GitHub's JSON around it is some 2.5 KB more.
const BODY_LENGTH: usize = 2_000;

/// Longer than a pass serves every beat.
const FRESHNESS: Duration = Duration::from_secs(31);

/// Longer than GitHub shows a change late.
const SETTLING: Duration = Duration::from_secs(125);

/// A local world with its repositories.
pub struct World {
    local: LocalStack,
    /// Their names, in the order of their numbers.
    pub repositories: Vec<String>,
}

/// What was asked of GitHub and DynamoDB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counted {
    /// Requests to GitHub's REST API.
    pub rest_requests: u64,
    /// Requests to its GraphQL API.
    pub graphql_requests: u64,
    /// What those cost.
    pub graphql_points: u64,
    /// Requests to DynamoDB.
    pub dynamodb_requests: u64,
    /// What DynamoDB bills for reading.
    pub read_units: f64,
    /// What it bills for writing, the indexes included.
    pub write_units: f64,
    /// Conditional writes that were refused.
    pub refused: u64,
}

impl Counted {
    /// Requests to GitHub by either API.
    pub fn github_requests(&self) -> u64 {
        self.rest_requests + self.graphql_requests
    }
}

impl World {
    /// Starts a world with so many repositories of so many open issues each. Its servers run on `runtime`. Nothing is
    /// delayed yet.
    pub fn start(runtime: &Runtime, repositories: usize, issues: u64) -> Self {
        let body: String = "What happens, what should happen. ".chars().cycle().take(BODY_LENGTH).collect();
        Self::start_with_bodies(runtime, repositories, issues, &body)
    }

    /// The same, with this text in each issue.
    pub fn start_with_bodies(runtime: &Runtime, repositories: usize, issues: u64, body: &str) -> Self {
        let local = runtime.block_on(LocalStack::start(Clock::running()));
        let repositories: Vec<String> =
            (0..repositories).map(|n| format!("acme/repository-{n:04}")).collect();
        local.github.arrange(|github| {
            let now = github.now();
            // What a pass costs is the question here, not how long a token lasts.
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
        Self { local, repositories }
    }

    /// The environment in which the service finds it.
    pub fn environment(&self) -> HashMap<&'static str, String> {
        let mut environment: HashMap<_, _> = self.local.environment().into_iter().collect();
        environment.insert("REPOSITORIES", self.repositories.join(","));
        environment
    }

    /// By how much its clock is ahead of the system's.
    pub fn ahead_millis(&self) -> i64 {
        self.local.clock.ahead_millis().expect("it runs")
    }

    /// Puts it at its distance: every request is answered later, each by itself, however many come at once.
    pub fn move_away(&self) {
        // A request meets the first order that is meant for it.
        self.local.github.fault(Matching::graphql(), github::Fault::Delay(GRAPHQL_DELAY).forever());
        self.local.github.fault(Matching::anything(), github::Fault::Delay(REST_DELAY).forever());
        self.local.dynamodb.fault(On::anything(), dynamodb::Fault::Delay(DYNAMODB_DELAY).forever());
    }

    /// Answers at once again, for what only has to be there.
    pub fn move_near(&self) {
        self.local.github.heal();
        self.local.dynamodb.heal();
    }

    /// Lets the last pass's freshness run out.
    pub fn outlive_freshness(&self) {
        self.local.clock.advance(FRESHNESS);
    }

    /// Lets so much time pass that GitHub shows nothing late any more of what happened until now.
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

    /// How many rows of open issues are in the table.
    pub fn open_rows(&self) -> usize {
        let items = self.local.dynamodb.items(TABLE_NAME);
        items.iter().filter(|item| item.get("openUpdatedAt").is_some()).count()
    }

    /// Begins to count anew.
    pub fn forget_requests(&self) {
        self.local.github.clear_requests();
        self.local.dynamodb.clear_requests();
    }

    /// What was asked since. Aborts the run when something else than a condition was refused.
    pub fn counted(&self) -> Counted {
        let requests = self.local.github.requests();
        for request in &requests {
            assert_eq!(request.status, Some(200), "{} was not answered well", request.path);
        }
        let exchanges = self.local.dynamodb.requests();
        let is_refused = |outcome: &Outcome| match outcome {
            Outcome::Ok => false,
            Outcome::Refused { code, .. } if code == "ConditionalCheckFailedException" => true,
            other => panic!("DynamoDB was to answer, not {other:?}"),
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

    /// GitHub, for what is measured of the world itself.
    pub fn github(&self) -> &GitHub {
        &self.local.github
    }

    /// Where DynamoDB is.
    pub fn dynamodb_url(&self) -> &str {
        self.local.dynamodb.url()
    }
}

/// Opens an issue of usual size. Of twenty, three are being worked on.
fn open(github: &mut github::World, repository: &str, at: Timestamp, body: &str) {
    let number = github.open_issue_at(repository, "An issue with a title of usual length", at);
    github.edit_issue(repository, number, |issue| {
        let status = if number % 20 < 3 { "status/in-progress" } else { "status/backlog" };
        issue.labels = ["bug", status].map(str::to_owned).into();
        issue.body = Some(body.to_owned());
        issue.updated_at = at;
    });
}
