//! A new installation token, which not all of GitHub's servers know yet, and a probe that is refused for a moment.

use crate::support::changed::{assert_next_is_ok, rest_requests};
use std::time::Duration;

use jiff::SignedDuration;
use test_world::github::{Fault, Matching, fingerprint};

use crate::support::app::TestApp;
use crate::support::github_app::{installed, token_requests, two_repositories};

/// How long before its expiry a token is renewed: after 55 minutes.
const DUE: u64 = 3_300;

/// Which of the installation's tokens, counted from 0, each request since the last clearing used.
fn tokens_used(app: &TestApp) -> Vec<usize> {
    let tokens = app.world.github.arrange(|github| github.installation_tokens());
    let place = |used: &str| tokens.iter().position(|token| fingerprint(token) == used);
    app.world.github.requests().iter().filter_map(|request| place(request.token.as_deref()?)).collect()
}

#[tokio::test]
async fn new_token_refused_for_a_moment_is_sent_again() {
    for status in [401, 403] {
        for (what, matching) in [("probe", Matching::graphql()), ("listing", Matching::any_listing())] {
            let app = two_repositories().await;
            app.world.github.fault(matching, Fault::Status(status).times(3));
            assert_next_is_ok(&app).await;
            assert_eq!(token_requests(&app), 1, "{what} {status}");
        }
    }
}

#[tokio::test]
async fn token_past_its_first_seconds_is_renewed_at_once_when_refused() {
    let app = two_repositories().await;
    assert_next_is_ok(&app).await;
    app.outlive_freshness();
    app.clear_requests();
    app.world.github.fault(Matching::graphql(), Fault::Status(401));
    assert_next_is_ok(&app).await;
    assert_eq!((token_requests(&app), tokens_used(&app)), (1, vec![0, 1]));
}

#[tokio::test]
async fn new_token_that_ages_while_it_is_refused_is_replaced() {
    let app = two_repositories().await;
    let clock = app.world.clock.clone();
    let listing = || Matching::listing("acme/api");
    app.world.github.before(listing(), move |_| clock.advance(Duration::from_secs(11)));
    app.world.github.fault(listing(), Fault::Status(401));
    assert_next_is_ok(&app).await;
    assert_eq!(token_requests(&app), 2);
    assert!(tokens_used(&app).contains(&1));
}

#[tokio::test]
async fn new_token_that_stays_refused_is_not_waited_for_beyond_the_pass() {
    // The first wait is five times this: 25 s, in a pass that has 21 s.
    let setup =
        TestApp::tracking(&["acme/api"]).timing(|timing| timing.github.first_wait = Duration::from_secs(5));
    let app = installed(setup).await;
    app.world.github.fault(Matching::graphql(), Fault::Status(401).forever());
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.codes(), ["github_unauthorized"]);
    assert_eq!(tokens_used(&app), [0, 1]);
}

#[tokio::test]
async fn renewed_token_is_used_from_the_next_pass_on() {
    let app = two_repositories().await;
    assert_next_is_ok(&app).await;
    app.pass_time(DUE);
    app.clear_requests();
    app.world.github.arrange(|github| github.comment("acme/api", 1));
    assert_next_is_ok(&app).await;
    assert_eq!(token_requests(&app), 1);
    assert!(tokens_used(&app).len() > 1 && tokens_used(&app).iter().all(|token| *token == 0));
    app.outlive_freshness();
    app.clear_requests();
    assert_next_is_ok(&app).await;
    assert!(tokens_used(&app).iter().all(|token| *token == 1), "{:?}", tokens_used(&app));
}

#[tokio::test]
async fn renewed_token_is_used_at_once_when_the_old_one_is_refused() {
    let app = two_repositories().await;
    assert_next_is_ok(&app).await;
    app.pass_time(DUE);
    app.clear_requests();
    app.world.github.fault(Matching::graphql(), Fault::Status(401));
    assert_next_is_ok(&app).await;
    assert_eq!(token_requests(&app), 1);
    let (first, rest) = (tokens_used(&app)[0], tokens_used(&app)[1..].to_vec());
    assert!(first == 0 && !rest.is_empty() && rest.iter().all(|token| *token == 1), "{first} {rest:?}");
}

#[tokio::test]
async fn cold_start_answered_from_the_table_requests_no_token() {
    let app = two_repositories().await;
    assert_next_is_ok(&app).await;
    app.clear_requests();
    let elsewhere = app.another_environment();
    elsewhere.prepare().await;
    assert!(app.agent("beta").in_environment(elsewhere).beat().await.is_coalesced());
    assert_eq!(app.asked(), ["/"], "the connection, without a token");
}

#[tokio::test]
async fn cold_start_under_a_stored_limit_requests_no_token() {
    let app = two_repositories().await;
    app.world.github.fault(Matching::token_request(), Fault::secondary_limit(Some("300")));
    assert_eq!(app.agent("alpha").beat().await.codes(), ["github_rate_limited"]);
    app.pass_time(299);
    app.clear_requests();
    let elsewhere = app.another_environment();
    elsewhere.prepare().await;
    let answer = app.agent("beta").in_environment(elsewhere).beat().await;
    assert_eq!(answer.codes(), ["github_rate_limited"]);
    assert_eq!(app.asked(), ["/"]);
}

/// Forty idle repositories. A pass without the probe uses much of the REST budget of 400 requests.
async fn scarce() -> TestApp {
    let names: Vec<String> = (0..40).map(|n| format!("acme/r{n}")).collect();
    let app = TestApp::tracking(&names.iter().map(String::as_str).collect::<Vec<_>>()).start().await;
    assert_next_is_ok(&app).await;
    app.pass_time(3_600);
    app.world.github.arrange(|github| {
        github.set_budget(400, 400, github.now() + SignedDuration::from_hours(3));
    });
    app.clear_requests();
    app
}

#[tokio::test]
async fn probe_refused_once_is_retried_at_the_usual_freshness() {
    let app = scarce().await;
    app.world.github.fault(Matching::graphql(), Fault::Status(403));
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.codes(), rest_requests(&app)), (vec!["probe_unavailable"], 80));
    assert_eq!(answer.0["nextHeartbeatInSeconds"], 30);
    app.outlive_freshness();
    app.clear_requests();
    assert_next_is_ok(&app).await;
    assert_eq!(rest_requests(&app), 0);
}

#[tokio::test]
async fn probe_that_stays_refused_is_retried_while_lookups_wait_for_budget() {
    let app = scarce().await;
    app.world.github.fault(Matching::graphql(), Fault::Status(403).forever());
    app.agent("alpha").beat().await;
    assert_eq!(rest_requests(&app), 80);
    app.clear_requests();
    for _ in 0..3 {
        app.outlive_freshness();
        let elsewhere = app.agent("alpha").in_environment(app.another_environment());
        let answer = elsewhere.beat().await;
        assert_eq!(
            (answer.status(), answer.codes()),
            ("warning", vec!["probe_unavailable", "github_budget_low"])
        );
        assert_eq!(answer.0["nextHeartbeatInSeconds"], 30);
    }
    assert_eq!(app.asked(), ["/graphql"; 3]);
    // 80 of the 200 requests that are half of the budget.
    app.pass_time(80 * 3_600 / (200 - 80) + 1);
    app.clear_requests();
    app.agent("alpha").beat().await;
    assert_eq!(rest_requests(&app), 80);
}
