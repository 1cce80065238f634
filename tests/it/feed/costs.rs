//! What following the changes costs.

use crate::support::app::TestApp;
use crate::support::follower::Follower;

/// The read units of the follower's next page, and the number of changes in it.
async fn cost_of_a_page(app: &TestApp, follower: &mut Follower, limit: usize) -> (f64, usize) {
    app.clear_requests();
    let page = follower.page(app, limit).await.expect("a page");
    let capacity = app.world.dynamodb.capacity();
    assert_eq!(capacity.write_units, 0.0);
    (capacity.read_units, page.changes.len())
}

#[tokio::test]
async fn page_of_100_changes_in_3_of_500_repositories_costs_at_most_12_read_units() {
    let names: Vec<String> = (0..500).map(|n| format!("acme/repository-{n:03}")).collect();
    let tracked: Vec<&str> = names.iter().map(String::as_str).collect();
    let app = TestApp::tracking(&tracked).start().await;
    while app.state()["ended"]["freshAt"].is_null() {
        app.agent("alpha").beat().await;
        app.outlive_freshness();
    }
    let mut follower = Follower::new(&app, "");
    follower.page(&app, 100).await.expect("a page");
    app.world.github.arrange(|github| {
        for (name, count) in [(&names[7], 34), (&names[250], 33), (&names[499], 33)] {
            github.open_issues(name, count);
        }
    });
    app.agent("alpha").beat().await;
    let (read_units, changes) = cost_of_a_page(&app, &mut follower, 100).await;
    assert_eq!(changes, 100);
    assert!(read_units <= 12.0, "{read_units}");
    insta::assert_snapshot!(read_units, @"10");
    let (idle, changes) = cost_of_a_page(&app, &mut follower, 100).await;
    assert_eq!((idle, changes), (1.0, 0));
}

#[tokio::test]
async fn page_of_one_change_does_not_read_the_rest_to_count_it() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    let mut follower = Follower::new(&app, "");
    follower.page(&app, 1).await.expect("a page");
    app.world.github.arrange(|github| github.open_issues("acme/api", 90));
    app.agent("alpha").beat().await;
    let mut counts = app.items("FLEET", "COUNTS").pop().expect("the counts");
    // As after a pass that died: how many changes there are is unknown.
    counts["floor"] = counts["upto"].clone();
    app.world.dynamodb.put_item(test_world::TABLE_NAME, &counts);
    let (read_units, changes) = cost_of_a_page(&app, &mut follower, 1).await;
    assert_eq!(changes, 1);
    assert!(read_units <= 3.0, "{read_units}");
}
