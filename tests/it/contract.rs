//! The answer to a beat, clause by clause, and whole.

use insta::assert_json_snapshot;
use local_stack::dynamodb::{Fault as TableFault, On};
use local_stack::github::{Fault, Matching};

use crate::app::{Answer, TestApp};

/// The only fields an answer has. The first eight are the public type and never change.
const FIELDS: [&str; 14] = [
    "status",
    "agentName",
    "startedAt",
    "finishedAt",
    "summary",
    "warnings",
    "errors",
    "touchedIssueUrls",
    "runId",
    "coalesced",
    "freshAt",
    "touched",
    "touchedCount",
    "problems",
];

/// An agent has beaten once; then its freshness has run out, and this has happened on GitHub.
async fn after_a_first_beat() -> TestApp {
    let app = TestApp::tracking(&["acme/api", "acme/web"]).start().await;
    app.world
        .github
        .arrange(|github| github.open_issues("acme/api", 3));
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| {
        github.close_issue("acme/api", 1);
        github.edit_issue("acme/api", 2, |issue| issue.title = "Another title".into());
        github.open_issue("acme/web", "New");
    });
    app
}

#[tokio::test]
async fn the_first_beat_of_all_says_that_nothing_was_touched() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world
        .github
        .arrange(|github| github.open_issues("acme/api", 2));
    let answer = app.agent("alpha").beat().await;
    assert_json_snapshot!(answer.0, {".runId" => "[id]"}, @r#"
    {
      "agentName": "alpha",
      "coalesced": false,
      "errors": [],
      "finishedAt": "2026-11-22T06:00:00.000Z",
      "freshAt": "2026-11-22T06:00:00.000Z",
      "problems": [],
      "runId": "[id]",
      "startedAt": "2026-11-22T06:00:00.000Z",
      "status": "ok",
      "summary": "Synced 1 of 1 repository: 0 issues changed, 2 read for the first time.",
      "touched": [],
      "touchedCount": 0,
      "touchedIssueUrls": [],
      "warnings": []
    }
    "#);
}

