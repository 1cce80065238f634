//! What agents are told of changes, whoever ran the pass.

use crate::app::TestApp;

#[tokio::test]
async fn the_first_beat_reads_all_open_issues_and_touches_none() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| {
        github.open_issues("acme/api", 3);
        github.open_pull_request("acme/api", "A pull request");
    });
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.status(), "ok", "{:#}", answer.0);
    assert_eq!(answer.touched(), [""; 0]);
    assert_eq!(app.open_rows("acme/api"), [1, 2, 3]);
}

#[tokio::test]
async fn a_later_beat_tells_what_was_opened_edited_and_closed() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world
        .github
        .arrange(|github| github.open_issues("acme/api", 3));
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| {
        github.close_issue("acme/api", 1);
        github.edit_issue("acme/api", 2, |issue| issue.title = "Another title".into());
        github.open_issue("acme/api", "New");
    });
    let answer = app.agent("alpha").beat().await;
    assert_eq!(
        answer.touched(),
        ["closed acme/api#1", "edited acme/api#2", "opened acme/api#4"],
        "{:#}",
        answer.0
    );
    assert_eq!(app.open_rows("acme/api"), [2, 3, 4]);
    app.outlive_freshness();
    assert_eq!(app.agent("alpha").beat().await.touched(), [""; 0]);
}
