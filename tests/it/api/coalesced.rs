//! Beats that are answered from a pass that another beat ran.

use insta::assert_json_snapshot;
use test_world::github::{Fault, Matching};

use crate::support::app::TestApp;

#[tokio::test]
async fn coalesced_beat_reports_the_changes_of_another_agents_pass() {
    let app = TestApp::after_a_first_beat().await;
    app.agent("alpha").beat().await;
    app.pass_time(7);
    app.world.github.clear_requests();
    let answer = app.agent("beta").beat().await;
    assert_json_snapshot!(answer.0, {".runId" => "[id]"}, @r#"
    {
      "activeIssues": [],
      "agentName": "beta",
      "coalesced": true,
      "errors": [],
      "finishedAt": "2026-11-22T06:00:38.000Z",
      "freshAt": "2026-11-22T06:00:31.000Z",
      "hold": null,
      "ignoredMembers": [],
      "nextHeartbeatInSeconds": 23,
      "problems": [],
      "runId": "[id]",
      "startedAt": "2026-11-22T06:00:38.000Z",
      "status": "ok",
      "stopIssueUrls": [],
      "summary": "Answered from the pass that finished 7 s ago: 3 issues changed.",
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
    assert_eq!(app.world.github.requests(), []);
}

#[tokio::test]
async fn coalesced_beat_has_the_status_and_problems_of_the_pass_it_joined() {
    let app = TestApp::after_a_first_beat().await;
    app.world.github.fault(Matching::any_listing(), Fault::Status(502).times(6));
    let ran = app.agent("alpha").beat().await;
    let joined = app.agent("beta").beat().await;
    assert!(joined.is_coalesced());
    for field in ["status", "warnings", "errors", "problems", "freshAt"] {
        assert_eq!(joined.0[field], ran.0[field], "{field}");
    }
}

#[tokio::test]
async fn beat_during_the_first_pass_does_not_wait_for_it() {
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
      "activeIssues": [],
      "agentName": "beta",
      "coalesced": true,
      "errors": [],
      "finishedAt": "2026-11-22T06:00:00.000Z",
      "freshAt": null,
      "hold": null,
      "ignoredMembers": [],
      "nextHeartbeatInSeconds": 30,
      "problems": [
        {
          "code": "first_pass_running",
          "message": "the first pass is still running; send another heartbeat in a few seconds",
          "phase": "sync",
          "retryable": true,
          "severity": "warning"
        }
      ],
      "runId": "[id]",
      "startedAt": "2026-11-22T06:00:00.000Z",
      "status": "warning",
      "stopIssueUrls": [],
      "summary": "The first pass is still running.",
      "tokenExpiresAt": null,
      "touched": [],
      "touchedCount": 0,
      "touchedIssueUrls": [],
      "warnings": [
        "sync: the first pass is still running; send another heartbeat in a few seconds"
      ],
      "watch": null
    }
    "#);
}

#[tokio::test]
async fn coalesced_beat_a_minute_after_freshness_expired_is_stale() {
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
        "message": "the last pass finished 91 s ago; the running pass has not finished yet",
        "phase": "sync",
        "retryable": true,
        "severity": "warning"
      }
    ]
    "#);
}
