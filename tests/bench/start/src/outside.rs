//! What stands outside the sandboxes: the local world behind HTTPS, in which an agent has beaten before.

use std::path::Path;

use serde_json::Value;
use test_world::clock::Clock;
use test_world::{AGENT_TOKEN, TestWorld};

use crate::sandbox::{Function, Sandbox};
use crate::tls::{Authority, Endpoint};

/// The repository that is tracked, and how many open issues it has.
const REPOSITORY: (&str, u64) = ("acme/api", 100);

/// The agent's request, as API Gateway hands it on.
const EVENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../events/heartbeat.json");

/// The local world and the ways to it.
pub(crate) struct Outside {
    world: TestWorld,
    authority: Authority,
    dynamodb: Endpoint,
    secrets: Endpoint,
    github: Endpoint,
}

/// What was asked for since the last look, sorted: AWS's operations, GitHub's methods.
pub(crate) type Asked = Vec<String>;

impl Outside {
    /// Starts it; the root of its certificates is written into that file.
    pub(crate) async fn start(root_file: &Path) -> Self {
        let world = TestWorld::start(Clock::system()).await;
        let authority = Authority::new(root_file);
        let dynamodb = Endpoint::start(&authority, world.dynamodb.url(), &["http/1.1"]).await;
        let secrets = Endpoint::start(&authority, world.secrets.url(), &["http/1.1"]).await;
        let github = Endpoint::start(&authority, world.github.url(), &["h2", "http/1.1"]).await;
        world.github.arrange(|world| {
            // The service accepts issues of the web site beside the API alone, and behind HTTPS that is the endpoint.
            github.url().clone_into(&mut world.web);
            world.create_repository(REPOSITORY.0);
            world.open_issues(REPOSITORY.0, REPOSITORY.1);
        });
        Self { world, authority, dynamodb, secrets, github }
    }

    /// Has the service run a pass and tell the agent, so that all further beats within the hour are coalesced ones
    /// without news.
    pub(crate) async fn beat_before(&self, service: &Function) {
        let mut sandbox = Sandbox::start(service, &self.variables()).await;
        sandbox.is_ready().await;
        let first = beat_in(&sandbox.invoke(Self::event()).await);
        assert_eq!((&first["status"], &first["coalesced"]), (&"ok".into(), &false.into()), "{first:#}");
        let second = beat_in(&sandbox.invoke(Self::event()).await);
        assert_eq!((&second["status"], &second["coalesced"]), (&"ok".into(), &true.into()), "{second:#}");
        sandbox.end().await;
        self.asked();
    }

    /// The environment of a sandbox: nothing of this process's own but where programs are.
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
            // The SDK's notice that Node 20 grows old would be charged to the peer.
            ("AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED", "true".to_owned()),
        ])
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    /// The agent's beat.
    pub(crate) fn event() -> Value {
        let text = std::fs::read_to_string(EVENT).unwrap_or_else(|error| panic!("{EVENT}: {error}"));
        let mut event: Value = serde_json::from_str(&text).expect("the sample event is JSON");
        event["headers"]["authorization"] = format!("Bearer {AGENT_TOKEN}").into();
        event
    }

    /// What was asked for since the last look.
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

    /// How many connections were opened so far, to all hosts together.
    pub(crate) fn connections(&self) -> usize {
        [&self.dynamodb, &self.secrets, &self.github].map(Endpoint::connections).iter().sum()
    }
}

/// The beat's answer in the function's answer to API Gateway.
pub(crate) fn beat_in(answer: &Value) -> Value {
    assert_eq!(answer["statusCode"], 200, "{answer:#}");
    let body = answer["body"].as_str().expect("a body of text");
    serde_json::from_str(body).expect("a body of JSON")
}
