//! Authenticates requests by their tokens. Each token is bound to some agents and has rights.
//!
//! A handler takes one of these proofs as an argument and so admits nobody else. One that reads takes exactly one of
//! [`Reader`], [`FleetReader`] and [`AgentReader`]: each of them counts the read.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use jiff::Timestamp;

use crate::app::App;
use crate::domain::{AgentName, AgentToken, AgentTokens, Fingerprint, RateLimitExceeded, Right};
use crate::secrets::Version;

use super::credential::Credential;
use super::refusal::Refusal;

/// The proof that a request carries a valid token with which the agent in its path may send heartbeats. A session's cookie
/// is none.
#[derive(Clone, Debug)]
pub(super) struct Authorized {
    agent: AgentName,
    token: Fingerprint,
    token_expires_at: Option<Timestamp>,
}

/// The proof that a request carries a valid token or the cookie of a session, and is within the token's rate of reads.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    token: AgentToken,
    /// The version of the secret that has the token.
    secret: Arc<Version<AgentTokens>>,
}

/// The proof of a [`Reader`] who may read the fleet: its status, repositories, issues, passes and changes.
#[derive(Clone, Debug)]
pub(super) struct FleetReader(Reader);

/// The proof of a [`Reader`] who may read the agent in the path, and its runs.
#[derive(Clone, Debug)]
pub(super) struct AgentReader {
    agent: AgentName,
    reader: Reader,
}

impl FromRequestParts<Arc<App>> for Authorized {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let agent = agent_in_path(parts, app).await;
        authenticate(app, Credential::of_headers(&parts.headers), |token, _| {
            let agent = agent.clone()?;
            match (token.may(Right::Beat), token.covers(&agent)) {
                (false, _) => Err(Refusal::MayNotBeat),
                (true, false) => Err(Refusal::NotForThisAgent),
                (true, true) => {
                    Ok(Self { agent, token: token.fingerprint(), token_expires_at: token.expires_at() })
                }
            }
        })
        .await
    }
}

impl FromRequestParts<Arc<App>> for Reader {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let (reader, ()) = Self::admit(app, parts, |_| Ok(())).await?;
        Ok(reader)
    }
}

impl FromRequestParts<Arc<App>> for FleetReader {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let (reader, ()) = Reader::admit(app, parts, may_read).await?;
        Ok(Self(reader))
    }
}

impl FromRequestParts<Arc<App>> for AgentReader {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let agent = agent_in_path(parts, app).await;
        let covered = |token: &AgentToken| {
            let agent = agent.clone()?;
            if token.covers(&agent) { Ok(agent) } else { Err(Refusal::NotForThisAgent) }
        };
        let (reader, agent) = Reader::admit(app, parts, covered).await?;
        Ok(Self { agent, reader })
    }
}

impl Authorized {
    /// The agent in the path.
    pub(super) fn agent(&self) -> &AgentName {
        &self.agent
    }

    /// The token that it authenticated with.
    pub(super) fn token(&self) -> &Fingerprint {
        &self.token
    }

    /// When that token expires; `None` if it does not.
    pub(super) fn token_expires_at(&self) -> Option<Timestamp> {
        self.token_expires_at
    }
}

impl Reader {
    /// Authenticates a read, and counts it if its token's rate permits it. A refused one is not counted.
    async fn admit<T>(
        app: &App,
        parts: &Parts,
        judge: impl Fn(&AgentToken) -> Result<T, Refusal>,
    ) -> Result<(Self, T), Refusal> {
        let (reader, judged) = authenticate(app, Credential::of_reader(parts), |token, secret| {
            let judged = judge(&token)?;
            Ok((Self { token, secret: Arc::clone(secret) }, judged))
        })
        .await?;
        let mut rates = app.read_rates.lock().expect("nothing panics while counting");
        rates.admit(reader.fingerprint(), app.config.reads_per_minute, app.clock.now()).map_err(
            |RateLimitExceeded { limit, retry_after_seconds }| Refusal::TooManyReads {
                limit,
                retry_after_seconds,
            },
        )?;
        Ok((reader, judged))
    }

