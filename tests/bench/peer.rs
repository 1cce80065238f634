//! The way of working that this service replaces, in its own process: the requests of a heartbeat of its predecessor to
//! GitHub and DynamoDB, one after another.
//!
//! With R repositories, N open issues and P pages in each, and A active issues in the cache, these are R·(P+1) + A
//! requests to GitHub and 2·R·N + 4·R + 3 calls of the database, in every heartbeat of every agent, whether or not
//! anything changed. Only the pattern is modelled. In the peer's favour it
//! - uses this service's clients, transport and token, with connections kept open and 100 issues a page,
//! - has no authentication, no retries and no log,
//! - reads with eventual consistency, at half the price, and writes rows that are in no index,
//! - remembers which issues are active instead of reading the cache, and writes nothing when GitHub's answer about an
//!   active issue equals the cached one,
//! - deletes nothing and decides nothing: comparing, repairing and reporting are left out.

use std::collections::HashMap;

use agent_heartbeat::config::Config;
use agent_heartbeat::transport::Transport;
use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use test_world::GITHUB_TOKEN;

use crate::wire::{self, Function, Request, Time};

type Failure = Box<dyn std::error::Error>;

/// Serves the benchmark until it hangs up.
pub fn run() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let peer = runtime.block_on(Peer::start()).expect("the benchmark's environment is right");
    wire::serve(&runtime, &Time::default(), &peer).expect("the connection to the benchmark works");
}

struct Peer {
    config: Config,
    http: reqwest::Client,
    dynamodb: Client,
}

#[derive(Deserialize)]
struct Label {
    name: String,
}

#[derive(Deserialize)]
struct Issue {
    number: u64,
    title: String,
    state: String,
    html_url: String,
    updated_at: String,
    labels: Vec<Label>,
    #[serde(default)]
    pull_request: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Repository {
    id: u64,
}

/// What one heartbeat read.
#[derive(Default)]
struct Seen {
    issues: usize,
    /// Repository and number.
    active: Vec<(String, u64)>,
}

impl Function for Peer {
    /// The agent's name.
    type Event = String;

    fn event(&self, request: &Request) -> String {
        match request {
            Request::Heartbeat { agent, .. } => agent.clone(),
            Request::Read { .. } => panic!("the peer has nothing to read"),
        }
    }

    async fn invoke(&self, agent: String) -> String {
        let seen = self.beat(&agent).await.expect("the world answers");
        json!({ "issues": seen.issues, "active": seen.active.len() }).to_string()
    }
}

impl Peer {
    async fn start() -> Result<Self, Failure> {
        let config = Config::from_env()?;
        let transport = Transport::new(None, std::time::Duration::from_secs(3))?;
        let aws = aws_config::defaults(BehaviorVersion::latest()).http_client(transport.aws_client()?);
        let dynamodb = Client::new(&aws.load().await);
        let http = transport.client().user_agent("peer").build()?;
        Ok(Self { config, http, dynamodb })
    }

    async fn beat(&self, agent: &str) -> Result<Seen, Failure> {
        self.read("AGENTS", agent).await?;
        self.write("RUNS", agent, [("status", "running")]).await?;
        let mut seen = Seen::default();
        for repository in &self.config.repositories {
            self.synchronize(&repository.to_string(), &mut seen).await?;
        }
        self.reconcile(&seen).await?;
        self.write("RUNS", agent, [("status", "ok")]).await?;
        Ok(seen)
    }

    /// Reads all open issues of a repository and writes each to the cache, even if it is already there.
    async fn synchronize(&self, repository: &str, seen: &mut Seen) -> Result<(), Failure> {
        self.read("SYNC", repository).await?;
        let Repository { id } = self.request(&format!("repos/{repository}")).await?;
        for page in 1.. {
            let path = format!("repos/{repository}/issues?state=open&per_page=100&page={page}");
            let (issues, has_next) = self.page(&path).await?;
            for issue in issues.into_iter().filter(|issue| issue.pull_request.is_none()) {
                self.put(id, &issue).await?;
                seen.issues += 1;
                if issue.labels.iter().any(|label| label.name == "status/in-progress") {
                    seen.active.push((repository.to_owned(), issue.number));
                }
            }
            if !has_next {
                break;
            }
        }
        self.write("SYNC", repository, [("status", "ok")]).await
    }

    async fn put(&self, repository: u64, issue: &Issue) -> Result<(), Failure> {
        let (pk, sk) = (format!("REPO#{repository}"), format!("ISSUE#{}", issue.number));
        self.read(&pk, &sk).await?;
        let labels: Vec<&str> = issue.labels.iter().map(|label| label.name.as_str()).collect();
        let fields = [
            ("title", issue.title.as_str()),
            ("state", &issue.state),
            ("url", &issue.html_url),
            ("updatedAt", &issue.updated_at),
            ("labels", &labels.join(",")),
        ];
        self.write(&pk, &sk, fields).await
    }

    /// Requests each active issue, to see whether it is still as listed.
    async fn reconcile(&self, seen: &Seen) -> Result<(), Failure> {
        for repository in &self.config.repositories {
            self.read("RECONCILE", &repository.to_string()).await?;
        }
        for (repository, number) in &seen.active {
            let issue: Issue = self.request(&format!("repos/{repository}/issues/{number}")).await?;
            if issue.state != "open" {
                return Err(format!("{} is {}", issue.html_url, issue.state).into());
            }
        }
        for repository in &self.config.repositories {
            self.write("RECONCILE", &repository.to_string(), [("status", "ok")]).await?;
        }
        Ok(())
    }

    async fn request<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        Ok(serde_json::from_slice(&self.get(path).await?.bytes().await?)?)
    }

    /// A page of issues, and whether there is another.
    async fn page(&self, path: &str) -> Result<(Vec<Issue>, bool), Failure> {
        let answer = self.get(path).await?;
        let links = answer.headers().get("link").and_then(|links| links.to_str().ok()).unwrap_or_default();
        let has_next = links.contains("rel=\"next\"");
        Ok((serde_json::from_slice(&answer.bytes().await?)?, has_next))
    }

    async fn get(&self, path: &str) -> Result<reqwest::Response, Failure> {
        let api = self.config.github_api_url.as_str().trim_end_matches('/');
        let request = self.http.get(format!("{api}/{path}")).bearer_auth(GITHUB_TOKEN);
        let answer = request.header("accept", "application/vnd.github+json").send().await?;
        Ok(answer.error_for_status()?)
    }

    async fn read(&self, pk: &str, sk: &str) -> Result<(), Failure> {
        let get = self.dynamodb.get_item().table_name(&self.config.table_name);
        get.key("pk", text(pk)).key("sk", text(sk)).send().await?;
        Ok(())
    }

    async fn write<const N: usize>(
        &self,
        pk: &str,
        sk: &str,
        fields: [(&str, &str); N],
    ) -> Result<(), Failure> {
        let fields = fields.into_iter().chain([("pk", pk), ("sk", sk)]);
        let item: HashMap<_, _> = fields.map(|(name, value)| (name.to_owned(), text(value))).collect();
        self.dynamodb.put_item().table_name(&self.config.table_name).set_item(Some(item)).send().await?;
        Ok(())
    }
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}
