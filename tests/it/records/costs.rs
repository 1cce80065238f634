//! The counted cost of a heartbeat: requests to GitHub, points, and DynamoDB's capacity units, as the simulated world
//! meters them. The asserted limits are the project's targets; the snapshots are the cost today.

use agent_heartbeat::domain::iso_millis;
use jiff::SignedDuration;
use test_world::TABLE_NAME;
use test_world::dynamodb::Capacity;
use test_world::github::World;

use crate::support::app::{Answer, TestApp};

/// The cost of one heartbeat.
struct Cost {
    rest: usize,
    graphql: usize,
    points: u64,
    dynamodb: Capacity,
}

/// Issues that all changed in different seconds, as is usual.
fn open_issues_apart(github: &mut World, repository: &str, count: i64) {
    for n in (1..=count).rev() {
        let at = github.now() - SignedDuration::from_mins(n);
        github.open_issue_at(repository, "An issue of usual length, as they come", at);
    }
}

async fn cost_of_a_heartbeat(app: &TestApp, agent: &str) -> (Answer, Cost) {
    app.clear_requests();
    let answer = app.agent(agent).beat().await;
    assert_eq!(answer.status(), "ok", "{:#}", answer.0);
    let requests = app.world.github.requests();
    let calls: Vec<_> = requests.iter().filter_map(|request| request.graphql.as_ref()).collect();
    let cost = Cost {
        rest: requests.len() - calls.len(),
        graphql: calls.len(),
        points: calls.iter().map(|call| call.points).sum(),
        dynamodb: app.world.dynamodb.capacity(),
    };
    (answer, cost)
}

impl Cost {
    /// `2 REST, 1 GraphQL (2 points), 3.5 read, 4 write`
    fn text(&self) -> String {
        let Capacity { read_units, write_units } = self.dynamodb;
        let Self { rest, graphql, points, .. } = self;
        format!("{rest} REST, {graphql} GraphQL ({points} points), {read_units} read, {write_units} write")
    }

    fn assert_read_at_most(&self, units: f64) {
        assert!(self.dynamodb.read_units <= units, "{}, of {units} read", self.text());
    }

    fn assert_written_at_most(&self, units: f64) {
        assert!(self.dynamodb.write_units <= units, "{}, of {units} written", self.text());
    }
}

/// A settled fleet of 100 repositories with 100 open issues each. The service reads only the first issue of each; the
/// other rows are copies of its row, since ten thousand writes over HTTP would take a minute.
async fn fleet_of_100() -> TestApp {
    let names: Vec<String> = (0..100).map(|n| format!("acme/repository-{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let app = TestApp::tracking(&names).start().await;
    app.world.github.arrange(|github| names.iter().for_each(|name| open_issues_apart(github, name, 1)));
    app.agent("alpha").beat().await;
    app.world.github.arrange(|github| {
        for name in &names {
            let at = github.issue(name, 1).updated_at - SignedDuration::from_hours(24);
            for _ in 2..=100 {
                github.open_issue_at(name, "An issue of usual length, as they come", at);
            }
        }
    });
    for name in &names {
        let (first, older) =
            app.world.github.arrange(|github| (github.repository_id(name), github.issue(name, 2).updated_at));
        let mut row = app.row(name, 1);
        assert_eq!(row["openNumber"], 1);
        row["updatedAt"] = iso_millis(older).into();
        for number in 2..=100 {
            row["number"] = number.into();
            row["openNumber"] = number.into();
            row["sk"] = format!("ISSUE#{number:010}").into();
            row["url"] = format!("https://github.com/{name}/issues/{number}").into();
            app.world.dynamodb.put_item(TABLE_NAME, &row);
        }
        let mut marks = app.checkpoints(name);
        assert_eq!((&marks["id"], &marks["openCount"]), (&first.into(), &1.into()));
        marks["openCount"] = 100.into();
        app.world.dynamodb.put_item(TABLE_NAME, &marks);
    }
    app.pass_time(300);
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    assert_eq!(app.items("REPO#", "ISSUE#").len(), 10_000);
    app
}

#[tokio::test]
async fn coalesced_heartbeat_without_changes_costs_two_reads_and_two_writes() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| open_issues_apart(github, "acme/api", 10));
    app.agent("alpha").beat().await;
    app.agent("beta").beat().await;
    let (answer, cost) = cost_of_a_heartbeat(&app, "beta").await;
    assert!(answer.is_coalesced());
    insta::assert_snapshot!(cost.text(), @"0 REST, 0 GraphQL (0 points), 2 read, 2 write");
    cost.assert_read_at_most(2.0);
    cost.assert_written_at_most(3.0);
}

