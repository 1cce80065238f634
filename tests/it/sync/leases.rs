//! Many beats share one pass: which one runs it, which ones join it, and how long its result serves.

use futures_util::future::{join, join_all};
use jiff::SignedDuration;
use test_world::dynamodb::{Fault, On};
use test_world::github::{Matching, Request};

use crate::support::app::{TestApp, until_held};

async fn three_issues(repositories: &[&str]) -> TestApp {
    let app = TestApp::tracking(repositories).start().await;
    app.world.github.arrange(|github| {
        for repository in repositories {
            github.open_issues(repository, 3);
        }
    });
    app
}

#[tokio::test]
async fn fresh_pass_serves_every_beat_without_another_request() {
    let app = three_issues(&["acme/api"]).await;
    let first = app.agent("alpha").beat().await;
    app.world.github.clear_requests();
    for agent in ["alpha", "beta"] {
        let answer = app.agent(agent).beat().await;
        assert_eq!((answer.status(), answer.is_coalesced()), ("ok", true));
        assert_eq!(answer.0["freshAt"], first.0["freshAt"]);
    }
    assert_eq!(app.requests_to_github(), [""; 0]);
}

#[tokio::test]
async fn pass_serves_beats_until_its_freshness_expires() {
    let app = TestApp::tracking(&["acme/api"]).with("FRESHNESS_SECONDS", "45").start().await;
    app.agent("alpha").beat().await;
    app.pass_time(44);
    assert!(app.agent("alpha").beat().await.is_coalesced());
    app.pass_time(1);
    assert!(!app.agent("alpha").beat().await.is_coalesced());
}

#[tokio::test]
async fn fifty_beats_and_the_schedule_at_once_make_one_pass() {
    let repositories = ["acme/api", "acme/web", "acme/docs"];
    let alone = three_issues(&repositories).await;
    let crowded = three_issues(&repositories).await;
    for round in 1..=2 {
        alone.agent("alpha").beat().await;
        let agents: Vec<_> = (0..50).map(|n| crowded.agent(&format!("agent-{n}"))).collect();
        let beats = join_all(agents.iter().map(|agent| agent.beat()));
        let schedule = crowded.schedule();
        let (mut answers, scheduled) = join(beats, schedule.beat()).await;
        answers.push(scheduled.expect("no error"));
        let ran_it = answers.iter().filter(|answer| !answer.is_coalesced()).count();
        assert_eq!(ran_it, 1);
        assert_eq!(crowded.state()["fence"], round);
        assert_eq!(crowded.requests_to_github(), alone.requests_to_github());
        for app in [&alone, &crowded] {
            app.pass_time(150);
            app.world.github.arrange(|github| github.close_issue("acme/web", 2));
        }
    }
    assert_eq!(crowded.items("REPO#", "ISSUE#"), alone.items("REPO#", "ISSUE#"));
}

#[tokio::test]
async fn beat_during_the_first_pass_reports_it_and_does_not_wait() {
    let app = three_issues(&["acme/api"]).await;
    let mut held = app.world.github.hold(Matching::listing("acme/api"));
    let alpha = app.agent("alpha");
    let mut first = Box::pin(alpha.beat());
    assert!(until_held(&mut first, &mut held).await.is_none());
    let answer = app.agent("beta").beat().await;
    assert_eq!((answer.status(), answer.is_coalesced()), ("warning", true));
    assert_eq!(answer.codes(), ["first_pass_running"]);
    assert_eq!(answer.0["freshAt"], serde_json::Value::Null);
    assert_eq!(answer.0["touchedCount"], 0);
    held.release();
    assert_eq!(first.await.status(), "ok");
    assert_eq!(app.agent("beta").beat().await.status(), "ok");
}

#[tokio::test]
async fn coalesced_beat_is_stale_a_minute_after_freshness_expired() {
    let app = three_issues(&["acme/api"]).await;
    let first = app.agent("alpha").beat().await;
    app.pass_time(80);
    let mut held = app.world.github.hold(Matching::graphql());
    let alpha = app.agent("alpha");
    let mut running = Box::pin(alpha.beat());
    assert!(until_held(&mut running, &mut held).await.is_none());
    app.pass_time(10);
    assert_eq!(app.agent("beta").beat().await.codes(), [""; 0]);
    app.pass_time(1);
    let answer = app.agent("beta").beat().await;
    assert_eq!((answer.status(), answer.is_coalesced()), ("warning", true));
    assert_eq!(answer.codes(), ["stale"]);
    assert_eq!(answer.0["freshAt"], first.0["freshAt"]);
    held.release();
    assert_eq!(running.await.status(), "ok");
}

