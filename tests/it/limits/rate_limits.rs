//! GitHub's rate limits, in every form that GitHub reports: the service sends no request until the limit lifts, and
//! every answer reports the time left. `budgets.rs` tests low budgets.

use crate::support::changed::{assert_ok, one_closed_in_each};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use test_world::github::{Fault, Matching};
use test_world::{GITHUB_CREDENTIALS_SECRET_ID, GITHUB_TOKEN};

use crate::support::app::{Answer, TestApp};

/// The answer reports the limit once, with the seconds until it lifts.
fn assert_limited(answer: &Answer, seconds: u64) {
    assert_eq!(answer.codes(), ["github_rate_limited"], "{:#}", answer.0);
    let problem = &answer.0["problems"][0];
    assert_eq!(problem["retryAfterSeconds"], seconds);
    assert_eq!(problem["retryable"], true);
}

fn limit(status: u16, headers: Vec<(&'static str, String)>) -> Fault {
    Fault::Answer { status, headers, body: "{}".to_owned() }
}

fn seconds(seconds: u64) -> Vec<(&'static str, String)> {
    vec![("retry-after", seconds.to_string())]
}

/// A date in HTTP's format: `Sun, 22 Nov 2026 06:02:01 GMT`.
fn date_in(app: &TestApp, seconds: i64) -> String {
    app.ago(-seconds).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Headers of an exhausted budget that resets after this many seconds.
fn nothing_left(app: &TestApp, seconds: i64) -> Vec<(&'static str, String)> {
    let reset = app.ago(-seconds).as_second();
    vec![("x-ratelimit-remaining", "0".to_owned()), ("x-ratelimit-reset", reset.to_string())]
}

/// Every form of a secondary limit, which blocks both APIs, with its length in seconds. Either API may report it.
fn secondary_limits(app: &TestApp) -> Vec<(&'static str, Fault, u64)> {
    let date = date_in(app, 120);
    vec![
        ("429 with seconds", limit(429, seconds(90)), 90),
        ("403 with seconds", limit(403, seconds(90)), 90),
        ("429 with a date", limit(429, vec![("retry-after", date.clone())]), 120),
        ("403 with a date", limit(403, vec![("retry-after", date.clone())]), 120),
        ("429 without words", limit(429, Vec::new()), 60),
        ("403 with words", Fault::secondary_limit(None), 60),
        ("403 with the former words", Fault::abuse_limit(None), 60),
        ("403 with the former words and seconds", Fault::abuse_limit(Some("75")), 75),
        ("403 with words and seconds", Fault::secondary_limit(Some("75")), 75),
        ("403 with words and a date", Fault::secondary_limit(Some(&date)), 120),
    ]
}

/// The forms that only GraphQL uses, in an answer with status 200.
fn secondary_limits_in_a_200(app: &TestApp) -> Vec<(&'static str, Fault, u64)> {
    vec![
        ("words", Fault::graphql_secondary_limit(None), 60),
        ("words and seconds", Fault::graphql_secondary_limit(Some("75")), 75),
        ("words and a date", Fault::graphql_secondary_limit(Some(&date_in(app, 120))), 120),
    ]
}

/// `met` reports the limit. Until it lifts, heartbeats of many agents, in this and in new execution environments, send
/// no request to GitHub.
async fn assert_blocked_until_it_lifts(app: &TestApp, met: &Answer, seconds: u64, form: &str) {
    assert_eq!(met.status(), "error", "{form}");
    assert_limited(met, seconds);
    assert_eq!(met.0["nextHeartbeatInSeconds"], seconds, "{form}");
    app.world.github.heal();
    app.clear_requests();
    let mut left = seconds;
    while left > 1 {
        let step = 40.min(left - 1);
        app.pass_time(step);
        left -= step;
        let newcomer = app.agent(&format!("agent-{left}")).in_environment(app.another_environment());
        for agent in [newcomer, app.agent("alpha")] {
            let answer = agent.beat().await;
            assert_eq!((answer.status(), answer.codes()), ("error", vec!["github_rate_limited"]), "{form}");
            assert_eq!(app.asked(), [""; 0], "{form}, {left} s before it lifts");
        }
    }
    app.pass_time(40);
    let answer = app.agent("alpha").beat().await;
    assert_ok(&answer);
    assert_eq!(answer.touched(), ["closed acme/api#1", "closed acme/web#1"], "{form}");
}

#[tokio::test]
async fn exhausted_budgets_that_sufficed_cause_no_problem() {
    let app = one_closed_in_each().await;
    app.world.github.arrange(|github| {
        let reset = github.now() + SignedDuration::from_mins(20);
        github.set_budget(5_000, 2, reset);
        github.set_graphql_budget(5_000, 1, reset);
    });
    let answer = app.agent("alpha").beat().await;
    assert_ok(&answer);
    assert_eq!(answer.touched().len(), 2);
}

#[tokio::test]
async fn secondary_limit_reported_by_graphql_blocks_all_requests() {
    let forms = secondary_limits(&one_closed_in_each().await).len();
    let forms_in_a_200 = secondary_limits_in_a_200(&one_closed_in_each().await).len();
    for n in 0..forms + forms_in_a_200 {
        let app = one_closed_in_each().await;
        let all = [secondary_limits(&app), secondary_limits_in_a_200(&app)].concat();
        let (form, fault, seconds) = all[n].clone();
        app.world.github.fault(Matching::graphql(), fault);
        let met = app.agent("alpha").beat().await;
        assert_eq!(app.asked(), ["/graphql"], "{form}");
        assert_blocked_until_it_lifts(&app, &met, seconds, form).await;
    }
}

#[tokio::test]
async fn secondary_limit_reported_by_rest_blocks_all_requests() {
    let forms = secondary_limits(&one_closed_in_each().await).len();
    for n in 0..forms {
        let app = one_closed_in_each().await;
        let (form, fault, seconds) = secondary_limits(&app)[n].clone();
        app.world.github.fault(Matching::any_listing(), fault.forever());
        let met = app.agent("alpha").beat().await;
        assert_eq!(app.asked().len(), 3, "the probe, and one listing each, both in flight at the same time");
        assert_blocked_until_it_lifts(&app, &met, seconds, form).await;
    }
}

/// REST's answer with this status while its budget is exhausted, which resets after twenty minutes.
fn used_up(app: &TestApp, status: u16) -> Fault {
    limit(status, nothing_left(app, 1_200))
}

#[tokio::test]
async fn exhausted_rest_budget_blocks_rest_until_it_resets() {
    for status in [403, 429] {
        let app = one_closed_in_each().await;
        app.world.github.fault(Matching::any_listing(), used_up(&app, status).forever());
        let met = app.agent("alpha").beat().await;
        assert_eq!(met.status(), "error");
        assert_limited(&met, 1_200);
        app.world.github.heal();
        app.clear_requests();
        for left in [800, 400, 1] {
            app.pass_time(if left == 1 { 399 } else { 400 });
            let newcomer = app.agent("beta").in_environment(app.another_environment());
            let answer = newcomer.beat().await;
            assert_eq!((answer.status(), answer.codes()), ("error", vec!["github_rate_limited"]));
            assert_eq!(answer.0["problems"][0]["retryAfterSeconds"], left);
        }
        assert_eq!(app.asked(), ["/graphql"; 3], "the probe has its own budget");
        app.pass_time(40);
        let answer = app.agent("alpha").beat().await;
        assert_ok(&answer);
        assert_eq!(answer.touched().len(), 2);
    }
}

#[tokio::test]
async fn exhausted_budgets_of_both_apis_block_all_requests_until_they_reset() {
    let app = one_closed_in_each().await;
    app.world.github.arrange(|github| {
        let reset = github.now() + SignedDuration::from_mins(20);
        github.set_budget(5_000, 0, reset);
        github.set_graphql_budget(5_000, 0, reset);
    });
    let met = app.agent("alpha").beat().await;
    assert_eq!((met.status(), met.codes().contains(&"github_rate_limited")), ("error", true), "{:#}", met.0);
    assert_eq!(met.0["nextHeartbeatInSeconds"], 1_200);
    app.clear_requests();
    for _ in 0..3 {
        app.pass_time(399);
        let newcomer = app.agent("beta").in_environment(app.another_environment());
        let answer = newcomer.beat().await;
        assert_eq!(answer.status(), "error", "{:#}", answer.0);
        assert!(answer.codes().contains(&"github_rate_limited"), "{:#}", answer.0);
        assert_eq!(app.asked(), [""; 0]);
    }
    app.pass_time(40);
    assert_ok(&app.agent("alpha").beat().await);
}

#[tokio::test]
async fn fifty_concurrent_agents_meet_a_limit_once() {
    let app = one_closed_in_each().await;
    app.world.github.fault(Matching::graphql(), limit(429, seconds(300)));
    let agents: Vec<_> = (0..50).map(|n| app.agent(&format!("agent-{n}"))).collect();
    futures_util::future::join_all(agents.iter().map(|agent| agent.beat())).await;
    assert_eq!(app.requests_to_github(), ["/graphql"]);
    assert_limited(&app.agent("agent-7").beat().await, 300);
    app.pass_time(100);
    app.clear_requests();
    let elsewhere = app.agent("agent-8").in_environment(app.another_environment());
    assert_limited(&elsewhere.beat().await, 200);
    assert_eq!(
        app.requests_to_github(),
        [""; 0],
        "another execution environment does not send the request again"
    );
}

#[tokio::test]
async fn coalesced_heartbeat_reports_the_seconds_left_of_a_limit() {
    let app = one_closed_in_each().await;
    app.world.github.fault(Matching::graphql(), limit(429, seconds(25)));
    assert_limited(&app.agent("alpha").beat().await, 25);
    app.pass_time(20);
    assert_limited(&app.agent("beta").beat().await, 5);
    app.pass_time(5);
    let later = app.agent("beta").beat().await;
    assert_eq!(later.codes(), ["github_rate_limited"]);
    assert_eq!(later.0["problems"][0].get("retryAfterSeconds"), None);
}

#[tokio::test]
async fn limit_met_during_a_listing_keeps_what_was_read() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 150));
    let second_page = Matching::listing("acme/api").query("state", "open").nth(2);
    app.world.github.fault(second_page, used_up(&app, 403));
    let answer = app.agent("alpha").beat().await;
    assert_limited(&answer, 1_200);
    assert_eq!(app.open_rows("acme/api").len(), 100);
    assert_eq!(answer.0["freshAt"], json!(null));
    app.pass_time(1_201);
    assert_eq!(app.agent("alpha").beat().await.status(), "ok");
    assert_eq!(app.open_rows("acme/api").len(), 150);
}

