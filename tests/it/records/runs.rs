//! What a beat leaves in the table: its AgentRun, the pass's record, the agent's item, and when they expire.

use insta::assert_json_snapshot;
use serde_json::{Value, json};
use test_world::dynamodb::{Fault as TableFault, On};
use test_world::github::{Fault, Matching};

use crate::support::app::{START, TestApp};

/// Six hours, after which every repository is audited.
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

/// The listing of acme/api fails, and the audit of acme/web by either API.
fn listing_and_audit_fail(app: &TestApp) {
    let github = &app.world.github;
    github.arrange(|github| github.open_issues("acme/api", 1));
    github.fault(Matching::listing("acme/api"), Fault::Status(502).times(3));
    github.fault(Matching::graphql().containing("acme/web").nth(2), Fault::Status(502).times(3));
    github.fault(Matching::listing("acme/web").query("state", "open"), Fault::Status(502).times(3));
}

/// What the AgentRun and the answer must say alike.
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
async fn an_agent_run_says_what_the_answer_said_and_expires_after_90_days() {
    let app = tracking_two().await;
    let answer = app.agent("alpha").beat().await;
    let [run] = &app.runs("alpha")[..] else { panic!("{:#?}", app.runs("alpha")) };
    assert_recorded(run, &answer.0);
    assert_json_snapshot!(run, {".runId" => "[id]", ".sk" => "[key]", ".passId" => "[id]"}, @r#"
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
      "summary": "Synced 2 of 2 repositories: 0 issues changed, 4 imported.",
      "touchedCount": 0,
      "touchedIssueUrls": [],
      "type": "heartbeat",
      "warnings": []
    }
    "#);
    assert_eq!(run["expiresAt"], start() + 90 * 86_400);
    assert_eq!(run["sk"], format!("RUN#{}", answer.0["runId"].as_str().expect("an id")));
}

