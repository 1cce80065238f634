//! Who may read what, how a new version of the secret takes effect, and the rate of reads.

use std::sync::Arc;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::Request;
use axum::routing::get;
use serde_json::{Value, json};
use test_world::{AGENT_TOKEN, AGENT_TOKENS_SECRET_ID, TestWorld};
use tower::util::ServiceExt as _;

use super::*;
use crate::app::{Aws, Timing};
use crate::clock::Clock;
use crate::config::Config;
use crate::transport::Transport;

const ALPHAS: &str = "alphas-token-not-a-secret-0123456789";
const CIS: &str = "the-cis-token-not-a-secret-0123456789";
const OLD: &str = "the-old-token-not-a-secret-0123456789";
const VIEWERS: &str = "viewers-token-not-a-secret-0123456789";

/// Routes that take each of the proofs, in the test world at 06:00:00 of a day.
struct Routes {
    world: TestWorld,
    router: Router,
}

impl Routes {
    async fn reading(entries: Value, reads_per_minute: &str) -> Self {
        let begins: Timestamp = "2026-11-22T06:00:00Z".parse().expect("an instant");
        let world = TestWorld::start(test_world::clock::Clock::manual(begins)).await;
        let mut variables: Vec<(&str, String)> = world.environment();
        variables.push(("READS_PER_MINUTE", reads_per_minute.to_owned()));
        let lookup =
            |name: &str| variables.iter().find(|(given, _)| *given == name).map(|(_, value)| value.clone());
        let config = Config::read(lookup).expect("a good configuration");
        let timing = Timing::default();
        let transport = Transport::new(None, timing.connect).expect("the built-in roots");
        let aws = |url: &str| {
            let credentials = Credentials::new("made", "up", None, None, "made up");
            SdkConfig::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new("eu-central-1"))
                .credentials_provider(SharedCredentialsProvider::new(credentials))
                .endpoint_url(url)
                .http_client(transport.aws_client().expect("a client"))
                .build()
        };
        let aws = Aws { dynamodb: aws(world.dynamodb.url()), secrets_manager: aws(world.secrets.url()) };
        let local = world.clock.clone();
        let clock = Clock::from_fn(move || local.now());
        let app = Arc::new(App::new(config, timing, clock, &transport, &aws).expect("a service"));
        let agent = async |reader: AgentReader| {
            assert!(reader.reader().covers(reader.agent()));
            reader.agent().to_string()
        };
        let named = async |reader: Reader, State(app): State<Arc<App>>| {
            let named = reader.named_agents(app.clock.now());
            let named = named.into_iter().map(AgentName::as_str).collect::<Vec<_>>();
            format!("{} {}", reader.fingerprint().as_str(), named.join(" "))
        };
        let router = Router::new()
            .route("/fleet", get(async |_: FleetReader| "the fleet"))
            .route("/agents", get(named))
            .route("/agents/{agent_name}", get(agent))
            .route("/agents/{agent_name}/runs/{run_id}", get(agent))
            .with_state(app);
        let routes = Self { world, router };
        routes.store(entries);
        routes
    }

    fn store(&self, entries: Value) {
        self.world.secrets.put_secret(AGENT_TOKENS_SECRET_ID, &json!({ "tokens": entries }).to_string());
    }

    async fn get(&self, path: &str, token: &str) -> (u16, String) {
        let request = Request::get(path).header("authorization", format!("Bearer {token}"));
        let request = request.body(Body::empty()).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("routes always answer");
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        (status, String::from_utf8(body.to_vec()).expect("a text"))
    }

    async fn statuses<const N: usize>(&self, token: &str, paths: [&str; N]) -> [u16; N] {
        let mut statuses = [0; N];
        for (status, path) in statuses.iter_mut().zip(paths) {
            *status = self.get(path, token).await.0;
        }
        statuses
    }
}

