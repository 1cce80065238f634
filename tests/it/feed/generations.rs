//! A table that was made anew or restored from a backup: a follower never misses a change without noticing.

use agent_heartbeat::feed::{FollowError, follow};
use serde_json::Value;
use test_world::TABLE_NAME;
use test_world::dynamodb::{Fault, On};

use crate::support::app::{TestApp, until_held};
use crate::support::follower::{Follower, as_words};

const API: &str = "acme/api";

/// A fleet with issues that are known, and a follower of it. Freshness has expired.
async fn followed() -> (TestApp, Follower) {
    let app = TestApp::tracking(&[API]).start().await;
    app.world.github.arrange(|github| github.open_issues(API, 4));
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    let mut follower = Follower::new(&app, "");
    follower.page(&app, 50).await.expect("a page");
    (app, follower)
}

async fn close(app: &TestApp, number: u64) {
    app.world.github.arrange(|github| github.close_issue(API, number));
    app.agent("alpha").beat().await;
    app.outlive_freshness();
}

fn fence(app: &TestApp) -> u64 {
    app.state()["fence"].as_u64().expect("a fence")
}

/// Makes the table hold exactly these items, as a restore does.
fn restore(app: &TestApp, backup: &[Value]) {
    for item in app.world.dynamodb.items(TABLE_NAME) {
        let key = |name: &str| item[name].as_str().expect("a key").to_owned();
        app.world.dynamodb.delete_item(TABLE_NAME, &key("pk"), &key("sk"));
    }
    backup.iter().for_each(|item| app.world.dynamodb.put_item(TABLE_NAME, item));
}

fn remove_generation(app: &TestApp) {
    let mut state = app.state();
    assert!(state.as_object_mut().expect("an item").remove("generation").is_some());
    app.world.dynamodb.put_item(TABLE_NAME, &state);
}

async fn assert_starts_again(app: &TestApp, follower: &mut Follower) {
    let old = follower.cursor.take();
    assert_eq!(follow(&app.app, old.as_deref(), 50).await, Err(FollowError::OtherTable), "{old:?}");
    follower.page(app, 50).await.expect("a page");
    app.world.github.arrange(|github| github.close_issue(API, 4));
    app.outlive_freshness();
    app.agent("alpha").beat().await;
    let changes = as_words(&follower.catch_up(app, 50).await);
    assert_eq!(changes.last().map(String::as_str), Some("closed acme/api#4"));
}

#[tokio::test]
async fn generation_is_the_first_lease_and_every_later_write_keeps_it() {
    let (app, _) = followed().await;
    let first = app.state()["generation"].clone();
    assert_eq!(first, app.ago(31).as_millisecond());
    close(&app, 1).await;
    assert_eq!(app.state()["generation"], first);
    // A pass that fails and releases the lease.
    app.world.dynamodb.fault(On::operation("Query").containing("FLEET"), Fault::AccessDenied.times(1));
    assert_eq!(app.agent("alpha").beat().await.status(), "error");
    assert_eq!((&app.state()["generation"], app.state().get("claimOwner")), (&first, None));
    app.agent("alpha").beat().await;
    assert_eq!(app.state()["generation"], first);
}

#[tokio::test]
async fn generation_is_final_when_a_pass_has_ended() {
    let app = TestApp::tracking(&[API]).start().await;
    let mut held = app.world.dynamodb.hold(On::operation("UpdateItem").containing("SET ended"));
    let alpha = app.agent("alpha");
    let mut dying = Box::pin(alpha.beat());
    assert!(until_held(&mut dying, &mut held).await.is_none());
    drop(dying);
    assert_eq!(app.state()["generation"], app.ago(0).as_millisecond());
    app.pass_time(150);
    app.agent("beta").beat().await;
    assert_eq!(
        app.state()["generation"],
        app.ago(0).as_millisecond(),
        "a table may be restored to before that end"
    );
}

#[tokio::test]
async fn cursor_of_a_table_that_was_made_anew_is_refused() {
    let (app, mut follower) = followed().await;
    restore(&app, &[]);
    assert_eq!(follow(&app.app, follower.cursor.as_deref(), 50).await, Err(FollowError::OtherTable));
    for _ in 0..3 {
        app.agent("alpha").beat().await;
        app.outlive_freshness();
    }
    assert_starts_again(&app, &mut follower).await;
}

#[tokio::test]
async fn table_of_an_older_version_gets_its_generation_with_the_next_lease() {
    let (app, mut follower) = followed().await;
    remove_generation(&app);
    let nothing = Follower::new(&app, "").page(&app, 50).await.expect("a page");
    assert_eq!((nothing.next_cursor, nothing.changes.len()), (None, 0));
    app.agent("alpha").beat().await;
    assert_eq!(app.state()["generation"], app.ago(0).as_millisecond());
    assert_starts_again(&app, &mut follower).await;
}

#[tokio::test]
async fn cursor_of_a_time_that_a_restore_undid_is_refused() {
    let (app, mut follower) = followed().await;
    let backup = app.world.dynamodb.items(TABLE_NAME);
    close(&app, 1).await;
    assert_eq!(as_words(&follower.catch_up(&app, 50).await), ["closed acme/api#1"]);
    restore(&app, &backup);
    assert_starts_again(&app, &mut follower).await;
}

#[tokio::test]
async fn follower_that_did_not_notice_a_restore_misses_no_change_after_it() {
    let (app, mut follower) = followed().await;
    let backup = app.world.dynamodb.items(TABLE_NAME);
    for number in [1, 2] {
        close(&app, number).await;
    }
    let undone = fence(&app);
    assert_eq!(as_words(&follower.catch_up(&app, 50).await), ["closed acme/api#1", "closed acme/api#2"]);
    app.pass_time(300);
    restore(&app, &backup);
    assert!(fence(&app) < undone);
    close(&app, 3).await;
    assert!(fence(&app) > undone, "no number is given to two passes");
    let changes = as_words(&follower.catch_up(&app, 50).await);
    // The first two were closed before, and are read again.
    assert_eq!(changes, [1, 2, 3].map(|number| format!("closed {API}#{number}")));
}

#[tokio::test]
async fn operator_who_removes_the_generation_makes_followers_start_again() {
    let (app, mut follower) = followed().await;
    let backup = app.world.dynamodb.items(TABLE_NAME);
    close(&app, 1).await;
    follower.catch_up(&app, 50).await;
    app.pass_time(300);
    restore(&app, &backup);
    remove_generation(&app);
    app.agent("alpha").beat().await;
    assert_starts_again(&app, &mut follower).await;
}

#[tokio::test]
async fn fencing_token_skips_a_number_for_each_second_of_a_long_pause() {
    let (app, _) = followed().await;
    let before = fence(&app);
    app.pass_time(268);
    app.agent("alpha").beat().await;
    assert_eq!(fence(&app), before + 1, "299 seconds");
    app.pass_time(300);
    app.agent("alpha").beat().await;
    assert_eq!(fence(&app), before + 1 + 300);
    // No pass died, so none is taken over: nothing is counted again.
    assert_eq!(app.state()["ended"]["countsLag"], false);
    assert_eq!(app.state()["ended"]["lastChangeFence"], 0);
}
