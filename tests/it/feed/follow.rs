//! What a program that follows the changes receives, in which order, and when its cursor moves.

use agent_heartbeat::domain::{Change, IssueNumber};
use agent_heartbeat::feed::ReportedChange;
use serde_json::json;
use test_world::TABLE_NAME;
use test_world::dynamodb::On;

use crate::support::app::{TestApp, until_held};
use crate::support::audits::audit;
use crate::support::backlogs::narrow;
use crate::support::follower::{Follower, as_words};

const API: &str = "acme/api";
const WEB: &str = "acme/web";

/// A follower of a fleet with three known issues in each repository. Freshness has expired.
async fn following(app: &TestApp, excluded: &'static str) -> Follower {
    app.world.github.arrange(|github| [API, WEB].iter().for_each(|name| github.open_issues(name, 3)));
    app.agent("alpha").beat().await;
    let mut follower = Follower::new(app, excluded);
    let page = follower.page(app, 50).await.expect("a page");
    assert_eq!((page.changes.len(), page.has_more, page.poll_seconds), (0, false, 30));
    app.outlive_freshness();
    follower
}

async fn fleet() -> TestApp {
    TestApp::tracking(&[API, WEB]).start().await
}

#[tokio::test]
async fn follower_before_the_first_pass_has_ended_gets_no_cursor_yet() {
    let app = fleet().await;
    let mut follower = Follower::new(&app, "");
    let nothing = follower.page(&app, 50).await.expect("a page");
    assert_eq!((nothing.changes.len(), nothing.next_cursor, nothing.has_more), (0, None, false));
    assert_eq!(nothing.poll_seconds, 30);
    let mut held = app.world.dynamodb.hold(On::operation("UpdateItem").containing("SET ended"));
    let alpha = app.agent("alpha");
    let mut running = Box::pin(alpha.beat());
    assert!(until_held(&mut running, &mut held).await.is_none());
    assert_eq!(follower.page(&app, 50).await.expect("a page").next_cursor, None);
    held.release();
    running.await;
    assert!(follower.page(&app, 50).await.expect("a page").next_cursor.is_some());
}

#[tokio::test]
async fn change_names_its_repository_issue_page_kind_and_target() {
    let app = TestApp::tracking(&[API, WEB]).with("AUDIT_INTERVAL_SECONDS", "3600").start().await;
    let mut follower = following(&app, "").await;
    app.world.github.arrange(|github| github.close_issue(WEB, 2));
    app.agent("alpha").beat().await;
    let changes = follower.catch_up(&app, 50).await;
    let [ReportedChange { repository, number, issue, .. }] = &changes[..] else { panic!("{changes:#?}") };
    let web = app.world.github.arrange(|github| github.repository_id(WEB));
    assert_eq!((repository.0, *number), (web, IssueNumber(2)));
    assert_eq!(json!(issue), json!({"url": "https://github.com/acme/web/issues/2", "change": "closed"}));
    app.world.github.arrange(|github| github.transfer_issue(API, 1, WEB));
    app.pass_time(7_200);
    app.agent("alpha").beat().await;
    let changes = follower.catch_up(&app, 50).await;
    let moved = changes.iter().find(|change| change.issue.change == Change::Moved).expect("it moved");
    assert_eq!(moved.issue.moved_to.as_deref(), Some("https://github.com/acme/web/issues/4"));
}

#[tokio::test]
async fn cursor_stays_equal_while_nothing_changes() {
    let app = fleet().await;
    let mut follower = following(&app, "").await;
    app.world.github.arrange(|github| github.close_issue(API, 1));
    app.agent("alpha").beat().await;
    assert_eq!(as_words(&follower.catch_up(&app, 50).await), ["closed acme/api#1"]);
    let (cursor, told) = (follower.cursor.clone(), app.items("AGENTS", "alpha")[0]["told"].clone());
    for _ in 0..3 {
        app.pass_time(150);
        app.agent("alpha").beat().await;
        follower.page(&app, 50).await.expect("a page");
        assert_eq!(follower.cursor, cursor);
    }
    assert_ne!(app.items("AGENTS", "alpha")[0]["told"], told, "a heartbeat's cursor moves");
    app.world.github.arrange(|github| github.close_issue(API, 2));
    app.outlive_freshness();
    app.agent("alpha").beat().await;
    assert_eq!(as_words(&follower.catch_up(&app, 50).await), ["closed acme/api#2"]);
}

