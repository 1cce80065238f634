//! GitHub after a restore from a backup: issues show an older version, with its old `updated_at`.

use agent_heartbeat::domain::iso_millis;
use jiff::Timestamp;
use test_world::github::World;

use crate::support::app::{Answer, TestApp};
use crate::support::audits::{INTERVAL, audit, settled};

const API: &str = "acme/api";

/// Three known, settled issues, the third of them closed.
async fn known() -> TestApp {
    let app = settled(3).await;
    app.world.github.arrange(|github| github.close_issue(API, 3));
    app.outlive_freshness();
    assert_eq!(app.agent("alpha").beat().await.touched(), ["closed acme/api#3"]);
    app.pass_time(130);
    app.agent("alpha").beat().await;
    app
}

fn restore(github: &mut World, number: u64) {
    assert!(github.restore_issue(API, number));
}

fn updated_at(app: &TestApp, number: u64) -> Timestamp {
    app.world.github.arrange(|github| github.issue(API, number).updated_at)
}

fn assert_in_step(app: &TestApp, open: &[u64]) {
    assert_eq!((app.open_rows(API), &app.checkpoints(API)["openCount"]), (open.to_vec(), &open.len().into()));
    for number in open {
        assert_eq!(app.row(API, *number)["updatedAt"], iso_millis(updated_at(app, *number)));
    }
}

async fn beats(app: &TestApp, count: usize) -> Vec<String> {
    let mut reported = Vec::new();
    for _ in 0..count {
        app.outlive_freshness();
        let answer: Answer = app.agent("alpha").beat().await;
        assert_eq!(answer.status(), "ok", "{:#}", answer.0);
        reported.extend(answer.touched());
    }
    reported
}

#[tokio::test]
async fn closed_issue_restored_to_open_is_open_again() {
    let app = known().await;
    app.world.github.arrange(|github| restore(github, 3));
    let answer = audit(&app).await;
    assert_eq!((answer.status(), answer.touched()), ("ok", vec!["reopened acme/api#3".to_owned()]));
    assert_in_step(&app, &[1, 2, 3]);
    assert_eq!(audit(&app).await.touched(), [""; 0]);
}

#[tokio::test]
async fn closed_issue_restored_to_open_is_found_by_the_second_probe() {
    let app = known().await;
    app.world.github.arrange(|github| restore(github, 3));
    assert_eq!(beats(&app, 2).await, ["reopened acme/api#3"]);
    assert_in_step(&app, &[1, 2, 3]);
    assert_eq!(beats(&app, 3).await, [""; 0]);
}

#[tokio::test]
async fn open_issue_restored_to_closed_is_closed() {
    let app = known().await;
    app.world.github.arrange(|github| github.reopen_issue(API, 3));
    assert_eq!(beats(&app, 1).await, ["reopened acme/api#3"]);
    app.pass_time(130);
    app.agent("alpha").beat().await;
    app.world.github.arrange(|github| restore(github, 3));
    let answer = audit(&app).await;
    assert_eq!((answer.status(), answer.touched()), ("ok", vec!["closed acme/api#3".to_owned()]));
    assert_in_step(&app, &[1, 2]);
    assert_eq!(audit(&app).await.touched(), [""; 0]);
}

#[tokio::test]
async fn open_issue_restored_to_an_older_version_is_rewritten() {
    for has_graphql in [true, false] {
        let app = known().await;
        app.world
            .github
            .arrange(|github| github.edit_issue(API, 1, |issue| issue.title = "New title".into()));
        assert_eq!(beats(&app, 1).await, ["edited acme/api#1"]);
        app.pass_time(130);
        app.agent("alpha").beat().await;
        app.world.github.arrange(|github| {
            restore(github, 1);
            if !has_graphql {
                github.remove_graphql();
            }
        });
        assert_eq!(audit(&app).await.touched(), ["edited acme/api#1"], "GraphQL: {has_graphql}");
        assert_eq!(app.row(API, 1)["title"], "Spread");
        assert_in_step(&app, &[1, 2]);
        assert_eq!(audit(&app).await.touched(), [""; 0]);
    }
}

#[tokio::test]
async fn restored_issue_that_was_just_read_waits_for_late_answers() {
    let app = known().await;
    app.world.github.arrange(|github| github.comment(API, 1));
    app.outlive_freshness();
    app.agent("alpha").beat().await;
    app.pass_time(INTERVAL);
    app.world.github.arrange(|github| github.close_issue(API, 2));
    app.agent("alpha").beat().await;
    assert_eq!(app.open_rows(API), [1]);
    app.world.github.arrange(|github| restore(github, 2));
    let read_at: Timestamp = app.row(API, 2)["readAt"].as_str().expect("a time").parse().expect("a time");
    let mut reported = Vec::new();
    for _ in 0..12 {
        app.outlive_freshness();
        reported.extend(app.agent("alpha").beat().await.touched());
        let now = app.ago(0);
        let is_well_after = now.duration_since(read_at).as_secs() > 120;
        assert!(is_well_after || reported.is_empty(), "{now}: {reported:?}");
    }
    assert_eq!(reported, ["reopened acme/api#2"], "without waiting for the next interval");
    assert_in_step(&app, &[1, 2]);
}
