//! What a heartbeat leaves in the table: its AgentRun, the pass's record, the agent's item, and when they expire.

use insta::assert_json_snapshot;
use serde_json::{Value, json};
use test_world::dynamodb::{Fault as TableFault, On};
use test_world::github::{Fault, Matching};

use crate::support::app::{Answer, START, TestApp};

/// Six hours: the interval between the audits of a repository, in seconds.
const AUDIT_INTERVAL: u64 = 21_600;

async fn tracking_two() -> TestApp {
    let app = TestApp::tracking(&["acme/api", "acme/web"]).start().await;
    app.world.github.arrange(|github| {
        github.open_issues("acme/api", 2);
        github.open_issues("acme/web", 2);
    });
    app
}

fn start() -> i64 {
    START.parse::<jiff::Timestamp>().expect("an instant").as_second()
}

/// Lets the listing of acme/api fail, and the audit of acme/web on both APIs.
fn listing_and_audit_fail(app: &TestApp) {
    let github = &app.world.github;
    github.arrange(|github| github.open_issues("acme/api", 1));
    github.fault(Matching::listing("acme/api"), Fault::Status(502).times(3));
    github.fault(Matching::graphql().containing("acme/web").nth(2), Fault::Status(502).times(3));
    github.fault(Matching::listing("acme/web").query("state", "open"), Fault::Status(502).times(3));
}

