//! The feed of changes, as its clients use it.

use serde_json::{Value, json};

use crate::support::app::TestApp;

/// Follows the feed until there is no more: the changes, as `closed acme/api#7`, and the last cursor.
async fn follow(app: &TestApp, cursor: &str, limit: u16) -> (Vec<String>, String) {
    let (mut seen, mut cursor) = (Vec::new(), cursor.to_owned());
    loop {
        let page = app.client().read(&format!("/api/changes?after={cursor}&limit={limit}")).await;
        let changes = page["changes"].as_array().expect("a list");
        assert!(changes.len() <= limit.into());
        seen.extend(changes.iter().map(|change| {
            let word = |name: &str| change[name].as_str().expect("a word").to_owned();
            format!("{} {}#{}", word("change"), word("repository"), change["number"])
        }));
        cursor = page["nextCursor"].as_str().expect("a cursor").to_owned();
        if page["hasMore"] == false {
            return (seen, cursor);
        }
    }
}

async fn present(app: &TestApp) -> String {
    let page = app.client().read("/api/changes").await;
    assert_eq!((&page["changes"], &page["hasMore"]), (&json!([]), &json!(false)));
    page["nextCursor"].as_str().expect("a cursor").to_owned()
}

#[tokio::test]
async fn follower_sees_each_change_once_from_where_it_started() {
    let app = TestApp::tracking(&["acme/api", "acme/web"]).start().await;
    assert_eq!(app.client().read("/api/changes").await["nextCursor"], Value::Null);
    app.world.github.arrange(|github| github.open_issues("acme/api", 3));
    app.agent("alpha").beat().await;
    let start = present(&app).await;
    for limit in [1, 50] {
        assert_eq!(follow(&app, &start, limit).await, (vec![], start.clone()));
    }
    app.outlive_freshness();
    app.world.github.arrange(|github| {
        github.close_issue("acme/api", 1);
        github.edit_issue("acme/api", 2, |issue| issue.title = "Another title".into());
        github.open_issue("acme/web", "New");
    });
    app.agent("alpha").beat().await;
    let expected = ["closed acme/api#1", "edited acme/api#2", "opened acme/web#1"];
    for limit in [1, 2, 50] {
        let (seen, end) = follow(&app, &start, limit).await;
        assert_eq!(seen, expected, "{limit}");
        assert_eq!(follow(&app, &end, limit).await.0, [""; 0]);
    }
}

#[tokio::test]
async fn idle_feed_costs_one_read_unit_says_when_to_come_back_and_is_not_sent_again() {
    let app = TestApp::after_a_first_beat().await;
    app.agent("alpha").beat().await;
    let target = format!("/api/changes?after={}", present(&app).await);
    let first = app.client().get(&target).await;
    assert_eq!(first.headers["x-poll-interval"], "30");
    for _ in 0..3 {
        app.pass_time(200);
        app.agent("alpha").beat().await;
        app.clear_requests();
        let again = app.client().get_unless(&target, Some(&first.headers["etag"])).await;
        assert_eq!((again.status, again.headers["x-poll-interval"].as_str()), (304, "30"));
        assert_eq!(app.world.dynamodb.capacity().read_units, 1.0);
    }
}

#[tokio::test]
async fn excluded_issues_are_not_in_the_feed() {
    let app = TestApp::tracking(&["acme/api"]).with("EXCLUDED_LABELS", "secret").start().await;
    app.agent("alpha").beat().await;
    let start = present(&app).await;
    app.outlive_freshness();
    app.world.github.arrange(|github| {
        github.open_issues("acme/api", 2);
        github.add_label("acme/api", 1, "Secret");
    });
    app.agent("alpha").beat().await;
    assert_eq!(follow(&app, &start, 1).await.0, ["opened acme/api#2"]);
}

/// Searching the repositories for changes may cost all that one response may. It goes on all the same.
#[tokio::test]
async fn follower_gets_on_however_much_the_search_for_changes_costs() {
    let names: Vec<String> = (0..60).map(|n| format!("acme/r{n:02}")).collect();
    let setup = TestApp::tracking(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let app =
        setup.timing(|timing| (timing.backlog.read_units, timing.backlog.named) = (1.0, 0)).start().await;
    for _ in 0..2 {
        app.agent("alpha").beat().await;
        app.pass_time(200);
    }
    let mut cursor = present(&app).await;
    app.world.github.arrange(|github| names.iter().take(3).for_each(|name| github.open_issues(name, 1)));
    app.agent("alpha").beat().await;
    let mut seen = 0;
    for _ in 0..20 {
        let page = app.client().read(&format!("/api/changes?after={cursor}")).await;
        seen += page["changes"].as_array().map_or(0, Vec::len);
        cursor = page["nextCursor"].as_str().expect("a cursor").to_owned();
        if page["hasMore"] == false {
            assert_eq!(seen, 3);
            return;
        }
    }
    panic!("{seen} changes, and no end");
}
