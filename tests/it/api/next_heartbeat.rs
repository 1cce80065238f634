//! `nextHeartbeatInSeconds`: the time until another heartbeat can report something new.
//!
//! `limits/rate_limits.rs` tests it during a rate limit, `sync/without_graphql.rs` with a stretched freshness.

use test_world::dynamodb::{Fault as Broken, On};
use test_world::github::{Fault, Matching};

use crate::support::app::{TestApp, until_held};

#[tokio::test]
async fn next_heartbeat_after_a_pass_is_in_one_freshness() {
    for (variable, seconds) in [("30", 30), ("45", 45)] {
        let app = TestApp::tracking(&["acme/api"]).with("FRESHNESS_SECONDS", variable).start().await;
        let answer = app.agent("alpha").beat().await;
        assert_eq!(answer.next_heartbeat(), seconds);
        app.pass_time(seconds - 1);
        assert!(app.agent("alpha").beat().await.is_coalesced());
        app.pass_time(1);
        assert!(!app.agent("alpha").beat().await.is_coalesced());
    }
}

#[tokio::test]
async fn next_heartbeat_of_a_coalesced_beat_is_the_remaining_freshness() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.agent("alpha").beat().await;
    let mut reported = Vec::new();
    for seconds in [0, 7, 22] {
        app.pass_time(seconds);
        let answer = app.agent("beta").beat().await;
        assert!(answer.is_coalesced());
        reported.push(answer.next_heartbeat());
    }
    assert_eq!(reported, [30, 23, 1]);
}

#[tokio::test]
async fn next_heartbeat_while_changes_remain_is_0() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.agent("beta").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.open_issues("acme/api", 450));
    app.agent("alpha").beat().await;
    let mut reported = Vec::new();
    for _ in 0..4 {
        reported.push(app.agent("beta").beat().await.next_heartbeat());
    }
    assert_eq!(reported, [0, 0, 30, 30]);
}

#[tokio::test]
async fn next_heartbeat_is_rounded_up_to_a_whole_second() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.agent("alpha").beat().await;
    app.world.clock.advance(std::time::Duration::from_millis(29_001));
    assert_eq!(app.agent("alpha").beat().await.next_heartbeat(), 1);
}

#[tokio::test]
async fn next_heartbeat_while_a_pass_runs_is_its_remaining_lease() {
    for has_ended_before in [false, true] {
        let app = TestApp::tracking(&["acme/api"]).start().await;
        if has_ended_before {
            app.agent("alpha").beat().await;
            app.pass_time(100);
        }
        let mut held = app.world.github.hold(Matching::graphql());
        let alpha = app.agent("alpha");
        let mut running = Box::pin(alpha.beat());
        assert!(until_held(&mut running, &mut held).await.is_none());
        assert_eq!(app.agent("beta").beat().await.next_heartbeat(), 30);
        app.pass_time(10);
        assert_eq!(app.agent("beta").beat().await.next_heartbeat(), 20);
        held.release();
        assert_eq!(running.await.next_heartbeat(), 30, "its own freshness");
    }
}

#[tokio::test]
async fn next_heartbeat_is_the_later_of_freshness_and_rate_limit_reset() {
    for (wait, expected) in [(5, 30), (300, 300)] {
        let app = TestApp::tracking(&["acme/api"]).start().await;
        let headers = vec![("retry-after", wait.to_string())];
        let limit = Fault::Answer { status: 429, headers, body: "{}".to_owned() };
        app.world.github.fault(Matching::graphql(), limit);
        assert_eq!(app.agent("alpha").beat().await.next_heartbeat(), expected);
        app.pass_time(2);
        let joined = app.agent("beta").beat().await;
        assert_eq!((joined.is_coalesced(), joined.next_heartbeat()), (true, expected - 2));
    }
}

#[tokio::test]
async fn next_heartbeat_without_the_table_is_the_default_interval() {
    for (interval, seconds) in [(None, 900), (Some("600"), 600)] {
        let setup = TestApp::tracking(&["acme/api"]);
        let setup = interval
            .into_iter()
            .fold(setup, |setup, interval| setup.with("HEARTBEAT_INTERVAL_SECONDS", interval));
        let app = setup.start().await;
        app.world.dynamodb.fault(On::anything(), Broken::AccessDenied.forever());
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.codes()[0], answer.next_heartbeat()), ("store_unavailable", seconds));
    }
}

#[tokio::test]
async fn next_heartbeat_after_a_pass_without_the_table_is_the_default() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.dynamodb.fault(On::operation("Query").containing(":fleet"), Broken::AccessDenied);
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.codes(), answer.next_heartbeat()), (vec!["store_unavailable"], 900));
}

#[tokio::test]
async fn next_heartbeat_of_a_failing_or_empty_fleet_is_in_one_freshness() {
    let failing = TestApp::tracking(&["acme/api"]).start().await;
    failing.world.github.fault(Matching::anything(), Fault::Status(500).forever());
    let empty = TestApp::tracking(&[]).start().await;
    for app in [failing, empty] {
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.next_heartbeat()), ("error", 30));
    }
}
