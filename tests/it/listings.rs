//! Reading what changed: pages by value, and marks that only say what was read and written.

use jiff::{SignedDuration, Timestamp};
use local_stack::dynamodb::{Fault as StoreFault, On};
use local_stack::github::{Fault, GitHub, LinkStyle, Matching, State, World};

use crate::app::TestApp;

const API: &str = "acme/api";

/// Opens issues a second apart, the first at `first`: no two share their `updated_at`.
fn open_spread(github: &mut World, count: i64, first: Timestamp) {
    for second in 0..count {
        github.open_issue_at(API, "Spread", first + SignedDuration::from_secs(second));
    }
}

/// Opens pull requests a second apart, the first at `first`.
fn open_pull_requests(github: &mut World, repository: &str, count: i64, first: Timestamp) {
    for second in 0..count {
        let number = github.open_pull_request(repository, "A pull request");
        github.edit_issue(repository, number, |pull| {
            pull.updated_at = first + SignedDuration::from_secs(second);
        });
    }
}

/// How many rows there are of each revision: `[(1, 250)]` when 250 were written once.
fn revisions(app: &TestApp) -> Vec<(u64, usize)> {
    let mut counts = std::collections::BTreeMap::new();
    for row in app.items("REPO#", "ISSUE#") {
        *counts
            .entry(row["revision"].as_u64().expect("a count"))
            .or_default() += 1;
    }
    counts.into_iter().collect()
}

#[tokio::test]
async fn an_empty_repository_is_read_and_has_nothing_to_tell() {
    let app = TestApp::tracking(&[API]).start().await;
    for _ in 0..2 {
        let answer = app.agent("alpha").beat().await;
        assert_eq!(
            (answer.status(), answer.touched().len()),
            ("ok", 0),
            "{answer:#?}"
        );
        assert_eq!(app.items("REPO#", ""), [] as [serde_json::Value; 0]);
        app.outlive_freshness();
    }
}

#[tokio::test]
async fn an_issue_that_github_shows_late_is_read_within_two_minutes_while_newer_ones_keep_coming() {
    let app = TestApp::tracking(&[API]).start().await;
    app.world.github.arrange(|github| github.open_issue(API, "First"));
    app.agent("alpha").beat().await;
    app.pass_time(600);
    let (was, shown) = (app.ago(30), app.ago(-60));
    app.world.github.arrange(|github| {
        let late = github.open_issue_at(API, "Late", was);
        github.show_late(API, late, shown);
    });
    let mut told = Vec::new();
    for _ in 0..4 {
        let newest = app.ago(5);
        app.world
            .github
            .arrange(|github| github.open_issue_at(API, "Newer", newest));
        told.push(app.agent("alpha").beat().await.touched());
        assert_eq!(
            app.marks(API)["cursor"],
            newest.to_string(),
            "the cursor is no clock"
        );
        app.pass_time(35);
    }
    let expected: [&[&str]; 4] = [
        &["opened acme/api#3"],
        &["opened acme/api#4"],
        &["opened acme/api#2", "opened acme/api#5"],
        &["opened acme/api#6"],
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn when_page_two_fails_the_cursor_stays_at_what_was_written_and_nothing_is_missing_after_healing() {
    let app = TestApp::tracking(&[API]).start().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    let first = app.ago(1_000);
    app.world.github.arrange(|github| open_spread(github, 150, first));
    app.world
        .github
        .fault(Matching::listing(API).nth(2), Fault::Status(500).times(3));
    let failed = app.agent("alpha").beat().await;
    assert_eq!(failed.codes(), ["github_unavailable"]);
    assert_eq!(
        app.marks(API)["cursor"],
        (first + SignedDuration::from_secs(99)).to_string()
    );
    assert_eq!(app.open_rows(API), (1..=100).collect::<Vec<_>>());
    app.outlive_freshness();
    let healed = app.agent("alpha").beat().await;
    assert_eq!(
        (
            failed.0["touchedCount"].as_u64(),
            healed.0["touchedCount"].as_u64()
        ),
        (Some(100), Some(50))
    );
    assert_eq!(app.open_rows(API), (1..=150).collect::<Vec<_>>());
    assert_eq!(revisions(&app), [(1, 150)]);
}

#[tokio::test]
async fn when_one_write_fails_the_cursor_stays_before_its_page_and_nothing_is_missing_after_healing() {
    let app = TestApp::tracking(&[API]).start().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    let first = app.ago(1_000);
    app.world.github.arrange(|github| open_spread(github, 150, first));
    let write = On::operation("PutItem").containing("ISSUE#0000000149");
    app.world
        .dynamodb
        .fault(write, StoreFault::InternalError.forever());
    let failed = app.agent("alpha").beat().await;
    assert_eq!(failed.codes(), ["store_unavailable"]);
    assert_eq!(
        app.marks(API)["cursor"],
        (first + SignedDuration::from_secs(99)).to_string()
    );
    app.world.dynamodb.heal();
    app.outlive_freshness();
    assert_eq!(app.agent("alpha").beat().await.status(), "ok");
    assert_eq!(app.open_rows(API), (1..=150).collect::<Vec<_>>());
    assert_eq!(app.marks(API)["openCount"], 150);
}

#[tokio::test]
async fn two_hundred_and_fifty_issues_of_one_second_are_stored_once_in_a_backfill() {
    let app = TestApp::tracking(&[API]).start().await;
    app.world.github.arrange(|github| github.open_issues(API, 250));
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.touched().len()), ("ok", 0));
    assert_eq!(app.open_rows(API), (1..=250).collect::<Vec<_>>());
    assert_eq!(revisions(&app), [(1, 250)]);
}

