//! GitHub's rate limits: nobody calls until one lifts, and every answer says for how long.

use jiff::SignedDuration;
use local_stack::github::{Fault, Matching};
use serde_json::json;

use crate::app::{Answer, TestApp};

async fn two_repositories() -> TestApp {
    let app = TestApp::tracking(&["acme/api", "acme/web"]).start().await;
    app.world.github.arrange(|github| {
        github.open_issues("acme/api", 2);
        github.open_issues("acme/web", 2);
    });
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.clear_requests();
    app
}

/// The answer names the limit, once, and the seconds until it lifts.
fn assert_limited(answer: &Answer, seconds: u64) {
    assert_eq!(answer.codes(), ["github_rate_limited"], "{:#}", answer.0);
    let problem = &answer.0["problems"][0];
    assert_eq!(problem["retryAfterSeconds"], seconds);
    assert_eq!(problem["retryable"], true);
}

/// Meets the limit of `seconds`, then lets many agents beat until it lifts.
async fn nobody_calls_until_it_lifts(app: &TestApp, seconds: u64) {
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.status(), "error");
    assert_limited(&answer, seconds);
    app.world.github.heal();
    app.world.github.clear_requests();
    for n in 1..=seconds.div_ceil(40) {
        app.pass_time(40.min(seconds - (n - 1) * 40 - 1));
        let answer = app.agent(&format!("agent-{n}")).beat().await;
        assert_eq!(answer.codes(), ["github_rate_limited"]);
        assert_eq!(app.asked_of_github(), [""; 0], "agent {n}");
    }
    app.pass_time(40);
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.is_coalesced()), ("ok", false), "{:#}", answer.0);
}

#[tokio::test]
async fn a_used_up_budget_is_no_matter_while_requests_remain() {
    let app = two_repositories().await;
    app.world
        .github
        .arrange(|github| github.set_budget(5_000, 4, github.now() + SignedDuration::from_mins(20)));
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.codes().len()), ("ok", 0));
}

#[tokio::test]
async fn a_403_with_nothing_remaining_keeps_everybody_away_until_the_reset() {
    let app = two_repositories().await;
    app.world
        .github
        .arrange(|github| github.set_budget(5_000, 0, github.now() + SignedDuration::from_mins(20)));
    nobody_calls_until_it_lifts(&app, 1_200).await;
}

#[tokio::test]
async fn a_429_with_nothing_remaining_keeps_everybody_away_until_the_reset() {
    let app = two_repositories().await;
    let reset = app.world.clock.now().as_second() + 300;
    let limit = Fault::Answer {
        status: 429,
        headers: vec![("x-ratelimit-remaining", "0".to_owned()), ("x-ratelimit-reset", reset.to_string())],
        body: "{}".to_owned(),
    };
    app.world.github.fault(Matching::anything(), limit.forever());
    nobody_calls_until_it_lifts(&app, 300).await;
}

#[tokio::test]
async fn a_429_with_a_retry_after_keeps_everybody_away_for_so_long() {
    let app = two_repositories().await;
    let limit =
        Fault::Answer { status: 429, headers: vec![("retry-after", "90".to_owned())], body: "{}".to_owned() };
    app.world.github.fault(Matching::anything(), limit.forever());
    nobody_calls_until_it_lifts(&app, 90).await;
}

#[tokio::test]
async fn fifty_agents_at_once_meet_a_limit_once() {
    let app = two_repositories().await;
    app.world
        .github
        .arrange(|github| github.set_budget(5_000, 0, github.now() + SignedDuration::from_mins(20)));
    let agents: Vec<_> = (0..50).map(|n| app.agent(&format!("agent-{n}"))).collect();
    futures_util::future::join_all(agents.iter().map(|agent| agent.beat())).await;
    assert_eq!(app.asked_of_github(), ["/repos/acme/api", "/repos/acme/web"]);
    assert_limited(&app.agent("agent-7").beat().await, 1_200);
}

#[tokio::test]
async fn a_beat_that_joins_is_told_the_seconds_that_are_left() {
    let app = two_repositories().await;
    let limit =
        Fault::Answer { status: 429, headers: vec![("retry-after", "25".to_owned())], body: "{}".to_owned() };
    app.world.github.fault(Matching::anything(), limit.times(2));
    assert_limited(&app.agent("alpha").beat().await, 25);
    app.pass_time(20);
    assert_limited(&app.agent("beta").beat().await, 5);
    app.pass_time(5);
    let later = app.agent("beta").beat().await;
    assert_eq!(later.codes(), ["github_rate_limited"]);
    assert_eq!(later.0["problems"][0].get("retryAfterSeconds"), None);
}

#[tokio::test]
async fn a_limit_met_in_the_middle_of_a_listing_keeps_what_was_read() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| {
        github.open_issues("acme/api", 150);
        github.set_budget(5_000, 3, github.now() + SignedDuration::from_mins(20));
    });
    let answer = app.agent("alpha").beat().await;
    assert_limited(&answer, 1_200);
    assert_eq!(app.open_rows("acme/api").len(), 100);
    assert_eq!(answer.0["freshAt"], json!(null));
    app.pass_time(1_201);
    assert_eq!(app.agent("alpha").beat().await.status(), "ok");
    assert_eq!(app.open_rows("acme/api").len(), 150);
}

#[tokio::test]
async fn a_limit_is_not_asked_again_and_not_waited_for() {
    let app = two_repositories().await;
    let limit =
        Fault::Answer { status: 429, headers: vec![("retry-after", "5".to_owned())], body: "{}".to_owned() };
    app.world.github.fault(Matching::listing("acme/web"), limit);
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.status(), "warning");
    assert_limited(&answer, 5);
    let of_web = app.world.github.requests();
    let listings = of_web.iter().filter(|request| request.path.starts_with("/repos/acme/web/issues"));
    assert_eq!(listings.count(), 1);
}

#[tokio::test]
async fn a_forbidden_repository_is_no_limit() {
    let app = two_repositories().await;
    app.world.github.fault(Matching::listing("acme/web"), Fault::saml_required());
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.status(), "warning");
    assert_eq!(answer.codes(), ["github_forbidden"]);
    assert_eq!(answer.0["problems"][0]["retryable"], false);
    app.outlive_freshness();
    assert_eq!(app.agent("alpha").beat().await.status(), "ok");
}