#[tokio::test]
async fn idle_pass_over_100_repositories_costs_one_query() {
    let app = fleet_of_100().await;
    let (answer, cost) = cost_of_a_heartbeat(&app, "alpha").await;
    assert_eq!(answer.summary_numbers(), [100, 100, 0], "{:#}", answer.0);
    insta::assert_snapshot!(cost.text(), @"0 REST, 1 GraphQL (2 points), 8 read, 5 write");
    assert!((cost.rest, cost.graphql) == (0, 1) && cost.points <= 2, "{}", cost.text());
    cost.assert_read_at_most(18.0);
    cost.assert_written_at_most(6.0);
}

#[tokio::test]
async fn burst_of_changes_in_one_repository_costs_one_listing_and_a_second() {
    let app = fleet_of_100().await;
    let (_, idle) = cost_of_a_heartbeat(&app, "alpha").await;
    let mut costs = Vec::new();
    for k in [1, 10, 100_u32] {
        app.outlive_freshness();
        app.world.github.arrange(|github| {
            (1..=u64::from(k)).for_each(|number| github.comment("acme/repository-42", number));
        });
        let (answer, burst) = cost_of_a_heartbeat(&app, "alpha").await;
        assert_eq!(answer.0["touchedCount"], k);
        app.pass_time(150);
        let (answer, settling) = cost_of_a_heartbeat(&app, "alpha").await;
        assert_eq!(answer.0["touchedCount"], 0);
        for cost in [&burst, &settling] {
            assert_eq!((cost.rest, cost.graphql), (1, 1), "{k}: {}", cost.text());
        }
        let Capacity { read_units, write_units } = idle.dynamodb;
        burst.assert_written_at_most(write_units + f64::from(4 * k + 4));
        burst.assert_read_at_most(read_units + f64::from(2 * k));
        costs.push(format!("{k} changed: {}", burst.text()));
        costs.push(format!("to settle: {}", settling.text()));
    }
    insta::assert_snapshot!(costs.join("\n"), @r"
    1 changed: 1 REST, 1 GraphQL (2 points), 10 read, 11 write
    to settle: 1 REST, 1 GraphQL (2 points), 9 read, 6 write
    10 changed: 1 REST, 1 GraphQL (2 points), 19 read, 39 write
    to settle: 1 REST, 1 GraphQL (2 points), 18 read, 6 write
    100 changed: 1 REST, 1 GraphQL (2 points), 112 read, 323 write
    to settle: 1 REST, 1 GraphQL (2 points), 108 read, 6 write
    ");
}

#[tokio::test]
async fn backfill_of_500_issues_costs_its_pages_and_two_writes_an_issue() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| open_issues_apart(github, "acme/api", 500));
    let (_, cost) = cost_of_a_heartbeat(&app, "alpha").await;
    assert_eq!(app.open_rows("acme/api").len(), 500);
    insta::assert_snapshot!(cost.text(), @"6 REST, 1 GraphQL (1 points), 256.5 read, 1012 write");
    // 5 pages: 1.02 × 5 + 2.
    assert!(cost.rest + cost.graphql <= 7, "{}", cost.text());
    cost.assert_written_at_most(2.1 * 500.0);
    cost.assert_read_at_most(0.6 * 500.0);
}

#[tokio::test]
async fn audit_of_500_unchanged_issues_costs_its_pages_and_reads_no_row() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| open_issues_apart(github, "acme/api", 500));
    app.agent("alpha").beat().await;
    app.pass_time(300);
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    let (_, idle) = cost_of_a_heartbeat(&app, "alpha").await;
    app.pass_time(21_600);
    let (_, cost) = cost_of_a_heartbeat(&app, "alpha").await;
    assert_eq!(app.checkpoints("acme/api")["auditedAt"], iso_millis(app.ago(0)));
    insta::assert_snapshot!(cost.text(), @"0 REST, 6 GraphQL (6 points), 26 read, 6 write");
    assert_eq!((cost.rest, cost.graphql), (0, 1 + 5), "the probe and the pages");
    // A tenth of the limit for 5,000 issues: 350 read units for the index of open issues, which also holds what lists
    // show. And 4 write units.
    let Capacity { read_units, write_units } = idle.dynamodb;
    cost.assert_read_at_most(read_units + 35.0);
    cost.assert_written_at_most(write_units + 4.0);
}

#[tokio::test]
async fn idle_pass_without_graphql_sends_two_requests_per_repository() {
    let repositories = ["acme/a", "acme/b", "acme/c", "acme/d", "acme/e"];
    let app = TestApp::tracking(&repositories).start().await;
    app.world.github.arrange(|github| {
        repositories.iter().for_each(|name| open_issues_apart(github, name, 100));
    });
    app.agent("alpha").beat().await;
    app.pass_time(300);
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(World::remove_graphql);
    app.clear_requests();
    assert_eq!(app.agent("alpha").beat().await.codes(), ["probe_unavailable"]);
    let asked = app.asked();
    assert_eq!(asked.iter().filter(|path| path.starts_with("/repos/")).count(), 10, "{asked:#?}");
    assert_eq!(app.listed_since().len(), 5);
}