#[tokio::test]
async fn limit_is_neither_retried_nor_waited_for() {
    let app = one_closed_in_each().await;
    let begun = app.world.clock.now();
    app.world.github.fault(Matching::listing("acme/web"), limit(429, seconds(5)));
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.status(), "warning");
    assert_limited(&answer, 5);
    let asked = app.asked();
    assert_eq!(asked.iter().filter(|path| path.starts_with("/repos/acme/web/issues")).count(), 1);
    assert_eq!(app.world.clock.now(), begun);
}

#[tokio::test]
async fn limit_of_any_stated_length_lifts_within_an_hour() {
    for nonsense in ["999999999999", "99999999999999999999999", "Sun, 22 Nov 2099 06:00:00 GMT"] {
        let app = one_closed_in_each().await;
        let headers = vec![("retry-after", nonsense.to_owned())];
        app.world.github.fault(Matching::graphql(), limit(429, headers));
        let answer = app.agent("alpha").beat().await;
        assert_eq!(answer.codes(), ["github_rate_limited"], "{nonsense}");
        let wait = answer.0["problems"][0]["retryAfterSeconds"].as_u64().expect("a wait");
        assert!(wait <= 3_600, "{nonsense}: {wait}");
        app.pass_time(3_600);
        assert_ok(&app.agent("alpha").beat().await);
    }
}

