//! Repositories that have been read completely, and the requests of an audit.

use crate::support::app::{Answer, Setup, TestApp, open_spread};
use serde_json::json;
use test_world::github::{Fault, Matching, Request, World};

pub const API: &str = "acme/api";
pub const WEB: &str = "acme/web";

/// The interval between audits in these tests.
pub const INTERVAL: u64 = 3_600;

pub fn tracking(repositories: &[&str]) -> Setup {
    TestApp::tracking(repositories).with("AUDIT_INTERVAL_SECONDS", &INTERVAL.to_string())
}

/// A service that has read `count` open issues of `acme/api`, with no audit due yet. A newer pull request keeps the
/// issues out of later listings, so only audits see them.
pub async fn settled(count: u64) -> TestApp {
    open_and_settled(&[API], count).await
}

/// The same beside other repositories, which are empty.
pub async fn open_and_settled(repositories: &[&str], count: u64) -> TestApp {
    let app = tracking(repositories).start().await;
    let first = app.ago(i64::try_from(count).expect("a few") + 10);
    app.world.github.arrange(|github| {
        open_spread(github, API, count, first);
        github.open_pull_request(API, "A pull request");
    });
    app.agent("alpha").beat().await;
    app.pass_time(130);
    app.agent("alpha").beat().await;
    app
}

/// Sends a heartbeat when the next audit is due.
pub async fn audit(app: &TestApp) -> Answer {
    app.pass_time(INTERVAL);
    app.clear_requests();
    app.agent("alpha").beat().await
}

/// The number of lookups of single issues since the records were cleared.
pub fn issues_asked_for(app: &TestApp) -> usize {
    app.asked().iter().filter(|path| path.contains("/issues/")).count()
}

/// The number of pages of open issues, which only audits list, since the records were cleared, by either API.
pub fn pages_audited(app: &TestApp) -> usize {
    let is_page = |request: &Request| is_brief_page(request) || request.path.contains("state=open");
    app.world.github.requests().iter().filter(|request| is_page(request)).count()
}

/// Whether this is a GraphQL request for a page of open issues. A probe numbers its variables.
pub fn is_brief_page(request: &Request) -> bool {
    request.graphql.as_ref().is_some_and(|call| call.variables["owner"].is_string())
}

/// The `n`th page of open issues that the next pass requests by GraphQL when it audits `acme/api`. Its first query is
/// the probe.
pub fn audited_page(n: u64) -> Matching {
    Matching::graphql().containing(API).nth(n + 1)
}

/// An empty page of open issues, with no further page.
pub fn empty_page(app: &TestApp) -> Fault {
    let id = app.world.github.arrange(|github| github.repository_id(API));
    let page = json!({"totalCount": 0, "pageInfo": {"hasNextPage": false, "endCursor": null}, "nodes": []});
    let body = json!({"data": {"repository": {"databaseId": id, "issues": page}}});
    Fault::Answer { status: 200, headers: Vec::new(), body: body.to_string() }
}

/// Deletes issues.
pub fn delete(github: &mut World, repository: &str, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        github.delete_issue(repository, number);
    }
}
