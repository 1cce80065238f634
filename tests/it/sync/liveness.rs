//! Backlogs: more changes than a pass has time to read. Each is read completely, whatever its size and however slow the
//! pages, as long as one page fits into a pass.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use test_world::github::World;

use crate::support::app::{Answer, TestApp};

/// The unread changes of each repository: pull requests, which cost no rows, except for the newest change.
#[derive(Clone, Copy, Debug)]
enum Backlog {
    /// This many pages, with a second between two changes.
    Spread(i64),
    /// This many pages of changes of one second, as an edit of many issues at once makes them.
    Crowd(i64),
    /// This many pages, with this many changes in each second.
    Dense(i64, i64),
}

impl Backlog {
    fn pages(self) -> i64 {
        let (Self::Spread(pages) | Self::Crowd(pages) | Self::Dense(pages, _)) = self;
        pages
    }

    /// Makes the changes, the last of them `seconds` ago.
    fn arrange(self, github: &mut World, repository: &str, last: Timestamp) {
        let changes = self.pages() * 100 - 1;
        let at = |change: i64| {
            let before = match self {
                Self::Spread(_) => changes - change,
                Self::Crowd(_) => 1,
                Self::Dense(_, each_second) => (changes - change) / each_second,
            };
            last - SignedDuration::from_secs(before)
        };
        for change in 0..changes {
            let number = github.open_pull_request(repository, "A pull request");
            github.edit_issue(repository, number, |pull| pull.updated_at = at(change));
        }
        github.open_issue_at(repository, "The newest change", last);
    }
}

/// Sends a heartbeat of alpha while each of GitHub's pages takes time on the clock.
async fn beat_in_time(app: &TestApp) -> Answer {
    let alpha = app.agent("alpha");
    let mut beat = Box::pin(alpha.beat());
    loop {
        tokio::select! {
            biased;
            answer = &mut beat => return answer,
            () = app.world.scheduler.idle() => app.world.github.next_page_is_due(),
        }
    }
}

/// Whether none of them has anything left to read.
fn are_settled(app: &TestApp, names: &[&str]) -> bool {
    names.iter().all(|name| {
        let checkpoints = app.checkpoints(name);
        checkpoints["settled"] == checkpoints["cursor"]
            && checkpoints.get("cutShort").is_none()
            && checkpoints.get("backfill").is_none()
    })
}

/// Tracks repositories with a backlog whose last change was `age` seconds ago, and sends heartbeats until it is read
/// and settled. Returns the number of passes.
async fn passes_until_settled(
    repositories: usize,
    backlog: Backlog,
    page: Duration,
    age: i64,
    has_graphql: bool,
) -> usize {
    let what =
        format!("{repositories} repositories, {backlog:?}, {page:?} a page, {age} s ago, {has_graphql}");
    let names: Vec<String> = (1..=repositories).map(|n| format!("acme/r{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let app = TestApp::tracking(&names).with("AUDIT_INTERVAL_SECONDS", "600").start().await;
    app.agent("alpha").beat().await;
    app.pass_time(1_500);
    let last = app.ago(age);
    app.world.github.arrange(|github| {
        names.iter().for_each(|name| backlog.arrange(github, name, last));
        if !has_graphql {
            github.remove_graphql();
        }
    });
    app.world.github.pages_take(page);
    // All pages are read, read once more to settle them, and a crowd a third time. Another listing looks for newer
    // changes between two readings.
    let a_pass = repositories.min(8) * (21_000 / usize::try_from(page.as_millis()).expect("a page")).max(1);
    let pages = repositories * usize::try_from(backlog.pages() + 2).expect("some pages");
    let most = 20 + 8 * pages.div_ceil(a_pass);
    let mut passes = 0;
    while passes == 0 || !are_settled(&app, &names) {
        passes += 1;
        assert!(passes <= most, "after {most} passes: {what}: {:#}", app.checkpoints(names[0]));
        beat_in_time(&app).await;
        // Longer than GitHub delays any change.
        app.pass_time(if has_graphql { 60 } else { 150 });
    }
    let begun = app.ago(0);
    app.pass_time(600);
    for _ in 0..8 {
        app.pass_time(50);
        let answer = beat_in_time(&app).await;
        let fresh_at: Timestamp =
            answer.0["freshAt"].as_str().expect("an instant").parse().expect("an instant");
        assert!(fresh_at > begun || !has_graphql, "{what}: {:#}", answer.0);
    }
    for name in names {
        let checkpoints = app.checkpoints(name);
        let audited_at: Timestamp =
            checkpoints["auditedAt"].as_str().expect("an audit").parse().expect("an instant");
        assert!(audited_at > begun, "{what}: {name}: {checkpoints:#}");
        assert_eq!(checkpoints["openCount"], 1, "{what}: {name}");
    }
    passes
}

#[tokio::test]
async fn thousand_changes_at_five_seconds_a_page_are_settled() {
    let page = Duration::from_secs(5);
    for (age, has_graphql) in [(200, true), (0, true), (200, false), (0, false)] {
        passes_until_settled(1, Backlog::Spread(10), page, age, has_graphql).await;
    }
}

#[tokio::test]
async fn second_pages_are_settled_when_first_pages_alone_exceed_the_budget() {
    for seconds in [12, 20] {
        for (age, has_graphql) in [(200, true), (0, true)] {
            let page = Duration::from_secs(seconds);
            passes_until_settled(10, Backlog::Spread(2), page, age, has_graphql).await;
        }
    }
}

#[tokio::test]
async fn backlog_is_settled_when_a_pass_has_time_for_one_page_only() {
    let page = Duration::from_secs(20);
    for backlog in [Backlog::Spread(3), Backlog::Crowd(3), Backlog::Dense(3, 40), Backlog::Dense(4, 99)] {
        for (repositories, age) in [(1, 200), (1, 0), (9, 200)] {
            passes_until_settled(repositories, backlog, page, age, true).await;
        }
    }
}

#[tokio::test]
async fn backlogs_of_many_repositories_are_settled_at_any_page_speed() {
    for (repositories, pages, millis) in [(2, 7, 9_000), (17, 3, 5_000), (60, 2, 11_000), (100, 1, 20_000)] {
        passes_until_settled(repositories, Backlog::Spread(pages), Duration::from_millis(millis), 0, true)
            .await;
    }
}

#[tokio::test]
async fn backlog_of_five_hundred_repositories_is_settled() {
    passes_until_settled(500, Backlog::Spread(2), Duration::from_secs(2), 200, true).await;
}

#[tokio::test]
async fn first_listing_ends_when_a_pass_has_time_for_one_page_only() {
    for count in [250, 101] {
        let app = TestApp::tracking(&["acme/api"]).start().await;
        app.world.github.arrange(|github| github.open_issues("acme/api", count));
        app.world.github.pages_take(Duration::from_secs(20));
        for _ in 0..8 {
            beat_in_time(&app).await;
            app.pass_time(31);
        }
        assert_eq!(app.open_rows("acme/api"), (1..=count).collect::<Vec<_>>());
        assert!(app.checkpoints("acme/api").get("backfill").is_none(), "{:#}", app.checkpoints("acme/api"));
    }
}
