//! The service under test, in the test world.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use agent_heartbeat::app::{App, Aws, Timing};
use agent_heartbeat::clock::Clock;
use agent_heartbeat::config::Config;
use agent_heartbeat::github::RetryPolicy;
use agent_heartbeat::secrets::SecretLifetimes;
use agent_heartbeat::store::StorePatience;
use agent_heartbeat::transport::Transport;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use test_world::dynamodb::Outcome;
use test_world::fault::Held;
use test_world::github::World;
use test_world::{AGENT_TOKEN, TABLE_NAME, TestWorld};

use crate::support::checked::Checked;
pub use crate::support::roles::{Agent, Answer, Client, Reply, Schedule, Stranger};

/// The time at which every test's world begins.
pub const START: &str = "2026-11-22T06:00:00Z";

/// The test world and the service in it. Dropping it fails the test if a fault or a hold was never used.
pub struct TestApp {
    pub world: TestWorld,
    pub app: Arc<App>,
    /// The environment of the service.
    pub variables: HashMap<String, String>,
    timing: Timing,
    ahead: SignedDuration,
    ends_well: bool,
}

/// Builds a [`TestApp`].
pub struct Setup {
    repositories: Vec<String>,
    variables: HashMap<String, String>,
    timing: Timing,
    begins: Timestamp,
    ahead: SignedDuration,
}

/// Timeouts for servers on the same machine: no test waits for a clock.
fn quick() -> Timing {
    Timing {
        connect: Duration::from_secs(2),
        secret: Duration::from_secs(5),
        secrets: SecretLifetimes::default(),
        github: RetryPolicy {
            attempts: 3,
            attempt_timeout: Duration::from_secs(5),
            first_wait: Duration::from_millis(1),
        },
        store: StorePatience {
            attempt: Duration::from_secs(5),
            call: Duration::from_secs(20),
            attempts: 3,
            first_wait: Duration::from_millis(1),
        },
        ..Timing::default()
    }
}

impl Setup {
    pub fn with(mut self, variable: &str, value: &str) -> Self {
        self.variables.insert(variable.to_owned(), value.to_owned());
        self
    }

    pub fn timing(mut self, change: impl FnOnce(&mut Timing)) -> Self {
        change(&mut self.timing);
        self
    }

    /// Sets the time at which the world begins.
    pub fn beginning(mut self, begins: Timestamp) -> Self {
        self.begins = begins;
        self
    }

    /// Sets the service's clock ahead of the world's.
    pub fn ahead(mut self, seconds: i64) -> Self {
        self.ahead = SignedDuration::from_secs(seconds);
        self
    }

    /// Starts the world, whose repositories exist and are empty, and the service.
    pub async fn start(self) -> TestApp {
        let clock = test_world::clock::Clock::manual(self.begins);
        let world = TestWorld::start(clock).await;
        world.github.arrange(|github| {
            for repository in &self.repositories {
                github.create_repository(repository);
            }
        });
        let mut variables: HashMap<String, String> =
            world.environment().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        variables.insert("REPOSITORIES".to_owned(), self.repositories.join(","));
        variables.extend(self.variables);
        let app = Arc::new(service(&world, &variables, self.timing, self.ahead));
        TestApp { world, app, variables, timing: self.timing, ahead: self.ahead, ends_well: true }
    }
}

fn service(
    world: &TestWorld,
    variables: &HashMap<String, String>,
    timing: Timing,
    ahead: SignedDuration,
) -> App {
    let config = Config::read(|name| variables.get(name).cloned()).expect("a good configuration");
    let transport = Transport::new(None, timing.connect).expect("the built-in roots");
    let aws = |url: &str| {
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                "made", "up", None, None, "made up",
            )))
            .sleep_impl(aws_sdk_dynamodb::config::SharedAsyncSleep::new(
                aws_smithy_async::rt::sleep::TokioSleep::new(),
            ))
            .endpoint_url(url)
            .http_client(transport.aws_client().expect("a client"))
            .build()
    };
    let aws = Aws {
        dynamodb: aws(world.dynamodb.url()),
        secrets_manager: aws(world.secrets.url()),
        sns: aws(world.notifications.url()),
    };
    let local = world.clock.clone();
    let clock = Clock::from_fn(move || local.now() + ahead);
    App::new(config, timing, clock, &transport, &aws).expect("a service")
}

impl TestApp {
    /// A service that tracks these repositories.
    pub fn tracking(repositories: &[&str]) -> Setup {
        Setup {
            repositories: repositories.iter().map(|name| (*name).to_owned()).collect(),
            variables: HashMap::new(),
            timing: quick(),
            begins: START.parse().expect("an instant"),
            ahead: SignedDuration::ZERO,
        }
    }

