//! The lease under load: however many heartbeats arrive at once, one pass runs, even when its holder stalls or dies, or
//! the table is throttled.

use std::time::Duration;

use futures_util::future::{join, join_all};
use test_world::dynamodb::{Fault, On};
use test_world::github::Matching;

use crate::support::app::{Answer, Setup, TestApp, until_held};

const REPOSITORIES: [&str; 3] = ["acme/api", "acme/web", "acme/docs"];

fn fleet() -> Setup {
    TestApp::tracking(&REPOSITORIES)
}

/// Hundreds of beats share two cores with the world around them: they wait for each other, not for DynamoDB.
fn patient(setup: Setup) -> Setup {
    setup.timing(|timing| {
        timing.connect = Duration::from_secs(60);
        timing.secret = Duration::from_secs(180);
        timing.github.attempt_timeout = Duration::from_secs(60);
        timing.store.attempt = Duration::from_secs(60);
        timing.store.call = Duration::from_secs(120);
    })
}

/// Three settled repositories, one of which has changed.
async fn one_closed(setup: Setup) -> TestApp {
    let app = setup.start().await;
    app.world.github.arrange(|github| REPOSITORIES.iter().for_each(|name| github.open_issues(name, 3)));
    app.agent("alpha").beat().await;
    app.pass_time(150);
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.close_issue("acme/web", 2));
    app.clear_requests();
    app
}

/// Sends heartbeats of these agents and of the schedule at once.
async fn beat_at_once(app: &TestApp, count: usize) -> Vec<Answer> {
    let agents: Vec<_> = (0..count).map(|n| app.agent(&format!("agent-{n}"))).collect();
    let schedule = app.schedule();
    let beats = join_all(agents.iter().map(|agent| agent.beat()));
    let (mut answers, scheduled) = join(beats, schedule.beat()).await;
    answers.push(scheduled.expect("no error"));
    answers
}

fn passes_run(answers: &[Answer]) -> usize {
    answers.iter().filter(|answer| !answer.is_coalesced()).count()
}

fn fence(app: &TestApp) -> u64 {
    app.state()["fence"].as_u64().expect("a fence")
}

#[tokio::test]
async fn five_hundred_agents_at_once_make_one_pass_and_get_each_change_once() {
    let alone = one_closed(fleet()).await;
    alone.agent("alpha").beat().await;
    let crowded = one_closed(patient(fleet())).await;
    let before = fence(&crowded);
    let first = beat_at_once(&crowded, 500).await;
    assert_eq!((passes_run(&first), fence(&crowded)), (1, before + 1));
    assert_eq!(crowded.requests_to_github(), alone.requests_to_github());
    assert_eq!(crowded.items("AGENT#", "RUN#").len(), 501 + 2, "a run each, and alpha's two");

    crowded.pass_time(150);
    crowded.clear_requests();
    crowded.world.github.arrange(|github| github.close_issue("acme/docs", 1));
    let second = beat_at_once(&crowded, 100).await;
    assert_eq!((passes_run(&second), fence(&crowded)), (1, before + 2));
    assert_eq!(crowded.requests_to_github().iter().filter(|path| *path == "/graphql").count(), 1);
    let third = beat_at_once(&crowded, 100).await;
    assert_eq!((passes_run(&third), fence(&crowded)), (0, before + 2));
    // The last one is the schedule, which has no delivery cursor.
    for (n, (one, two)) in second.iter().zip(&third).take(100).enumerate() {
        let reported = [one.touched(), two.touched()].concat();
        let of_docs = reported.iter().filter(|touch| *touch == "closed acme/docs#1").count();
        assert_eq!(of_docs, 1, "agent {n}: {reported:?}");
    }
    assert_eq!(crowded.open_rows("acme/docs"), [2, 3]);
}

