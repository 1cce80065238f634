//! The kinds of change: opened, edited, closed, reopened, moved, deleted, hidden.

use serde_json::json;
use test_world::dynamodb::{Fault, On};
use test_world::github::World;

use crate::support::app::{Answer, TestApp};

/// The interval between audits in these tests.
const INTERVAL: u64 = 600;

/// An agent that has seen three open issues, and a repository that is not tracked.
async fn an_agent_that_knows_three_issues() -> TestApp {
    let app =
        TestApp::tracking(&["acme/api"]).with("AUDIT_INTERVAL_SECONDS", &INTERVAL.to_string()).start().await;
    app.world.github.arrange(|github| {
        github.create_repository("acme/attic");
        github.open_issues("acme/api", 3);
    });
    app.agent("alpha").beat().await;
    app.pass_time(INTERVAL);
    app
}

/// Sends a heartbeat when the next audit is due.
async fn beat_with_an_audit(app: &TestApp) -> Answer {
    app.pass_time(INTERVAL);
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.status(), "ok", "{:#}", answer.0);
    answer
}

#[tokio::test]
async fn audit_without_changes_reports_nothing() {
    let app = an_agent_that_knows_three_issues().await;
    for _ in 0..3 {
        assert_eq!(beat_with_an_audit(&app).await.touched(), [""; 0]);
    }
    assert_eq!(app.open_rows("acme/api"), [1, 2, 3]);
}

#[tokio::test]
async fn issue_closed_and_reopened_between_two_passes_is_reported_as_reopened() {
    let app = an_agent_that_knows_three_issues().await;
    app.world.github.arrange(|github| github.close_issue("acme/api", 1));
    app.pass_time(5);
    app.world.github.arrange(|github| github.reopen_issue("acme/api", 1));
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.touched(), ["reopened acme/api#1"]);
}

#[tokio::test]
async fn issue_opened_and_closed_between_two_passes_is_reported_as_closed() {
    let app = an_agent_that_knows_three_issues().await;
    app.world.github.arrange(|github| {
        let number = github.open_issue("acme/api", "Short");
        github.close_issue("acme/api", number);
    });
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.touched(), ["closed acme/api#4"]);
}

#[tokio::test]
async fn old_closed_issue_with_a_new_comment_is_reported_as_edited() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| {
        let number = github.open_issue("acme/api", "Long done");
        github.close_issue("acme/api", number);
    });
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.comment("acme/api", 1));
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.touched(), ["edited acme/api#1"]);
}

#[tokio::test]
async fn last_change_of_an_issue_wins_and_an_edit_hides_no_other() {
    let app = an_agent_that_knows_three_issues().await;
    let github = &app.world.github;
    app.agent("beta").beat().await;
    let rounds: [fn(&mut World); 3] = [
        |github| {
            github.close_issue("acme/api", 1);
            github.close_issue("acme/api", 2);
            github.comment("acme/api", 3);
            github.open_issue("acme/api", "New");
        },
        |github| {
            github.reopen_issue("acme/api", 1);
            github.comment("acme/api", 2);
            github.comment("acme/api", 3);
            github.comment("acme/api", 4);
        },
        |github| github.comment("acme/api", 1),
    ];
    for round in rounds {
        app.pass_time(150);
        github.arrange(round);
        app.agent("alpha").beat().await;
    }
    let answer = app.agent("beta").beat().await;
    assert!(answer.is_coalesced());
    let expected = ["reopened acme/api#1", "closed acme/api#2", "edited acme/api#3", "opened acme/api#4"];
    assert_eq!(answer.touched(), expected);
}

#[tokio::test]
async fn deleted_issue_is_reported_as_deleted_once() {
    let app = an_agent_that_knows_three_issues().await;
    app.agent("alpha").beat().await;
    app.world.github.arrange(|github| github.delete_issue("acme/api", 2));
    assert_eq!(beat_with_an_audit(&app).await.touched(), ["deleted acme/api#2"]);
    assert_eq!(beat_with_an_audit(&app).await.touched(), [""; 0]);
    assert_eq!(app.open_rows("acme/api"), [1, 3]);
    assert_eq!(app.checkpoints("acme/api")["openCount"], 2);
}

#[tokio::test]
async fn removal_whose_write_has_a_lost_answer_is_reported() {
    let app = an_agent_that_knows_three_issues().await;
    app.agent("alpha").beat().await;
    app.world.github.arrange(|github| github.delete_issue("acme/api", 2));
    let removal = || On::operation("TransactWriteItems").containing("deleted");
    app.world.dynamodb.fault(removal(), Fault::LoseAnswer);
    app.world.dynamodb.fault(removal(), Fault::Cut.times(2));
    app.pass_time(INTERVAL);
    let mut reported = app.agent("alpha").beat().await.touched();
    app.outlive_freshness();
    reported.extend(app.agent("alpha").beat().await.touched());
    assert_eq!(reported, ["deleted acme/api#2"]);
    assert_eq!(app.checkpoints("acme/api")["openCount"], 2);
}

#[tokio::test]
async fn moved_issue_is_reported_under_its_old_url_with_the_new_one() {
    let app = an_agent_that_knows_three_issues().await;
    app.agent("alpha").beat().await;
    app.world.github.arrange(|github| github.transfer_issue("acme/api", 2, "acme/attic"));
    let answer = beat_with_an_audit(&app).await;
    assert_eq!(
        answer.0["touched"],
        json!([{
            "url": "https://github.com/acme/api/issues/2",
            "change": "moved",
            "movedTo": "https://github.com/acme/attic/issues/1",
        }])
    );
    assert_eq!(beat_with_an_audit(&app).await.touched(), [""; 0]);
}

#[tokio::test]
async fn missing_issue_is_reported_as_hidden_and_reopened_when_it_returns() {
    let app = an_agent_that_knows_three_issues().await;
    app.agent("alpha").beat().await;
    app.world.github.arrange(|github| github.hide_issue("acme/api", 2));
    assert_eq!(beat_with_an_audit(&app).await.touched(), [""; 0]);
    assert_eq!(beat_with_an_audit(&app).await.touched(), ["hidden acme/api#2"]);
    assert_eq!(beat_with_an_audit(&app).await.touched(), [""; 0]);
    app.world.github.arrange(|github| github.show_issue("acme/api", 2));
    assert_eq!(beat_with_an_audit(&app).await.touched(), ["reopened acme/api#2"]);
    assert_eq!(app.open_rows("acme/api"), [1, 2, 3]);
}
