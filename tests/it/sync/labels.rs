//! Labels: excluded, status and renamed ones; and the fields of a row.

use test_world::github::World;

use crate::support::app::TestApp;
use crate::support::audits::{issues_asked_for, pages_audited};

const API: &str = "acme/api";

async fn beat(app: &TestApp) -> Vec<String> {
    app.outlive_freshness();
    app.agent("alpha").beat().await.touched()
}

fn label(github: &mut World, number: u64, labels: &[&str]) {
    github.edit_issue(API, number, |issue| {
        issue.labels = labels.iter().map(|label| (*label).to_owned()).collect();
    });
}

#[tokio::test]
async fn unchanged_labels_are_neither_stored_nor_reported_again() {
    let app = TestApp::tracking(&[API]).start().await;
    app.world.github.arrange(|github| {
        github.open_issue(API, "One");
        label(github, 1, &["zebra", "apple"]);
    });
    app.agent("alpha").beat().await;
    let row = app.row(API, 1);
    assert_eq!(row["labels"], serde_json::json!(["zebra", "apple"]), "as GitHub has them");
    for _ in 0..2 {
        assert_eq!(beat(&app).await, [""; 0]);
        assert_eq!(app.row(API, 1), row);
    }
}

#[tokio::test]
async fn issue_with_an_excluded_label_is_stored_and_not_reported() {
    let mut app = TestApp::tracking(&[API]).with("EXCLUDED_LABELS", "on hold, wontfix").start().await;
    app.world.github.arrange(|github| github.open_issues(API, 2));
    beat(&app).await;
    app.clear_requests();

    app.world.github.arrange(|github| label(github, 1, &["On Hold"]));
    assert_eq!(beat(&app).await, [""; 0]);
    assert_eq!(app.row(API, 1)["labels"][0], "On Hold", "the row is kept and compared like all others");
    app.world.github.arrange(|github| github.close_issue(API, 1));
    assert_eq!(beat(&app).await, [""; 0]);
    assert_eq!(app.open_rows(API), [2]);
    app.world.github.arrange(|github| label(github, 1, &[]));
    assert_eq!(beat(&app).await, ["edited acme/api#1"]);

    app.restart_with("EXCLUDED_LABELS", "bug");
    app.world.github.arrange(|github| {
        label(github, 1, &["wontfix"]);
        label(github, 2, &["bug"]);
    });
    assert_eq!(beat(&app).await, ["edited acme/api#1"]);
    app.restart_with("EXCLUDED_LABELS", "");
    assert_eq!(beat(&app).await, [""; 0], "the variable changes a view, no issue");
    app.world.github.arrange(|github| github.comment(API, 2));
    assert_eq!(beat(&app).await, ["edited acme/api#2"]);
    assert_eq!((pages_audited(&app), issues_asked_for(&app)), (0, 0), "no audit is caused by it");
}

#[tokio::test]
async fn renamed_label_is_read_by_the_next_audit() {
    let app = TestApp::tracking(&[API]).start().await;
    app.world.github.arrange(|github| {
        github.open_issues(API, 3);
        github.add_label(API, 1, "bug");
        github.add_label(API, 2, "bug");
    });
    app.agent("alpha").beat().await;
    app.pass_time(60);
    app.world
        .github
        .arrange(|github| github.open_pull_request(API, "Newer, so that the others are not read again"));
    app.pass_time(130);
    app.agent("alpha").beat().await;
    app.world.github.arrange(|github| github.rename_label(API, "bug", "defect"));
    for _ in 0..2 {
        assert_eq!(beat(&app).await, [""; 0], "no updated_at moves");
    }
    app.pass_time(21_600);
    assert_eq!(beat(&app).await, ["edited acme/api#1", "edited acme/api#2"]);
    assert_eq!(app.row(API, 1)["labels"], serde_json::json!(["defect"]));
    app.pass_time(21_600);
    assert_eq!(beat(&app).await, [""; 0]);
}

