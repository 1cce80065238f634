//! The answer to a beat: each rule of the contract, and whole answers.

use insta::assert_json_snapshot;
use serde_json::json;
use test_world::dynamodb::{Fault as TableFault, On};
use test_world::github::{Fault, Matching};

use crate::support::app::{Answer, TestApp};

/// The only fields of an answer. The first eight are the public type and never change.
const FIELDS: [&str; 21] = [
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
    "nextHeartbeatInSeconds",
    "activeIssues",
    "stopIssueUrls",
    "hold",
    "watch",
    "ignoredMembers",
    "tokenExpiresAt",
];

#[tokio::test]
async fn first_beat_of_all_reports_no_changes() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 2));
    let answer = app.agent("alpha").beat().await;
    assert_json_snapshot!(answer.0, {".runId" => "[id]"}, @r#"
    {
      "activeIssues": [],
      "agentName": "alpha",
      "coalesced": false,
      "errors": [],
      "finishedAt": "2026-11-22T06:00:00.000Z",
      "freshAt": "2026-11-22T06:00:00.000Z",
      "hold": null,
      "ignoredMembers": [],
      "nextHeartbeatInSeconds": 30,
      "problems": [],
      "runId": "[id]",
      "startedAt": "2026-11-22T06:00:00.000Z",
      "status": "ok",
      "stopIssueUrls": [],
      "summary": "Synced 1 of 1 repository: 0 issues changed, 2 imported.",
      "tokenExpiresAt": null,
      "touched": [],
      "touchedCount": 0,
      "touchedIssueUrls": [],
      "warnings": [],
      "watch": null
    }
    "#);
}