    /// Whether it may read this agent and its runs.
    pub(super) fn covers(&self, agent: &AgentName) -> bool {
        self.token.covers(agent)
    }

    /// The agents that it may read, as a text: readers with equal texts may read the same agents.
    pub(super) fn coverage(&self) -> String {
        self.token.coverage()
    }

    /// Where the names that it may read go on after one that it may not, or where they begin.
    pub(super) fn next_covered(&self, after: Option<&AgentName>) -> Option<&AgentName> {
        self.token.next_covered(after)
    }

    /// The fingerprint of its token.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.token.fingerprint()
    }

    /// The agents that it may read, that the secret names one by one (without a `*`), and that may send heartbeats now.
    /// They may not have sent any yet.
    pub(super) fn named_agents(&self, now: Timestamp) -> BTreeSet<&AgentName> {
        let mut named = self.secret.parsed.named_agents(now);
        named.retain(|agent| self.covers(agent));
        named
    }
}

impl FleetReader {
    /// Who reads it.
    pub(super) fn reader(&self) -> &Reader {
        &self.0
    }
}

impl AgentReader {
    /// The agent in the path.
    pub(super) fn agent(&self) -> &AgentName {
        &self.agent
    }

    /// Who reads it.
    pub(super) fn reader(&self) -> &Reader {
        &self.reader
    }
}

/// The agent's name, which is the first parameter of the path.
async fn agent_in_path(parts: &mut Parts, app: &Arc<App>) -> Result<AgentName, Refusal> {
    let parameters = RawPathParams::from_request_parts(parts, app).await.map_err(|_| Refusal::Path)?;
    let (_, name) = parameters.iter().next().ok_or(Refusal::Path)?;
    Ok(AgentName::parse(name)?)
}

/// Whether the holder of the token may read the fleet.
fn may_read(token: &AgentToken) -> Result<(), Refusal> {
    if token.may(Right::Read) { Ok(()) } else { Err(Refusal::MayNotRead) }
}

/// The token with this text, if its holder may begin a session. Like any token it is found in constant time, and the secret
/// is read again if it is wrong.
pub(super) async fn sign_in(app: &App, token: &str) -> Result<AgentToken, Refusal> {
    authenticate(app, Some(Credential::SignIn(token.trim())), |token, _| {
        may_read(&token)?;
        Ok(token)
    })
    .await
}

