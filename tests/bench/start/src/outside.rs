//! The simulated world behind HTTPS, in which an agent has sent heartbeats before.

use std::path::Path;

use serde_json::Value;
use test_world::clock::Clock;
use test_world::{AGENT_TOKEN, TestWorld};

use crate::environment::{Environment, Function};
use crate::tls::{Authority, Endpoint};

/// The tracked repository, and its number of open issues.
const REPOSITORY: (&str, u64) = ("acme/api", 100);

/// The agent's request, as API Gateway forwards it.
const EVENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../events/heartbeat.json");

/// The simulated world and its HTTPS endpoints.
pub(crate) struct Outside {
    world: TestWorld,
    authority: Authority,
    dynamodb: Endpoint,
    secrets: Endpoint,
    github: Endpoint,
}

/// The requests since the last call, sorted: AWS's operations, GitHub's methods.
pub(crate) type Asked = Vec<String>;

impl Outside {
    /// Starts the world, and writes the root of its certificates to this file.
    pub(crate) async fn start(root_file: &Path) -> Self {
        let world = TestWorld::start(Clock::system()).await;
        let authority = Authority::new(root_file);
        let dynamodb = Endpoint::start(&authority, world.dynamodb.url(), &["http/1.1"]).await;
        let secrets = Endpoint::start(&authority, world.secrets.url(), &["http/1.1"]).await;
        let github = Endpoint::start(&authority, world.github.url(), &["h2", "http/1.1"]).await;
        world.github.arrange(|world| {
            // The service accepts only issues of the web site that belongs to the API: here the HTTPS endpoint.
            github.url().clone_into(&mut world.web);
            world.create_repository(REPOSITORY.0);
            world.open_issues(REPOSITORY.0, REPOSITORY.1);
        });
        Self { world, authority, dynamodb, secrets, github }
    }

    /// Lets the service run a pass and report it to the agent, so that all further heartbeats within the hour are
    /// coalesced and report no change.
    pub(crate) async fn prepare_agent(&self, service: &Function) {
        let mut environment = Environment::start(service, &self.variables()).await;
        environment.is_ready().await;
        let first = heartbeat_answer(&environment.invoke(Self::event()).await);
        assert_eq!((&first["status"], &first["coalesced"]), (&"ok".into(), &false.into()), "{first:#}");
        let second = heartbeat_answer(&environment.invoke(Self::event()).await);
        assert_eq!((&second["status"], &second["coalesced"]), (&"ok".into(), &true.into()), "{second:#}");
        environment.end().await;
        self.asked();
    }

    /// The environment variables of a measured process: none of this process's own.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let own = self.world.environment().into_iter().filter(|(_, value)| !value.starts_with("http://"));
        let root = self.authority.root_file().to_owned();
        own.chain([
            ("AWS_ENDPOINT_URL_DYNAMODB", self.dynamodb.url().to_owned()),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", self.secrets.url().to_owned()),
            ("GITHUB_API_URL", self.github.url().to_owned()),
            ("REPOSITORIES", REPOSITORY.0.to_owned()),
            ("FRESHNESS_SECONDS", "3600".to_owned()),
            ("SSL_CERT_FILE", root.clone()),
            ("NODE_EXTRA_CA_CERTS", root),
            // The SDK's warning about Node 20's end of support would count as the peer's work.
            ("AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED", "true".to_owned()),
        ])
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    /// The event of the agent's heartbeat.
    pub(crate) fn event() -> Value {
        let text = std::fs::read_to_string(EVENT).unwrap_or_else(|error| panic!("{EVENT}: {error}"));
        let mut event: Value = serde_json::from_str(&text).expect("the sample event is JSON");
        event["headers"]["authorization"] = format!("Bearer {AGENT_TOKEN}").into();
        event
    }

    /// The requests since the last call.
    pub(crate) fn asked(&self) -> Asked {
        let aws = [self.world.secrets.requests(), self.world.dynamodb.requests()].concat();
        let github = self.world.github.requests();
        let mut asked: Asked = aws.into_iter().map(|exchange| exchange.operation).collect();
        asked.extend(github.into_iter().map(|request| request.method));
        asked.sort();
        self.world.secrets.clear_requests();
        self.world.dynamodb.clear_requests();
        self.world.github.clear_requests();
        asked
    }

    /// How many connections were opened so far to all hosts together.
    pub(crate) fn connections(&self) -> usize {
        [&self.dynamodb, &self.secrets, &self.github].map(Endpoint::connections).iter().sum()
    }
}

/// The heartbeat's answer in the function's answer to API Gateway.
pub(crate) fn heartbeat_answer(answer: &Value) -> Value {
    assert_eq!(answer["statusCode"], 200, "{answer:#}");
    let body = answer["body"].as_str().expect("a body of text");
    serde_json::from_str(body).expect("a body of JSON")
}
