//! Pages that fail at GitHub's maximum length: shorter ones are read, remembered, and lengthened again.

use std::time::Duration;

use serde_json::Value;
use test_world::fault::Repeated;
use test_world::github::{Fault, Matching, Request};

use crate::support::app::{TestApp, open_spread};
use crate::support::audits::{audit, is_brief_page, settled};

const API: &str = "acme/api";

/// The lengths of the pages requested by REST since the records were cleared, in order.
fn lengths(app: &TestApp) -> Vec<u64> {
    let of_page = |path: &String| path.split_once("&per_page=")?.1.split('&').next()?.parse().ok();
    app.asked().iter().filter(|path| path.contains("direction=asc")).filter_map(of_page).collect()
}

/// Sends heartbeats until one finds nothing more to do. Returns how many passes that took.
async fn passes_until_ok(app: &TestApp) -> usize {
    for passes in 1..=10 {
        let answer = app.agent("alpha").beat().await;
        if answer.status() == "ok" && answer.0["freshAt"].is_string() {
            return passes;
        }
        app.outlive_freshness();
    }
    panic!("ten passes were not enough: {:?}", lengths(app));
}

#[tokio::test]
async fn listing_whose_long_pages_fail_is_read_in_shorter_ones_in_the_pass() {
    for (limit, issues, fault) in [
        (50, 120, Fault::Status(502)),
        (25, 120, Fault::Status(500)),
        (10, 30, Fault::Status(504)),
        (1, 4, Fault::Status(503)),
        (25, 60, Fault::HalfPage),
    ] {
        let app = TestApp::tracking(&[API]).start().await;
        let first = app.ago(1_000);
        app.world.github.arrange(|github| open_spread(github, API, issues, first));
        app.world
            .github
            .fault(Matching::listing(API).query("direction", "asc").longer_than(limit), fault.forever());
        assert_eq!(passes_until_ok(&app).await, 1, "pages of {limit}");
        assert_eq!(app.open_rows(API), (1..=issues).collect::<Vec<_>>());
        assert_eq!(app.revisions(), [(1, usize::try_from(issues).expect("a few"))]);
        let failed: Vec<u64> = lengths(&app).into_iter().filter(|length| *length > limit).collect();
        let longer: Vec<u64> = [100, 50, 25, 10].into_iter().filter(|length| *length > limit).collect();
        assert_eq!(failed, longer, "no length that failed is requested again");
        assert_eq!(app.checkpoints(API)["shortPages"]["length"], limit);
    }
}

#[tokio::test]
async fn listing_whose_long_pages_time_out_is_read_in_shorter_ones() {
    let setup = TestApp::tracking(&[API]).timing(|timing| {
        timing.github.attempt_timeout = Duration::from_millis(300);
    });
    let app = setup.start().await;
    let first = app.ago(1_000);
    app.world.github.arrange(|github| open_spread(github, API, 60, first));
    app.world.github.fault(Matching::listing(API).longer_than(25), Fault::Hang.forever());
    assert_eq!(passes_until_ok(&app).await, 1);
    assert_eq!(app.open_rows(API).len(), 60);
    assert_eq!(lengths(&app)[..4], [100, 50, 1, 25]);
}

#[tokio::test]
async fn short_pages_are_shared_and_lengthen_once_longer_ones_work() {
    let mut app = TestApp::tracking(&[API]).start().await;
    let first = app.ago(1_000);
    app.world.github.arrange(|github| open_spread(github, API, 60, first));
    app.world.github.fault(Matching::listing(API).longer_than(25), Fault::Status(502).forever());
    app.agent("alpha").beat().await;
    app.restart_with("FRESHNESS_SECONDS", "30");

    app.outlive_freshness();
    app.clear_requests();
    app.world.github.arrange(|github| github.open_issues(API, 1));
    assert_eq!(app.agent("alpha").beat().await.touched(), ["opened acme/api#61"]);
    assert!(lengths(&app).iter().all(|length| *length == 25), "{:?}", lengths(&app));

    let mut tried = Vec::new();
    for _ in 0..6 {
        app.pass_time(130);
        app.clear_requests();
        app.world.github.arrange(|github| github.open_issues(API, 1));
        assert_eq!(app.agent("alpha").beat().await.status(), "ok");
        tried.push(lengths(&app)[0]);
    }
    assert_eq!(tried, [50, 50, 25, 50, 25, 25], "a longer page is tried after 1, 2, 4 and 8 minutes");

    app.world.github.heal();
    app.pass_time(3_600);
    for length in [50, 100] {
        app.pass_time(130);
        app.clear_requests();
        app.world.github.arrange(|github| github.open_issues(API, 1));
        app.agent("alpha").beat().await;
        assert_eq!(lengths(&app)[0], length);
    }
    assert_eq!(app.checkpoints(API)["shortPages"], Value::Null);
}

