//! Rows that cannot be written: the cursor stays at what was written, and a later pass writes the rest.

use serde_json::json;
use test_world::dynamodb::{Fault, On};

use crate::support::app::TestApp;

/// A repository of 150 issues, all known to alpha and beta. A listing of all has two pages.
async fn with_150_known_issues() -> TestApp {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 150));
    app.agent("alpha").beat().await;
    app.agent("beta").beat().await;
    app.pass_time(150);
    app
}

fn close_each_in_its_own_second(app: &TestApp, issues: std::ops::RangeInclusive<u64>) {
    for number in issues {
        app.pass_time(1);
        app.world.github.arrange(|github| github.close_issue("acme/api", number));
    }
}

fn row_write(number: u64) -> On {
    On::operation("PutItem").containing(format!("ISSUE#{number:010}"))
}

#[tokio::test]
async fn write_that_fails_leaves_the_cursor_at_what_was_written() {
    let app = with_150_known_issues().await;
    close_each_in_its_own_second(&app, 1..=150);
    app.world.dynamodb.fault(row_write(130), Fault::InternalError.forever());
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.status(), "error");
    assert_eq!(answer.codes(), ["store_unavailable"]);
    assert_eq!(app.row("acme/api", 130)["state"], "open");
    // The first page has the 100 oldest changes.
    assert_eq!(app.checkpoints("acme/api")["cursor"], app.row("acme/api", 100)["updatedAt"]);
}

#[tokio::test]
async fn writes_that_failed_are_repeated_and_open_issues_recounted() {
    let app = with_150_known_issues().await;
    close_each_in_its_own_second(&app, 1..=120);
    for number in [5, 110] {
        app.world.dynamodb.fault(row_write(number), Fault::InternalError.times(3));
    }
    for status in ["error", "error", "ok"] {
        let answer = app.agent("alpha").beat().await;
        assert_eq!(answer.status(), status, "{:#}", answer.0);
        app.outlive_freshness();
    }
    assert_eq!(app.open_rows("acme/api"), (121..=150).collect::<Vec<_>>());
    assert_eq!(app.checkpoints("acme/api")["openCount"], 30);
    let answer = app.agent("beta").beat().await;
    assert_eq!(answer.0["touchedCount"], 120);
    assert!(answer.touched().iter().all(|touch| touch.starts_with("closed ")));
}

#[tokio::test]
async fn page_written_in_part_is_reported_completely() {
    let app = with_150_known_issues().await;
    close_each_in_its_own_second(&app, 1..=3);
    app.world.dynamodb.fault(row_write(2), Fault::InternalError.times(3));
    let first = app.agent("alpha").beat().await.touched();
    app.outlive_freshness();
    let second = app.agent("alpha").beat().await.touched();
    assert_eq!(first, ["closed acme/api#1", "closed acme/api#3"]);
    assert!(second.contains(&"closed acme/api#2".to_owned()), "{second:?}");
    app.outlive_freshness();
    assert_eq!(app.agent("alpha").beat().await.touched(), [""; 0]);
}

#[tokio::test]
async fn backfill_whose_write_fails_is_finished_by_the_next_pass() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 20));
    app.world.dynamodb.fault(row_write(7), Fault::InternalError.times(3));
    let failed = app.agent("alpha").beat().await;
    assert_eq!((failed.status(), failed.0["freshAt"].clone()), ("error", json!(null)));
    app.outlive_freshness();
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.touched().len()), ("ok", 0));
    assert_eq!(app.open_rows("acme/api"), (1..=20).collect::<Vec<_>>());
    assert_eq!(app.checkpoints("acme/api")["openCount"], 20);
}

#[tokio::test]
async fn checkpoint_that_cannot_be_written_costs_one_page_read_again() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 5));
    app.agent("alpha").beat().await;
    app.agent("beta").beat().await;
    app.pass_time(150);
    close_each_in_its_own_second(&app, 1..=2);
    let checkpoint = On::operation("PutItem").containing("FLEET").containing("openCount");
    app.world.dynamodb.fault(checkpoint, Fault::InternalError.forever());
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.codes(), ["store_unavailable"]);
    assert_eq!(app.open_rows("acme/api"), [3, 4, 5]);
    assert_eq!(app.checkpoints("acme/api")["openCount"], 5);
    app.world.dynamodb.heal();
    app.outlive_freshness();
    assert_eq!(app.agent("alpha").beat().await.status(), "ok");
    assert_eq!(app.checkpoints("acme/api")["openCount"], 3);
    assert_eq!(app.agent("beta").beat().await.touched(), ["closed acme/api#1", "closed acme/api#2"]);
}

#[tokio::test]
async fn first_checkpoint_that_cannot_be_written_leaves_a_correct_count() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 20));
    let checkpoint = On::operation("PutItem").containing("FLEET").containing("openCount");
    app.world.dynamodb.fault(checkpoint, Fault::InternalError.forever());
    assert_eq!(app.agent("alpha").beat().await.codes(), ["store_unavailable"]);
    app.world.dynamodb.heal();
    app.outlive_freshness();
    assert_eq!(app.agent("alpha").beat().await.status(), "ok");
    assert_eq!(app.checkpoints("acme/api")["openCount"], 20);
}
