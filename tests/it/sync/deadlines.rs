//! The time of a pass: its own budget, or less if the invocation ends earlier.

use crate::support::changed::two_repositories;
use std::time::Duration;

use test_world::dynamodb::On;
use test_world::github::{Fault, Matching};

use crate::support::app::{Answer, Setup, TestApp, open_spread, until_held};

/// Deferred work is no failure: the answer is `ok`, and its summary has these numbers.
fn assert_deferred(answer: &Answer, numbers: &[u64]) {
    assert_eq!((answer.status(), answer.codes().len()), ("ok", 0), "{:#}", answer.0);
    assert_eq!((answer.is_deferred(), answer.summary_numbers()), (true, numbers.to_vec()), "{:#}", answer.0);
    assert_eq!(answer.0["freshAt"], serde_json::Value::Null);
}

/// Sends a heartbeat of alpha, holds this request of its pass to GitHub, lets time pass, and releases the request.
async fn beat_that_waits_for(app: &TestApp, request: Matching, seconds: u64) -> Answer {
    let mut held = app.world.github.hold(request);
    let alpha = app.agent("alpha");
    let mut beat = Box::pin(alpha.beat());
    assert!(until_held(&mut beat, &mut held).await.is_none());
    app.pass_time(seconds);
    held.release();
    beat.await
}

#[tokio::test]
async fn invocation_with_enough_time_reads_everything() {
    let app = two_repositories().await;
    let answer = app.agent("alpha").beat_within(30).await;
    assert_eq!(answer.status(), "ok");
    assert_eq!(answer.summary_numbers(), [2, 2, 0, 151]);
    assert_eq!(app.open_rows("acme/web").len(), 150);
}

#[tokio::test]
async fn invocation_with_hardly_any_time_sends_github_nothing() {
    let app = two_repositories().await;
    let answer = app.agent("alpha").beat_within(5).await;
    assert_deferred(&answer, &[0, 2, 0, 2]);
    assert_eq!(app.requests_to_github(), [""; 0]);
    assert_eq!(app.runs("alpha").len(), 1);
    app.outlive_freshness();
    assert_eq!(app.agent("alpha").beat_within(30).await.status(), "ok");
    assert_eq!(app.open_rows("acme/web").len(), 150);
}

#[tokio::test]
async fn deadline_of_1970_is_ignored() {
    let app = two_repositories().await;
    let answer = app.agent("alpha").beat_until(Some(jiff::Timestamp::UNIX_EPOCH)).await;
    assert_eq!(answer.status(), "ok");
    assert_eq!(app.open_rows("acme/web").len(), 150);
}

#[tokio::test]
async fn pass_with_a_used_budget_sends_no_more_requests() {
    let app = two_repositories().await;
    let second_page = Matching::listing("acme/web").query("state", "open").nth(2);
    let answer = beat_that_waits_for(&app, second_page, 25).await;
    assert_deferred(&answer, &[1, 2, 0, 101, 1]);
    let asked = app.requests_to_github().len();
    assert_eq!(app.open_rows("acme/web").len(), 100);
    app.outlive_freshness();
    assert_eq!(app.agent("alpha").beat().await.status(), "ok");
    assert_eq!(app.open_rows("acme/web").len(), 150);
    assert_eq!(asked, 4, "the probe and three pages");
}

#[tokio::test]
async fn pass_with_a_used_budget_repeats_no_request() {
    let app = TestApp::tracking(&["acme/web"]).start().await;
    let listing = Matching::listing("acme/web").query("state", "open");
    app.world.github.fault(listing.clone(), Fault::Status(502).forever());
    let answer = beat_that_waits_for(&app, listing, 25).await;
    assert_eq!((answer.status(), answer.codes()), ("error", vec!["github_unavailable"]));
    let asked = app.requests_to_github();
    let pages = asked.iter().filter(|path| path.contains("web/issues?state=open"));
    assert_eq!(pages.count(), 1);
}

#[tokio::test]
async fn near_deadline_of_the_invocation_shortens_the_budget() {
    let app = two_repositories().await;
    let second_page = Matching::listing("acme/web").query("state", "open").nth(2);
    let mut held = app.world.github.hold(second_page);
    let alpha = app.agent("alpha");
    let mut beat = Box::pin(alpha.beat_within(12));
    assert!(until_held(&mut beat, &mut held).await.is_none());
    app.pass_time(8);
    held.release();
    assert_deferred(&beat.await, &[1, 2, 0, 101, 1]);
}

