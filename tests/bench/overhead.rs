//! The time that the simulated world itself adds to its delays, measured first: it is part of every wall time, and of
//! no chain.

use std::fmt;
use std::time::{Duration, Instant};

use agent_heartbeat::transport::Transport;
use futures_util::future::try_join_all;
use reqwest::RequestBuilder;
use serde::Serialize;
use serde_json::{Value, json};
use test_world::{GITHUB_TOKEN, TABLE_NAME};
use tokio::runtime::Runtime;

use crate::scale::Scale;
use crate::world::{DYNAMODB_DELAY, GRAPHQL_DELAY, REST_DELAY, World};

/// How many probes arrive at once: those of 1,000 repositories.
const PROBES_AT_ONCE: u32 = 10;

/// The time that one of its servers adds.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overhead {
    server: &'static str,
    delay_ms: f64,
    /// Added to a request that arrives alone, on average.
    alone_ms: f64,
    /// The number of requests at once.
    at_once: u32,
    /// The time that all of them took together.
    at_once_ms: f64,
}

impl fmt::Display for Overhead {
    fn fmt(&self, line: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, delay_ms, alone_ms, at_once, at_once_ms } = self;
        write!(
            line,
            "The simulated {server} adds {alone_ms:.2} ms to its {delay_ms} ms; {at_once} requests at once take \
             {at_once_ms:.0} ms."
        )
    }
}

/// Measures the world, which must be at its distance.
pub fn measure(runtime: &Runtime, world: &World, scale: &Scale) -> Vec<Overhead> {
    let (_, many) = scale.overhead;
    let transport = Transport::new(None, Duration::from_secs(3)).expect("the built-in roots");
    let client = transport.client().build().expect("a client");
    let url = format!("{}/repos/{}", world.github().url(), world.repositories[0]);
    let rest = |_| client.get(&url).bearer_auth(GITHUB_TOKEN).header("user-agent", "bench");
    let probe = json!({ "query": probe_of(&world.repositories) }).to_string();
    let graphql_url = format!("{}/graphql", world.github().url());
    let graphql = |_| {
        let request = client.post(&graphql_url).bearer_auth(GITHUB_TOKEN).header("user-agent", "bench");
        request.header("content-type", "application/json").body(probe.clone())
    };
    let dynamodb = |operation: &str, request: &Value| {
        client
            .post(world.dynamodb_url())
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
            .header("x-amz-date", "20261122T060000Z")
            .header("authorization", "AWS4-HMAC-SHA256 Credential=local, SignedHeaders=host, Signature=none")
            .body(request.to_string())
    };
    let key = json!({ "pk": { "S": "FLEET" }, "sk": { "S": "STATE" } });
    let get = json!({ "TableName": TABLE_NAME, "Key": key });
    // As large as the row of an issue, and in the index of open ones.
    let put = |n: u32| {
        let item = json!({
            "pk": { "S": "REPO#0" },
            "sk": { "S": format!("ISSUE#{n:010}") },
            "openNumber": { "N": n.to_string() },
            "title": { "S": "An issue with a title of usual length" },
            "rest": { "S": "-".repeat(450) },
        });
        json!({ "TableName": TABLE_NAME, "Item": item, "ConditionExpression": "attribute_not_exists(pk)" })
    };
    vec![
        runtime.block_on(of_server("GitHub (REST)", REST_DELAY, many, scale, rest)),
        runtime.block_on(of_server(
            "GitHub (GraphQL)",
            GRAPHQL_DELAY,
            PROBES_AT_ONCE.min(many),
            scale,
            graphql,
        )),
        runtime.block_on(of_server("DynamoDB (reads)", DYNAMODB_DELAY, many, scale, |_| {
            dynamodb("GetItem", &get)
        })),
        runtime.block_on(of_server("DynamoDB (writes)", DYNAMODB_DELAY, many, scale, |n| {
            dynamodb("PutItem", &put(n))
        })),
    ]
}

/// A query for all of these repositories, like the service's probe.
fn probe_of(repositories: &[String]) -> String {
    let part = |(n, repository): (usize, &String)| {
        let (owner, name) = repository.split_once('/').expect("owner/name");
        format!(
            "r{n}: repository(owner: \"{owner}\", name: \"{name}\") {{ databaseId open: issues(states: OPEN) {{ totalCount }} \
             newest: issues(first: 1, orderBy: {{field: UPDATED_AT, direction: DESC}}) {{ nodes {{ updatedAt }} }} }}"
        )
    };
    format!("{{ {} }}", repositories.iter().enumerate().map(part).collect::<Vec<_>>().join(" "))
}

async fn of_server(
    server: &'static str,
    delay: Duration,
    count: u32,
    scale: &Scale,
    request: impl Fn(u32) -> RequestBuilder,
) -> Overhead {
    let (alone, _) = scale.overhead;
    // The first request opens the connection.
    send(request(0)).await.expect("an answer");
    let began = Instant::now();
    for n in 1..=alone {
        send(request(n)).await.expect("an answer");
    }
    let alone_took = (began.elapsed() / alone).saturating_sub(delay);
    let began = Instant::now();
    try_join_all((1..=count).map(|n| send(request(alone + n)))).await.expect("answers");
    let at_once = began.elapsed();
    // The speed of an unoptimised world means nothing.
    assert!(
        scale.smoke || at_once < delay * count / 2,
        "{server} makes requests wait for each other: {at_once:?}"
    );
    let millis = |time: Duration| (time.as_secs_f64() * 100_000.0).round() / 100.0;
    Overhead {
        server,
        delay_ms: millis(delay),
        alone_ms: millis(alone_took),
        at_once: count,
        at_once_ms: millis(at_once),
    }
}

async fn send(request: RequestBuilder) -> reqwest::Result<()> {
    let body = request.send().await?.error_for_status()?.text().await?;
    // GraphQL reports errors with status 200.
    assert!(!body.contains("\"errors\""), "{body}");
    Ok(())
}