#[tokio::test]
async fn stalled_lease_is_taken_over_by_one_of_fifty_beats_for_good() {
    for stalls_at in [
        On::operation("PutItem").containing("ISSUE#"),
        On::operation("PutItem").containing("openCount"),
        On::operation("UpdateItem").containing(":ended"),
    ] {
        let app = one_closed(patient(fleet())).await;
        let before = fence(&app);
        let mut held = app.world.dynamodb.hold(stalls_at);
        let alpha = app.agent("alpha");
        let mut stalled = Box::pin(alpha.beat());
        assert!(until_held(&mut stalled, &mut held).await.is_none());
        app.pass_time(29);
        let waiting = beat_at_once(&app, 10).await;
        assert_eq!((passes_run(&waiting), fence(&app)), (0, before + 1), "its lease is valid");
        app.pass_time(1);
        let answers = beat_at_once(&app, 50).await;
        assert_eq!((passes_run(&answers), fence(&app)), (1, before + 2));
        let (rows, state) = (app.items("REPO#", "ISSUE#"), app.state());
        held.release();
        let returned = stalled.await;
        assert!(returned.is_coalesced(), "it answers from the pass that took over: {:#}", returned.0);
        app.wait_for_dynamodb().await;
        assert_eq!((app.items("REPO#", "ISSUE#"), app.state()), (rows, state));
        assert_eq!(app.open_rows("acme/web"), [1, 3]);
        let next = app.agent("alpha").beat().await;
        let reported = [returned.touched(), next.touched()].concat();
        assert!(reported.contains(&"closed acme/web#2".to_owned()), "{reported:?}");
    }
}

#[tokio::test]
async fn expired_lease_of_a_dead_holder_is_taken_over_by_one_of_fifty_beats() {
    let app = one_closed(patient(fleet())).await;
    let before = fence(&app);
    let mut held = app.world.github.hold(Matching::listing("acme/web"));
    let alpha = app.agent("alpha");
    let mut dying = Box::pin(alpha.beat());
    assert!(until_held(&mut dying, &mut held).await.is_none());
    drop(dying);
    held.release();
    app.pass_time(29);
    let waiting = beat_at_once(&app, 50).await;
    assert_eq!((passes_run(&waiting), fence(&app)), (0, before + 1), "its lease is valid");
    app.pass_time(1);
    let answers = beat_at_once(&app, 50).await;
    assert_eq!((passes_run(&answers), fence(&app)), (1, before + 2));
    let reported = app.agent("alpha").beat().await.touched();
    assert_eq!(reported, ["closed acme/web#2"]);
}

/// Every kind of request that a beat with changes sends to the table, by a part of its text.
fn operations() -> Vec<(&'static str, On)> {
    vec![
        ("the state and the agent", On::operation("BatchGetItem").containing("AGENTS")),
        ("the lease", On::operation("UpdateItem").containing("claimUntil = :until")),
        ("the fleet", On::operation("Query").containing(":fleet")),
        ("the cached rows", On::operation("BatchGetItem").containing("ISSUE#")),
        ("a row", On::operation("PutItem").containing("ISSUE#")),
        ("a repository's checkpoints", On::operation("PutItem").containing("openCount")),
        ("the pass", On::operation("PutItem").containing("PASSES")),
        ("the end", On::operation("UpdateItem").containing(":ended")),
        ("what changed", On::operation("Query").containing("Changes")),
        ("the run", On::operation("PutItem").containing("RUN#")),
        ("the delivery cursor", On::operation("UpdateItem").containing("AGENTS")),
    ]
}

#[tokio::test]
async fn table_that_throttles_a_request_twice_is_retried_without_a_problem() {
    for (what, on) in operations() {
        let app = one_closed(fleet()).await;
        app.world.dynamodb.fault(on, Fault::Throttle.times(2));
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.codes().len()), ("ok", 0), "{what}: {:#}", answer.0);
        assert_eq!(answer.touched(), ["closed acme/web#2"], "{what}");
        assert_eq!(app.open_rows("acme/web"), [1, 3], "{what}");
        assert_eq!(app.agent("alpha").beat().await.touched(), [""; 0], "{what}");
    }
}

#[tokio::test]
async fn table_that_keeps_throttling_is_a_problem_and_no_change_is_lost() {
    for (what, on) in operations() {
        let app = one_closed(fleet()).await;
        app.world.dynamodb.fault(on, Fault::Throttle.forever());
        let answer = app.agent("alpha").beat().await;
        let is_reported =
            answer.codes().iter().any(|code| ["store_unavailable", "run_not_recorded"].contains(code));
        assert!(is_reported || what == "the pass", "{what}: {:#}", answer.0);
        app.world.dynamodb.heal();
        let mut reported = Vec::new();
        for _ in 0..2 {
            app.pass_time(31);
            let answer = app.agent("alpha").beat().await;
            assert_eq!((answer.status(), answer.codes().len()), ("ok", 0), "{what}: {:#}", answer.0);
            reported.extend(answer.touched());
        }
        reported.extend(answer.touched());
        assert!(reported.contains(&"closed acme/web#2".to_owned()), "{what}: {reported:?}");
        assert_eq!(app.open_rows("acme/web"), [1, 3], "{what}");
        assert_eq!(app.checkpoints("acme/web")["openCount"], 2, "{what}");
    }
}
