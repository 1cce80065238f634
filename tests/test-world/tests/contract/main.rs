//! Compares the simulated GitHub with what GitHub publishes.
//!
//! Every kind of answer must match GitHub's OpenAPI description and answers that were recorded from GitHub. The
//! simulated GraphQL schema and every document of the service must match GitHub's GraphQL schema. All of these are
//! large and not ours, so `make contract` downloads them and runs this test; `make test` does not. What GitHub does not
//! publish (rate limits, late visibility, opaque cursors, GraphQL's errors) is not checked here.

mod described;
mod graphql;
mod published;
mod recorded;

use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;
use test_world::clock::Clock;
use test_world::github::GitHub;

/// A client of the simulated GitHub that follows no redirects.
struct Scene {
    github: GitHub,
    client: reqwest::Client,
}

/// The parts of an answer that GitHub describes.
struct Answered {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Scene {
    async fn new() -> Self {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH + Duration::from_secs(1_507_651_200));
        // The client wants a provider of TLS even for plain HTTP. A second installation changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .user_agent("contract")
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client");
        Self { github: GitHub::start(clock).await, client }
    }

    async fn get(&self, path: &str) -> Answered {
        self.send(Method::GET, path, "").await
    }

    async fn send(&self, method: Method, path: &str, body: &'static str) -> Answered {
        self.send_as("a-token", method, path, body).await
    }

    async fn send_as(&self, token: &str, method: Method, path: &str, body: &'static str) -> Answered {
        let url = format!("{}{path}", self.github.url());
        let request = self.client.request(method, url).bearer_auth(token).body(body);
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.expect("a whole body");
        Answered { status, headers, body: serde_json::from_slice(&body).expect("answers are JSON") }
    }
}

impl Answered {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("GitHub's headers are ASCII"))
    }
}