#[tokio::test]
async fn issue_closed_and_reopened_on_github_has_the_same_state_here() {
    let app = TestApp::tracking(&[API]).start().await;
    app.world.github.arrange(|github| github.open_issues(API, 1));
    beat(&app).await;
    app.world.github.arrange(|github| github.close_issue_as(API, 1, "not_planned"));
    assert_eq!(beat(&app).await, ["closed acme/api#1"]);
    let row = app.row(API, 1);
    assert_eq!([&row["state"], &row["stateReason"], &row["status"]], ["closed", "not_planned", "done"]);
    assert_eq!(row["closedAt"], row["updatedAt"]);
    app.world.github.arrange(|github| github.reopen_issue(API, 1));
    assert_eq!(beat(&app).await, ["reopened acme/api#1"]);
    let row = app.row(API, 1);
    assert_eq!([&row["state"], &row["stateReason"]], ["open", "reopened"]);
    assert_eq!((row.get("status"), row.get("closedAt")), (None, None));
    app.world.github.arrange(|github| github.close_issue(API, 1));
    app.pass_time(5);
    app.world.github.arrange(|github| github.reopen_issue(API, 1));
    app.pass_time(5);
    app.world.github.arrange(|github| github.close_issue(API, 1));
    assert_eq!(beat(&app).await, ["closed acme/api#1"], "the last change wins");
}

#[tokio::test]
async fn derived_status_has_the_one_documented_value() {
    let app = TestApp::tracking(&[API]).start().await;
    let labels: [&[&str]; 7] = [
        &["status/done"],
        &["status/ready", "status/in-review"],
        &["status/backlog", "status/in-progress"],
        &["status/backlog"],
        &["status/ready"],
        &["bug"],
        &["status/ready"],
    ];
    app.world.github.arrange(|github| {
        for (number, labels) in (1..).zip(labels) {
            github.open_issue(API, "Labelled");
            label(github, number, labels);
        }
        github.close_issue(API, 7);
    });
    beat(&app).await;
    app.world.github.arrange(|github| github.reopen_issue(API, 7));
    app.world.github.arrange(|github| github.close_issue(API, 7));
    beat(&app).await;
    let status =
        |number| app.row(API, number).get("status").map_or("none".to_owned(), |status| status.to_string());
    assert_eq!(
        (1..=7).map(status).collect::<Vec<_>>(),
        ["none", "\"in-review\"", "\"in-progress\"", "\"backlog\"", "\"ready\"", "none", "\"done\""]
    );
}

#[tokio::test]
async fn row_has_what_github_shows_except_the_body() {
    let app = TestApp::tracking(&[API]).start().await;
    app.agent("alpha").beat().await;
    app.world.github.arrange(|github| {
        github.open_issue(API, "The login page is slow 🐌");
        github.edit_issue(API, 1, |issue| {
            issue.body = Some("A body that nobody stores\0".into());
            issue.user = None;
            issue.labels = vec!["bug".into(), "status/ready".into()];
            issue.assignees = vec!["octavia".into()];
        });
    });
    beat(&app).await;
    let row = app.row(API, 1);
    insta::assert_json_snapshot!(row, {".pk" => "[repository]", ".digest" => "[digest]"}, @r#"
    {
      "assignees": [
        "octavia"
      ],
      "change": "opened",
      "changeFence": 2,
      "changeKindFence": 2,
      "changeOrder": "00000000000000000002#0000000001",
      "createdAt": "2026-11-22T06:00:00.000Z",
      "digest": "[digest]",
      "labels": [
        "bug",
        "status/ready"
      ],
      "number": 1,
      "openNumber": 1,
      "pk": "[repository]",
      "readAt": "2026-11-22T06:00:31.000Z",
      "revision": 1,
      "sk": "ISSUE#0000000001",
      "state": "open",
      "status": "ready",
      "title": "The login page is slow 🐌",
      "updatedAt": "2026-11-22T06:00:00.000Z",
      "url": "https://github.com/acme/api/issues/1"
    }
    "#);
    let stored = serde_json::to_string(&app.items("", "")).expect("JSON");
    assert!(!stored.contains("nobody stores"));

    app.world.github.arrange(|github| github.edit_issue(API, 1, |issue| issue.body = None));
    assert_eq!(beat(&app).await, ["edited acme/api#1"], "the body counts in the digest");
    assert_ne!(app.row(API, 1)["digest"], row["digest"]);
}

#[tokio::test]
async fn excluded_issue_is_not_counted_in_the_summary() {
    let app = TestApp::tracking(&[API]).with("EXCLUDED_LABELS", "spam").start().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| {
        github.open_issue(API, "Reported");
        github.open_issue(API, "Excluded");
        label(github, 2, &["Spam"]);
    });
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.touched(), ["opened acme/api#1"]);
    assert_eq!(answer.summary_numbers(), [1, 1, 1]);
}