/// The failures of [`listing_and_audit_fail`] are the answer's only problems, with this severity. Its `lines` name
/// phase and repository, and repeat the messages, which name the status.
fn assert_both_reported(answer: &Answer, lines: &str, severity: &str) {
    insta::allow_duplicates! {
        assert_json_snapshot!(answer.0["problems"], {"[].message" => "[message]", "[].severity" => "[severity]"}, @r#"
        [
          {
            "code": "github_unavailable",
            "message": "[message]",
            "phase": "sync",
            "repository": "acme/api",
            "retryAfterSeconds": 30,
            "retryable": true,
            "severity": "[severity]"
          },
          {
            "code": "github_unavailable",
            "message": "[message]",
            "phase": "reconcile",
            "repository": "acme/web",
            "retryAfterSeconds": 30,
            "retryable": true,
            "severity": "[severity]"
          }
        ]
        "#);
    }
    let problems = answer.0["problems"].as_array().expect("a list");
    for (line, problem) in answer.lines(lines).into_iter().zip(problems) {
        let text = |field: &str| problem[field].as_str().expect("a text");
        assert_eq!(text("severity"), severity);
        assert!(text("message").contains("502"), "{problem:#}");
        assert_eq!(line, format!("{}: {}: {}", text("phase"), text("repository"), text("message")));
    }
    assert_eq!(answer.lines(lines).len(), problems.len());
}

/// The AgentRun repeats these fields of the answer.
fn assert_recorded(run: &Value, answer: &Value) {
    for field in [
        "runId",
        "agentName",
        "status",
        "summary",
        "warnings",
        "errors",
        "touchedIssueUrls",
        "touchedCount",
        "coalesced",
    ] {
        assert_eq!(run[field], answer[field], "{field}");
    }
}

#[tokio::test]
async fn agent_run_equals_the_answer_and_expires_after_90_days() {
    let app = tracking_two().await;
    let answer = app.agent("alpha").beat().await;
    let [run] = &app.runs("alpha")[..] else { panic!("{:#?}", app.runs("alpha")) };
    assert_recorded(run, &answer.0);
    assert_json_snapshot!(run, {
        ".runId" => "[id]", ".sk" => "[key]",
        ".passId" => "[id]", ".summary" => "[summary]"
    }, @r#"
    {
      "agentName": "alpha",
      "coalesced": false,
      "errors": [],
      "expiresAt": 1803103200,
      "finishedAt": "2026-11-22T06:00:00.000Z",
      "passId": "[id]",
      "pk": "AGENT#alpha",
      "runId": "[id]",
      "sk": "[key]",
      "startedAt": "2026-11-22T06:00:00.000Z",
      "status": "ok",
      "summary": "[summary]",
      "touchedCount": 0,
      "touchedIssueUrls": [],
      "type": "heartbeat",
      "warnings": []
    }
    "#);
    assert_eq!(answer.summary_numbers(), [2, 2, 0, 4], "{:#}", answer.0);
    assert_eq!(run["expiresAt"], start() + 90 * 86_400);
    assert_eq!(run["sk"], format!("RUN#{}", answer.0["runId"].as_str().expect("an id")));
}

#[tokio::test]
async fn heartbeats_of_one_pass_have_separate_runs_that_name_the_pass() {
    let app = tracking_two().await;
    for _ in 0..3 {
        let answer = app.agent("alpha").beat().await;
        assert_recorded(app.runs("alpha").last().expect("a run"), &answer.0);
        app.pass_time(1);
    }
    let runs = app.runs("alpha");
    let coalesced: Vec<&Value> = runs.iter().map(|run| &run["coalesced"]).collect();
    assert_eq!(coalesced, [&json!(false), &json!(true), &json!(true)]);
    assert!(runs[0]["passId"].is_string());
    assert!(runs.iter().all(|run| run["passId"] == runs[0]["passId"]));
}

#[tokio::test]
async fn heartbeat_that_runs_a_pass_is_recorded_before_the_pass() {
    let app = tracking_two().await;
    let alpha = app.agent("alpha");
    let mut held = app.world.github.hold(Matching::anything());
    let runs_meanwhile = async {
        held.arrived().await;
        let runs = app.runs("alpha");
        held.release();
        runs
    };
    let (answer, running) = tokio::join!(alpha.beat(), runs_meanwhile);
    assert_json_snapshot!(running, {
        "[].runId" => "[id]", "[].sk" => "[key]",
        "[].passId" => "[id]", "[].summary" => "[summary]"
    }, @r#"
    [
      {
        "agentName": "alpha",
        "coalesced": false,
        "errors": [],
        "expiresAt": 1803103200,
        "passId": "[id]",
        "pk": "AGENT#alpha",
        "runId": "[id]",
        "sk": "[key]",
        "startedAt": "2026-11-22T06:00:00.000Z",
        "status": "running",
        "summary": "[summary]",
        "touchedCount": 0,
        "touchedIssueUrls": [],
        "type": "heartbeat",
        "warnings": []
      }
    ]
    "#);
    let ended = app.runs("alpha");
    assert_eq!((ended.len(), &ended[0]["sk"]), (1, &running[0]["sk"]));
    assert_eq!(ended[0]["passId"], running[0]["passId"]);
    assert_recorded(&ended[0], &answer.0);
}

#[tokio::test]
async fn pass_without_a_change_or_a_problem_is_not_recorded() {
    let app = tracking_two().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    let before = app.items("PASSES", "").len();
    app.agent("alpha").beat().await;
    assert_eq!(app.items("PASSES", "").len(), before, "an idle pass");

    app.outlive_freshness();
    app.world.github.arrange(|github| github.close_issue("acme/api", 1));
    app.agent("alpha").beat().await;
    assert_eq!(app.items("PASSES", "").len(), before + 1, "a change");

    app.outlive_freshness();
    app.world.github.arrange(|github| github.close_issue("acme/web", 1));
    app.world.github.fault(Matching::listing("acme/web"), Fault::Status(502).times(3));
    app.agent("alpha").beat().await;
    let passes = app.items("PASSES", "");
    assert_eq!(passes.len(), before + 2, "a problem");
    let last = passes.last().expect("a pass");
    assert_json_snapshot!(last, {
        ".passId" => "[id]", ".sk" => "[key]",
        ".summary" => "[summary]", ".problems[].message" => "[message]"
    }, @r#"
    {
      "deferred": [],
      "endedAt": "2026-11-22T06:01:33.000Z",
      "expiresAt": 1803103293,
      "fence": 4,
      "githubRequests": 4,
      "passId": "[id]",
      "pk": "PASSES",
      "problems": [
        {
          "code": "github_unavailable",
          "message": "[message]",
          "phase": "sync",
          "repository": "acme/web",
          "retryAfterSeconds": 30,
          "retryable": true,
          "severity": "warning"
        }
      ],
      "sk": "[key]",
      "startedAt": "2026-11-22T06:01:33.000Z",
      "status": "warning",
      "summary": "[summary]",
      "touched": 0
    }
    "#);
    assert_eq!(last["expiresAt"], start() + 3 * 31 + 90 * 86_400);
}

#[tokio::test]
async fn agent_item_holds_rate_cursor_and_token_and_expires_after_90_days() {
    let app = tracking_two().await;
    app.agent("alpha").beat().await;
    app.pass_time(5);
    app.agent("alpha").beat().await;
    assert_json_snapshot!(app.items("AGENTS", ""), { "[].lastRunId" => "a run" }, @r#"
    [
      {
        "beatMinute": 29922120,
        "beatsInMinute": 2,
        "beatsPerHour": "aosu.000000000000000000000002",
        "expiresAt": 1803103205,
        "kindsAfter": 1,
        "lastBeatAt": "2026-11-22T06:00:05.000Z",
        "lastRunId": "a run",
        "lastStatus": "ok",
        "pk": "AGENTS",
        "reported": 0,
        "sk": "alpha",
        "tokenFingerprint": "054e62a48f950bed",
        "told": "00000000000000000001#~"
      }
    ]
    "#);
}

#[tokio::test]
async fn records_expire_after_the_configured_days_and_the_copy_never() {
    let app = TestApp::tracking(&["acme/api"]).with("RUN_RETENTION_DAYS", "7").start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 1));
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.close_issue("acme/api", 1));
    app.agent("alpha").beat().await;
    for record in [app.items("AGENT#", ""), app.items("PASSES", "")].concat() {
        let started: jiff::Timestamp =
            record["startedAt"].as_str().expect("a text").parse().expect("an instant");
        assert_eq!(record["expiresAt"], started.as_second() + 7 * 86_400);
    }
    for kept in ["FLEET", "REPO#"] {
        let items = app.items(kept, "");
        assert!(!items.is_empty(), "{kept}");
        assert!(items.iter().all(|item| !item.has("expiresAt")), "{kept}");
    }
}

#[tokio::test]
async fn warnings_of_sync_and_reconcile_are_in_the_answer_and_the_run() {
    let app = TestApp::tracking(&["acme/api", "acme/web", "acme/cli"]).start().await;
    app.agent("alpha").beat().await;
    app.pass_time(AUDIT_INTERVAL);
    listing_and_audit_fail(&app);
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.lines("errors")), ("warning", vec![]));
    assert_both_reported(&answer, "warnings", "warning");
    assert_recorded(app.runs("alpha").last().expect("a run"), &answer.0);
}

