//! During a rotation some execution environments still use the old token: each token keeps its own limits.

use test_world::github::{Fault, Matching};
use test_world::{GITHUB_CREDENTIALS_SECRET_ID, GITHUB_TOKEN};

use crate::support::app::TestApp;

const API: &str = "acme/api";

#[tokio::test]
async fn limit_of_the_old_token_outlives_a_pass_with_the_new_one() {
    let app = TestApp::tracking(&[API]).with("FRESHNESS_SECONDS", "5").start().await;
    app.world.github.arrange(|github| {
        github.open_issues(API, 2);
        github.accept_only([GITHUB_TOKEN, "another-token"]);
    });
    app.world.github.fault(Matching::graphql(), Fault::secondary_limit(Some("300")));
    let met = app.agent("alpha").beat().await;
    assert_eq!(met.codes(), ["github_rate_limited"]);
    app.pass_time(10);
    app.world.secrets.put_secret(GITHUB_CREDENTIALS_SECRET_ID, "another-token");
    let elsewhere = app.agent("beta").in_environment(app.another_environment());
    assert_eq!(elsewhere.beat().await.status(), "ok");
    app.pass_time(10);
    app.clear_requests();
    app.agent("alpha").beat().await;
    assert_eq!(app.asked(), [""; 0], "the old token's limit is in force for another 280 s");
}

#[tokio::test]
async fn limit_of_the_new_token_outlives_a_pass_with_the_old_one() {
    let app = TestApp::tracking(&[API]).with("FRESHNESS_SECONDS", "5").start().await;
    app.world.github.arrange(|github| github.accept_only([GITHUB_TOKEN, "another-token"]));
    app.agent("alpha").beat().await;
    app.pass_time(10);
    app.world.secrets.put_secret(GITHUB_CREDENTIALS_SECRET_ID, "another-token");
    let environment = app.another_environment();
    app.world.github.fault(Matching::graphql(), Fault::secondary_limit(Some("300")));
    let met = app.agent("beta").in_environment(environment.clone()).beat().await;
    assert_eq!(met.codes(), ["github_rate_limited"]);
    app.pass_time(10);
    assert_eq!(app.agent("alpha").beat().await.status(), "ok", "with the old token, which it has cached");
    app.pass_time(10);
    app.clear_requests();
    app.agent("beta").in_environment(environment).beat().await;
    assert_eq!(app.asked(), [""; 0], "the new token's limit is in force for another 280 s");
}

#[tokio::test]
async fn budget_reported_with_a_refusal_is_not_the_tokens() {
    let app = TestApp::tracking(&[API]).start().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    // Without a valid token GitHub counts by IP address: 60 requests an hour, shared with everybody behind that
    // address.
    let headers = vec![
        ("x-ratelimit-limit", "60".to_owned()),
        ("x-ratelimit-remaining", "0".to_owned()),
        ("x-ratelimit-reset", app.ago(-1_800).as_second().to_string()),
    ];
    let refused = Fault::Answer { status: 401, headers, body: "{}".to_owned() };
    app.world.github.fault(Matching::graphql(), refused);
    assert_eq!(app.agent("alpha").beat().await.codes(), ["github_unauthorized"]);
    app.outlive_freshness();
    app.pass_time(300);
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.codes()), ("ok", vec![]), "{:#}", answer.0);
}
