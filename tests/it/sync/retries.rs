//! GitHub fails, hangs, breaks off or talks nonsense: repeated where that can help, bounded, and reported.

use crate::support::changed::one_opened_in_each;
use std::time::Duration;

use serde_json::Value;
use test_world::github::{Fault, Matching};

use crate::support::app::{Answer, Setup, TestApp};

fn two_repositories() -> Setup {
    TestApp::tracking(&["acme/api", "acme/web"])
}

fn listings_of_web(app: &TestApp) -> usize {
    let asked = app.asked_of_github();
    asked.iter().filter(|path| path.starts_with("/repos/acme/web/issues")).count()
}

/// The listing of one repository failed in this way; the other was read, and the next pass reads both.
async fn assert_reported(app: &TestApp, answer: &Answer, code: &str, what: &str) {
    assert_eq!((answer.status(), answer.codes()), ("warning", vec![code]));
    let line = format!("sync: acme/web: {what}; the next pass retries");
    assert_eq!(answer.lines("warnings"), [line]);
    assert_eq!(answer.0["problems"][0]["retryable"], true);
    assert_eq!(answer.touched(), ["opened acme/api#1"]);
    assert_eq!(app.row("acme/web", 1), Value::Null);
    app.world.github.heal();
    app.outlive_freshness();
    let next = app.agent("alpha").beat().await;
    assert_eq!((next.status(), next.touched()), ("ok", vec!["opened acme/web#1".to_owned()]));
}

#[tokio::test]
async fn request_without_a_failure_is_sent_once() {
    let app = one_opened_in_each(two_repositories()).await;
    app.agent("alpha").beat().await;
    assert_eq!((listings_of_web(&app), app.asked_of_github().len()), (1, 3), "the probe, and a listing each");
}

#[tokio::test]
async fn request_that_fails_twice_and_then_works_is_no_problem() {
    for fault in [Fault::Status(502), Fault::Cut, Fault::HalfPage] {
        let app = one_opened_in_each(two_repositories()).await;
        let listing = Matching::listing("acme/web");
        app.world.github.fault(listing, fault.clone().times(2));
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.codes().len()), ("ok", 0), "{fault:?}");
        assert_eq!(answer.touched(), ["opened acme/api#1", "opened acme/web#1"]);
        assert_eq!(listings_of_web(&app), 3, "{fault:?}");
    }
}

#[tokio::test]
async fn request_that_fails_three_times_is_reported() {
    let failures = [
        (Fault::Status(502), "GitHub answered 502 three times"),
        (Fault::Status(500), "GitHub answered 500 three times"),
        (Fault::Cut, "GitHub broke off its answer three times"),
        (Fault::HalfPage, "GitHub broke off its answer three times"),
    ];
    for (fault, what) in failures {
        let app = one_opened_in_each(two_repositories()).await;
        app.world.github.fault(Matching::listing("acme/web"), fault.forever());
        let answer = app.agent("alpha").beat().await;
        assert_eq!(listings_of_web(&app), 3, "{what}");
        assert_reported(&app, &answer, "github_unavailable", what).await;
    }
}

#[tokio::test]
async fn hanging_github_lets_the_beat_be_answered_in_bounded_time() {
    let impatient = two_repositories().timing(|timing| {
        timing.github.attempt_timeout = Duration::from_millis(300);
        timing.github.attempts = 2;
    });
    let app = one_opened_in_each(impatient).await;
    app.world.github.fault(Matching::listing("acme/web"), Fault::Hang.forever());
    let answer = app.agent("alpha").beat().await;
    assert_eq!(listings_of_web(&app), 2);
    let what = format!("GitHub at {} did not answer in time (tried twice)", app.world.github.url());
    assert_reported(&app, &answer, "github_unavailable", &what).await;
}

#[tokio::test]
async fn unexpected_answer_is_reported_and_not_retried() {
    let answer = |body: &str| Fault::Answer { status: 200, headers: Vec::new(), body: body.to_owned() };
    // It may not be GitHub's API that answers.
    let hinted = |what: &str| {
        let check =
            "check that GITHUB_API_URL is the API's address (https://HOST/api/v3 for an Enterprise Server)";
        format!("{what}; {check}")
    };
    let understood = "unexpected answer from GitHub";
    let answers = [
        (Fault::Garbage, hinted("not JSON (line 1, column 1)")),
        (answer(""), hinted("not JSON (line 1, column 0)")),
        (answer("{}"), "unexpected JSON structure (line 1, column 0)".to_owned()),
        (Fault::Status(422), "status 422".to_owned()),
    ];
    for (fault, what) in answers {
        let app = one_opened_in_each(two_repositories()).await;
        app.world.github.fault(Matching::listing("acme/web"), fault.forever());
        let answer = app.agent("alpha").beat().await;
        assert_eq!(listings_of_web(&app), 1, "{what}");
        let what = format!("{understood}: {what}");
        assert_reported(&app, &answer, "github_unexpected_answer", &what).await;
    }
}

#[tokio::test]
async fn failed_second_page_keeps_the_first_and_the_rest_follows() {
    for fault in [Fault::Status(500), Fault::HalfPage, Fault::Garbage, Fault::Cut] {
        let app = TestApp::tracking(&["acme/api"]).start().await;
        app.world.github.arrange(|github| github.open_issues("acme/api", 150));
        let second = Matching::listing("acme/api").query("state", "open").nth(2);
        app.world.github.fault(second, fault.clone().forever());
        assert_eq!(app.agent("alpha").beat().await.status(), "error", "{fault:?}");
        assert_eq!(app.open_rows("acme/api").len(), 100, "{fault:?}");
        app.world.github.heal();
        app.outlive_freshness();
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.touched().len()), ("ok", 0), "{fault:?}");
        assert_eq!(app.open_rows("acme/api").len(), 150, "{fault:?}");
        assert_eq!(app.marks("acme/api")["openCount"], 150, "{fault:?}");
    }
}

#[tokio::test]
async fn unreachable_github_is_reported() {
    let app = TestApp::tracking(&["acme/api"]).with("GITHUB_API_URL", "http://127.0.0.1:1").start().await;
    let answer = app.agent("alpha").beat().await;
    let line = "sync: acme/api: GitHub could not be reached at http://127.0.0.1:1 (tried three times); the next pass \
                retries";
    assert_eq!((answer.status(), answer.lines("errors")), ("error", vec![line]));
    assert_eq!(answer.codes(), ["github_unavailable"]);
}
