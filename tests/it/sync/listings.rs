//! Reading changes: keyset pagination, and checkpoints that cover only what was read and written.

use std::time::Duration;

use agent_heartbeat::domain::iso_millis;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use test_world::dynamodb::{Fault as StoreFault, On};
use test_world::github::{Fault, GitHub, LinkStyle, Matching, World};

use crate::support::app::{TestApp, open_spread, until_held};

const API: &str = "acme/api";

/// Opens pull requests a second apart, the first at `first`.
fn open_pull_requests(github: &mut World, repository: &str, count: i64, first: Timestamp) {
    for second in 0..count {
        let number = github.open_pull_request(repository, "A pull request");
        github.edit_issue(repository, number, |pull| {
            pull.updated_at = first + SignedDuration::from_secs(second);
        });
    }
}

#[tokio::test]
async fn empty_repository_is_read_and_reports_nothing() {
    let app = TestApp::tracking(&[API]).start().await;
    for _ in 0..2 {
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.touched().len()), ("ok", 0), "{answer:#?}");
        assert_eq!(app.items("REPO#", ""), [] as [Value; 0]);
        app.outlive_freshness();
    }
}

#[tokio::test]
async fn issue_shown_late_is_read_within_two_minutes_despite_newer_ones() {
    let app = TestApp::tracking(&[API]).start().await;
    app.world.github.arrange(|github| github.open_issue(API, "First"));
    app.agent("alpha").beat().await;
    app.pass_time(600);
    let (was, shown) = (app.ago(30), app.ago(-60));
    app.world.github.arrange(|github| {
        let late = github.open_issue_at(API, "Late", was);
        github.show_late(API, late, shown);
    });
    let mut reported = Vec::new();
    for _ in 0..4 {
        let newest = app.ago(5);
        app.world.github.arrange(|github| github.open_issue_at(API, "Newer", newest));
        reported.push(app.agent("alpha").beat().await.touched());
        assert_eq!(app.checkpoints(API)["cursor"], iso_millis(newest), "the cursor is no clock");
        app.pass_time(35);
    }
    let expected: [&[&str]; 4] = [
        &["opened acme/api#3"],
        &["opened acme/api#4"],
        &["opened acme/api#2", "opened acme/api#5"],
        &["opened acme/api#6"],
    ];
    assert_eq!(reported, expected);
}

#[tokio::test]
async fn issue_not_cached_before_is_reported_by_its_last_change() {
    let app = TestApp::tracking(&[API]).start().await;
    app.world.github.arrange(|github| {
        github.open_issues(API, 2);
        github.close_issue(API, 1);
        github.close_issue(API, 2);
    });
    app.pass_time(600);
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| {
        github.comment(API, 1);
        github.reopen_issue(API, 2);
        github.open_issues(API, 2);
        github.close_issue(API, 4);
    });
    let answer = app.agent("alpha").beat().await;
    assert_eq!(
        answer.touched(),
        ["edited acme/api#1", "reopened acme/api#2", "opened acme/api#3", "closed acme/api#4"]
    );
    assert_eq!(app.open_rows(API), [2, 3]);
}

#[tokio::test]
async fn failed_page_two_keeps_the_cursor_and_loses_no_issue() {
    let app = TestApp::tracking(&[API]).start().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    let first = app.ago(1_000);
    app.world.github.arrange(|github| open_spread(github, API, 150, first));
    app.world.github.fault(Matching::listing(API).nth(2), Fault::Status(500).times(3));
    let failed = app.agent("alpha").beat().await;
    assert_eq!(failed.codes(), ["github_unavailable"]);
    assert_eq!(app.checkpoints(API)["cursor"], iso_millis(first + SignedDuration::from_secs(99)));
    assert_eq!(app.open_rows(API), (1..=100).collect::<Vec<_>>());
    app.outlive_freshness();
    let healed = app.agent("alpha").beat().await;
    assert_eq!((failed.0["touchedCount"].as_u64(), healed.0["touchedCount"].as_u64()), (Some(100), Some(50)));
    assert_eq!(app.open_rows(API), (1..=150).collect::<Vec<_>>());
    assert_eq!(app.revisions(), [(1, 150)]);
}

