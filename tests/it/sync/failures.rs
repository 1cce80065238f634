//! Failures, and their effect on the answer, the record and the next beat.

use std::time::Duration;

use serde_json::json;
use test_world::dynamodb::{Fault as Broken, On};
use test_world::github::{Fault, Matching};

use crate::support::app::TestApp;
use crate::support::probe::failed;

const FIVE: [&str; 5] = ["acme/api", "acme/web", "acme/docs", "acme/infra", "acme/app"];

async fn with_an_issue_each(repositories: &[&str]) -> TestApp {
    let app = TestApp::tracking(repositories).start().await;
    app.world.github.arrange(|github| {
        for repository in repositories {
            github.open_issues(repository, 1);
        }
    });
    app
}

#[tokio::test]
async fn pass_without_a_failure_has_no_problem() {
    let app = with_an_issue_each(&FIVE).await;
    for _ in 0..2 {
        let answer = app.agent("alpha").beat().await;
        assert_eq!(answer.status(), "ok");
        for list in ["warnings", "errors", "problems"] {
            assert_eq!(answer.0[list], json!([]), "{list}");
        }
        app.outlive_freshness();
    }
}

#[tokio::test]
async fn one_of_five_repositories_failing_is_a_warning() {
    let app = with_an_issue_each(&FIVE).await;
    app.world.github.fault(Matching::listing("acme/web"), Fault::Status(502).forever());
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.status(), "warning");
    assert_eq!(failed(&answer), [("acme/web".to_owned(), "github_unavailable".to_owned())]);
    let [warning] = answer.lines("warnings")[..] else { panic!("{:#}", answer.0) };
    assert!(warning.starts_with("sync: acme/web: ") && warning.contains("502"), "{warning}");
    assert_eq!(answer.lines("errors"), [""; 0]);
    assert_eq!(answer.summary_numbers(), [4, 5, 0, 4]);
    assert_eq!(answer.0["freshAt"], json!(null));
    for repository in ["acme/api", "acme/docs", "acme/infra", "acme/app"] {
        assert_eq!(app.open_rows(repository), [1]);
    }
}

#[tokio::test]
async fn all_of_five_repositories_failing_is_an_error_naming_each() {
    let app = with_an_issue_each(&FIVE).await;
    app.world.github.fault(Matching::any_listing(), Fault::Status(502).forever());
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.status(), "error");
    assert_eq!(answer.lines("warnings"), [""; 0]);
    let mut expected = FIVE.map(|repository| (repository.to_owned(), "github_unavailable".to_owned()));
    expected.sort();
    assert_eq!(failed(&answer), expected);
}

#[tokio::test]
async fn only_repository_failing_is_an_error() {
    let app = with_an_issue_each(&["acme/api"]).await;
    app.world.github.arrange(|github| github.hide_repository("acme/api"));
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.status(), "error");
    assert_eq!(answer.codes(), ["repository_not_found"]);
    assert_eq!(answer.0["problems"][0]["retryable"], false);
}

#[tokio::test]
async fn empty_configuration_is_an_error() {
    let app = TestApp::tracking(&[]).start().await;
    for _ in 0..2 {
        let answer = app.agent("alpha").beat().await;
        assert_eq!(answer.status(), "error");
        assert_eq!(answer.codes(), ["no_repositories"]);
        assert_eq!(app.runs("alpha").pop().expect("a run")["status"], "error");
        app.outlive_freshness();
    }
    assert_eq!(app.requests_to_github(), [""; 0]);
}

#[tokio::test]
async fn each_repositorys_failure_has_its_own_code() {
    let app = with_an_issue_each(&FIVE).await;
    app.world.github.arrange(|github| {
        github.hide_repository("acme/api");
        github.disable("acme/app");
        github.disable_issues("acme/docs");
    });
    let github = &app.world.github;
    github.fault(Matching::graphql(), Fault::repository_error("acme/infra", "FORBIDDEN"));
    github.fault(Matching::listing("acme/web"), Fault::Cut.forever());
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.status(), "error");
    let expected = [
        ("acme/api", "repository_not_found"),
        ("acme/app", "repository_disabled"),
        ("acme/docs", "issues_disabled"),
        ("acme/infra", "github_forbidden"),
        ("acme/web", "github_unavailable"),
    ];
    assert_eq!(failed(&answer), expected.map(|(repository, code)| (repository.to_owned(), code.to_owned())));
}

#[tokio::test]
async fn github_down_is_an_error_until_it_is_back() {
    let app = with_an_issue_each(&["acme/api", "acme/web"]).await;
    let before = app.agent("alpha").beat().await;
    app.world.github.fault(Matching::anything(), Fault::Cut.forever());
    for _ in 0..2 {
        app.outlive_freshness();
        let answer = app.agent("alpha").beat().await;
        assert_eq!(answer.status(), "error");
        assert_eq!(answer.codes(), ["github_unavailable"; 2]);
        assert_eq!(answer.0["freshAt"], before.0["freshAt"]);
        assert_eq!(app.checkpoints("acme/api")["failure"]["since"], "2026-11-22T06:00:31.000Z");
    }
    app.world.github.heal();
    app.outlive_freshness();
    assert_eq!(app.agent("alpha").beat().await.status(), "ok");
    assert_eq!(app.checkpoints("acme/api").get("failure"), None);
}

