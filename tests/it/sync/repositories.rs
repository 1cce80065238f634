//! GitHub's id identifies a repository: renamed, replaced, configured twice, hidden, disabled.

use serde_json::json;
use test_world::dynamodb::{Fault as StoreFault, On};
use test_world::github::{Fault, GitHub, Matching};

use crate::support::app::TestApp;

const API: &str = "acme/api";
const WEB: &str = "acme/web";

#[tokio::test]
async fn unchanged_repository_reports_nothing() {
    let app = TestApp::tracking(&[API, WEB]).start().await;
    for _ in 0..2 {
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.touched().len()), ("ok", 0));
        assert_eq!(app.items("FLEET", "REPO#").len(), 2);
        assert_eq!(app.items("FLEET", "NAME#").len(), 2);
        app.outlive_freshness();
    }
}

#[tokio::test]
async fn renamed_repository_keeps_its_history_under_its_configured_name() {
    let app = TestApp::tracking(&[API]).start().await;
    app.world.github.arrange(|github| github.open_issues(API, 2));
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| {
        github.rename_repository(API, "acme/core");
        github.close_issue("acme/core", 1);
    });
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.touched()), ("ok", vec!["closed acme/core#1".to_owned()]));
    assert_eq!(app.checkpoints("acme/core")["name"], "acme/core");
    assert_eq!(app.items("FLEET", "REPO#").len(), 1);
    assert_eq!(app.open_rows("acme/core"), [2]);
    app.outlive_freshness();
    assert_eq!(app.agent("alpha").beat().await.touched(), [""; 0]);
}

#[tokio::test]
async fn rename_between_two_requests_of_a_pass_is_resolved_by_the_next() {
    let app = TestApp::tracking(&[API]).start().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.open_issue(API, "New"));
    app.world.github.before(Matching::listing(API), |github| {
        github.rename_repository(API, "acme/core");
    });
    assert_eq!(app.agent("alpha").beat().await.codes(), ["github_unexpected_answer"]);
    app.outlive_freshness();
    assert_eq!(app.agent("alpha").beat().await.touched(), ["opened acme/core#1"]);
}

#[tokio::test]
async fn renamed_repository_shares_no_history_with_its_names_new_owner() {
    let app = TestApp::tracking(&[API]).start().await;
    app.world.github.arrange(|github| github.open_issues(API, 2));
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    let new = app.world.github.arrange(|github| {
        github.rename_repository(API, "acme/core");
        github.close_issue("acme/core", 1);
        let new = github.create_repository(API);
        github.open_issues(API, 1);
        new
    });
    let answer = app.agent("alpha").beat().await;
    // A backfill reports nothing. The old one is not tracked any more, and its issues were known under its old name.
    assert_eq!(
        (answer.status(), answer.touched()),
        ("ok", vec!["hidden acme/api#1".into(), "hidden acme/api#2".into()])
    );
    assert_eq!(app.open_rows(API), [1]);
    assert_eq!(app.items("REPO#", "ISSUE#").len(), 3, "the old one's rows are kept");
    assert_eq!(app.open_rows("acme/core"), [0; 0]);
    assert_eq!(app.items("FLEET", "NAME#acme/api")[0]["id"], new);

    app.outlive_freshness();
    app.world.github.arrange(|github| github.close_issue(API, 1));
    assert_eq!(app.agent("alpha").beat().await.touched(), ["closed acme/api#1"]);
}

/// `acme/api` and `acme/core`, where the first is the old name of the second.
async fn two_names_of_one() -> TestApp {
    let app = TestApp::tracking(&[API]).with("REPOSITORIES", "acme/api acme/core").start().await;
    app.world.github.arrange(|github| {
        github.rename_repository(API, "acme/core");
        github.open_issue("acme/core", "One");
    });
    app
}

#[tokio::test]
async fn two_names_of_one_repository_are_read_once_with_a_warning() {
    let app = two_names_of_one().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.open_issue("acme/core", "Two"));
    app.clear_requests();
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.status(), "warning");
    assert_eq!(app.listed_since().len(), 1);
    insta::assert_json_snapshot!(answer.0["problems"], {"[].message" => "[message]"}, @r#"
    [
      {
        "code": "duplicate_repository",
        "message": "[message]",
        "phase": "sync",
        "repository": "acme/core",
        "retryable": false,
        "severity": "warning"
      }
    ]
    "#);
    let message = answer.0["problems"][0]["message"].as_str().expect("a text");
    assert!(message.contains("acme/api") && message.contains("REPOSITORIES"), "{message}");
    assert_eq!(answer.0["freshAt"], "2026-11-22T06:00:31.000Z", "it agrees with GitHub all the same");
}