#[tokio::test]
async fn a_later_beat_tells_each_touched_issue_and_what_happened_to_it() {
    let app = after_a_first_beat().await;
    let answer = app.agent("alpha").beat().await;
    assert_json_snapshot!(answer.0, {".runId" => "[id]"}, @r#"
    {
      "agentName": "alpha",
      "coalesced": false,
      "errors": [],
      "finishedAt": "2026-11-22T06:00:31.000Z",
      "freshAt": "2026-11-22T06:00:31.000Z",
      "problems": [],
      "runId": "[id]",
      "startedAt": "2026-11-22T06:00:31.000Z",
      "status": "ok",
      "summary": "Synced 2 of 2 repositories: 3 issues changed.",
      "touched": [
        {
          "change": "closed",
          "url": "https://github.com/acme/api/issues/1"
        },
        {
          "change": "edited",
          "url": "https://github.com/acme/api/issues/2"
        },
        {
          "change": "opened",
          "url": "https://github.com/acme/web/issues/1"
        }
      ],
      "touchedCount": 3,
      "touchedIssueUrls": [
        "https://github.com/acme/api/issues/1",
        "https://github.com/acme/api/issues/2",
        "https://github.com/acme/web/issues/1"
      ],
      "warnings": []
    }
    "#);
}

#[tokio::test]
async fn a_coalesced_beat_tells_the_same_of_a_pass_that_another_agent_ran() {
    let app = after_a_first_beat().await;
    app.agent("alpha").beat().await;
    app.pass_time(7);
    app.world.github.clear_requests();
    let answer = app.agent("beta").beat().await;
    assert_json_snapshot!(answer.0, {".runId" => "[id]"}, @r#"
    {
      "agentName": "beta",
      "coalesced": true,
      "errors": [],
      "finishedAt": "2026-11-22T06:00:38.000Z",
      "freshAt": "2026-11-22T06:00:31.000Z",
      "problems": [],
      "runId": "[id]",
      "startedAt": "2026-11-22T06:00:38.000Z",
      "status": "ok",
      "summary": "Joined the pass that ended 7 s ago: 3 issues changed since this agent's last beat.",
      "touched": [
        {
          "change": "closed",
          "url": "https://github.com/acme/api/issues/1"
        },
        {
          "change": "edited",
          "url": "https://github.com/acme/api/issues/2"
        },
        {
          "change": "opened",
          "url": "https://github.com/acme/web/issues/1"
        }
      ],
      "touchedCount": 3,
      "touchedIssueUrls": [
        "https://github.com/acme/api/issues/1",
        "https://github.com/acme/api/issues/2",
        "https://github.com/acme/web/issues/1"
      ],
      "warnings": []
    }
    "#);
    assert_eq!(app.world.github.requests(), []);
}

#[tokio::test]
async fn a_repository_that_fails_beside_a_good_one_is_a_warning() {
    let app = after_a_first_beat().await;
    app.world
        .github
        .fault(Matching::listing("acme/web"), Fault::Status(502).times(3));
    let answer = app.agent("alpha").beat().await;
    assert_json_snapshot!(answer.0, {".runId" => "[id]"}, @r#"
    {
      "agentName": "alpha",
      "coalesced": false,
      "errors": [],
      "finishedAt": "2026-11-22T06:00:31.000Z",
      "freshAt": "2026-11-22T06:00:00.000Z",
      "problems": [
        {
          "code": "github_unavailable",
          "message": "GitHub answered 502 three times; the next pass tries again",
          "phase": "sync",
          "repository": "acme/web",
          "retryable": true,
          "severity": "warning"
        }
      ],
      "runId": "[id]",
      "startedAt": "2026-11-22T06:00:31.000Z",
      "status": "warning",
      "summary": "Synced 1 of 2 repositories: 2 issues changed.",
      "touched": [
        {
          "change": "closed",
          "url": "https://github.com/acme/api/issues/1"
        },
        {
          "change": "edited",
          "url": "https://github.com/acme/api/issues/2"
        }
      ],
      "touchedCount": 2,
      "touchedIssueUrls": [
        "https://github.com/acme/api/issues/1",
        "https://github.com/acme/api/issues/2"
      ],
      "warnings": [
        "sync: acme/web: GitHub answered 502 three times; the next pass tries again"
      ]
    }
    "#);
}

#[tokio::test]
async fn when_every_repository_fails_the_beat_is_an_error_and_still_answered() {
    let app = after_a_first_beat().await;
    app.world
        .github
        .fault(Matching::any_listing(), Fault::Status(502).times(6));
    let answer = app.agent("alpha").beat().await;
    assert_json_snapshot!(answer.0, {".runId" => "[id]"}, @r#"
    {
      "agentName": "alpha",
      "coalesced": false,
      "errors": [
        "sync: acme/api: GitHub answered 502 three times; the next pass tries again",
        "sync: acme/web: GitHub answered 502 three times; the next pass tries again"
      ],
      "finishedAt": "2026-11-22T06:00:31.000Z",
      "freshAt": "2026-11-22T06:00:00.000Z",
      "problems": [
        {
          "code": "github_unavailable",
          "message": "GitHub answered 502 three times; the next pass tries again",
          "phase": "sync",
          "repository": "acme/api",
          "retryable": true,
          "severity": "error"
        },
        {
          "code": "github_unavailable",
          "message": "GitHub answered 502 three times; the next pass tries again",
          "phase": "sync",
          "repository": "acme/web",
          "retryable": true,
          "severity": "error"
        }
      ],
      "runId": "[id]",
      "startedAt": "2026-11-22T06:00:31.000Z",
      "status": "error",
      "summary": "Synced 0 of 2 repositories: 0 issues changed.",
      "touched": [],
      "touchedCount": 0,
      "touchedIssueUrls": [],
      "warnings": []
    }
    "#);
}

#[tokio::test]
async fn a_coalesced_beat_carries_the_status_and_problems_of_the_pass_it_joined() {
    let app = after_a_first_beat().await;
    app.world
        .github
        .fault(Matching::any_listing(), Fault::Status(502).times(6));
    let ran = app.agent("alpha").beat().await;
    let joined = app.agent("beta").beat().await;
    assert!(joined.is_coalesced());
    for field in ["status", "warnings", "errors", "problems", "freshAt"] {
        assert_eq!(joined.0[field], ran.0[field], "{field}");
    }
}

#[tokio::test]
async fn without_a_repository_to_track_every_beat_is_an_error() {
    let app = TestApp::tracking(&[]).start().await;
    let answer = app.agent("alpha").beat().await;
    assert_json_snapshot!(answer.0, {".runId" => "[id]"}, @r#"
    {
      "agentName": "alpha",
      "coalesced": false,
      "errors": [
        "sync: no repository is tracked: name some in REPOSITORIES, as owner/name"
      ],
      "finishedAt": "2026-11-22T06:00:00.000Z",
      "freshAt": null,
      "problems": [
        {
          "code": "no_repositories",
          "message": "no repository is tracked: name some in REPOSITORIES, as owner/name",
          "phase": "sync",
          "retryable": false,
          "severity": "error"
        }
      ],
      "runId": "[id]",
      "startedAt": "2026-11-22T06:00:00.000Z",
      "status": "error",
      "summary": "Synced nothing: no repository is tracked.",
      "touched": [],
      "touchedCount": 0,
      "touchedIssueUrls": [],
      "warnings": []
    }
    "#);
}

#[tokio::test]
async fn no_answer_has_a_field_beyond_the_contract_so_none_that_judges_issues() {
    let app = after_a_first_beat().await;
    let told = app.agent("alpha").beat().await;
    let coalesced = app.agent("alpha").beat().await;
    let failed = TestApp::tracking(&[]).start().await.agent("alpha").beat().await;
    let mut expected = FIELDS;
    expected.sort_unstable();
    for Answer(answer) in [told, coalesced, failed] {
        let fields: Vec<&str> = answer
            .as_object()
            .expect("an object")
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(fields, expected);
        for touch in answer["touched"].as_array().expect("a list") {
            let fields: Vec<&String> = touch.as_object().expect("an object").keys().collect();
            assert_eq!(fields, ["change", "url"]);
        }
    }
}

#[tokio::test]
async fn a_beat_while_the_first_pass_still_runs_does_not_wait_for_it() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    let (alpha, beta) = (app.agent("alpha"), app.agent("beta"));
    let mut held = app.world.github.hold(Matching::anything());
    let meanwhile = async {
        held.arrived().await;
        let answer = beta.beat().await;
        held.release();
        answer
    };
    let (_, answer) = tokio::join!(alpha.beat(), meanwhile);
    assert_json_snapshot!(answer.0, {".runId" => "[id]"}, @r#"
    {
      "agentName": "beta",
      "coalesced": true,
      "errors": [],
      "finishedAt": "2026-11-22T06:00:00.000Z",
      "freshAt": null,
      "problems": [
        {
          "code": "first_pass_running",
          "message": "the first pass is still running; beat again in a few seconds",
          "phase": "sync",
          "retryable": true,
          "severity": "warning"
        }
      ],
      "runId": "[id]",
      "startedAt": "2026-11-22T06:00:00.000Z",
      "status": "warning",
      "summary": "Joined the first pass, which is still running.",
      "touched": [],
      "touchedCount": 0,
      "touchedIssueUrls": [],
      "warnings": [
        "sync: the first pass is still running; beat again in a few seconds"
      ]
    }
    "#);
}

#[tokio::test]
async fn a_coalesced_beat_is_called_stale_a_minute_after_freshness_ran_out() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    let (alpha, beta) = (app.agent("alpha"), app.agent("beta"));
    alpha.beat().await;
    app.pass_time(90);
    let mut held = app.world.github.hold(Matching::anything());
    let meanwhile = async {
        held.arrived().await;
        let in_time = beta.beat().await;
        app.pass_time(1);
        let late = beta.beat().await;
        held.release();
        (in_time, late)
    };
    let (_, (in_time, late)) = tokio::join!(alpha.beat(), meanwhile);
    assert_eq!((in_time.status(), in_time.is_coalesced()), ("ok", true));
    assert_eq!((late.status(), late.is_coalesced()), ("warning", true));
    assert_json_snapshot!(late.0["problems"], @r#"
    [
      {
        "code": "stale",
        "message": "the last pass ended 91 s ago, and the next has not ended yet",
        "phase": "sync",
        "retryable": true,
        "severity": "warning"
      }
    ]
    "#);
}

#[tokio::test]
async fn lists_are_capped_at_200_and_the_count_is_exact() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world
        .github
        .arrange(|github| github.open_issues("acme/api", 201));
    let first = app.agent("alpha").beat().await;
    let second = app.agent("alpha").beat().await;
    let third = app.agent("alpha").beat().await;
    let told = |answer: &Answer| {
        (
            answer.lines("touchedIssueUrls").len(),
            answer.touched().len(),
            answer.0["touchedCount"].as_u64().expect("a count"),
        )
    };
    assert_eq!(
        [told(&first), told(&second), told(&third)],
        [(200, 200, 201), (1, 1, 1), (0, 0, 0)]
    );
    let all: std::collections::HashSet<&str> = [&first, &second]
        .iter()
        .flat_map(|answer| answer.lines("touchedIssueUrls"))
        .collect();
    assert_eq!(all.len(), 201);
}

#[tokio::test]
async fn a_run_that_cannot_be_written_is_a_warning_and_what_it_told_is_told_again() {
    let app = after_a_first_beat().await;
    app.world.dynamodb.fault(
        On::operation("PutItem").containing("RUN#"),
        TableFault::AccessDenied.forever(),
    );
    let unrecorded = app.agent("alpha").beat().await;
    app.world.dynamodb.heal();
    let recorded = app.agent("alpha").beat().await;
    assert_eq!(
        (unrecorded.status(), unrecorded.codes()),
        ("warning", vec!["run_not_recorded"])
    );
    assert!(unrecorded.lines("warnings")[0].starts_with("record: "));
    assert_eq!(unrecorded.touched().len(), 3);
    assert_eq!(recorded.touched(), unrecorded.touched());
    assert_eq!(recorded.codes(), [""; 0]);
}