#[tokio::test]
async fn forbidden_repository_is_not_a_limit() {
    let app = one_closed_in_each().await;
    app.world.github.fault(Matching::listing("acme/web"), Fault::saml_required());
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.status(), "warning");
    assert_eq!(answer.codes(), ["github_forbidden"]);
    assert_eq!(answer.0["problems"][0]["retryable"], false);
    app.outlive_freshness();
    assert_eq!(app.agent("alpha").beat().await.status(), "ok");
}

#[tokio::test]
async fn new_token_is_not_blocked_by_the_limit_of_the_previous_one() {
    let app = one_closed_in_each().await;
    app.world.github.fault(Matching::graphql(), limit(429, seconds(1_800)));
    assert_limited(&app.agent("alpha").beat().await, 1_800);
    app.world.secrets.put_secret(GITHUB_CREDENTIALS_SECRET_ID, "another-token");
    app.outlive_freshness();
    let elsewhere = app.agent("beta").in_environment(app.another_environment());
    let answer = elsewhere.beat().await;
    assert_ok(&answer);
    assert_eq!(answer.summary_numbers(), [2, 2, 2], "{:#}", answer.0);
    let limits = &app.state()["ended"]["limits"];
    assert!(
        limits[0].to_string().contains("closedUntil"),
        "environments with the old token still need it: {limits:#}"
    );
    assert_eq!(limits[1], Value::Null, "the new token has no limit");
}

#[tokio::test]
async fn stored_limit_never_contains_the_token() {
    let app = one_closed_in_each().await;
    app.world.github.fault(Matching::graphql(), limit(429, seconds(90)));
    app.agent("alpha").beat().await;
    let state = app.state();
    let limits = &state["ended"]["limits"][0];
    let closed: Timestamp =
        limits["rest"]["closedUntil"].as_str().expect("a time").parse().expect("an instant");
    assert_eq!(closed, app.ago(-90));
    assert_eq!(limits["graphql"]["closedUntil"], limits["rest"]["closedUntil"]);
    let everything = app.items("", "").iter().map(ToString::to_string).collect::<String>();
    for part in [GITHUB_TOKEN, &GITHUB_TOKEN[..12], &GITHUB_TOKEN[GITHUB_TOKEN.len() - 12..]] {
        assert!(!everything.contains(part), "{part}");
    }
}

#[tokio::test]
async fn exhausted_graphql_points_leave_rest_in_use() {
    let app = one_closed_in_each().await;
    app.world.github.arrange(|github| {
        github.set_graphql_budget(5_000, 0, github.now() + SignedDuration::from_mins(20));
    });
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.codes()), ("warning", vec!["probe_unavailable"]));
    assert_eq!(answer.0["problems"][0]["retryAfterSeconds"], 1_200);
    assert_eq!(answer.touched(), ["closed acme/api#1", "closed acme/web#1"]);
}
