//! A lease holder whose table requests fail or whose answers are lost, and one that dies in a first reading.
//! `simulation/deaths.rs` and `simulation/overlaps.rs` simulate deaths and stalls of any later pass.

use test_world::dynamodb::{Fault, On};
use test_world::github::Matching;

use crate::support::app::{TestApp, until_held};

const NEWS: [&str; 3] = ["closed acme/api#1", "edited acme/api#2", "opened acme/web#2"];

/// Alpha and beta have sent heartbeats, and the next one runs a pass with [`NEWS`].
async fn news() -> TestApp {
    let app = TestApp::tracking(&["acme/api", "acme/web"]).start().await;
    app.world.github.arrange(|github| {
        github.open_issues("acme/api", 3);
        github.open_issues("acme/web", 1);
    });
    app.agent("alpha").beat().await;
    app.agent("beta").beat().await;
    app.pass_time(150);
    app.world.github.arrange(|github| {
        github.close_issue("acme/api", 1);
        github.comment("acme/api", 2);
        github.open_issue("acme/web", "New");
    });
    app.world.github.clear_requests();
    app.world.dynamodb.clear_requests();
    app
}

/// The rows agree with GitHub, and each repository's count with its rows.
fn assert_in_step(app: &TestApp) {
    assert_eq!(app.open_rows("acme/api"), [2, 3]);
    assert_eq!(app.open_rows("acme/web"), [1, 2]);
    for repository in ["acme/api", "acme/web"] {
        assert_eq!(app.checkpoints(repository)["openCount"], 2);
    }
    assert_eq!(app.row("acme/api", 1)["state"], "closed");
}

/// The number of DynamoDB requests of a beat with changes.
async fn requests_of_a_beat() -> u64 {
    let app = news().await;
    assert_eq!(app.agent("alpha").beat().await.touched(), NEWS);
    assert_in_step(&app);
    let requests = app.world.dynamodb.requests().len();
    assert!(requests > 10, "{requests}");
    requests as u64
}

#[tokio::test]
async fn lost_answer_to_any_table_request_changes_nothing() {
    let github = {
        let app = news().await;
        app.agent("alpha").beat().await;
        app.requests_to_github()
    };
    for n in 1..=requests_of_a_beat().await {
        let app = news().await;
        app.world.dynamodb.fault(On::anything().nth(n), Fault::LoseAnswer);
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.is_coalesced()), ("ok", false), "request {n}: {:#}", answer.0);
        assert_eq!(answer.touched(), NEWS, "request {n}");
        assert_eq!(answer.0["touchedCount"], 3, "request {n}");
        assert_eq!(app.requests_to_github(), github, "request {n}");
        assert_eq!(app.state()["ended"]["fence"], 2, "request {n}");
        assert_eq!(app.agent("beta").beat().await.touched(), NEWS, "request {n}");
        assert_eq!(app.runs("alpha").len(), 2, "request {n}");
        assert_in_step(&app);
    }
}

#[tokio::test]
async fn backfill_resumes_where_a_dead_holder_left_it() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 130));
    let second_page = Matching::listing("acme/api").query("state", "open").nth(2);
    let mut held = app.world.github.hold(second_page);
    let alpha = app.agent("alpha");
    let mut dying = Box::pin(alpha.beat());
    assert!(until_held(&mut dying, &mut held).await.is_none());
    drop(dying);
    held.release();
    assert_eq!(app.open_rows("acme/api").len(), 100);
    app.pass_time(31);
    let next = app.agent("beta").beat().await;
    assert_eq!((next.status(), next.touched().len()), ("ok", 0), "{:#}", next.0);
    assert_eq!(app.open_rows("acme/api").len(), 130);
    assert_eq!(app.checkpoints("acme/api")["openCount"], 130);
}

#[tokio::test]
async fn failed_table_request_of_any_kind_loses_nothing() {
    for n in 1..=requests_of_a_beat().await {
        let app = news().await;
        app.world.dynamodb.fault(On::anything().nth(n), Fault::AccessDenied);
        let mut reported = app.agent("alpha").beat().await.touched();
        app.pass_time(31);
        for answer in [app.agent("alpha").beat().await, app.agent("beta").beat().await] {
            assert_eq!(answer.status(), "ok", "request {n}: {:#}", answer.0);
            reported.extend(answer.touched());
            reported.sort();
            reported.dedup();
            assert_eq!(reported, NEWS, "request {n}");
            reported.clear();
        }
        assert_in_step(&app);
    }
}

#[tokio::test]
async fn holder_that_dies_in_the_first_pass_leaves_a_correct_count() {
    for n in 1.. {
        let mut app = TestApp::tracking(&["acme/api"]).start().await;
        app.world.github.arrange(|github| github.open_issues("acme/api", 3));
        let mut held = app.world.dynamodb.hold(On::anything().nth(n));
        let alpha = app.agent("alpha");
        let mut dying = Box::pin(alpha.beat());
        let ended = until_held(&mut dying, &mut held).await;
        drop(dying);
        if ended.is_some() {
            assert!(n > 10, "{n}");
            app.allows_unused_faults();
            break;
        }
        app.pass_time(31);
        let next = app.agent("beta").beat().await;
        assert_eq!((next.status(), next.touched().len()), ("ok", 0), "after request {n}");
        assert_eq!(app.open_rows("acme/api"), [1, 2, 3], "after request {n}");
        assert_eq!(app.checkpoints("acme/api")["openCount"], 3, "after request {n}");
    }
}

#[tokio::test]
async fn holder_that_dies_leaves_a_running_agent_run() {
    let app = news().await;
    let mut held = app.world.dynamodb.hold(On::operation("PutItem").containing("ISSUE#"));
    let alpha = app.agent("alpha");
    let mut dying = Box::pin(alpha.beat());
    assert!(until_held(&mut dying, &mut held).await.is_none());
    drop(dying);
    let run = app.runs("alpha").pop().expect("a run");
    assert_eq!(run["status"], "running");
    assert_eq!(run.get("finishedAt"), None);
}