#[tokio::test]
async fn crowded_second_in_pages_of_one_issue_is_read_completely_and_once() {
    let app = TestApp::tracking(&[API]).start().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.open_issues(API, 12));
    let at = app.ago(0);
    app.world.github.arrange(|github| {
        for number in 1..=12 {
            github.edit_issue(API, number, |issue| issue.updated_at = at);
        }
    });
    app.world.github.fault(Matching::listing(API).longer_than(1), Fault::Status(502).forever());
    let mut reported = Vec::new();
    for _ in 0..6 {
        reported.extend(app.agent("alpha").beat().await.touched());
        app.pass_time(130);
    }
    let expected: Vec<String> = (1..=12).map(|number| format!("opened acme/api#{number}")).collect();
    assert_eq!(reported, expected);
    assert_eq!(app.revisions(), [(1, 12)]);
    let since = app.checkpoints(API)["settled"].clone();
    assert_eq!(since, app.checkpoints(API)["cursor"], "it settles");
}

#[tokio::test]
async fn linked_page_that_fails_is_read_in_shorter_pages() {
    let app = TestApp::tracking(&[API]).start().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.open_issues(API, 250));
    let second = Matching::listing(API).page(2).longer_than(50);
    app.world.github.fault(second, Fault::Status(502).forever());
    assert_eq!(app.agent("alpha").beat().await.0["touchedCount"], 250);
    assert_eq!(app.revisions(), [(1, 250)]);
}

#[tokio::test]
async fn outage_of_github_does_not_shorten_pages() {
    let app = TestApp::tracking(&[API]).start().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.open_issues(API, 3));
    app.world.github.fault(Matching::any_listing(), Fault::Status(503).forever());
    for _ in 0..2 {
        app.clear_requests();
        let answer = app.agent("alpha").beat().await;
        assert_eq!(answer.codes(), ["github_unavailable"]);
        assert!(answer.lines("errors")[0].contains("503"), "{answer:#?}");
        assert_eq!(lengths(&app), [100, 50, 1], "the last attempt is one that could hardly be easier");
        app.outlive_freshness();
    }
    assert_eq!(app.checkpoints(API)["shortPages"], Value::Null);
    app.world.github.heal();
    app.clear_requests();
    assert_eq!(app.agent("alpha").beat().await.touched().len(), 3);
    assert_eq!(lengths(&app), [100]);
}

#[tokio::test]
async fn listing_out_of_time_while_shortening_resumes_with_shorter_pages() {
    let app = TestApp::tracking(&[API]).start().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.open_issues(API, 3));
    let slow = Matching::listing(API).longer_than(50);
    app.world.github.fault(slow.clone(), Fault::Status(504).forever());
    let clock = app.world.clock.clone();
    app.world.github.before(slow, move |_| clock.advance(Duration::from_secs(22)));
    assert_eq!(app.agent("alpha").beat().await.codes(), ["github_unavailable"]);
    app.outlive_freshness();
    app.clear_requests();
    assert_eq!(app.agent("alpha").beat().await.touched().len(), 3);
    assert_eq!(lengths(&app), [50]);
}

#[tokio::test]
async fn audit_whose_long_pages_fail_continues_in_shorter_ones() {
    for (fault, limit) in
        [(Fault::Status(502), 50), (Fault::Status(504), 25), (Fault::resource_limits(0), 25)]
    {
        let app = settled(60).await;
        app.world.github.arrange(|github| github.delete_issue(API, 7));
        let fault: Repeated<Fault> = fault.forever();
        app.world.github.fault(Matching::graphql().longer_than(limit), fault);
        let firsts = |app: &TestApp| -> Vec<u64> {
            let requests = app.world.github.requests();
            let pages = requests.iter().filter(|request| is_brief_page(request));
            pages
                .filter_map(|request: &Request| request.graphql.as_ref()?.variables["first"].as_u64())
                .collect()
        };
        let answer = audit(&app).await;
        assert_eq!((answer.status(), answer.touched()), ("ok", vec!["deleted acme/api#7".to_owned()]));
        assert_eq!(firsts(&app)[..2], [100, 50]);
        assert_eq!(app.checkpoints(API)["shortOpenPages"]["length"], limit);
        let pages = app.asked().iter().filter(|path| path.contains("state=open")).count();
        assert_eq!(pages, 0, "REST is not needed");
        app.world.github.heal();
        let answer = audit(&app).await;
        assert_eq!((answer.status(), answer.touched()), ("ok", vec![]));
        assert!(firsts(&app)[0] > limit && firsts(&app)[0] <= 100);
    }
}
