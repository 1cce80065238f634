//! Settling: what GitHub may still show late is read once more, and never again.

use serde_json::json;
use test_world::github::{Fault, Matching, World};

use crate::support::app::TestApp;
use crate::support::audits::settled;
use crate::support::checked::Checked;

const API: &str = "acme/api";

/// Reads three issues until they are settled. Returns the checkpoints.
async fn settle(app: &TestApp) -> Checked {
    app.world.github.arrange(|github| github.open_issues(API, 3));
    app.agent("alpha").beat().await;
    app.pass_time(130);
    app.agent("alpha").beat().await;
    app.checkpoints(API)
}

#[tokio::test]
async fn settled_idle_pass_writes_no_issue_and_no_checkpoint() {
    let app = TestApp::tracking(&[API]).start().await;
    let checkpoints = settle(&app).await;
    for _ in 0..2 {
        app.outlive_freshness();
        app.clear_requests();
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.touched().len()), ("ok", 0));
        assert_eq!(app.written(API), [""; 0]);
        assert_eq!(app.asked(), ["/graphql"], "the probe");
        assert_eq!(app.checkpoints(API), checkpoints);
    }
}

#[tokio::test]
async fn settled_idle_pass_without_graphql_reads_one_page_and_writes_nothing() {
    let app = TestApp::tracking(&[API]).start().await;
    app.world.github.arrange(World::remove_graphql);
    let checkpoints = settle(&app).await;
    for _ in 0..2 {
        app.outlive_freshness();
        app.clear_requests();
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.codes(), answer.touched()), (vec!["probe_unavailable"], vec![]));
        assert_eq!(app.written(API), [""; 0]);
        assert_eq!((app.asked().len(), app.listed_since().len()), (3, 1), "{:?}", app.asked());
        assert_eq!(app.checkpoints(API), checkpoints);
    }
}

#[tokio::test]
async fn burst_is_read_once_more_when_no_issue_can_be_late_and_never_again() {
    let app = TestApp::tracking(&[API]).start().await;
    app.agent("alpha").beat().await;
    app.pass_time(600);
    let (first, last) = (app.ago(20), app.ago(10));
    app.world.github.arrange(|github| {
        github.open_issue_at(API, "First of the burst", first);
        github.open_issue_at(API, "Last of the burst", last);
    });
    let mut reads_the_burst = Vec::new();
    for seconds in [0, 60, 60, 60, 600] {
        app.pass_time(seconds);
        app.clear_requests();
        app.agent("alpha").beat().await;
        reads_the_burst.push(app.listed_since().iter().any(|since| *since <= first.to_string()));
    }
    // The burst's last change can be late for 121 s: until after the second pass.
    assert_eq!(reads_the_burst, [true, false, true, false, false]);
    assert_eq!(app.checkpoints(API)["settled"], app.checkpoints(API)["cursor"]);
}

#[tokio::test]
async fn cursor_and_settled_watermark_never_move_back() {
    let app = TestApp::tracking(&[API]).start().await;
    app.world.github.arrange(|github| github.open_issues(API, 3));
    let mut checkpoints = Vec::new();
    for step in 0..8 {
        app.pass_time(70);
        let late = app.ago(-90);
        app.world.github.arrange(|github| match step {
            1 => github.close_issue(API, 1),
            2 => github.show_late(API, 1, late),
            4 => github.delete_issue(API, 1),
            5 => github.hide_issue(API, 2),
            6 => github.comment(API, 3),
            _ => {}
        });
        if step == 3 || step == 6 {
            app.world.github.fault(Matching::listing(API), Fault::EmptyList);
        }
        app.agent("alpha").beat().await;
        let now = app.checkpoints(API);
        checkpoints.push(["cursor", "settled"].map(|mark| now[mark].as_str().expect("a mark").to_owned()));
    }
    assert!(checkpoints.iter().map(|[cursor, _]| cursor).is_sorted(), "{checkpoints:#?}");
    assert!(checkpoints.iter().map(|[_, settled]| settled).is_sorted(), "{checkpoints:#?}");
    assert!(checkpoints.iter().all(|[cursor, settled]| settled <= cursor), "{checkpoints:#?}");
    assert!(checkpoints[0] < checkpoints[7], "they do move: {checkpoints:#?}");
}