#[tokio::test]
async fn token_reads_its_agents_and_only_with_read_the_fleet() {
    let routes = Routes::reading(
        json!([
            {"token": ALPHAS, "agents": ["alpha"]},
            {"token": CIS, "agents": ["ci-*"], "may": ["beat", "read"]},
            {"token": VIEWERS, "agents": ["*"], "may": ["read"]},
        ]),
        "600",
    )
    .await;
    let paths =
        ["/fleet", "/agents", "/agents/alpha", "/agents/alpha/runs/7", "/agents/ci-7", "/agents/ci-7/runs/7"];
    assert_eq!(routes.statuses(ALPHAS, paths).await, [403, 200, 200, 200, 403, 403]);
    assert_eq!(routes.statuses(CIS, paths).await, [200, 200, 403, 403, 200, 200]);
    assert_eq!(routes.statuses(VIEWERS, paths).await, [200; 6]);
    assert_eq!(routes.statuses(OLD, paths).await, [401; 6]);
    assert_eq!(routes.get("/agents/ci-7/runs/alpha", CIS).await.1, "ci-7");
    let invalid = ["/agents/.alpha", "/agents/%FF", "/agents/.alpha/runs/7", "/agents/alpha/runs/%FF"];
    assert_eq!(routes.statuses(ALPHAS, invalid).await, [400; 4]);
    assert_eq!(routes.statuses(OLD, invalid).await, [401; 4]);
    routes.world.secrets.put_secret(AGENT_TOKENS_SECRET_ID, AGENT_TOKEN);
    routes.world.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(routes.statuses(AGENT_TOKEN, paths).await, [200; 6], "a plain token has all rights");
}

#[tokio::test]
async fn new_right_works_at_once() {
    let routes = Routes::reading(json!([{"token": ALPHAS, "agents": ["alpha"]}]), "600").await;
    assert_eq!(routes.get("/fleet", ALPHAS).await.0, 403);
    routes.world.clock.advance(std::time::Duration::from_secs(10));
    routes.store(json!([{"token": ALPHAS, "agents": ["alpha"], "may": ["beat", "read"]}]));
    assert_eq!(routes.get("/fleet", ALPHAS).await, (200, "the fleet".to_owned()));
}

#[tokio::test]
async fn named_agents_may_send_heartbeats_and_are_covered_by_the_reader() {
    let routes = Routes::reading(
        json!([
            {"token": ALPHAS, "agents": ["alpha", "ci-1"]},
            {"token": CIS, "agents": ["ci-*", "alpha", "beta"], "may": ["beat", "read"]},
            {"token": OLD, "agents": ["gone"], "expiresAt": "2026-11-22T06:01:00Z"},
            {"token": VIEWERS, "agents": ["*", "viewed"], "may": ["read"]},
        ]),
        "600",
    )
    .await;
    let named = async |token| {
        let (status, body) = routes.get("/agents", token).await;
        let (fingerprint, names) = body.split_once(' ').expect("a fingerprint");
        assert_eq!((status, fingerprint), (200, Fingerprint::of(token).as_str()));
        names.to_owned()
    };
    assert_eq!(named(VIEWERS).await, "alpha beta ci-1 gone");
    assert_eq!(named(CIS).await, "alpha beta ci-1");
    assert_eq!(named(ALPHAS).await, "alpha ci-1");
    routes.world.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(named(VIEWERS).await, "alpha beta ci-1", "an expired entry names nobody");
}

#[tokio::test]
async fn reads_above_the_rate_are_refused_for_their_token_alone() {
    let routes = Routes::reading(
        json!([
            {"token": ALPHAS, "agents": ["alpha"]},
            {"token": VIEWERS, "agents": ["*"], "may": ["read"]},
        ]),
        "3",
    )
    .await;
    routes.world.clock.advance(std::time::Duration::from_secs(7));
    assert_eq!(routes.statuses(ALPHAS, ["/fleet"; 4]).await, [403; 4]);
    assert_eq!(
        routes.statuses(ALPHAS, ["/agents", "/agents/alpha", "/agents", "/agents"]).await,
        [200, 200, 200, 429]
    );
    let request = Request::get("/agents/alpha").header("authorization", format!("Bearer {ALPHAS}"));
    let request = request.body(Body::empty()).expect("a request");
    let refused = routes.router.clone().oneshot(request).await.expect("routes always answer");
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"53".parse().unwrap()));
    assert_eq!(routes.statuses(ALPHAS, ["/fleet", "/agents/beta"]).await, [403; 2]);
    assert_eq!(
        routes.statuses(VIEWERS, ["/fleet", "/agents/alpha", "/agents", "/fleet"]).await,
        [200, 200, 200, 429]
    );
    routes.world.clock.advance(std::time::Duration::from_secs(53));
    assert_eq!(routes.statuses(ALPHAS, ["/agents/alpha"; 4]).await, [200, 200, 200, 429]);
}
