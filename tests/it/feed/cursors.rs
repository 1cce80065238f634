//! Cursors that were not made by the service, or not for this table.

use agent_heartbeat::feed::{FollowError, follow};
use proptest::prelude::*;

use crate::support::app::TestApp;
use crate::support::follower::Follower;

/// A fleet whose first pass has ended, and a cursor of it.
async fn fleet() -> (TestApp, String) {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 2));
    app.agent("alpha").beat().await;
    let mut follower = Follower::new(&app, "");
    follower.page(&app, 50).await.expect("a page");
    let cursor = follower.cursor.expect("a cursor");
    (app, cursor)
}

#[tokio::test]
async fn text_that_is_no_cursor_is_refused_without_a_read() {
    let (app, cursor) = fleet().await;
    app.clear_requests();
    for text in
        ["", "v1", "v1.~", "0", "%00", "é", &cursor[1..], &format!("{cursor} "), &cursor.to_uppercase()]
    {
        assert_eq!(follow(&app.app, Some(text), 50).await, Err(FollowError::InvalidCursor), "{text}");
    }
    assert_eq!(app.world.dynamodb.requests().len(), 0);
}

#[tokio::test]
async fn cursor_of_fences_that_no_pass_has_is_of_another_table() {
    let (app, cursor) = fleet().await;
    let (start, _) =
        cursor.match_indices('.').nth(1).map(|(at, _)| cursor.split_at(at)).expect("its generation");
    let max = u64::MAX;
    for rest in [
        "00000000000000000002.~.2".to_owned(),
        "00000000000000000001.~.2".to_owned(),
        format!("{max}.~.{max}"),
        format!("{max}.{max}.{max}.0"),
        format!("00000000000000000001.~.00000000000000000001.{max}.{max}.~.1"),
    ] {
        let cursor = format!("{start}.{rest}");
        assert_eq!(follow(&app.app, Some(&cursor), 50).await, Err(FollowError::OtherTable), "{cursor}");
    }
}

#[test]
fn made_up_cursor_of_this_table_is_read_or_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let app = runtime.block_on(async {
        let (app, _) = fleet().await;
        for number in [1, 2] {
            app.outlive_freshness();
            app.world.github.arrange(|github| github.close_issue("acme/api", number));
            app.agent("alpha").beat().await;
        }
        app
    });
    let generation = app.state()["generation"].as_u64().expect("a generation");
    let id = app.world.github.arrange(|github| github.repository_id("acme/api"));
    let fence = || prop_oneof![Just(0), 1..5_u64, Just(u64::MAX)];
    let number = || prop_oneof![Just(0), Just(1), Just(id - 1), Just(id), Just(id + 1), Just(u64::MAX)];
    let point = || (fence(), number()).prop_map(|(fence, issue)| format!("{fence:020}.{issue:010}"));
    let last = prop_oneof![Just("~".to_owned()), point()];
    let within = prop_oneof![
        Just("~".to_owned()),
        (number(), number()).prop_map(|(repository, issue)| format!("{repository:020}.{issue:010}")),
        (fence(), fence(), number(), last)
            .prop_map(|(after, upto, id, last)| format!("~.{after:020}.{upto:020}.{id}.{last}")),
    ];
    let cursors = (fence(), within, fence());
    let tried = std::cell::Cell::new((0, 0));
    proptest!(ProptestConfig::with_cases(300), |((fence, within, kinds) in cursors, limit in 0..4_usize)| {
        let cursor = format!("v1.{generation}.{fence:020}.{within}.{kinds}");
        let (read, refused) = tried.get();
        match runtime.block_on(follow(&app.app, Some(&cursor), limit)) {
            Ok(page) => {
                prop_assert!(page.changes.len() <= limit.max(1));
                // The cursor that it leads to is one of the service's own.
                let next = page.next_cursor.expect("a cursor");
                prop_assert!(runtime.block_on(follow(&app.app, Some(&next), limit)).is_ok(), "{}", next);
                tried.set((read + 1, refused));
            }
            Err(FollowError::Store(error)) => prop_assert!(false, "{cursor}: {error}"),
            Err(_) => tried.set((read, refused + 1)),
        }
    });
    let (read, refused) = tried.get();
    assert!(read > 50 && refused > 50, "{read} read, {refused} refused");
}