/// A probe that sees two open issues under the other alias, and nothing under this one.
fn one_alias_fails(app: &TestApp, alias: &str) -> Fault {
    let id = app.world.github.arrange(|github| github.repository_id("acme/core"));
    let seen = json!({
        "databaseId": id, "nameWithOwner": "acme/core", "isDisabled": false, "hasIssuesEnabled": true,
        "newest": { "nodes": [{ "updatedAt": app.ago(0) }] }, "open": { "totalCount": 2 },
    });
    let mut data = json!({ "r0": seen, "r1": seen });
    data[alias] = json!(null);
    let errors = json!([{ "type": "INTERNAL", "path": [alias], "message": "Something went wrong." }]);
    let body = json!({ "data": data, "errors": errors }).to_string();
    Fault::Answer { status: 200, headers: Vec::new(), body }
}

#[tokio::test]
async fn repository_with_one_failing_name_is_read_by_the_other() {
    // The probe's two aliases, and the names in requests to the REST API.
    for failing in ["r0", "r1", "/repos/acme/core", "/repos/acme/api"] {
        let app = two_names_of_one().await;
        app.agent("alpha").beat().await;
        app.outlive_freshness();
        app.world.github.arrange(|github| github.open_issue("acme/core", "Two"));
        let codes: &[&str] = if failing.starts_with('r') {
            app.world.github.fault(Matching::graphql(), one_alias_fails(&app, failing));
            // It is looked up by REST.
            &["duplicate_repository"]
        } else {
            app.world.github.arrange(|github| github.remove_graphql());
            app.world.github.fault(Matching::path(failing), Fault::Status(502).times(3));
            &["probe_unavailable", "github_unavailable"]
        };
        let answer = app.agent("alpha").beat().await;
        assert_eq!(answer.touched(), ["opened acme/core#2"], "{failing}");
        assert_eq!(answer.codes(), codes, "{failing}");
        let checkpoints = app.checkpoints("acme/core");
        assert_eq!(checkpoints["cursor"], "2026-11-22T06:00:31.000Z", "{failing}");
        assert_eq!(checkpoints["openCount"], 2, "{failing}");
        app.outlive_freshness();
        assert_eq!(app.agent("beta").beat().await.touched(), [""; 0], "{failing}");
    }
}

#[tokio::test]
async fn missing_repository_is_a_problem_and_the_others_are_synced() {
    let app = TestApp::tracking(&[API]).with("REPOSITORIES", "acme/api, acme/nothing").start().await;
    app.world.github.arrange(|github| github.open_issues(API, 2));
    for numbers in [vec![1, 2, 0, 2], vec![1, 2, 0]] {
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.codes()), ("warning", vec!["repository_not_found"]));
        assert_eq!(answer.0["problems"][0]["repository"], "acme/nothing");
        assert_eq!(answer.0["problems"][0]["retryable"], false);
        assert_eq!(answer.summary_numbers(), numbers);
        assert_eq!(app.open_rows(API), [1, 2]);
        app.outlive_freshness();
    }
    let name = &app.items("FLEET", "NAME#acme/nothing")[0];
    assert_eq!((&name["id"], &name["why"]), (&json!(null), &json!("repository_not_found")));
}

#[tokio::test]
async fn hidden_repository_keeps_its_rows_and_reports_nothing_on_return() {
    let app = TestApp::tracking(&[API, WEB]).with("AUDIT_INTERVAL_SECONDS", "60").start().await;
    app.world.github.arrange(|github| github.open_issues(API, 3));
    app.agent("alpha").beat().await;
    let cursor = app.checkpoints(API)["cursor"].clone();
    app.world.github.arrange(|github| github.hide_repository(API));
    for _ in 0..3 {
        app.pass_time(300);
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.codes()), ("warning", vec!["repository_not_found"]));
        assert_eq!(answer.touched(), [""; 0]);
        assert_eq!(app.open_rows(API), [1, 2, 3]);
        assert_eq!(app.checkpoints(API)["cursor"], cursor);
    }
    app.world.github.arrange(|github| {
        github.show_repository(API);
        github.close_issue(API, 2);
    });
    app.pass_time(300);
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.touched()), ("ok", vec!["closed acme/api#2".to_owned()]));
}