#[tokio::test]
async fn listing_after_a_cut_one_starts_at_the_cursor_and_then_at_settled() {
    let app = TestApp::tracking(&[API]).start().await;
    app.world.github.arrange(|github| github.open_issue(API, "First"));
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    let start = app.ago(20);
    app.world.github.arrange(|github| {
        for n in 0..101 {
            github.open_issue_at(API, "New", start + jiff::SignedDuration::from_millis(n * 100));
        }
    });
    app.world.github.fault(Matching::listing(API).nth(2), Fault::Status(502).times(3));
    let since = async || {
        app.clear_requests();
        app.agent("alpha").beat().await;
        app.outlive_freshness();
        app.listed_since().first().cloned().expect("a listing")
    };
    // The first change is at 06:00:00, the others are from 06:00:11 to 06:00:21.
    assert_eq!(since().await, "2026-11-22T05:57:58Z");
    assert_eq!(app.checkpoints(API)["cutShort"], true);
    assert_eq!(since().await, "2026-11-22T06:00:19Z");
    assert_eq!(app.checkpoints(API)["cutShort"], json!(null));
    app.pass_time(130);
    // The first page of the listing that was cut off is settled as far as possible.
    assert_eq!(since().await, "2026-11-22T05:58:29Z");
}

#[tokio::test]
async fn issue_that_slips_to_a_read_page_of_a_crowded_second_is_read_later() {
    // Without the probe each pass lists.
    for (has_graphql, seconds) in [(true, 130), (false, 31)] {
        let app = TestApp::tracking(&[API]).start().await;
        app.agent("alpha").beat().await;
        app.world.github.arrange(|github| {
            github.open_issues(API, 250);
            if !has_graphql {
                github.remove_graphql();
            }
        });
        app.pass_time(600);
        let second_page = Matching::listing(API).page(2);
        app.world.github.before(second_page, |github| {
            github.edit_issue(API, 1, |issue| issue.title = "Edited".into());
        });
        app.agent("alpha").beat().await;
        assert_eq!(app.open_rows(API).len(), 249, "the edit has shifted the pages");
        app.pass_time(seconds);
        assert!(app.agent("alpha").beat().await.touched().contains(&"opened acme/api#101".to_owned()));
        assert_eq!(app.open_rows(API), (1..=250).collect::<Vec<_>>());
        app.pass_time(130);
        app.agent("alpha").beat().await;
        app.pass_time(130);
        app.agent("alpha").beat().await;
        let checkpoints = app.checkpoints(API);
        assert_eq!(
            checkpoints["settled"], checkpoints["cursor"],
            "the crowd is read once more and never again"
        );
    }
}

#[tokio::test]
async fn closed_issue_that_slips_between_pages_of_a_second_is_reported() {
    for (has_graphql, seconds) in [(true, 130), (false, 31)] {
        let app = TestApp::tracking(&[API]).start().await;
        app.agent("alpha").beat().await;
        app.world.github.arrange(|github| {
            github.open_issues(API, 250);
            [101, 201].into_iter().for_each(|number| github.close_issue(API, number));
            if !has_graphql {
                github.remove_graphql();
            }
        });
        app.pass_time(600);
        app.world.github.before(Matching::listing(API).page(2), |github| github.comment(API, 1));
        app.world.github.before(Matching::listing(API).page(3), |github| github.comment(API, 2));
        app.agent("alpha").beat().await;
        assert_eq!(app.items("REPO#", "ISSUE#").len(), 248, "the edits have shifted the pages");
        let mut reported = Vec::new();
        for _ in 0..4 {
            app.pass_time(seconds);
            reported.extend(app.agent("alpha").beat().await.touched());
        }
        for number in [101, 202] {
            let closed = format!("closed acme/api#{number}");
            let is_reported =
                reported.iter().filter(|touch| touch.ends_with(&format!("acme/api#{number}"))).count();
            assert!(number == 202 || reported.contains(&closed), "{reported:?}");
            assert_eq!(is_reported, 1, "{reported:?}");
        }
        app.pass_time(130);
        app.agent("alpha").beat().await;
        let checkpoints = app.checkpoints(API);
        assert_eq!(
            checkpoints["settled"], checkpoints["cursor"],
            "the crowd is read once more and never again"
        );
    }
}

#[tokio::test]
async fn pull_requests_alone_cause_no_listing_when_issues_have_settled() {
    let app = settled(3).await;
    let mut listings = 0;
    app.world.github.arrange(|github| github.comment(API, 2));
    for _ in 0..40 {
        app.pass_time(40);
        app.world.github.arrange(|github| github.open_pull_request(API, "another"));
        app.clear_requests();
        app.agent("alpha").beat().await;
        listings += app.asked().len() - 1;
    }
    assert!(listings <= 2, "{listings} listings in 40 passes without a change");
}
