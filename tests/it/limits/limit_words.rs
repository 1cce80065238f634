//! Limits that GitHub reports by an error type or words alone: without a header, or with an `x-ratelimit-remaining`
//! above 0.

use crate::support::changed::one_closed_in_each;
use jiff::SignedDuration;
use serde_json::json;
use test_world::github::{Fault, Matching};

use crate::support::app::{Answer, TestApp};
use crate::support::github_app::{token_requests, two_repositories};

/// Two repositories that have been read, with a change in each. Both budgets reset in twenty minutes.
async fn with_news() -> TestApp {
    let app = one_closed_in_each().await;
    app.world.github.arrange(|github| {
        let reset = github.now() + SignedDuration::from_mins(20);
        github.set_budget(5_000, 4_000, reset);
        github.set_graphql_budget(5_000, 4_000, reset);
    });
    app
}

fn words(message: &str) -> String {
    json!({ "message": message }).to_string()
}

/// A 403 with these words. Without a reset, its header is not a number.
fn refusal(message: &str, has_reset: bool) -> Fault {
    let no_reset =
        vec![("x-ratelimit-reset", "unknown".to_owned()), ("x-ratelimit-remaining", "1".to_owned())];
    Fault::Answer {
        status: 403,
        headers: if has_reset { vec![("x-ratelimit-remaining", "1".to_owned())] } else { no_reset },
        body: words(message),
    }
}

const PRIMARY: [&str; 4] = [
    "API rate limit exceeded for installation ID 1.",
    "API rate limit exceeded for user ID 1. If you reach out to GitHub Support for help, please include the request ID.",
    "API rate limit exceeded for 203.0.113.7. (But here's the good news: …)",
    "API rate limit already exceeded for user ID 1.",
];

fn assert_limited(answer: &Answer, seconds: u64, form: &str) {
    assert_eq!(
        (answer.status(), answer.codes()),
        ("error", vec!["github_rate_limited"]),
        "{form}: {:#}",
        answer.0
    );
    let problem = &answer.0["problems"][0];
    assert_eq!(
        (&problem["retryAfterSeconds"], &problem["retryable"]),
        (&json!(seconds), &json!(true)),
        "{form}"
    );
}

#[tokio::test]
async fn rest_limit_reported_in_words_alone_blocks_rest_until_its_reset() {
    for message in PRIMARY {
        for (has_reset, seconds) in [(true, 1_200), (false, 60)] {
            let app = with_news().await;
            app.world.github.fault(Matching::any_listing(), refusal(message, has_reset).forever());
            assert_limited(&app.agent("alpha").beat().await, seconds, message);
            app.world.github.heal();
            app.pass_time(31);
            app.clear_requests();
            let elsewhere = app.agent("beta").in_environment(app.another_environment());
            assert_limited(&elsewhere.beat().await, seconds - 31, message);
            assert_eq!(app.asked(), ["/graphql"], "the probe has its own budget");
            app.pass_time(seconds);
            assert_eq!(app.agent("alpha").beat().await.touched().len(), 2, "{message}");
        }
    }
}

#[tokio::test]
async fn graphql_limit_reported_in_words_alone_leaves_rest_in_use() {
    let in_a_200 = |kind| Fault::graphql_limit(kind);
    let untyped = Fault::Answer {
        status: 200,
        headers: Vec::new(),
        body: json!({ "data": null, "errors": [{ "message": PRIMARY[3] }] }).to_string(),
    };
    let forms = [
        ("RATE_LIMITED", in_a_200("RATE_LIMITED"), 1_200),
        ("RATE_LIMIT", in_a_200("RATE_LIMIT"), 1_200),
        ("no type", untyped, 1_200),
        ("403", refusal(PRIMARY[0], true), 1_200),
        ("403 without a reset", refusal(PRIMARY[0], false), 60),
    ];
    for (form, fault, seconds) in forms {
        let app = with_news().await;
        app.world.github.fault(Matching::graphql(), fault);
        let answer = app.agent("alpha").beat().await;
        assert_eq!(
            (answer.status(), answer.codes()),
            ("warning", vec!["probe_unavailable"]),
            "{form}: {:#}",
            answer.0
        );
        assert_eq!(answer.0["problems"][0]["retryAfterSeconds"], seconds, "{form}");
        assert_eq!(answer.touched(), ["closed acme/api#1", "closed acme/web#1"], "{form}");
        app.outlive_freshness();
        app.clear_requests();
        app.agent("beta").in_environment(app.another_environment()).beat().await;
        assert!(!app.asked().contains(&"/graphql".to_owned()), "{form}: {:?}", app.asked());
    }
}

#[tokio::test]
async fn app_limit_reported_in_words_alone_is_waited_for() {
    let app = two_repositories().await;
    app.world.github.fault(Matching::token_request(), refusal(PRIMARY[0], false));
    assert_limited(&app.agent("alpha").beat().await, 60, "a token request");
    app.pass_time(31);
    app.agent("alpha").beat().await;
    assert_eq!(token_requests(&app), 1);
}