#[tokio::test]
async fn disabled_repository_is_reported_and_keeps_its_rows_and_cursor() {
    let app = TestApp::tracking(&[API, WEB]).start().await;
    app.world.github.arrange(|github| github.open_issues(API, 2));
    app.agent("alpha").beat().await;
    let cursor = app.checkpoints(API)["cursor"].clone();
    app.outlive_freshness();
    app.world.github.arrange(|github| {
        github.disable(API);
        github.open_issue(API, "Nobody sees it");
        github.open_issue(WEB, "New");
    });
    app.clear_requests();
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.codes()), ("warning", vec!["repository_disabled"]));
    assert_eq!(app.listed_since().len(), 1, "only the other one is listed");
    assert_eq!((app.open_rows(API), &app.checkpoints(API)["cursor"]), (vec![1, 2], &cursor));
    assert_eq!(app.checkpoints(API)["failure"]["code"], "repository_disabled");
}

#[tokio::test]
async fn archived_repository_is_read_as_usual() {
    let app = TestApp::tracking(&[API]).start().await;
    app.world.github.arrange(|github| {
        github.open_issues(API, 2);
        github.archive(API);
    });
    assert_eq!(app.agent("alpha").beat().await.status(), "ok");
    assert_eq!(app.open_rows(API), [1, 2]);
}

#[tokio::test]
async fn repository_with_issues_disabled_is_reported_and_keeps_its_rows() {
    let app = TestApp::tracking(&[API]).start().await;
    app.world.github.arrange(|github| github.open_issues(API, 2));
    app.agent("alpha").beat().await;
    app.world.github.arrange(|github| github.disable_issues(API));
    app.outlive_freshness();
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.codes()), ("error", vec!["issues_disabled"]));
    assert_eq!(app.open_rows(API), [1, 2]);
    app.world.github.arrange(|github| github.enable_issues(API));
    app.outlive_freshness();
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.touched().len()), ("ok", 0));
    assert!(app.checkpoints(API).get("failure").is_none(), "{:#}", app.checkpoints(API));
}

#[tokio::test]
async fn repository_redirect_to_another_host_is_not_followed() {
    let app = TestApp::tracking(&[API]).start().await;
    let elsewhere = GitHub::start(app.world.clock.clone()).await;
    elsewhere.arrange(|github| github.create_repository(API));
    let moved = Fault::Answer {
        status: 301,
        headers: vec![("location", format!("{}/repos/acme/api", elsewhere.url()))],
        body: "{}".into(),
    };
    app.world.github.arrange(|github| github.remove_graphql());
    app.world.github.fault(Matching::repository(API), moved);
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.codes(), ["probe_unavailable", "github_unexpected_answer"]);
    assert_eq!(elsewhere.requests(), []);
    app.world.github.arrange(|github| github.heal_graphql());
    app.outlive_freshness();
    assert_eq!(app.agent("alpha").beat().await.status(), "ok");
}

#[tokio::test]
async fn changes_of_a_renamed_repository_are_reported_once_its_name_is_stored() {
    let mut app = TestApp::tracking(&[API]).start().await;
    app.world.github.arrange(|github| github.open_issues(API, 2));
    for agent in ["alpha", "beta"] {
        app.agent(agent).beat().await;
    }
    app.pass_time(150);
    app.world.github.arrange(|github| {
        github.rename_repository(API, "acme/core");
        github.close_issue("acme/core", 1);
    });
    app.restart_with("REPOSITORIES", "acme/core");
    let name = On::operation("PutItem").containing("NAME#acme/core");
    app.world.dynamodb.fault(name, StoreFault::InternalError.times(3));
    let mut reported = app.agent("alpha").beat().await.touched();
    app.outlive_freshness();
    let beta = app.agent("beta").beat().await;
    reported.extend(app.agent("alpha").beat().await.touched());
    assert_eq!((beta.status(), beta.touched()), ("ok", vec!["closed acme/core#1".to_owned()]));
    assert_eq!(reported, ["closed acme/core#1"]);
    assert_eq!(app.items("FLEET", "NAME#acme/core").len(), 1);
    app.outlive_freshness();
    for agent in ["alpha", "beta"] {
        assert_eq!(app.agent(agent).beat().await.touched(), [""; 0], "{agent}");
    }
}
