//! At most 600 REST requests a minute for one account, over all passes and execution environments.

use crate::support::app::TestApp;
use crate::support::changed::rest_requests;

/// Empty repositories. The first listing of each takes two requests.
async fn empty(count: usize) -> TestApp {
    let names: Vec<String> = (0..count).map(|n| format!("acme/r{n}")).collect();
    TestApp::tracking(&names.iter().map(String::as_str).collect::<Vec<_>>()).start().await
}

#[tokio::test]
async fn first_listings_of_a_large_fleet_stay_within_the_rate() {
    let app = empty(350).await;
    let first = app.agent("alpha").beat().await;
    assert_eq!((first.status(), first.codes().len()), ("ok", 0), "{:#}", first.0);
    assert_eq!(rest_requests(&app), 600);
    app.outlive_freshness();
    let elsewhere = app.agent("beta").in_environment(app.another_environment());
    let second = elsewhere.beat().await;
    assert_eq!((second.status(), second.is_coalesced(), rest_requests(&app)), ("ok", false, 600));
    app.pass_time(40);
    let third = elsewhere.beat().await;
    assert_eq!(third.summary_numbers(), [350, 350, 0], "{:#}", third.0);
    assert_eq!(rest_requests(&app), 700, "no repository was listed twice");
}

#[tokio::test]
async fn request_rate_of_a_small_fleet_is_not_stored() {
    let app = empty(20).await;
    app.agent("alpha").beat().await;
    assert_eq!(rest_requests(&app), 40);
    assert_eq!(app.state()["ended"].get("limits"), None);
}
