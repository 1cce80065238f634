//! An `updated_at` later than GitHub's own `Date`, as after a wrong clock: it hides no other change, and the issue
//! itself is read until that time has come.

use jiff::SignedDuration;
use test_world::github::World;

use crate::support::app::TestApp;

const API: &str = "acme/api";

/// How far in the future it is, in seconds.
const AHEAD: i64 = 3_600;

/// Three open, settled issues.
async fn three_issues(has_graphql: bool) -> TestApp {
    let app = TestApp::tracking(&[API]).start().await;
    app.world.github.arrange(|github| {
        github.open_issues(API, 3);
        if !has_graphql {
            github.remove_graphql();
        }
    });
    for _ in 0..2 {
        app.agent("alpha").beat().await;
        app.pass_time(150);
    }
    app
}

/// Edits an issue and sets its update to a second in the future.
fn edit_ahead(github: &mut World, number: u64) {
    let ahead = github.now() + SignedDuration::from_secs(AHEAD);
    github.edit_issue(API, number, |issue| {
        issue.title = "From the future".to_owned();
        issue.updated_at = ahead;
    });
}

/// The changes that a beat reports. The cursor must not be later than GitHub's time.
async fn reported(app: &TestApp) -> Vec<String> {
    let answer = app.agent("alpha").beat().await;
    let now = app.ago(0).to_string();
    let cursor = app.checkpoints(API)["cursor"].as_str().expect("a cursor").to_owned();
    assert!(cursor <= now, "the cursor is at {cursor}, and it is {now}");
    answer.touched()
}

#[tokio::test]
async fn update_from_the_future_is_reported_once_and_hides_no_other() {
    for has_graphql in [true, false] {
        let app = three_issues(has_graphql).await;
        app.world.github.arrange(|github| edit_ahead(github, 1));
        assert_eq!(reported(&app).await, ["edited acme/api#1"]);
        for round in 0..4 {
            app.pass_time(150);
            app.clear_requests();
            assert_eq!(reported(&app).await, [""; 0], "round {round}");
            assert!(app.listed_since().len() <= 1, "{:?}", app.asked());
            assert!(round == 0 || app.written(API) == [""; 0], "{:?}", app.written(API));
            app.pass_time(150);
            app.world.github.arrange(|github| github.comment(API, 2));
            assert_eq!(reported(&app).await, ["edited acme/api#2"], "round {round}");
        }
        app.world.github.arrange(|github| {
            github.close_issue(API, 3);
            github.open_issue(API, "New");
        });
        app.pass_time(150);
        assert_eq!(reported(&app).await, ["closed acme/api#3", "opened acme/api#4"]);
        assert_eq!(app.open_rows(API), [1, 2, 4]);
        // The time of the update comes.
        app.pass_time(2 * AHEAD.unsigned_abs());
        for _ in 0..3 {
            assert_eq!(reported(&app).await, [""; 0]);
            app.pass_time(150);
        }
        app.clear_requests();
        assert_eq!(reported(&app).await, [""; 0]);
        assert!(!has_graphql || app.listed_since().is_empty(), "nothing is listed any more");
        let checkpoints = app.checkpoints(API);
        assert_eq!((&checkpoints["settled"], checkpoints.get("ahead")), (&checkpoints["cursor"], None));
    }
}

#[tokio::test]
async fn issue_with_a_future_update_is_reported_when_it_changes_before_then() {
    for has_graphql in [true, false] {
        let app = three_issues(has_graphql).await;
        app.world.github.arrange(|github| edit_ahead(github, 1));
        assert_eq!(reported(&app).await, ["edited acme/api#1"]);
        app.pass_time(150);
        app.world.github.arrange(|github| github.close_issue(API, 1));
        assert_eq!(reported(&app).await, ["closed acme/api#1"]);
        assert_eq!(app.open_rows(API), [2, 3]);
        for _ in 0..3 {
            app.pass_time(150);
            assert_eq!(reported(&app).await, [""; 0]);
        }
    }
}

#[tokio::test]
async fn repository_with_future_updates_is_read_from_its_first_pass_on() {
    for has_graphql in [true, false] {
        let app = TestApp::tracking(&[API]).start().await;
        app.world.github.arrange(|github| {
            github.open_issues(API, 3);
            edit_ahead(github, 1);
            github.close_issue(API, 2);
            edit_ahead(github, 2);
            if !has_graphql {
                github.remove_graphql();
            }
        });
        for _ in 0..4 {
            assert_eq!(reported(&app).await, [""; 0]);
            app.pass_time(150);
        }
        app.world.github.arrange(|github| github.close_issue(API, 3));
        assert_eq!(reported(&app).await, ["closed acme/api#3"]);
        assert_eq!(app.open_rows(API), [1]);
    }
}