/// Finds the token of a request, and returns what `judge` says about it. Only the holder of a valid token learns anything
/// else, such as whether the name in the path is valid.
///
/// If the token is rejected, the secret is read again, so that a rotation takes effect at once;
/// [`CachedSecret`](crate::secrets::CachedSecret) limits how often.
async fn authenticate<T>(
    app: &App,
    given: Option<Credential<'_>>,
    judge: impl Fn(AgentToken, &Arc<Version<AgentTokens>>) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let given = given.ok_or(Refusal::Unauthorized)?;
    let judged = |secret: &Arc<Version<AgentTokens>>| {
        if secret.parsed.are_unreadable() {
            return Err(Refusal::CredentialsUnavailable);
        }
        let token = given.find(&secret.parsed, app.clock.now()).ok_or_else(|| given.refusal())?;
        judge(token, secret)
    };
    let version = app.agent_tokens.get().await?;
    match judged(&version) {
        Err(refusal) if refusal.is_about_the_token() => {
            let newer = app.agent_tokens.reread(&version).await;
            newer.map_or(Err(refusal), |newer| judged(&newer))
        }
        judged => judged,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

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
        async fn reading(entries: Value, reads_per_minute: u64) -> Self {
            let begins: Timestamp = "2026-11-22T06:00:00Z".parse().expect("an instant");
            let world = TestWorld::start(test_world::clock::Clock::manual(begins)).await;
            let variables: HashMap<_, _> = world.environment().into_iter().collect();
            let config = Config::read(|name| variables.get(name).cloned()).expect("a good configuration");
            let config = Config { reads_per_minute, ..config };
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
            let aws = Aws {
                dynamodb: aws(world.dynamodb.url()),
                secrets_manager: aws(world.secrets.url()),
                sns: aws(world.notifications.url()),
            };
            let worlds = world.clock.clone();
            let clock = Clock::from_fn(move || worlds.now());
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
            600,
        )
        .await;
        let paths = [
            "/fleet",
            "/agents",
            "/agents/alpha",
            "/agents/alpha/runs/7",
            "/agents/ci-7",
            "/agents/ci-7/runs/7",
        ];
        assert_eq!(routes.statuses(ALPHAS, paths).await, [403, 200, 200, 200, 403, 403]);
        assert_eq!(routes.statuses(CIS, paths).await, [200, 200, 403, 403, 200, 200]);
        assert_eq!(routes.statuses(VIEWERS, paths).await, [200; 6]);
        assert_eq!(routes.statuses(OLD, paths).await, [401; 6]);
        assert_eq!(routes.get("/agents/ci-7/runs/alpha", CIS).await.1, "ci-7");
        let invalid = ["/agents/.alpha", "/agents/%FF", "/agents/.alpha/runs/7", "/agents/alpha/runs/%FF"];
        assert_eq!(routes.statuses(ALPHAS, invalid).await, [400; 4]);
        assert_eq!(routes.statuses(OLD, invalid).await, [401; 4]);
        routes.world.secrets.put_secret(AGENT_TOKENS_SECRET_ID, AGENT_TOKEN);
        routes.world.clock.advance(Duration::from_secs(60));
        assert_eq!(routes.statuses(AGENT_TOKEN, paths).await, [200; 6], "a plain token has all rights");
    }

    #[tokio::test]
    async fn new_right_works_at_once() {
        let routes = Routes::reading(json!([{"token": ALPHAS, "agents": ["alpha"]}]), 600).await;
        assert_eq!(routes.get("/fleet", ALPHAS).await.0, 403);
        routes.world.clock.advance(Duration::from_secs(10));
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
            600,
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
        routes.world.clock.advance(Duration::from_secs(60));
        assert_eq!(named(VIEWERS).await, "alpha beta ci-1", "an expired entry names nobody");
    }

    #[tokio::test]
    async fn reads_above_the_rate_are_refused_for_their_token_alone() {
        let routes = Routes::reading(
            json!([
                {"token": ALPHAS, "agents": ["alpha"]},
                {"token": VIEWERS, "agents": ["*"], "may": ["read"]},
            ]),
            3,
        )
        .await;
        routes.world.clock.advance(Duration::from_secs(7));
        assert_eq!(routes.statuses(ALPHAS, ["/fleet"; 4]).await, [403; 4]);
        assert_eq!(
            routes.statuses(ALPHAS, ["/agents", "/agents/alpha", "/agents", "/agents"]).await,
            [200, 200, 200, 429]
        );
        let request = Request::get("/agents/alpha").header("authorization", format!("Bearer {ALPHAS}"));
        let request = request.body(Body::empty()).expect("a request");
        let refused = routes.router.clone().oneshot(request).await.expect("routes always answer");
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["retry-after"]),
            (429, &"53".parse().unwrap())
        );
        assert_eq!(routes.statuses(ALPHAS, ["/fleet", "/agents/beta"]).await, [403; 2]);
        assert_eq!(
            routes.statuses(VIEWERS, ["/fleet", "/agents/alpha", "/agents", "/fleet"]).await,
            [200, 200, 200, 429]
        );
        routes.world.clock.advance(Duration::from_secs(53));
        assert_eq!(routes.statuses(ALPHAS, ["/agents/alpha"; 4]).await, [200, 200, 200, 429]);
    }
}