#[tokio::test]
async fn two_hundred_and_fifty_issues_of_one_second_are_stored_once_and_the_later_edit_is_seen() {
    let app = TestApp::tracking(&[API]).start().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.open_issues(API, 250));
    assert_eq!(app.agent("alpha").beat().await.0["touchedCount"], 250);
    assert_eq!(revisions(&app), [(1, 250)]);
    let same_second = app.ago(0);
    app.world.github.arrange(|github| {
        github.edit_issue(API, 250, |issue| {
            issue.title = "Again".into();
            issue.updated_at = same_second;
        });
    });
    assert_eq!(app.marks(API)["cursor"], same_second.to_string());
    app.outlive_freshness();
    app.agent("alpha").beat().await;
    assert_eq!(app.row(API, 250)["title"], "Again");
    assert_eq!(revisions(&app), [(1, 249), (2, 1)]);

    app.pass_time(130);
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.clear_requests();
    assert_eq!(app.agent("alpha").beat().await.0["touchedCount"], 0);
    assert_eq!(app.written(API), [""; 0], "what is settled is not written again");
}

#[tokio::test]
async fn an_issue_edited_or_closed_before_page_two_is_asked_is_stored_once_and_so_is_its_neighbour() {
    let app = TestApp::tracking(&[API]).start().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    let first = app.ago(1_000);
    app.world.github.arrange(|github| open_spread(github, 150, first));
    app.world.github.before(Matching::listing(API).nth(2), |github| {
        github.close_issue(API, 1);
        github.edit_issue(API, 2, |issue| issue.title = "Edited".into());
    });
    app.agent("alpha").beat().await;
    assert_eq!(app.items("REPO#", "ISSUE#").len(), 150);
    assert_eq!(app.open_rows(API), (2..=150).collect::<Vec<_>>());
    assert_eq!(app.row(API, 2)["title"], "Edited");
    assert_eq!(revisions(&app), [(1, 148), (2, 2)]);
}