#[tokio::test]
async fn pass_with_a_used_budget_writes_no_row() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 90));
    let row = On::operation("PutItem").containing("ISSUE#");
    let mut held = app.world.dynamodb.hold_every(row);
    let alpha = app.agent("alpha");
    let mut beat = Box::pin(alpha.beat());
    tokio::select! {
        early = &mut beat => panic!("{early:?}"),
        () = held.all_arrived(32) => {}
    }
    app.pass_time(25);
    held.release();
    assert_deferred(&beat.await, &[0, 1, 0, 32, 1]);
    assert_eq!(rows_sent(&app), 32);
    assert_eq!(app.checkpoints("acme/api")["openCount"], 32);
    app.outlive_freshness();
    assert_eq!(app.agent("alpha").beat().await.status(), "ok");
    assert_eq!(app.open_rows("acme/api").len(), 90);
    assert_eq!(app.checkpoints("acme/api")["openCount"], 90);
}

fn rows_sent(app: &TestApp) -> usize {
    let requests = app.world.dynamodb.requests();
    requests
        .iter()
        .filter(|exchange| exchange.operation == "PutItem" && exchange.to_string().contains("ISSUE#"))
        .count()
}

/// A backfill of two pages, the second of which GitHub never sends. The first takes all but the last `left` of the
/// pass.
async fn second_page_hangs(setup: Setup, left: Duration) -> TestApp {
    let app = setup.start().await;
    let first = app.ago(1_000);
    app.world.github.arrange(|github| open_spread(github, "acme/api", 150, first));
    let pages = Matching::listing("acme/api").query("state", "open");
    let (clock, timing) = (app.world.clock.clone(), app.app.timing);
    let spent = timing.pass_budget - timing.pass_ending - left;
    app.world.github.before(pages.clone(), move |_| clock.advance(spent));
    app.world.github.fault(pages.nth(2), Fault::Hang);
    app
}

/// The pass ends long before the request times out.
async fn second_page_is_cut_off() -> TestApp {
    second_page_hangs(TestApp::tracking(&["acme/api"]), Duration::from_millis(300)).await
}

#[tokio::test]
async fn request_cut_off_by_the_passes_deadline_is_deferred() {
    let app = second_page_is_cut_off().await;
    let answer = app.agent("alpha").beat().await;
    assert_deferred(&answer, &[0, 1, 0, 100, 1]);
    assert_eq!(app.checkpoints("acme/api").get("failure"), None);
    app.outlive_freshness();
    assert_eq!(app.agent("alpha").beat().await.status(), "ok");
    assert_eq!(app.open_rows("acme/api").len(), 150);
}

#[tokio::test]
async fn request_that_hangs_beyond_its_timeout_has_failed() {
    let impatient = TestApp::tracking(&["acme/api"]).timing(|timing| {
        timing.github.attempt_timeout = Duration::from_millis(500);
        timing.github.attempts = 1;
    });
    let app = second_page_hangs(impatient, Duration::from_secs(1)).await;
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.codes()), ("error", vec!["github_unavailable"]), "{:#}", answer.0);
    assert_eq!(app.checkpoints("acme/api")["failure"]["code"], "github_unavailable");
}

#[tokio::test]
async fn schedule_continues_after_a_request_cut_off_by_the_deadline() {
    let app = second_page_is_cut_off().await;
    let answer = app.schedule().beat().await.expect("a good beat");
    assert_eq!((answer.status(), app.state()["fence"].clone()), ("ok", 2.into()), "{:#}", answer.0);
    assert_eq!(app.open_rows("acme/api").len(), 150);
    assert!(answer.0["freshAt"].is_string(), "{:#}", answer.0);
}

#[tokio::test]
async fn table_that_hangs_at_the_deadline_is_not_awaited_per_repository() {
    let names: Vec<String> = (1..=40).map(|n| format!("acme/r{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let impatient = TestApp::tracking(&names).timing(|timing| {
        timing.store.attempt = Duration::from_millis(400);
        timing.store.attempts = 1;
    });
    let app = impatient.start().await;
    app.world.github.arrange(|github| names.iter().for_each(|name| github.open_issues(name, 1)));
    let mut held = app.world.dynamodb.hold_every(On::operation("PutItem").containing("openCount"));
    let alpha = app.agent("alpha");
    let mut beat = Box::pin(alpha.beat());
    tokio::select! {
        early = &mut beat => panic!("{early:?}"),
        () = held.all_arrived(8) => {}
    }
    app.world.dynamodb.clear_requests();
    app.pass_time(25);
    let answer = beat.await;
    assert_eq!((answer.status(), answer.codes()[0]), ("error", "store_unavailable"), "{:#}", answer.0);
    let asked = app.world.dynamodb.requests().len();
    assert!(asked <= 24, "16 checkpoints at once, the end and the records: {asked}");
    held.release();
    app.pass_time(600);
    let healed = app.agent("alpha").beat().await;
    assert_eq!((healed.status(), healed.is_coalesced()), ("ok", false), "{:#}", healed.0);
    for name in names {
        assert_eq!(
            (app.open_rows(name), &app.checkpoints(name)["openCount"]),
            (vec![1], &1.into()),
            "{name}"
        );
    }
}