#[tokio::test]
async fn coalesced_beat_has_the_status_and_problems_of_the_last_ended_pass() {
    let app = three_issues(&["acme/api", "acme/web"]).await;
    app.world.github.arrange(|github| github.hide_repository("acme/web"));
    let ran = app.agent("alpha").beat().await;
    let joined = app.agent("beta").beat().await;
    assert_eq!([ran.is_coalesced(), joined.is_coalesced()], [false, true]);
    assert_eq!(joined.codes(), ["repository_not_found"]);
    for field in ["status", "problems", "warnings", "errors", "freshAt"] {
        assert_eq!(joined.0[field], ran.0[field], "{field}");
    }
}

/// Sends a heartbeat every 30 s for three hours, each after more than a page of changes. Returns the budget used in
/// each hour, as `counted` measures it.
async fn used_hour_by_hour(app: &TestApp, problems: &[&str], counted: impl Fn(&Request) -> u64) -> [u64; 3] {
    let mut hours = [0; 3];
    for used in &mut hours {
        app.world.github.arrange(|world| world.open_issues("acme/api", 120));
        app.clear_requests();
        for _ in 0..120 {
            let answer = app.agent("alpha").beat().await;
            assert_eq!(answer.codes(), problems, "{:#}", answer.0);
            app.pass_time(30);
        }
        *used = app.world.github.requests().iter().map(&counted).sum();
    }
    hours
}

#[tokio::test]
async fn small_request_budget_stretches_freshness_to_use_at_most_half() {
    let app = three_issues(&["acme/api"]).await;
    app.world.github.arrange(|world| {
        world.remove_graphql();
        world.set_budget(60, 60, world.now() + SignedDuration::from_hours(1));
    });
    let requests = |request: &Request| u64::from(request.graphql.is_none());
    let hours = used_hour_by_hour(&app, &["probe_unavailable"], requests).await;
    assert!(hours.iter().all(|used| (20..=30).contains(used)), "{hours:?}");
}

#[tokio::test]
async fn small_point_budget_stretches_freshness_to_use_at_most_half() {
    let app = three_issues(&["acme/api"]).await;
    app.world
        .github
        .arrange(|world| world.set_graphql_budget(60, 60, world.now() + SignedDuration::from_hours(1)));
    let points = |request: &Request| request.graphql.as_ref().map_or(0, |call| call.points);
    let hours = used_hour_by_hour(&app, &[], points).await;
    assert!(hours.iter().all(|used| (20..=30).contains(used)), "{hours:?}");
}

#[tokio::test]
async fn stretched_freshness_applies_in_every_execution_environment() {
    let app = three_issues(&["acme/api"]).await;
    app.world
        .github
        .arrange(|world| world.set_graphql_budget(60, 60, world.now() + SignedDuration::from_hours(1)));
    app.agent("alpha").beat().await;
    let elsewhere = app.agent("beta").in_environment(app.another_environment());
    for (seconds, is_coalesced) in [(119, true), (1, false)] {
        app.pass_time(seconds);
        let answer = elsewhere.beat().await;
        assert_eq!((answer.status(), answer.is_coalesced()), ("ok", is_coalesced));
    }
}

#[tokio::test]
async fn failed_pass_releases_its_lease() {
    let app = three_issues(&["acme/api"]).await;
    app.world.dynamodb.fault(On::operation("Query"), Fault::InternalError.times(3));
    let failed = app.agent("alpha").beat().await;
    assert_eq!((failed.status(), failed.is_coalesced()), ("error", false));
    assert_eq!(failed.codes(), ["store_unavailable"]);
    let next = app.agent("beta").beat().await;
    assert_eq!((next.status(), next.is_coalesced()), ("ok", false), "{:#}", next.0);
}
