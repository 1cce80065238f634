//! Fleets of many repositories, and what a probe of them requests.

use crate::support::app::{Answer, Setup, TestApp};
use serde_json::Value;

pub fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("acme/repository-{n:03}")).collect()
}

pub fn fleet(names: &[String]) -> Setup {
    TestApp::tracking(&names.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A settled fleet that was read, with one issue in each repository.
pub async fn settled(setup: Setup, names: &[impl AsRef<str>]) -> TestApp {
    let app = setup.start().await;
    app.world.github.arrange(|github| {
        for name in names {
            github.open_issue_at(name.as_ref(), "Old", github.now() - jiff::SignedDuration::from_hours(1));
        }
    });
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.clear_requests();
    app
}

/// The number of repositories in each GraphQL call, in order.
pub fn batches(app: &TestApp) -> Vec<usize> {
    let requests = app.world.github.requests();
    requests.iter().filter_map(|request| Some(request.graphql.as_ref()?.repositories.len())).collect()
}

/// The paths of all REST requests, sorted.
pub fn asked_by_rest(app: &TestApp) -> Vec<String> {
    let requests = app.world.github.requests();
    let mut asked: Vec<String> =
        requests.into_iter().filter(|request| request.graphql.is_none()).map(|r| r.path).collect();
    asked.sort();
    asked
}

/// The repository and code of each problem, sorted; `all` for a problem without a repository.
pub fn failed(answer: &Answer) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or("all").to_owned();
    let problems = answer.0["problems"].as_array().expect("a list");
    let mut failed: Vec<_> = problems.iter().map(|p| (text(&p["repository"]), text(&p["code"]))).collect();
    failed.sort();
    failed
}
