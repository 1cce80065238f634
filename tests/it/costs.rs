//! What a beat costs, counted: requests to GitHub and DynamoDB's capacity units, as the local world meters them.

use jiff::SignedDuration;
use local_stack::dynamodb::Capacity;
use local_stack::github::World;

use crate::app::{Answer, TestApp};

/// What one beat cost.
struct Cost {
    github: usize,
    dynamodb: Capacity,
}

/// Issues of which no two changed in the same second, as is usual.
fn open_issues_apart(github: &mut World, repository: &str, count: i64) {
    for n in (1..=count).rev() {
        let at = github.now() - SignedDuration::from_mins(n);
        github.open_issue_at(repository, "An issue of usual length, as they come", at);
    }
}

async fn cost_of_a_beat(app: &TestApp, agent: &str) -> (Answer, Cost) {
    app.world.github.clear_requests();
    app.world.dynamodb.clear_requests();
    let answer = app.agent(agent).beat().await;
    assert_eq!(answer.status(), "ok", "{:#}", answer.0);
    let cost = Cost { github: app.world.github.requests().len(), dynamodb: app.world.dynamodb.capacity() };
    (answer, cost)
}

impl Cost {
    /// `2 requests, 3.5 read units, 4 write units`
    fn text(&self) -> String {
        let Capacity { read_units, write_units } = self.dynamodb;
        format!("{} requests, {read_units} read units, {write_units} write units", self.github)
    }
}

#[tokio::test]
async fn a_coalesced_beat_without_news_asks_github_nothing_and_costs_two_reads_and_two_writes() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| open_issues_apart(github, "acme/api", 10));
    app.agent("alpha").beat().await;
    app.agent("beta").beat().await;
    let (answer, cost) = cost_of_a_beat(&app, "beta").await;
    assert!(answer.is_coalesced());
    insta::assert_snapshot!(cost.text(), @"0 requests, 2 read units, 2 write units");
}

#[tokio::test]
async fn an_idle_pass_asks_twice_for_each_repository_and_writes_only_the_claim_and_the_records() {
    let repositories = ["acme/a", "acme/b", "acme/c", "acme/d", "acme/e"];
    let app = TestApp::tracking(&repositories).start().await;
    app.world.github.arrange(|github| {
        repositories.iter().for_each(|name| open_issues_apart(github, name, 100));
    });
    app.agent("alpha").beat().await;
    app.pass_time(300);
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    let (_, cost) = cost_of_a_beat(&app, "alpha").await;
    insta::assert_snapshot!(cost.text(), @"10 requests, 8 read units, 5 write units");
}

#[tokio::test]
async fn a_backfill_of_500_issues_costs_its_pages_and_two_writes_an_issue() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| open_issues_apart(github, "acme/api", 500));
    let (_, cost) = cost_of_a_beat(&app, "alpha").await;
    assert_eq!(app.open_rows("acme/api").len(), 500);
    insta::assert_snapshot!(cost.text(), @"8 requests, 255.5 read units, 1012 write units");
}

#[tokio::test]
async fn a_burst_of_changes_costs_what_it_changes() {
    let app = TestApp::tracking(&["acme/api", "acme/web"]).start().await;
    app.world.github.arrange(|github| open_issues_apart(github, "acme/api", 100));
    app.agent("alpha").beat().await;
    app.pass_time(300);
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| (1..=10).for_each(|n| github.comment("acme/api", n)));
    let (answer, cost) = cost_of_a_beat(&app, "alpha").await;
    assert_eq!(answer.touched().len(), 10);
    insta::assert_snapshot!(cost.text(), @"4 requests, 15 read units, 47 write units");
}