    /// Two repositories after alpha's first beat, whose freshness has expired, and three changes on GitHub since:
    /// closed acme/api#1, edited acme/api#2, opened acme/web#1.
    pub async fn after_a_first_beat() -> Self {
        let app = Self::tracking(&["acme/api", "acme/web"]).start().await;
        app.world.github.arrange(|github| github.open_issues("acme/api", 3));
        app.agent("alpha").beat().await;
        app.outlive_freshness();
        app.world.github.arrange(|github| {
            github.close_issue("acme/api", 1);
            github.edit_issue("acme/api", 2, |issue| issue.title = "Another title".into());
            github.open_issue("acme/web", "New");
        });
        app
    }

    /// Restarts the service with one variable changed, as a new execution environment would start it.
    pub fn restart_with(&mut self, variable: &str, value: &str) {
        self.variables.insert(variable.to_owned(), value.to_owned());
        self.app = self.another_environment();
    }

    /// A second execution environment of the same service.
    pub fn another_environment(&self) -> Arc<App> {
        self.environment_with(&self.variables)
    }

    /// An execution environment of another function, with these variables.
    pub fn environment_with(&self, variables: &HashMap<String, String>) -> Arc<App> {
        Arc::new(service(&self.world, variables, self.timing, self.ahead))
    }

