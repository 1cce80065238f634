//! An agent above its rate limit is refused until the minute ends; other agents are not affected.

use futures_util::future::join_all;
use serde_json::json;
use test_world::dynamodb::{Capacity, Fault, On};

use crate::support::app::{Reply, TestApp, until_held};
use crate::support::log::Log;

/// A service with this limit of beats per minute, at the beginning of a minute.
async fn granting(beats: &str) -> TestApp {
    let app = TestApp::tracking(&["acme/api"]).with("BEATS_PER_MINUTE", beats).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 1));
    app
}

async fn knocks(app: &TestApp, agent: &str, times: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..times {
        statuses.push(app.agent(agent).knock().await.status);
    }
    statuses
}

fn assert_refused(reply: &Reply, retry_after: &str) {
    assert_eq!((reply.status, reply.headers["retry-after"].as_str()), (429, retry_after), "{reply:#?}");
}

#[tokio::test]
async fn sixty_first_beat_of_a_minute_is_refused_for_its_agent_alone() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    assert_eq!(knocks(&app, "alpha", 60).await, [200; 60]);
    let reply = app.agent("alpha").knock().await;
    assert_refused(&reply, "60");
    assert_eq!(reply.headers["content-type"], "application/problem+json");
    insta::assert_json_snapshot!(reply.body, @r#"
    {
      "detail": "rate limit exceeded: 60 heartbeats per minute for this agent; retry in 60 s",
      "error": "Too Many Requests",
      "status": 429,
      "title": "Too Many Requests",
      "type": "about:blank"
    }
    "#);
    assert_eq!(knocks(&app, "beta", 1).await, [200]);
    assert_eq!(knocks(&app, "alpha", 1).await, [429]);
}

#[tokio::test]
async fn throttled_agent_is_accepted_in_the_next_minute() {
    let app = granting("2").await;
    app.pass_time(7);
    assert_eq!(knocks(&app, "alpha", 3).await, [200, 200, 429]);
    app.pass_time(52);
    assert_refused(&app.agent("alpha").knock().await, "1");
    app.pass_time(1);
    assert_eq!(knocks(&app, "alpha", 3).await, [200, 200, 429]);
}

#[tokio::test]
async fn beats_are_counted_by_minute() {
    let app = granting("2").await;
    app.pass_time(59);
    assert_eq!(knocks(&app, "alpha", 2).await, [200; 2]);
    app.pass_time(1);
    assert_eq!(knocks(&app, "alpha", 2).await, [200; 2]);
}

#[tokio::test]
async fn refused_beat_is_logged_and_writes_and_requests_nothing() {
    let app = granting("1").await;
    assert_eq!(knocks(&app, "alpha", 1).await, [200]);
    app.outlive_freshness();
    let (runs, item) = (app.runs("alpha"), app.items("AGENTS", "alpha"));
    app.clear_requests();
    let log = Log::begin();
    assert_refused(&app.agent("alpha").knock().await, "29");
    assert_eq!((app.runs("alpha"), app.items("AGENTS", "alpha")), (runs, item));
    assert_eq!(app.asked(), [""; 0]);
    assert_eq!(app.world.dynamodb.capacity(), Capacity { read_units: 2.0, write_units: 0.0 });
    let [line] = &log.lines("INFO")[..] else { panic!("one line: {}", log.text()) };
    assert_eq!(line["http.status"], 429);
}

#[tokio::test]
async fn concurrent_beats_are_all_counted_and_the_next_is_refused() {
    let app = granting("100").await;
    assert_eq!(knocks(&app, "beta", 1).await, [200]);
    let alpha = app.agent("alpha");
    let replies = join_all((0..100).map(|_| alpha.knock())).await;
    assert_eq!(replies.iter().map(|reply| reply.status).collect::<Vec<_>>(), [200; 100]);
    assert_eq!(app.beats_in_minute("alpha"), 100);
    assert_eq!(knocks(&app, "alpha", 1).await, [429]);
}

#[tokio::test]
async fn concurrent_beats_above_the_limit_are_answered_and_later_ones_refused() {
    let app = granting("10").await;
    let alpha = app.agent("alpha");
    let replies = join_all((0..50).map(|_| alpha.knock())).await;
    let answered = replies.iter().filter(|reply| reply.status == 200).count();
    assert!(answered >= 10, "{answered}");
    assert_eq!(app.beats_in_minute("alpha"), answered);
    assert_eq!(knocks(&app, "alpha", 2).await, [429; 2]);
}

#[tokio::test]
async fn slower_beat_is_counted_and_does_not_move_the_cursor_back() {
    let app = granting("3").await;
    let alpha = app.agent("alpha");
    alpha.beat().await;
    app.pass_time(20);
    let mut held = app.world.dynamodb.hold(On::operation("UpdateItem").containing("AGENTS"));
    let mut slow = Box::pin(alpha.beat());
    assert!(until_held(&mut slow, &mut held).await.is_none());
    app.pass_time(11);
    alpha.beat().await;
    let cursor = app.items("AGENTS", "alpha")[0]["told"].clone();
    held.release();
    slow.await;
    assert_eq!((&app.items("AGENTS", "alpha")[0]["told"], app.beats_in_minute("alpha")), (&cursor, json!(3)));
    assert_refused(&alpha.knock().await, "29");
}

#[tokio::test]
async fn slower_beat_of_the_previous_minute_does_not_count_in_this_one() {
    let app = granting("1").await;
    app.pass_time(50);
    let alpha = app.agent("alpha");
    let mut held = app.world.dynamodb.hold(On::operation("UpdateItem").containing("AGENTS"));
    let mut slow = Box::pin(alpha.beat());
    assert!(until_held(&mut slow, &mut held).await.is_none());
    app.pass_time(10);
    alpha.beat().await;
    let item = app.items("AGENTS", "alpha");
    held.release();
    slow.await;
    assert_eq!(app.beats_in_minute("alpha"), 1);
    assert_eq!(app.items("AGENTS", "alpha")[0]["beatMinute"], item[0]["beatMinute"]);
    assert_eq!(knocks(&app, "alpha", 1).await, [429]);
}

#[tokio::test]
async fn scheduled_beat_is_never_refused() {
    let app = granting("1").await;
    for _ in 0..3 {
        app.schedule().beat().await.expect("an answer");
    }
    assert_eq!(app.runs("scheduler").len(), 3);
}

#[tokio::test]
async fn agent_whose_item_cannot_be_read_is_not_refused() {
    let app = granting("1").await;
    assert_eq!(knocks(&app, "alpha", 2).await, [200, 429]);
    app.world.dynamodb.fault(On::operation("BatchGetItem").containing("AGENTS"), Fault::AccessDenied);
    assert_eq!(app.agent("alpha").beat().await.codes(), ["store_unavailable"]);
    assert_eq!(knocks(&app, "alpha", 1).await, [429]);
}

#[tokio::test]
async fn frequent_beats_cost_no_more_than_rare_ones() {
    let app = granting("60").await;
    app.agent("beta").beat().await;
    app.agent("alpha").beat().await;
    for seconds in [0, 1, 10] {
        app.pass_time(seconds);
        app.clear_requests();
        assert!(app.agent("alpha").beat().await.is_coalesced());
        let cost = app.world.dynamodb.capacity();
        assert_eq!(cost, Capacity { read_units: 2.0, write_units: 2.0 }, "after {seconds} s");
    }
}