#[tokio::test]
async fn later_beat_reports_each_changed_issue_and_its_change() {
    let app = TestApp::after_a_first_beat().await;
    let answer = app.agent("alpha").beat().await;
    assert_json_snapshot!(answer.0, {".runId" => "[id]"}, @r#"
    {
      "activeIssues": [],
      "agentName": "alpha",
      "coalesced": false,
      "errors": [],
      "finishedAt": "2026-11-22T06:00:31.000Z",
      "freshAt": "2026-11-22T06:00:31.000Z",
      "hold": null,
      "ignoredMembers": [],
      "nextHeartbeatInSeconds": 30,
      "problems": [],
      "runId": "[id]",
      "startedAt": "2026-11-22T06:00:31.000Z",
      "status": "ok",
      "stopIssueUrls": [],
      "summary": "Synced 2 of 2 repositories: 3 issues changed.",
      "tokenExpiresAt": null,
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
      "warnings": [],
      "watch": null
    }
    "#);
}

#[tokio::test]
async fn failed_repository_beside_a_synced_one_is_a_warning() {
    let app = TestApp::after_a_first_beat().await;
    app.world.github.fault(Matching::listing("acme/web"), Fault::Status(502).times(3));
    let answer = app.agent("alpha").beat().await;
    assert_json_snapshot!(answer.0, {".runId" => "[id]"}, @r#"
    {
      "activeIssues": [],
      "agentName": "alpha",
      "coalesced": false,
      "errors": [],
      "finishedAt": "2026-11-22T06:00:31.000Z",
      "freshAt": "2026-11-22T06:00:00.000Z",
      "hold": null,
      "ignoredMembers": [],
      "nextHeartbeatInSeconds": 30,
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
      "runId": "[id]",
      "startedAt": "2026-11-22T06:00:31.000Z",
      "status": "warning",
      "stopIssueUrls": [],
      "summary": "Synced 1 of 2 repositories: 2 issues changed.",
      "tokenExpiresAt": null,
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
        "sync: acme/web: GitHub answered 502 three times; the next pass retries"
      ],
      "watch": null
    }
    "#);
}

#[tokio::test]
async fn beat_when_every_repository_fails_is_an_answered_error() {
    let app = TestApp::after_a_first_beat().await;
    app.world.github.fault(Matching::any_listing(), Fault::Status(502).times(6));
    let answer = app.agent("alpha").beat().await;
    assert_json_snapshot!(answer.0, {".runId" => "[id]"}, @r#"
    {
      "activeIssues": [],
      "agentName": "alpha",
      "coalesced": false,
      "errors": [
        "sync: acme/api: GitHub answered 502 three times; the next pass retries",
        "sync: acme/web: GitHub answered 502 three times; the next pass retries"
      ],
      "finishedAt": "2026-11-22T06:00:31.000Z",
      "freshAt": "2026-11-22T06:00:00.000Z",
      "hold": null,
      "ignoredMembers": [],
      "nextHeartbeatInSeconds": 30,
      "problems": [
        {
          "code": "github_unavailable",
          "message": "GitHub answered 502 three times; the next pass retries",
          "phase": "sync",
          "repository": "acme/api",
          "retryAfterSeconds": 30,
          "retryable": true,
          "severity": "error"
        },
        {
          "code": "github_unavailable",
          "message": "GitHub answered 502 three times; the next pass retries",
          "phase": "sync",
          "repository": "acme/web",
          "retryAfterSeconds": 30,
          "retryable": true,
          "severity": "error"
        }
      ],
      "runId": "[id]",
      "startedAt": "2026-11-22T06:00:31.000Z",
      "status": "error",
      "stopIssueUrls": [],
      "summary": "Synced 0 of 2 repositories: 0 issues changed.",
      "tokenExpiresAt": null,
      "touched": [],
      "touchedCount": 0,
      "touchedIssueUrls": [],
      "warnings": [],
      "watch": null
    }
    "#);
}

#[tokio::test]
async fn beat_without_configured_repositories_is_an_error() {
    let app = TestApp::tracking(&[]).start().await;
    let answer = app.agent("alpha").beat().await;
    assert_json_snapshot!(answer.0, {".runId" => "[id]"}, @r#"
    {
      "activeIssues": [],
      "agentName": "alpha",
      "coalesced": false,
      "errors": [
        "sync: no repositories are configured; list them in REPOSITORIES as owner/name"
      ],
      "finishedAt": "2026-11-22T06:00:00.000Z",
      "freshAt": null,
      "hold": null,
      "ignoredMembers": [],
      "nextHeartbeatInSeconds": 30,
      "problems": [
        {
          "code": "no_repositories",
          "message": "no repositories are configured; list them in REPOSITORIES as owner/name",
          "phase": "sync",
          "retryable": false,
          "severity": "error"
        }
      ],
      "runId": "[id]",
      "startedAt": "2026-11-22T06:00:00.000Z",
      "status": "error",
      "stopIssueUrls": [],
      "summary": "Synced nothing: no repositories are configured.",
      "tokenExpiresAt": null,
      "touched": [],
      "touchedCount": 0,
      "touchedIssueUrls": [],
      "warnings": [],
      "watch": null
    }
    "#);
}

#[tokio::test]
async fn answer_has_only_the_fields_of_the_contract() {
    let app = TestApp::after_a_first_beat().await;
    let reported = app.agent("alpha").beat().await;
    let coalesced = app.agent("alpha").beat().await;
    let failed = TestApp::tracking(&[]).start().await.agent("alpha").beat().await;
    let mut expected = FIELDS;
    expected.sort_unstable();
    for Answer(answer) in [reported, coalesced, failed] {
        let fields: Vec<&str> = answer.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(fields, expected);
        for touch in answer["touched"].as_array().expect("a list") {
            let fields: Vec<&String> = touch.as_object().expect("an object").keys().collect();
            assert_eq!(fields, ["change", "url"]);
        }
    }
}

#[tokio::test]
async fn lists_above_200_are_capped_and_the_count_is_exact() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.open_issues("acme/api", 201));
    let first = app.agent("alpha").beat().await;
    let second = app.agent("alpha").beat().await;
    let third = app.agent("alpha").beat().await;
    let reported = |answer: &Answer| {
        (
            answer.lines("touchedIssueUrls").len(),
            answer.touched().len(),
            answer.0["touchedCount"].as_u64().expect("a count"),
        )
    };
    assert_eq!(
        [reported(&first), reported(&second), reported(&third)],
        [(200, 200, 201), (1, 1, 1), (0, 0, 0)]
    );
    let all: std::collections::HashSet<&str> =
        [&first, &second].iter().flat_map(|answer| answer.lines("touchedIssueUrls")).collect();
    assert_eq!(all.len(), 201);
}

#[tokio::test]
async fn unrecorded_run_is_a_warning_and_its_changes_are_reported_again() {
    let app = TestApp::after_a_first_beat().await;
    app.world.dynamodb.fault(On::operation("PutItem").containing("RUN#"), TableFault::AccessDenied.forever());
    let unrecorded = app.agent("alpha").beat().await;
    app.world.dynamodb.heal();
    let recorded = app.agent("alpha").beat().await;
    assert_eq!((unrecorded.status(), unrecorded.codes()), ("warning", vec!["run_not_recorded"]));
    assert!(unrecorded.lines("warnings")[0].starts_with("record: "));
    assert_eq!(unrecorded.touched().len(), 3);
    assert_eq!(recorded.touched(), unrecorded.touched());
    assert_eq!(recorded.codes(), [""; 0]);
}

#[tokio::test]
async fn tokens_and_githubs_answers_never_appear_in_responses_or_records() {
    const THEIRS: &str = "what-github-said-is-not-ours-to-repeat";
    for (status, body) in [
        (500, THEIRS.to_owned()),
        (401, format!(r#"{{"message":"{THEIRS}"}}"#)),
        (403, format!(r#"{{"message":"{THEIRS}"}}"#)),
        (404, format!(r#"{{"message":"{THEIRS}"}}"#)),
        (410, format!(r#"{{"message":"{THEIRS}"}}"#)),
        (422, format!(r#"{{"message":"{THEIRS}"}}"#)),
        (429, format!(r#"{{"message":"{THEIRS}"}}"#)),
        (200, THEIRS.to_owned()),
        (200, format!(r#"["{THEIRS}"]"#)),
        (200, format!(r#"[{{"number":"{THEIRS}"}}]"#)),
    ] {
        let app = TestApp::after_a_first_beat().await;
        let answer = Fault::Answer { status, headers: Vec::new(), body };
        app.world.github.fault(Matching::any_listing(), answer.forever());
        let answer = app.agent("alpha").beat().await;
        assert_eq!(answer.status(), "error", "{status}");
        let said = format!("{} {:?}", answer.0, app.items("", ""));
        for secret in [THEIRS, test_world::AGENT_TOKEN, test_world::GITHUB_TOKEN] {
            assert!(!said.contains(secret), "{status}: {said}");
        }
    }
}

#[tokio::test]
async fn odd_repository_name_never_appears_in_responses_or_records() {
    const THEIRS: &str = "what-github-said-is-not-ours-to-repeat";
    let by_graphql = &["probe_unavailable"][..];
    let by_rest = &["probe_unavailable", "github_unexpected_answer"][..];
    for full_name in [THEIRS.to_owned(), format!("acme/{THEIRS} <br>"), format!("a/b/{THEIRS}")] {
        let probed = json!({
            "databaseId": 1, "nameWithOwner": full_name, "isDisabled": false, "hasIssuesEnabled": true,
            "newest": { "nodes": [] }, "open": { "totalCount": 0 },
        });
        let probe = json!({ "data": { "r0": probed, "r1": probed } });
        let looked_up = json!({ "id": 1, "full_name": full_name, "disabled": false });
        for (which, body, codes) in
            [(Matching::graphql(), probe, by_graphql), (Matching::repository("acme/api"), looked_up, by_rest)]
        {
            let app = TestApp::after_a_first_beat().await;
            if codes == by_rest {
                app.world.github.arrange(|github| github.remove_graphql());
            }
            let answer = Fault::Answer { status: 200, headers: Vec::new(), body: body.to_string() };
            app.world.github.fault(which, answer.forever());
            for agent in ["alpha", "beta"] {
                let answer = app.agent(agent).beat().await;
                assert_eq!(answer.codes(), codes, "{full_name}");
                let said = format!("{} {:?}", answer.0, app.items("", ""));
                assert!(!said.contains(THEIRS), "{full_name}: {said}");
            }
        }
    }
}

#[tokio::test]
async fn summary_counts_the_repositories_deferred_to_the_next_pass() {
    let app = TestApp::tracking(&["acme/api", "acme/web"]).start().await;
    let clock = app.world.clock.clone();
    app.world
        .github
        .before(Matching::listing("acme/web"), move |_| clock.advance(std::time::Duration::from_secs(21)));
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.codes()), ("ok", vec![]));
    assert_eq!(answer.0["freshAt"], serde_json::Value::Null);
    let numbers = answer.summary_numbers();
    let (synced, deferred) = (numbers[0], numbers.last().expect("a count"));
    assert_eq!((answer.is_deferred(), numbers[1], synced + deferred), (true, 2, 2), "{numbers:?}");
}