#[tokio::test]
async fn every_beat_has_a_run_of_its_own_and_those_of_one_pass_name_it() {
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
async fn a_beat_that_runs_the_pass_leaves_a_trace_before_it() {
    let app = tracking_two().await;
    let alpha = app.agent("alpha");
    let mut held = app.world.github.hold(Matching::anything());
    let look = async {
        held.arrived().await;
        let runs = app.runs("alpha");
        held.release();
        runs
    };
    let (answer, running) = tokio::join!(alpha.beat(), look);
    assert_json_snapshot!(running, {"[].runId" => "[id]", "[].sk" => "[key]", "[].passId" => "[id]"}, @r#"
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
        "summary": "Running a pass.",
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
async fn a_pass_is_recorded_only_when_it_changed_something_or_met_a_problem() {
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
    assert_json_snapshot!(last, {".passId" => "[id]", ".sk" => "[key]"}, @r#"
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
          "message": "GitHub answered 502 three times; the next pass retries",
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
      "summary": "Synced 1 of 2 repositories: 0 issues changed.",
      "touched": 0
    }
    "#);
    assert_eq!(last["expiresAt"], start() + 3 * 31 + 90 * 86_400);
}

#[tokio::test]
async fn the_agents_item_holds_its_last_beats_what_it_was_told_and_with_which_token_and_stays() {
    let app = tracking_two().await;
    app.agent("alpha").beat().await;
    app.pass_time(5);
    app.agent("alpha").beat().await;
    assert_json_snapshot!(app.items("AGENTS", ""), @r#"
    [
      {
        "beatMinute": 29922120,
        "beatsInMinute": 2,
        "kindsAfter": 1,
        "lastBeatAt": "2026-11-22T06:00:05.000Z",
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
async fn records_expire_after_the_days_configured_and_nothing_else_does() {
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
    for kept in ["FLEET", "REPO#", "AGENTS"] {
        let items = app.items(kept, "");
        assert!(!items.is_empty(), "{kept}");
        assert!(items.iter().all(|item| !item.has("expiresAt")), "{kept}");
    }
}

#[tokio::test]
async fn warnings_from_sync_and_from_reconcile_are_in_the_answer_and_in_the_run() {
    let app = TestApp::tracking(&["acme/api", "acme/web", "acme/cli"]).start().await;
    app.agent("alpha").beat().await;
    app.pass_time(AUDIT_INTERVAL);
    listing_and_audit_fail(&app);
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.lines("errors")), ("warning", vec![]));
    assert_json_snapshot!(answer.0["warnings"], @r#"
    [
      "sync: acme/api: GitHub answered 502 three times; the next pass retries",
      "reconcile: acme/web: GitHub answered 502 three times; the next pass retries"
    ]
    "#);
    assert_recorded(app.runs("alpha").last().expect("a run"), &answer.0);
}

#[tokio::test]
async fn errors_from_sync_and_from_reconcile_are_in_the_answer_and_in_the_run() {
    let app = TestApp::tracking(&["acme/api", "acme/web"]).start().await;
    app.agent("alpha").beat().await;
    app.pass_time(AUDIT_INTERVAL);
    listing_and_audit_fail(&app);
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.lines("warnings")), ("error", vec![]));
    assert_json_snapshot!(answer.0["errors"], @r#"
    [
      "sync: acme/api: GitHub answered 502 three times; the next pass retries",
      "reconcile: acme/web: GitHub answered 502 three times; the next pass retries"
    ]
    "#);
    assert_recorded(app.runs("alpha").last().expect("a run"), &answer.0);
}

#[tokio::test]
async fn a_held_audit_is_an_error_of_reconcile_and_recorded() {
    let app = TestApp::tracking(&["acme/api", "acme/web"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 21));
    app.agent("alpha").beat().await;
    app.pass_time(AUDIT_INTERVAL);
    app.world.github.arrange(|github| (1..=21).for_each(|number| github.hide_issue("acme/api", number)));
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.lines("warnings")), ("error", vec![]));
    assert_json_snapshot!(answer.0["errors"], @r#"
    [
      "reconcile: acme/api: audit on hold: 21 of 21 cached open issues are missing from GitHub's listing, above the safety threshold. Nothing was removed. If they are really gone, run `make confirm-audit`"
    ]
    "#);
    assert_eq!(app.open_rows("acme/api").len(), 21);
    assert_recorded(app.runs("alpha").last().expect("a run"), &answer.0);
}

#[tokio::test]
async fn a_beat_that_cannot_read_the_table_runs_nothing_and_is_recorded_all_the_same() {
    let app = TestApp::after_a_first_beat().await;
    let before = app.items("AGENTS", "");
    app.world.github.clear_requests();
    app.world.dynamodb.fault(On::operation("BatchGetItem").containing("STATE"), TableFault::AccessDenied);
    let failed = app.agent("alpha").beat().await;
    assert_eq!((failed.status(), failed.codes()), ("error", vec!["store_unavailable"]));
    assert_eq!(app.world.github.requests(), []);
    assert_recorded(app.runs("alpha").last().expect("a run"), &failed.0);
    assert_eq!(app.items("AGENTS", ""), before, "its position stays");
    assert_eq!(app.agent("alpha").beat().await.touched().len(), 3);
}

#[tokio::test]
async fn a_beat_that_can_neither_read_nor_write_the_table_says_both() {
    let app = tracking_two().await;
    app.world.dynamodb.fault(On::anything(), TableFault::AccessDenied.forever());
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.status(), "error");
    assert_eq!(answer.codes(), ["store_unavailable", "run_not_recorded"]);
    assert_eq!(app.world.github.requests(), []);
}

#[tokio::test]
async fn a_pass_that_fails_on_the_table_is_an_error_and_the_next_beat_runs_another() {
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
async fn the_run_of_a_pass_that_failed_on_the_table_names_that_pass_and_not_the_one_before() {
    let app = TestApp::after_a_first_beat().await;
    app.world.dynamodb.clear_requests();
    app.world.dynamodb.fault(On::operation("Query").containing(":fleet"), TableFault::AccessDenied);
    assert_eq!(app.agent("alpha").beat().await.codes(), ["store_unavailable"]);
    let requests = app.world.dynamodb.requests();
    let claim = requests.iter().find(|exchange| exchange.operation == "UpdateItem").expect("a claim");
    let own = &claim.request["ExpressionAttributeValues"][":me"]["S"];
    let [before, failed] = &app.runs("alpha")[..] else { panic!("{:#?}", app.runs("alpha")) };
    assert_eq!((&failed["status"], &failed["passId"]), (&json!("error"), own));
    assert_ne!(failed["passId"], before["passId"]);
}
