//! GitHub fails, hangs, breaks off or answers nonsense: requests are retried where that helps, with a limit, and
//! reported.

use crate::support::changed::one_opened_in_each;
use std::time::Duration;

use serde_json::Value;
use test_world::github::{Fault, Matching};

use crate::support::app::{Answer, Setup, TestApp};

fn two_repositories() -> Setup {
    TestApp::tracking(&["acme/api", "acme/web"])
}

fn listings_of_web(app: &TestApp) -> usize {
    let asked = app.requests_to_github();
    asked.iter().filter(|path| path.starts_with("/repos/acme/web/issues")).count()
}

/// The listing of one repository failed with this code and a message with this detail; the other was read, and the next
/// pass reads both.
async fn assert_reported(app: &TestApp, answer: &Answer, code: &str, detail: &str) {
    assert_eq!((answer.status(), answer.codes()), ("warning", vec![code]));
    let problem = &answer.0["problems"][0];
    assert_eq!((&problem["repository"], &problem["retryable"]), (&"acme/web".into(), &true.into()));
    let message = problem["message"].as_str().expect("a text");
    assert!(message.contains(detail), "{detail}: {message}");
    assert_eq!(answer.lines("warnings"), [format!("sync: acme/web: {message}")]);
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
    assert_eq!(
        (listings_of_web(&app), app.requests_to_github().len()),
        (1, 3),
        "the probe, and a listing each"
    );
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
        (Fault::Status(502), "502"),
        (Fault::Status(500), "500"),
        (Fault::Cut, "three times"),
        (Fault::HalfPage, "three times"),
    ];
    for (fault, detail) in failures {
        let app = one_opened_in_each(two_repositories()).await;
        app.world.github.fault(Matching::listing("acme/web"), fault.forever());
        let answer = app.agent("alpha").beat().await;
        assert_eq!(listings_of_web(&app), 3, "{detail}");
        assert_reported(&app, &answer, "github_unavailable", detail).await;
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
    assert_reported(&app, &answer, "github_unavailable", app.world.github.url()).await;
}

#[tokio::test]
async fn unexpected_answer_is_reported_and_not_retried() {
    let answer = |body: &str| Fault::Answer { status: 200, headers: Vec::new(), body: body.to_owned() };
    // What is not JSON may come from something else than GitHub's API: the message names the variable with its address.
    let answers = [
        (Fault::Garbage, "line 1, column 1", true),
        (answer(""), "line 1, column 0", true),
        (answer("{}"), "line 1, column 0", false),
        (Fault::Status(422), "422", false),
    ];
    for (fault, detail, names_variable) in answers {
        let app = one_opened_in_each(two_repositories()).await;
        app.world.github.fault(Matching::listing("acme/web"), fault.forever());
        let answer = app.agent("alpha").beat().await;
        assert_eq!(listings_of_web(&app), 1, "{detail}");
        assert_eq!(answer.0["problems"].to_string().contains("GITHUB_API_URL"), names_variable, "{detail}");
        assert_reported(&app, &answer, "github_unexpected_answer", detail).await;
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
        assert_eq!(app.checkpoints("acme/api")["openCount"], 150, "{fault:?}");
    }
}

#[tokio::test]
async fn unreachable_github_is_reported() {
    let app = TestApp::tracking(&["acme/api"]).with("GITHUB_API_URL", "http://127.0.0.1:1").start().await;
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.codes()), ("error", vec!["github_unavailable"]));
    let [error] = answer.lines("errors")[..] else { panic!("{:#}", answer.0) };
    assert!(error.starts_with("sync: acme/api: ") && error.contains("http://127.0.0.1:1"), "{error}");
}