#[tokio::test]
async fn an_issue_closed_before_page_two_of_a_backfill_is_closed_after_the_next_pass_and_its_neighbour_is_stored()
 {
    let app = TestApp::tracking(&[API]).start().await;
    let first = app.ago(1_000);
    app.world.github.arrange(|github| open_spread(github, 150, first));
    // The first request of a backfill asks for the newest change only.
    app.world.github.before(Matching::listing(API).nth(3), |github| {
        github.close_issue(API, 1);
        github.edit_issue(API, 2, |issue| issue.title = "Edited".into());
    });
    app.agent("alpha").beat().await;
    assert_eq!(app.items("REPO#", "ISSUE#").len(), 150);
    assert_eq!(app.row(API, 2)["title"], "Edited");
    app.outlive_freshness();
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.touched(), ["closed acme/api#1"]);
    assert_eq!(app.open_rows(API), (2..=150).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_old_open_issue_untouched_for_years_is_in_the_cache_after_the_backfill() {
    let app = TestApp::tracking(&[API]).start().await;
    let years_ago: Timestamp = "2015-03-04T05:06:07Z".parse().expect("an instant");
    app.world.github.arrange(|github| {
        github.open_issue_at(API, "Old", years_ago);
        github.open_issue(API, "New");
    });
    app.agent("alpha").beat().await;
    assert_eq!(app.open_rows(API), [1, 2]);
    assert_eq!(app.row(API, 1)["updatedAt"], "2015-03-04T05:06:07Z");
}

#[tokio::test]
async fn after_the_backfill_of_a_repository_without_open_issues_the_first_delta_is_small() {
    let app = TestApp::tracking(&[API]).start().await;
    let first = app.ago(5_000);
    app.world.github.arrange(|github| {
        for second in 0..150 {
            let at = first + SignedDuration::from_secs(second);
            let number = github.open_issue_at(API, "Closed", at);
            github.edit_issue(API, number, |issue| {
                (issue.state, issue.closed_at) = (State::Closed, Some(at));
                issue.updated_at = at;
            });
        }
    });
    app.agent("alpha").beat().await;
    assert!(app.marks(API).get("backfill").is_none(), "{:#}", app.marks(API));
    app.outlive_freshness();
    app.clear_requests();
    assert_eq!(app.agent("alpha").beat().await.touched(), [""; 0]);
    let since = (first + SignedDuration::from_secs(148)).to_string();
    assert_eq!(app.listed_since(), [since]);
    let rows = app.items("REPO#", "ISSUE#");
    assert!(
        rows.iter().all(|row| row.get("changeFence").is_none()),
        "what was closed before is not news"
    );
}

#[tokio::test]
async fn after_the_backfill_of_one_ancient_issue_the_first_delta_is_small() {
    let app = TestApp::tracking(&[API]).start().await;
    let years_ago: Timestamp = "2015-03-04T05:06:07Z".parse().expect("an instant");
    app.world
        .github
        .arrange(|github| github.open_issue_at(API, "Ancient", years_ago));
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.clear_requests();
    assert_eq!(app.agent("alpha").beat().await.touched(), [""; 0]);
    assert_eq!(app.listed_since(), ["2015-03-04T05:06:06Z"]);
}

#[tokio::test]
async fn a_page_of_pull_requests_before_three_issues_gives_three_issues() {
    let app = TestApp::tracking(&[API]).start().await;
    let first = app.ago(1_000);
    app.world.github.arrange(|github| {
        open_pull_requests(github, API, 100, first);
        github.open_issues(API, 3);
    });
    app.agent("alpha").beat().await;
    assert_eq!(app.open_rows(API), [101, 102, 103]);
    assert_eq!(app.items("REPO#", "ISSUE#").len(), 3);

    app.outlive_freshness();
    let now = app.ago(0);
    app.world
        .github
        .arrange(|github| open_pull_requests(github, API, 1, now));
    assert_eq!(app.agent("alpha").beat().await.touched(), [""; 0]);
    assert_eq!(
        app.marks(API)["cursor"],
        now.to_string(),
        "pull requests count for the cursor"
    );
}

#[tokio::test]
async fn a_listing_with_opaque_links_and_no_page_numbers_is_read_whole() {
    let app = TestApp::tracking(&[API]).start().await;
    let first = app.ago(1_000);
    app.world.github.arrange(|github| {
        github.links = LinkStyle::After;
        open_spread(github, 101, first);
        github.open_issues(API, 201);
    });
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.status(), "ok", "{answer:#?}");
    assert_eq!(app.open_rows(API), (1..=302).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_first_pages_of_all_repositories_are_read_before_the_rest_of_any() {
    let names: Vec<String> = (1..=9).map(|n| format!("acme/r{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let app = TestApp::tracking(&names).start().await;
    let first = app.ago(1_000);
    app.world.github.arrange(|github| {
        for name in &names {
            open_pull_requests(github, name, 101, first);
        }
    });
    assert_eq!(app.agent("alpha").beat().await.status(), "ok");
    let is_first: Vec<bool> = app.listed_since().iter().map(String::is_empty).collect();
    // Each repository's newest change and its first page, then its second.
    assert_eq!(is_first, [[true; 18].as_slice(), &[false; 9]].concat());
}

#[tokio::test]
async fn a_backfill_that_is_cut_by_the_deadline_goes_on_where_it_was() {
    let app = TestApp::tracking(&[API]).start().await;
    let first = app.ago(1_000);
    app.world.github.arrange(|github| open_spread(github, 150, first));
    for request in 1..=3 {
        let clock = app.world.clock.clone();
        let slow = Matching::listing(API).nth(request);
        app.world
            .github
            .before(slow, move |_| clock.advance(std::time::Duration::from_secs(2)));
    }
    let cut = app.agent("alpha").beat_within(10).await;
    assert_eq!(
        (cut.status(), &cut.0["freshAt"]),
        ("ok", &serde_json::Value::Null),
        "{cut:#?}"
    );
    assert_eq!(
        cut.0["summary"],
        "Synced 0 of 1 repository: 0 issues changed, 100 read for the first time; 1 repository is left to the next pass."
    );
    assert_eq!(app.open_rows(API), (1..=100).collect::<Vec<_>>());
    app.outlive_freshness();
    app.clear_requests();
    let rest = app.agent("alpha").beat_within(10).await;
    assert_eq!((rest.status(), rest.touched().len()), ("ok", 0));
    assert_eq!(
        app.listed_since(),
        [(first + SignedDuration::from_secs(98)).to_string()]
    );
    assert_eq!(app.open_rows(API), (1..=150).collect::<Vec<_>>());
    assert_eq!(revisions(&app), [(1, 150)]);
}

#[tokio::test]
async fn a_next_link_to_another_host_is_not_followed_and_that_host_never_sees_the_token() {
    let app = TestApp::tracking(&[API]).start().await;
    let elsewhere = GitHub::start(app.world.clock.clone()).await;
    let link = format!("<{}/repositories/1/issues?page=2>; rel=\"next\"", elsewhere.url());
    let page = Fault::Answer {
        status: 200,
        headers: vec![("link", link)],
        body: "[]".into(),
    };
    app.world.github.fault(Matching::listing(API).nth(2), page);
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.codes(), ["github_unexpected_answer"]);
    assert_eq!(elsewhere.requests(), []);
}