#[tokio::test]
async fn failed_write_keeps_the_cursor_before_its_page_and_loses_no_issue() {
    let app = TestApp::tracking(&[API]).start().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    let first = app.ago(1_000);
    app.world.github.arrange(|github| open_spread(github, API, 150, first));
    let write = On::operation("PutItem").containing("ISSUE#0000000149");
    app.world.dynamodb.fault(write, StoreFault::InternalError.forever());
    let failed = app.agent("alpha").beat().await;
    assert_eq!(failed.codes(), ["store_unavailable"]);
    assert_eq!(app.checkpoints(API)["cursor"], iso_millis(first + SignedDuration::from_secs(99)));
    app.world.dynamodb.heal();
    app.outlive_freshness();
    assert_eq!(app.agent("alpha").beat().await.status(), "ok");
    assert_eq!(app.open_rows(API), (1..=150).collect::<Vec<_>>());
    assert_eq!(app.checkpoints(API)["openCount"], 150);
}

#[tokio::test]
async fn listing_of_250_issues_of_one_second_stores_each_once() {
    let app = TestApp::tracking(&[API]).start().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.open_issues(API, 250));
    assert_eq!(app.agent("alpha").beat().await.0["touchedCount"], 250);
    assert_eq!(app.revisions(), [(1, 250)]);
    let same_second = app.ago(0);
    app.world.github.arrange(|github| {
        github.edit_issue(API, 250, |issue| {
            issue.title = "Again".into();
            issue.updated_at = same_second;
        });
    });
    assert_eq!(app.checkpoints(API)["cursor"], iso_millis(same_second));
    app.pass_time(130);
    app.agent("alpha").beat().await;
    assert_eq!(app.row(API, 250)["title"], "Again");
    assert_eq!(app.revisions(), [(1, 249), (2, 1)]);

    for _ in 0..2 {
        app.pass_time(130);
        app.clear_requests();
        assert_eq!(app.agent("alpha").beat().await.0["touchedCount"], 0);
        assert_eq!(app.listed_since(), [""; 0], "what is settled is not listed again");
        assert_eq!(app.written(API), [""; 0], "nor written");
    }
}

#[tokio::test]
async fn issue_changed_before_page_two_is_stored_once_and_so_is_its_neighbour() {
    let app = TestApp::tracking(&[API]).start().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    let first = app.ago(1_000);
    app.world.github.arrange(|github| open_spread(github, API, 150, first));
    app.world.github.before(Matching::listing(API).nth(2), |github| {
        github.close_issue(API, 1);
        github.edit_issue(API, 2, |issue| issue.title = "Edited".into());
    });
    app.agent("alpha").beat().await;
    assert_eq!(app.items("REPO#", "ISSUE#").len(), 150);
    assert_eq!(app.open_rows(API), (2..=150).collect::<Vec<_>>());
    assert_eq!(app.row(API, 2)["title"], "Edited");
    assert_eq!(app.revisions(), [(1, 148), (2, 2)]);
}

#[tokio::test]
async fn page_of_pull_requests_before_three_issues_gives_three_issues() {
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
    let (now, before) = (app.ago(0), app.ago(5));
    app.world.github.arrange(|github| {
        github.open_issue_at(API, "The reason to list", before);
        open_pull_requests(github, API, 1, now);
    });
    assert_eq!(app.agent("alpha").beat().await.touched(), ["opened acme/api#104"]);
    assert_eq!(app.checkpoints(API)["cursor"], iso_millis(now), "pull requests count for the cursor");
}

#[tokio::test]
async fn listing_with_opaque_links_is_read_completely() {
    let app = TestApp::tracking(&[API]).start().await;
    let first = app.ago(1_000);
    app.world.github.arrange(|github| {
        github.links = LinkStyle::After;
        open_spread(github, API, 101, first);
        github.open_issues(API, 201);
    });
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.status(), "ok", "{answer:#?}");
    assert_eq!(app.open_rows(API), (1..=302).collect::<Vec<_>>());
}