    /// An agent with a valid token.
    pub fn agent(&self, name: &str) -> Agent<'_> {
        Agent { test: self, app: Arc::clone(&self.app), name: name.to_owned(), key: None, body: None }
    }

    /// A caller who may send anything.
    pub fn stranger(&self) -> Stranger<'_> {
        Stranger { test: self }
    }

    /// A client that reads with the token that may do everything.
    pub fn client(&self) -> Client<'_> {
        self.client_with(AGENT_TOKEN)
    }

    /// A client that reads with this token.
    pub fn client_with(&self, token: &str) -> Client<'_> {
        Client { test: self, token: token.to_owned() }
    }

    /// EventBridge's schedule.
    pub fn schedule(&self) -> Schedule<'_> {
        Schedule { test: self, app: Arc::clone(&self.app) }
    }

    /// Advances the clock of GitHub, DynamoDB and the service.
    pub fn pass_time(&self, seconds: u64) {
        self.world.clock.advance(Duration::from_secs(seconds));
    }

    /// Lets the last pass's freshness expire.
    pub fn outlive_freshness(&self) {
        self.pass_time(31);
    }

    /// Waits until every request that reached DynamoDB has been processed, including those that nothing waits for.
    pub async fn wait_for_dynamodb(&self) {
        while self.world.dynamodb.requests().iter().any(|request| request.outcome == Outcome::Pending) {
            tokio::task::yield_now().await;
        }
    }

    /// The stored items whose keys have these prefixes, in order.
    pub fn items(&self, pk: &str, sk: &str) -> Vec<Checked> {
        let starts =
            |item: &Value, key: &str, start: &str| item[key].as_str().unwrap_or("").starts_with(start);
        let mut items = self.world.dynamodb.items(TABLE_NAME);
        items.retain(|item| starts(item, "pk", pk) && starts(item, "sk", sk));
        items.into_iter().map(Checked::item).collect()
    }

    /// The cached row of an issue; null if there is none.
    pub fn row(&self, repository: &str, number: u64) -> Checked {
        let id = self.world.github.arrange(|github| github.repository_id(repository));
        let (pk, sk) = (format!("REPO#{id}"), format!("ISSUE#{number:010}"));
        let row = self.world.dynamodb.item(TABLE_NAME, &pk, &sk).unwrap_or_default();
        Checked::item_of("REPO", "ISSUE", row)
    }

    /// The numbers of the cached open issues of a repository.
    pub fn open_rows(&self, repository: &str) -> Vec<u64> {
        let id = self.world.github.arrange(|github| github.repository_id(repository));
        self.items(&format!("REPO#{id}"), "ISSUE#")
            .iter()
            .filter(|row| row.get("openNumber").is_some())
            .filter_map(|row| row["number"].as_u64())
            .collect()
    }

    /// The checkpoints of a repository.
    pub fn checkpoints(&self, repository: &str) -> Checked {
        let id = self.world.github.arrange(|github| github.repository_id(repository));
        let checkpoints = self.world.dynamodb.item(TABLE_NAME, "FLEET", &format!("REPO#{id}"));
        Checked::item_of("FLEET", "REPO", checkpoints.unwrap_or_default())
    }

    /// The fleet's state.
    pub fn state(&self) -> Checked {
        let state = self.world.dynamodb.item(TABLE_NAME, "FLEET", "STATE").unwrap_or_default();
        Checked::item_of("FLEET", "STATE", state)
    }

    /// The paths and queries of all requests to GitHub, sorted.
    pub fn requests_to_github(&self) -> Vec<String> {
        let requests = self.world.github.requests();
        let mut asked: Vec<String> = requests.into_iter().map(|request| request.path).collect();
        asked.sort();
        asked
    }

    /// The AgentRuns of an agent, the oldest first.
    pub fn runs(&self, agent: &str) -> Vec<Checked> {
        self.items(&format!("AGENT#{agent}"), "RUN#")
            .into_iter()
            .filter(|run| run["agentName"] == agent)
            .collect()
    }

    /// An event from the folder `events`.
    pub fn event(file: &str) -> Value {
        let path = format!("{}/events/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The time this many seconds ago, in GitHub's whole seconds.
    pub fn ago(&self, seconds: i64) -> Timestamp {
        self.world.github.world().now() - SignedDuration::from_secs(seconds)
    }

    /// The number of rows by revision: `[(1, 250)]` if 250 were written once each.
    pub fn revisions(&self) -> Vec<(u64, usize)> {
        let mut counts = BTreeMap::new();
        for row in self.items("REPO#", "ISSUE#") {
            let revision = row["revision"].as_u64().expect("a count of writes");
            *counts.entry(revision).or_default() += 1;
        }
        counts.into_iter().collect()
    }

    /// What was published about agents, as programs get it, in order.
    pub fn messages(&self) -> Vec<Value> {
        let messages = self.world.notifications.messages();
        messages.iter().map(|message| serde_json::from_str(message.form("sqs")).expect("JSON")).collect()
    }

    /// Clears the recorded requests to GitHub and DynamoDB.
    pub fn clear_requests(&self) {
        self.world.github.clear_requests();
        self.world.dynamodb.clear_requests();
    }

    /// The paths and queries of the requests to GitHub since the records were cleared.
    pub fn asked(&self) -> Vec<String> {
        let requests = self.world.github.requests();
        requests.into_iter().map(|request| request.path).collect()
    }

    /// The `since` of each listing requested since the records were cleared; empty for a listing without one.
    pub fn listed_since(&self) -> Vec<String> {
        let asked = self.asked();
        let listings = asked.iter().filter(|path| path.contains("/issues?"));
        let since = |path: &String| path.split_once("since=").map(|(_, rest)| rest.to_owned());
        listings.map(|path| since(path).unwrap_or_default().replace("%3A", ":")).collect()
    }

    /// The sort keys written in a repository's partition since the records were cleared, including refused writes.
    pub fn written(&self, repository: &str) -> Vec<String> {
        let id = self.world.github.arrange(|github| github.repository_id(repository));
        let writes = self.world.dynamodb.requests();
        let items = writes.iter().map(|exchange| {
            let request = &exchange.request;
            if request["Item"].is_object() { &request["Item"] } else { &request["Key"] }
        });
        items
            .filter(|item| item["pk"]["S"] == format!("REPO#{id}"))
            .filter_map(|item| item["sk"]["S"].as_str())
            .map(str::to_owned)
            .collect()
    }

    /// The number of reads of a secret since the start.
    pub fn secret_reads(&self, id: &str) -> usize {
        self.world.secrets.requests().iter().filter(|read| read.request["SecretId"] == id).count()
    }

    /// The number of beats that an agent's item counts for its current minute.
    pub fn beats_in_minute(&self, agent: &str) -> Value {
        self.items("AGENTS", agent)[0]["beatsInMinute"].clone()
    }

    /// Allows unused faults and holds at the end of this test.
    pub fn allows_unused_faults(&mut self) {
        self.ends_well = false;
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        let unused = self.world.unused();
        if self.ends_well && !std::thread::panicking() {
            assert!(unused.is_empty(), "arranged in vain: {unused:#?}");
        }
    }
}

/// Opens issues a second apart, the first at `first`: no two share their `updated_at`.
pub fn open_spread(github: &mut World, repository: &str, count: u64, first: Timestamp) {
    for second in 0..count {
        github.open_issue_at(repository, "Spread", first + Duration::from_secs(second));
    }
}

/// Opens an issue whose row has 21 KB: as many and as long labels as GitHub allows (github/docs#161, github/docs#32156),
/// in characters of four bytes, and a title of 1,024 bytes.
pub fn open_largest(github: &mut World, repository: &str) {
    let number = github.open_issue(repository, &"🐌".repeat(256));
    github.edit_issue(repository, number, |issue| {
        issue.labels = (0..100).map(|n| format!("{n:02}{}", "🐌".repeat(48))).collect();
    });
}

/// Runs a beat until one of its requests is held. Returns the beat's output if it ends without reaching the hold.
pub async fn until_held<T>(beat: &mut (impl Future<Output = T> + Unpin), held: &mut Held) -> Option<T> {
    tokio::select! {
        biased;
        end = beat => Some(end),
        () = held.arrived() => None,
    }
}
