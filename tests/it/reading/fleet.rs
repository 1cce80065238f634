//! The fleet's status, and the tracked repositories.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Value, json};
use test_world::github::{Fault, Matching};

use crate::support::app::{TestApp, until_held};

#[tokio::test]
async fn status_of_a_new_table_says_that_nothing_was_read() {
    let app = TestApp::tracking(&["acme/api", "acme/web"]).start().await;
    let status = app.client().read("/api/status").await;
    let expected = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "githubServerUrl": "https://github.com",
        "freshAt": null,
        "staleAt": null,
        "passRunningUntil": null,
        "repositories": 2,
        "lastPass": null,
        "hours": [],
        "holds": [],
        "problems": [],
    });
    assert_eq!(status, expected);
    let repositories = app.client().read("/api/repositories").await;
    assert_eq!(repositories["repositories"][1]["state"], "waiting");
}

#[tokio::test]
async fn status_shows_the_running_pass_the_last_one_and_its_problems() {
    let app = TestApp::after_a_first_beat().await;
    let client = app.client();
    let before = client.read("/api/status").await;
    assert_eq!((&before["lastPass"]["status"], &before["problems"]), (&json!("ok"), &json!([])));
    assert!(before["freshAt"].is_string());
    app.world.github.arrange(|github| github.hide_repository("acme/web"));
    let mut held = app.world.github.hold(Matching::graphql());
    let alpha = app.agent("alpha");
    let mut beat = Box::pin(alpha.beat());
    assert!(until_held(&mut beat, &mut held).await.is_none());
    assert_eq!(client.read("/api/status").await["passRunningUntil"], "2026-11-22T06:01:01.000Z");
    held.release();
    let beat = beat.await;
    let after = client.read("/api/status").await;
    assert_eq!(after["passRunningUntil"], Value::Null);
    assert_eq!((&after["problems"], &after["freshAt"]), (&beat.0["problems"], &before["freshAt"]));
}

#[tokio::test]
async fn copy_is_stale_two_schedules_and_three_minutes_after_a_pass() {
    let app = TestApp::tracking(&["acme/api"])
        .with("SCHEDULE_SECONDS", "600")
        .with("GITHUB_SERVER_URL", "https://github.example/")
        .start()
        .await;
    app.agent("alpha").beat().await;
    let status = app.client().read("/api/status").await;
    assert_eq!(status["lastPass"]["endedAt"], "2026-11-22T06:00:00.000Z");
    assert_eq!(status["staleAt"], "2026-11-22T06:23:00.000Z");
    assert_eq!(status["githubServerUrl"], "https://github.example");
}

#[tokio::test]
async fn repositories_say_how_fresh_they_are_and_what_is_wrong() {
    let app = TestApp::tracking(&["acme/api", "acme/web", "acme/none"]).start().await;
    app.world.github.arrange(|github| {
        github.open_issues("acme/api", 3);
        github.open_issues("acme/web", 2);
        github.hide_repository("acme/none");
    });
    app.agent("alpha").beat().await;
    let client = app.client();
    let all = client.read("/api/repositories").await["repositories"].clone();
    let of = |repository: &Value| (repository["name"].clone(), repository["state"].clone());
    let states: Vec<_> = all.as_array().expect("a list").iter().map(of).collect();
    let expected = [("acme/api", "in_sync"), ("acme/web", "in_sync"), ("acme/none", "failing")];
    assert_eq!(states, expected.map(|(name, state)| (json!(name), json!(state))));
    assert_eq!((&all[0]["openIssues"], &all[0]["freshAt"]), (&json!(3), &json!("2026-11-22T06:00:00.000Z")));
    assert_eq!(
        all[2]["failure"],
        json!({ "code": "repository_not_found", "since": "2026-11-22T06:00:00.000Z" })
    );

    app.pass_time(600);
    app.world.github.fault(Matching::listing("acme/web"), Fault::refusal(502, "down").forever());
    app.world.github.arrange(|github| {
        github.open_issue("acme/web", "New");
    });
    app.agent("alpha").beat().await;
    let web = client.read("/api/repositories/acme/web").await;
    assert_eq!(
        (&web["state"], &web["failure"]["since"]),
        (&json!("failing"), &json!("2026-11-22T06:10:00.000Z"))
    );
    assert_ne!(web["freshAt"], "2026-11-22T06:10:00.000Z");
    let api = client.read("/api/repositories/ACME/Api").await;
    assert_eq!((&api["state"], &api["freshAt"]), (&json!("in_sync"), &json!("2026-11-22T06:10:00.000Z")));
    assert_eq!(client.get("/api/repositories/acme/other").await.status, 404);
    assert_eq!(client.get("/api/repositories/acme/%20").await.status, 404);
}

#[tokio::test]
async fn renamed_repository_is_found_under_both_names() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.agent("alpha").beat().await;
    app.world.github.arrange(|github| github.rename_repository("acme/api", "acme/server"));
    app.outlive_freshness();
    app.agent("alpha").beat().await;
    for name in ["acme/api", "acme/server"] {
        let repository = app.client().read(&format!("/api/repositories/{name}")).await;
        assert_eq!(
            (&repository["name"], &repository["configuredName"]),
            (&json!("acme/server"), &json!("acme/api"))
        );
    }
}

#[tokio::test]
async fn repositories_are_paged_in_the_configured_order() {
    let names: Vec<String> = (0..7).map(|n| format!("acme/r{}", (n * 3) % 7)).collect();
    let app = TestApp::tracking(&names.iter().map(String::as_str).collect::<Vec<_>>()).start().await;
    app.agent("alpha").beat().await;
    for limit in [1, 3, 7] {
        let target = format!("/api/repositories?limit={limit}");
        let (all, _) = app.client().read_all(&target, "repositories").await;
        let read: Vec<_> = all.iter().filter_map(|repository| repository["name"].as_str()).collect();
        assert_eq!(read, names);
    }
}

/// A repository whose number of open issues differs from GitHub's waits for its audit: the table does not have all that
/// GitHub shows, whatever fails elsewhere.
#[tokio::test]
async fn repository_that_waits_for_its_audit_gets_no_fresher() {
    let app = TestApp::tracking(&["acme/api", "acme/web"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 3));
    for _ in 0..2 {
        app.agent("alpha").beat().await;
        app.pass_time(200);
    }
    let fresh_at = async || app.client().read("/api/repositories/acme/api").await["freshAt"].clone();
    let before = fresh_at().await;
    app.world.github.arrange(|github| {
        github.delete_issue("acme/api", 1);
        github.hide_repository("acme/web");
    });
    app.agent("alpha").beat().await;
    assert_eq!(app.open_rows("acme/api"), [1, 2, 3]);
    assert_eq!(fresh_at().await, before);
}

/// Whatever a client makes of a cursor.
#[tokio::test]
async fn cursor_past_every_repository_ends_the_list() {
    let app = TestApp::tracking(&["acme/api", "acme/web"]).start().await;
    let page = app.client().read("/api/repositories?limit=1").await;
    let cursor =
        BASE64_URL_SAFE_NO_PAD.decode(page["nextCursor"].as_str().expect("a cursor")).expect("base64");
    let cursor = String::from_utf8(cursor).expect("text");
    let (list, _) = cursor.rsplit_once(' ').expect("a position");
    let past = BASE64_URL_SAFE_NO_PAD.encode(format!("{list} {}", u64::MAX));
    let page = app.client().get(&format!("/api/repositories?cursor={past}")).await;
    assert_eq!((page.status, &page.body["repositories"]), (200, &json!([])));
}