#[tokio::test]
async fn first_page_of_each_repository_is_requested_before_any_second_page() {
    let names: Vec<String> = (1..=20).map(|n| format!("acme/r{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (has_graphql, status) in [(true, "ok"), (false, "warning")] {
        let app = TestApp::tracking(&names).start().await;
        let first = app.ago(1_000);
        app.world.github.arrange(|github| {
            for name in &names {
                open_pull_requests(github, name, 101, first);
            }
            if !has_graphql {
                github.remove_graphql();
            }
        });
        assert_eq!(app.agent("alpha").beat().await.status(), status);
        // Each repository's newest change, pull requests included, is requested before its first page.
        let asked = app.asked();
        let listings = asked.iter().filter(|path| path.contains("/issues?"));
        let begun = |listed: &[&String]| {
            let names = listed.iter().map(|path| path.split("/issues?").next());
            names.collect::<std::collections::BTreeSet<_>>().len()
        };
        let before: Vec<&String> = listings.take_while(|path| !path.contains("since=")).collect();
        assert_eq!(begun(&before), 20, "{before:#?}");
        app.world.github.arrange(|github| names.iter().for_each(|name| github.open_issues(name, 1)));
    }
}

#[tokio::test]
async fn slow_first_page_delays_no_other_repository() {
    let app = TestApp::tracking(&["acme/slow", API]).start().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.clear_requests();
    let first = app.ago(1_000);
    app.world.github.arrange(|github| {
        github.open_issues("acme/slow", 1);
        open_spread(github, API, 250, first);
    });
    let mut slow = app.world.github.hold(Matching::listing("acme/slow"));
    let agent = app.agent("alpha");
    let mut beat = Box::pin(agent.beat());
    assert!(until_held(&mut beat, &mut slow).await.is_none());
    let pages_of_api = || app.asked().iter().filter(|path| path.contains("acme/api/issues?")).count();
    let others_are_read = async {
        while pages_of_api() < 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        answer = &mut beat => panic!("it waits for the slow page: {answer:#?}"),
        read = tokio::time::timeout(Duration::from_secs(10), others_are_read) => {
            read.expect("the other repository is read to its end");
        }
    }
    slow.release();
    assert_eq!(beat.await.0["touchedCount"], 251);
}

#[tokio::test]
async fn next_link_to_another_host_is_not_followed() {
    let app = TestApp::tracking(&[API]).start().await;
    let elsewhere = GitHub::start(app.world.clock.clone()).await;
    let link = format!("<{}/repositories/1/issues?page=2>; rel=\"next\"", elsewhere.url());
    let page = Fault::Answer { status: 200, headers: vec![("link", link)], body: "[]".into() };
    app.world.github.fault(Matching::listing(API).query("state", "open"), page);
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.codes(), ["github_unexpected_answer"]);
    assert_eq!(elsewhere.requests(), []);
}

#[tokio::test]
async fn repository_does_not_starve_when_a_pass_has_time_for_eight_of_nine() {
    let names: Vec<String> = (1..=9).map(|n| format!("acme/r{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let app = TestApp::tracking(&names).start().await;
    // Eight at once take 20 s of a pass's 21. After four passes GitHub is fast again.
    for n in 1..=36 {
        let clock = app.world.clock.clone();
        let listing = Matching::any_listing().nth(n);
        app.world.github.before(listing, move |_| clock.advance(Duration::from_millis(2_500)));
    }
    for pass in 1..=4 {
        app.world.github.arrange(|github| names.iter().for_each(|name| github.open_issues(name, 1)));
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.lines("warnings")), ("ok", vec![]), "{:#}", answer.0);
        let read: Vec<usize> = names.iter().map(|name| app.open_rows(name).len()).collect();
        assert!(read.iter().all(|read| *read == pass || *read + 1 == pass), "pass {pass}: {read:?}");
        assert!(read.iter().any(|read| *read < pass), "pass {pass}: {read:?}");
        app.pass_time(60);
    }
    assert_eq!(app.agent("alpha").beat().await.status(), "ok");
    for name in names {
        assert_eq!(app.open_rows(name), [1, 2, 3, 4], "{name}");
    }
}

#[tokio::test]
async fn repository_does_not_starve_when_lookups_would_take_the_whole_pass() {
    let names: Vec<String> = (1..=40).map(|n| format!("acme/r{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut app = TestApp::tracking(&names).start().await;
    app.world.github.arrange(|github| {
        github.remove_graphql();
        names.iter().for_each(|name| github.open_issues(name, 1));
    });
    // Each lookup takes 700 ms of a pass's 21 s; all of them would take 28 s.
    for name in &names {
        for n in 1..=20 {
            let clock = app.world.clock.clone();
            let lookup = Matching::repository(name).nth(n);
            app.world.github.before(lookup, move |_| clock.advance(Duration::from_millis(700)));
        }
    }
    for _ in 0..6 {
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.is_coalesced(), answer.codes()), (false, vec!["probe_unavailable"]));
        // Without the probe the freshness is stretched.
        app.pass_time(200);
    }
    for name in names {
        assert_eq!(app.open_rows(name), [1], "{name}");
    }
    app.allows_unused_faults();
}