#[tokio::test]
async fn errors_of_sync_and_reconcile_are_in_the_answer_and_the_run() {
    let app = TestApp::tracking(&["acme/api", "acme/web"]).start().await;
    app.agent("alpha").beat().await;
    app.pass_time(AUDIT_INTERVAL);
    listing_and_audit_fail(&app);
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.lines("warnings")), ("error", vec![]));
    assert_both_reported(&answer, "errors", "error");
    assert_recorded(app.runs("alpha").last().expect("a run"), &answer.0);
}

#[tokio::test]
async fn audit_on_hold_is_recorded_as_an_error_of_reconcile() {
    let app = TestApp::tracking(&["acme/api", "acme/web"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 21));
    app.agent("alpha").beat().await;
    app.pass_time(AUDIT_INTERVAL);
    app.world.github.arrange(|github| (1..=21).for_each(|number| github.hide_issue("acme/api", number)));
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.lines("warnings")), ("error", vec![]));
    assert_eq!((answer.codes(), answer.lines("errors").len()), (vec!["audit_held"], 1));
    let problem = &answer.0["problems"][0];
    assert_eq!(
        (&problem["phase"], &problem["repository"], &problem["severity"]),
        (&json!("reconcile"), &json!("acme/api"), &json!("error"))
    );
    let line = answer.lines("errors")[0];
    assert!(line.starts_with("reconcile: acme/api: ") && line.contains("21"), "{line}");
    assert_eq!(app.open_rows("acme/api").len(), 21);
    assert_recorded(app.runs("alpha").last().expect("a run"), &answer.0);
}

#[tokio::test]
async fn heartbeat_that_cannot_read_the_table_runs_no_pass_and_is_recorded() {
    let app = TestApp::after_a_first_beat().await;
    let before = app.items("AGENTS", "");
    app.world.github.clear_requests();
    app.world.dynamodb.fault(On::operation("BatchGetItem").containing("STATE"), TableFault::AccessDenied);
    let failed = app.agent("alpha").beat().await;
    assert_eq!((failed.status(), failed.codes()), ("error", vec!["store_unavailable"]));
    assert_eq!(app.world.github.requests(), []);
    assert_recorded(app.runs("alpha").last().expect("a run"), &failed.0);
    assert_eq!(app.items("AGENTS", ""), before, "its delivery cursor stays");
    assert_eq!(app.agent("alpha").beat().await.touched().len(), 3);
}

#[tokio::test]
async fn heartbeat_that_can_neither_read_nor_write_reports_both() {
    let app = tracking_two().await;
    app.world.dynamodb.fault(On::anything(), TableFault::AccessDenied.forever());
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.status(), "error");
    assert_eq!(answer.codes(), ["store_unavailable", "run_not_recorded"]);
    assert_eq!(app.world.github.requests(), []);
}

#[tokio::test]
async fn pass_that_fails_on_the_table_is_an_error_and_is_run_again() {
    let app = TestApp::after_a_first_beat().await;
    app.world.dynamodb.fault(On::operation("Query").containing(":fleet"), TableFault::AccessDenied);
    let failed = app.agent("alpha").beat().await;
    assert_eq!((failed.status(), failed.codes()), ("error", vec!["store_unavailable"]));
    assert_recorded(app.runs("alpha").last().expect("a run"), &failed.0);
    let healed = app.agent("alpha").beat().await;
    assert_eq!((healed.status(), healed.is_coalesced()), ("ok", false));
    assert_eq!(healed.touched().len(), 3);
}

#[tokio::test]
async fn run_of_a_pass_that_failed_on_the_table_names_that_pass() {
    let app = TestApp::after_a_first_beat().await;
    app.world.dynamodb.clear_requests();
    app.world.dynamodb.fault(On::operation("Query").containing(":fleet"), TableFault::AccessDenied);
    assert_eq!(app.agent("alpha").beat().await.codes(), ["store_unavailable"]);
    let requests = app.world.dynamodb.requests();
    let lease = requests.iter().find(|exchange| exchange.operation == "UpdateItem").expect("a lease");
    let own = &lease.request["ExpressionAttributeValues"][":me"]["S"];
    let [before, failed] = &app.runs("alpha")[..] else { panic!("{:#?}", app.runs("alpha")) };
    assert_eq!((&failed["status"], &failed["passId"]), (&json!("error"), own));
    assert_ne!(failed["passId"], before["passId"]);
}