#[tokio::test]
async fn dynamodb_down_is_an_answered_error() {
    let app = with_an_issue_each(&["acme/api"]).await;
    app.world.dynamodb.fault(On::anything(), Broken::InternalError.forever());
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.status(), "error");
    assert_eq!(answer.codes(), ["store_unavailable", "run_not_recorded"]);
    assert_eq!(answer.0["touched"], json!([]));
    assert_eq!(app.requests_to_github(), [""; 0]);
    app.world.dynamodb.heal();
    assert_eq!(app.agent("alpha").beat().await.status(), "ok");
}

#[tokio::test]
async fn dynamodb_hanging_is_an_error_in_bounded_time() {
    let app = TestApp::tracking(&["acme/api"])
        .timing(|timing| {
            timing.store.attempt = Duration::from_millis(100);
            timing.store.attempts = 2;
        })
        .start()
        .await;
    app.world.dynamodb.fault(On::anything(), Broken::Hang.forever());
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.codes()), ("error", vec!["store_unavailable", "run_not_recorded"]));
}

#[tokio::test]
async fn beat_whose_agent_cannot_be_read_is_recorded() {
    let app = with_an_issue_each(&["acme/api"]).await;
    let agent = On::operation("BatchGetItem").containing("AGENTS");
    app.world.dynamodb.fault(agent, Broken::InternalError.times(3));
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.status(), "error");
    assert_eq!(answer.codes(), ["store_unavailable"]);
    let run = app.runs("alpha").pop().expect("a run");
    assert_eq!((&run["status"], &run["errors"]), (&json!("error"), &answer.0["errors"]));
}

#[tokio::test]
async fn unrecorded_run_is_a_warning_and_its_changes_are_reported_again() {
    let app = with_an_issue_each(&["acme/api"]).await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.close_issue("acme/api", 1));
    app.world.dynamodb.fault(On::operation("PutItem").containing("RUN#"), Broken::AccessDenied.forever());
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.is_coalesced()), ("warning", false));
    assert_eq!(answer.codes(), ["run_not_recorded"]);
    assert_eq!(answer.touched(), ["closed acme/api#1"]);
    assert!(answer.lines("warnings")[0].starts_with("record: "));
    app.world.dynamodb.heal();
    let next = app.agent("alpha").beat().await;
    assert_eq!((next.status(), next.touched()), ("ok", answer.touched()));
}

#[tokio::test]
async fn changes_that_cannot_be_read_are_reported_by_the_next_beat() {
    let app = with_an_issue_each(&["acme/api"]).await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.close_issue("acme/api", 1));
    let changes = On::operation("Query").containing("Changes");
    app.world.dynamodb.fault(changes, Broken::InternalError.times(3));
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.codes()), ("error", vec!["store_unavailable"]));
    assert_eq!(answer.touched(), [""; 0]);
    let next = app.agent("alpha").beat().await;
    assert_eq!((next.status(), next.touched()), ("ok", vec!["closed acme/api#1".to_owned()]));
}

#[tokio::test]
async fn error_is_recorded_as_it_was_answered() {
    let app = with_an_issue_each(&["acme/api"]).await;
    app.world.github.fault(Matching::anything(), Fault::Status(503).forever());
    let answer = app.agent("alpha").beat().await;
    let run = app.runs("alpha").pop().expect("a run");
    for field in ["runId", "status", "summary", "warnings", "errors", "coalesced"] {
        assert_eq!(run[field], answer.0[field], "{field}");
    }
    assert_eq!(run["status"], "error");
}

#[tokio::test]
async fn unstored_delivery_cursor_is_reported_in_the_answer_and_the_run() {
    let app = with_an_issue_each(&["acme/api"]).await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.close_issue("acme/api", 1));
    let cursor = On::operation("UpdateItem").containing("AGENTS");
    app.world.dynamodb.fault(cursor, Broken::AccessDenied.forever());
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.codes()), ("warning", vec!["run_not_recorded"]));
    let runs = app.runs("alpha");
    assert_eq!(runs.last().expect("a run")["status"], "warning");
    app.world.dynamodb.heal();
    assert_eq!(app.agent("alpha").beat().await.touched(), answer.touched(), "reported again");
}

#[tokio::test]
async fn pass_whose_record_cannot_be_written_has_ended() {
    let app = with_an_issue_each(&["acme/api"]).await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.close_issue("acme/api", 1));
    let record = On::operation("PutItem").containing("PASSES");
    app.world.dynamodb.fault(record, Broken::AccessDenied.forever());
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.touched()), ("ok", vec!["closed acme/api#1".to_owned()]));
    app.world.dynamodb.heal();
    assert!(app.agent("beta").beat().await.is_coalesced());
}
