//! Backfills: a repository's first listing, of its open issues only, in one pass or several.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use test_world::github::{Fault, Matching, State};

use crate::support::app::{TestApp, open_spread};

const API: &str = "acme/api";

#[tokio::test]
async fn old_open_issue_is_cached_by_the_backfill() {
    let app = TestApp::tracking(&[API]).start().await;
    let years_ago: Timestamp = "2015-03-04T05:06:07Z".parse().expect("an instant");
    app.world.github.arrange(|github| {
        github.open_issue_at(API, "Old", years_ago);
        github.open_issue(API, "New");
    });
    app.agent("alpha").beat().await;
    assert_eq!(app.open_rows(API), [1, 2]);
    assert_eq!(app.row(API, 1)["updatedAt"], "2015-03-04T05:06:07.000Z");
}

#[tokio::test]
async fn backfill_of_250_issues_of_one_second_stores_each_once() {
    let app = TestApp::tracking(&[API]).start().await;
    app.world.github.arrange(|github| github.open_issues(API, 250));
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.touched().len()), ("ok", 0));
    assert_eq!(app.open_rows(API), (1..=250).collect::<Vec<_>>());
    assert_eq!(app.revisions(), [(1, 250)]);
}

#[tokio::test]
async fn issue_closed_before_page_two_of_a_backfill_is_closed_and_none_is_lost() {
    // Without the probe, a backfill requests the newest change first.
    for (has_graphql, second_page) in [(true, 2), (false, 3)] {
        let app = TestApp::tracking(&[API]).start().await;
        let first = app.ago(1_000);
        app.world.github.arrange(|github| {
            open_spread(github, API, 150, first);
            if !has_graphql {
                github.remove_graphql();
            }
        });
        app.world.github.before(Matching::listing(API).nth(second_page), |github| {
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
}

#[tokio::test]
async fn first_delta_after_a_backfill_without_open_issues_is_small() {
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
    assert!(app.checkpoints(API).get("backfill").is_none(), "{:#}", app.checkpoints(API));
    app.outlive_freshness();
    app.world.github.arrange(|github| github.open_issue(API, "New"));
    app.clear_requests();
    assert_eq!(
        app.agent("alpha").beat().await.touched(),
        ["opened acme/api#151"],
        "the others have not changed"
    );
    let since = (first + SignedDuration::from_secs(148)).to_string();
    assert_eq!(app.listed_since(), [since]);
}

#[tokio::test]
async fn first_delta_after_a_backfill_of_an_ancient_issue_is_small() {
    let app = TestApp::tracking(&[API]).start().await;
    let years_ago: Timestamp = "2015-03-04T05:06:07Z".parse().expect("an instant");
    app.world.github.arrange(|github| github.open_issue_at(API, "Ancient", years_ago));
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.open_issue(API, "New"));
    app.clear_requests();
    assert_eq!(app.agent("alpha").beat().await.touched(), ["opened acme/api#2"]);
    assert_eq!(app.listed_since(), ["2015-03-04T05:06:06Z"]);
}

#[tokio::test]
async fn backfill_cut_by_the_deadline_resumes_where_it_was() {
    let app = TestApp::tracking(&[API]).start().await;
    let first = app.ago(1_000);
    app.world.github.arrange(|github| open_spread(github, API, 150, first));
    for request in 1..=2 {
        let clock = app.world.clock.clone();
        let slow = Matching::listing(API).nth(request);
        app.world.github.before(slow, move |_| clock.advance(Duration::from_secs(3)));
    }
    let cut = app.agent("alpha").beat_within(10).await;
    assert_eq!((cut.status(), &cut.0["freshAt"]), ("ok", &Value::Null), "{cut:#?}");
    assert_eq!((cut.is_deferred(), cut.summary_numbers()), (true, vec![0, 1, 0, 100, 1]));
    assert_eq!(app.open_rows(API), (1..=100).collect::<Vec<_>>());
    app.outlive_freshness();
    app.clear_requests();
    let rest = app.agent("alpha").beat_within(10).await;
    assert_eq!((rest.status(), rest.touched().len()), ("ok", 0));
    assert_eq!(app.listed_since(), [(first + SignedDuration::from_secs(98)).to_string()]);
    assert_eq!(app.open_rows(API), (1..=150).collect::<Vec<_>>());
    assert_eq!(app.revisions(), [(1, 150)]);
}

#[tokio::test]
async fn issue_closed_between_two_passes_of_a_backfill_is_closed_afterwards() {
    let app = TestApp::tracking(&[API]).start().await;
    let first = app.ago(1_000);
    app.world.github.arrange(|github| open_spread(github, API, 150, first));
    let page_two = Matching::listing(API).nth(2);
    app.world.github.fault(page_two, Fault::Status(502).times(3));
    let failed = app.agent("alpha").beat().await;
    assert_eq!((failed.codes(), &failed.0["freshAt"]), (vec!["github_unavailable"], &Value::Null));
    assert_eq!(app.open_rows(API), (1..=100).collect::<Vec<_>>());
    app.pass_time(600);
    app.world.github.arrange(|github| github.close_issue(API, 1));
    app.pass_time(600);
    let rest = app.agent("alpha").beat().await;
    assert_eq!((rest.status(), rest.touched().len()), ("ok", 0));
    assert_eq!(app.open_rows(API), (1..=150).collect::<Vec<_>>());
    app.outlive_freshness();
    assert_eq!(app.agent("alpha").beat().await.touched(), ["closed acme/api#1"]);
}

#[tokio::test]
async fn issue_closed_before_the_first_pass_is_never_reported() {
    for has_graphql in [true, false] {
        for (closed_ago, shown_in) in [(0, None), (10, None), (100, None), (10, Some(20)), (10, Some(100))] {
            let app = TestApp::tracking(&[API]).start().await;
            let long_ago = app.ago(1_000);
            app.world.github.arrange(|github| {
                github.open_issue_at(API, "Open", long_ago);
                github.open_issue_at(API, "Closed before anybody looks", long_ago);
                if !has_graphql {
                    github.remove_graphql();
                }
            });
            let until = shown_in.map(|seconds: i64| app.ago(-seconds));
            let closed_at = app.ago(closed_ago);
            app.world.github.arrange(|github| {
                github.edit_issue(API, 2, |issue| {
                    (issue.state, issue.closed_at) = (State::Closed, Some(closed_at));
                    issue.updated_at = closed_at;
                });
                if let Some(until) = until {
                    github.show_late(API, 2, until);
                }
            });
            let was_read_as_open = until.is_some();
            let mut reported = Vec::new();
            for _ in 0..6 {
                reported.extend(app.agent("alpha").beat().await.touched());
                app.pass_time(40);
            }
            // What the first listing showed as open was open for every reader of the cache.
            let expected: &[&str] = if was_read_as_open { &["closed acme/api#2"] } else { &[] };
            assert_eq!(reported, expected, "{has_graphql} {closed_ago} {shown_in:?}");
            assert_eq!(app.open_rows(API), [1]);
            app.world.github.arrange(|github| {
                let number = github.open_issue(API, "Short");
                github.close_issue(API, number);
            });
            app.pass_time(40);
            assert_eq!(app.agent("alpha").beat().await.touched(), ["closed acme/api#3"]);
        }
    }
}

#[tokio::test]
async fn issue_opened_and_closed_before_the_first_pass_is_never_reported() {
    for has_graphql in [true, false] {
        let app = TestApp::tracking(&[API]).start().await;
        let (long_ago, was, shown) = (app.ago(1_000), app.ago(10), app.ago(-60));
        app.world.github.arrange(|github| {
            github.open_issue_at(API, "Open", long_ago);
            let number = github.open_issue_at(API, "Short", was);
            github.close_issue(API, number);
            github.edit_issue(API, number, |issue| {
                (issue.closed_at, issue.updated_at) = (Some(was), was);
            });
            github.show_late(API, number, shown);
            if !has_graphql {
                github.remove_graphql();
            }
        });
        for _ in 0..6 {
            assert_eq!(app.agent("alpha").beat().await.touched(), [""; 0]);
            app.pass_time(40);
        }
    }
}