#[tokio::test]
async fn cursor_moves_when_an_older_one_would_search_all_repositories() {
    for field in ["searchAllFence", "retiredFence"] {
        let app = fleet().await;
        let mut follower = following(&app, "").await;
        app.agent("alpha").beat().await;
        let before = follower.cursor.clone();
        let mut state = app.state();
        state["ended"][field] = state["ended"]["fence"].clone();
        app.world.dynamodb.put_item(TABLE_NAME, &state);
        app.clear_requests();
        follower.page(&app, 50).await.expect("a page");
        assert_ne!(follower.cursor, before, "{field}");
        assert_eq!(app.world.dynamodb.requests().len(), 1, "{field}");
        let moved = follower.cursor.clone();
        app.outlive_freshness();
        app.agent("alpha").beat().await;
        follower.page(&app, 50).await.expect("a page");
        assert_eq!(follower.cursor, moved, "{field}");
    }
}

#[tokio::test]
async fn pages_of_any_length_contain_every_change_once_and_in_order() {
    for limit in [1, 2, 3, 7] {
        let app = fleet().await;
        let mut follower = following(&app, "").await;
        for round in 1..=3_u64 {
            app.world.github.arrange(|github| {
                github.comment(API, round);
                github.close_issue(WEB, round);
            });
            app.agent("alpha").beat().await;
            app.outlive_freshness();
        }
        let received = follower.catch_up(&app, limit).await;
        let words = as_words(&received);
        let expected = (1..=3).flat_map(|n| [format!("edited {API}#{n}"), format!("closed {WEB}#{n}")]);
        assert_eq!(words, expected.collect::<Vec<_>>(), "{limit}");
        assert!(received.is_sorted_by_key(|change| change.fence), "{limit}: {received:#?}");
        assert_eq!(follower.catch_up(&app, limit).await, []);
    }
}

#[tokio::test]
async fn changes_of_many_repositories_are_followed_one_repository_after_another() {
    let app = TestApp::tracking(&[API, WEB]).timing(narrow).start().await;
    let mut follower = following(&app, "").await;
    app.world.github.arrange(|github| {
        (1..=3).for_each(|number| [API, WEB].iter().for_each(|name| github.close_issue(name, number)));
    });
    app.agent("alpha").beat().await;
    assert!(follower.page(&app, 2).await.expect("a page").has_more);
    // The sweep is under way; what changes now comes after it.
    app.outlive_freshness();
    app.world.github.arrange(|github| github.reopen_issue(API, 1));
    app.agent("alpha").beat().await;
    follower.catch_up(&app, 2).await;
    let last = |name, number| {
        let id = app.world.github.arrange(|github| github.repository_id(name));
        let issue = (agent_heartbeat::domain::RepositoryId(id), IssueNumber(number));
        follower.last_received(issue).map(|change| change.issue.change)
    };
    assert_eq!([1, 2, 3].map(|number| last(WEB, number)), [Some(Change::Closed); 3]);
    assert_eq!([2, 3].map(|number| last(API, number)), [Some(Change::Closed); 2]);
    assert_eq!(last(API, 1), Some(Change::Reopened));
}

#[tokio::test]
async fn excluded_issue_is_followed_from_when_it_is_no_longer_excluded() {
    let app = fleet().await;
    let mut follower = following(&app, "spam").await;
    app.world.github.arrange(|github| {
        github.edit_issue(API, 1, |issue| issue.labels = vec!["Spam".to_owned()]);
        github.edit_issue(API, 2, |issue| issue.title = "Another title".to_owned());
    });
    app.agent("alpha").beat().await;
    assert_eq!(as_words(&follower.catch_up(&app, 1).await), ["edited acme/api#2"]);
    app.outlive_freshness();
    app.world.github.arrange(|github| github.edit_issue(API, 1, |issue| issue.labels.clear()));
    app.agent("alpha").beat().await;
    assert_eq!(as_words(&follower.catch_up(&app, 1).await), ["edited acme/api#1"]);
}

#[tokio::test]
async fn changes_of_a_running_pass_are_followed_when_it_has_ended() {
    let app = fleet().await;
    let mut follower = following(&app, "").await;
    app.world.github.arrange(|github| github.close_issue(API, 1));
    let mut held = app.world.dynamodb.hold(On::operation("UpdateItem").containing("SET ended"));
    let alpha = app.agent("alpha");
    let mut running = Box::pin(alpha.beat());
    assert!(until_held(&mut running, &mut held).await.is_none());
    assert_eq!(app.row(API, 1)["state"], "closed");
    assert_eq!(follower.catch_up(&app, 50).await, []);
    held.release();
    assert_eq!(running.await.status(), "ok");
    assert_eq!(as_words(&follower.catch_up(&app, 50).await), ["closed acme/api#1"]);
}

#[tokio::test]
async fn close_found_only_by_an_audit_is_followed() {
    let app = crate::support::audits::settled(3).await;
    let mut follower = Follower::new(&app, "");
    follower.page(&app, 50).await.expect("a page");
    app.world.github.arrange(|github| github.delete_issue(API, 2));
    audit(&app).await;
    assert_eq!(as_words(&follower.catch_up(&app, 50).await), ["deleted acme/api#2"]);
}
