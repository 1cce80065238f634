//! Audits on hold, and audits that take more than one pass.

use std::time::Duration;

use serde_json::Value;
use test_world::github::{Fault, Matching, World};

use crate::support::app::{TestApp, open_spread};
use crate::support::audits::{
    INTERVAL, audit, audited_page, delete, empty_page, issues_asked_for, pages_audited, settled, tracking,
};
use crate::support::checked::Checked;

const API: &str = "acme/api";
const WEB: &str = "acme/web";

/// The stored progress of an unfinished audit of `acme/api`; null without one.
fn left_over(app: &TestApp) -> Checked {
    let id = app.world.github.arrange(|github| github.repository_id(API));
    let left = app.items(&format!("REPO#{id}"), "AUDIT");
    left.into_iter().next().unwrap_or_else(|| Checked::item_of("REPO", "AUDIT", Value::Null))
}

#[tokio::test]
async fn empty_listing_of_a_thousand_open_issues_loses_nothing() {
    let app = settled(1_000).await;
    app.world.github.fault(audited_page(1), empty_page(&app));
    let held = audit(&app).await;
    assert_eq!(held.status(), "error");
    insta::assert_json_snapshot!(held.0["problems"], {"[].message" => "[message]"}, @r#"
    [
      {
        "code": "audit_held",
        "message": "[message]",
        "phase": "reconcile",
        "repository": "acme/api",
        "retryAfterSeconds": 3600,
        "retryable": true,
        "severity": "error"
      }
    ]
    "#);
    let message = held.0["problems"][0]["message"].as_str().expect("a text");
    assert!(message.contains("1000"), "{message}");
    assert_eq!(app.asked().len(), 2, "the probe, the open issues");
    for _ in 0..2 {
        app.outlive_freshness();
        app.clear_requests();
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.codes()), ("error", vec!["audit_held"]));
        assert_eq!(app.asked().len(), 1, "{:?}", app.asked());
    }
    app.world.github.fault(audited_page(1), empty_page(&app));
    let still_held = audit(&app).await;
    assert_eq!((still_held.codes(), pages_audited(&app)), (vec!["audit_held"], 1));
    assert_eq!(app.open_rows(API).len(), 1_000);
    assert_eq!(app.checkpoints(API)["openCount"], 1_000);
}

#[tokio::test]
async fn empty_listing_by_rest_loses_nothing() {
    let app = settled(30).await;
    app.world.github.arrange(World::remove_graphql);
    app.world.github.fault(Matching::listing(API), Fault::EmptyList.forever());
    assert_eq!(audit(&app).await.codes(), ["probe_unavailable", "audit_held"]);
    assert_eq!(app.asked().len(), 4, "GraphQL, the repository, its changes, its open issues");
    for _ in 0..2 {
        app.outlive_freshness();
        app.clear_requests();
        assert_eq!(app.agent("alpha").beat().await.codes(), ["probe_unavailable", "audit_held"]);
        assert_eq!((pages_audited(&app), app.open_rows(API).len()), (0, 30));
    }
}

#[tokio::test]
async fn audit_on_hold_is_released_by_a_later_plausible_listing() {
    let app = settled(30).await;
    app.world.github.fault(audited_page(1), empty_page(&app));
    assert_eq!(audit(&app).await.codes(), ["audit_held"]);
    app.pass_time(INTERVAL - 10);
    assert_eq!(app.agent("alpha").beat().await.codes(), ["audit_held"]);
    app.world.github.arrange(|github| github.delete_issue(API, 7));
    app.outlive_freshness();
    let lifted = app.agent("alpha").beat().await;
    assert_eq!((lifted.status(), lifted.touched()), ("ok", vec!["deleted acme/api#7".to_owned()]));
    assert_eq!(app.open_rows(API).len(), 29);
}

#[tokio::test]
async fn audit_on_hold_is_an_error_and_other_repositories_are_synced() {
    let app = tracking(&[API, WEB]).start().await;
    let first = app.ago(1_000);
    app.world.github.arrange(|github| open_spread(github, API, 30, first));
    app.agent("alpha").beat().await;
    app.world.github.arrange(|github| {
        delete(github, API, 1..=30);
        github.open_issue(WEB, "New");
    });
    let answer = audit(&app).await;
    assert_eq!((answer.status(), answer.codes()), ("error", vec!["audit_held"]));
    assert_eq!(answer.touched(), ["opened acme/web#1"]);
    assert_eq!(answer.summary_numbers(), [1, 2, 1], "{:#}", answer.0);
}

#[tokio::test]
async fn audit_with_over_twenty_absent_issues_of_thirty_is_held() {
    for (absent, expected) in [(20, ("ok", 20)), (21, ("error", 0))] {
        let app = settled(30).await;
        app.world.github.arrange(|github| delete(github, API, 1..=absent));
        let answer = audit(&app).await;
        assert_eq!((answer.status(), issues_asked_for(&app)), expected);
        assert_eq!(app.open_rows(API).len(), 30 - expected.1);
        assert_eq!(answer.0["touchedCount"], expected.1);
    }
}

#[tokio::test]
async fn audit_with_over_a_tenth_of_the_issues_absent_is_held() {
    for (absent, expected) in [(22, ("ok", 22)), (23, ("error", 0))] {
        let app = settled(220).await;
        app.world.github.arrange(|github| delete(github, API, 1..=absent));
        let answer = audit(&app).await;
        assert_eq!((answer.status(), issues_asked_for(&app)), expected);
    }
}

#[tokio::test]
async fn audit_cut_off_by_a_limit_loses_nothing_and_resumes_where_it_stopped() {
    let app = settled(400).await;
    app.world.github.arrange(|github| github.delete_issue(API, 5));
    app.world.github.fault(audited_page(3), Fault::secondary_limit(Some("90")));
    let cut = audit(&app).await;
    assert_eq!((cut.status(), cut.codes()), ("error", vec!["github_rate_limited"]));
    assert_eq!((cut.touched().len(), app.asked().len()), (0, 4));
    assert_eq!(app.open_rows(API).len(), 400);

    app.outlive_freshness();
    app.clear_requests();
    let limited = app.agent("alpha").beat().await;
    assert_eq!((limited.codes(), app.asked()), (vec!["github_rate_limited"], vec![]));

    app.pass_time(60);
    let healed = app.agent("alpha").beat().await;
    assert_eq!((healed.status(), healed.touched()), ("ok", vec!["deleted acme/api#5".to_owned()]));
    assert_eq!((pages_audited(&app), issues_asked_for(&app)), (3, 1));
    assert_eq!(app.open_rows(API).len(), 399);
    app.outlive_freshness();
    app.clear_requests();
    app.agent("alpha").beat().await;
    assert_eq!(pages_audited(&app), 0);
}

#[tokio::test]
async fn unfinished_audit_is_stored_as_an_item_until_it_completes() {
    let app = settled(250).await;
    app.world.github.arrange(|github| github.delete_issue(API, 5));
    app.world.github.fault(audited_page(3), Fault::Status(500).times(3));
    assert_eq!(audit(&app).await.codes(), ["github_unavailable"]);
    let position = app.row(API, 201)["updatedAt"].clone();
    insta::assert_json_snapshot!(left_over(&app), {".pk" => "[repository]", ".fence" => ""}, @r#"
    {
      "beganAt": "2026-11-22T07:02:10.000Z",
      "believed": false,
      "candidates": [
        5
      ],
      "compared": false,
      "fence": "",
      "pk": "[repository]",
      "position": "2026-11-22T05:59:00.000Z",
      "sk": "AUDIT"
    }
    "#);
    assert_eq!(left_over(&app)["position"], position);
    assert_eq!(app.open_rows(API).len(), 250, "an incomplete listing removes nothing");

    app.outlive_freshness();
    app.clear_requests();
    assert_eq!(app.agent("alpha").beat().await.touched(), ["deleted acme/api#5"]);
    assert_eq!(pages_audited(&app), 1);
    assert_eq!(left_over(&app), Value::Null);
}

#[tokio::test]
async fn absent_issue_compared_by_two_passes_is_looked_up_once() {
    let app = settled(250).await;
    // The last but one of the first page: the second pass starts one second before the last one.
    app.world.github.arrange(|github| github.hide_issue(API, 100));
    app.world.github.fault(audited_page(2), Fault::Status(500).times(3));
    audit(&app).await;
    assert_eq!(left_over(&app)["candidates"], serde_json::json!([100]));
    app.outlive_freshness();
    app.clear_requests();
    app.agent("alpha").beat().await;
    assert_eq!(issues_asked_for(&app), 1);
    assert_eq!(app.open_rows(API).len(), 250);
}

#[tokio::test]
async fn absent_issues_above_a_hundred_are_looked_up_by_the_next_pass() {
    let names = ["acme/r1", "acme/r2", "acme/r3", "acme/r4", "acme/r5", "acme/r6"];
    let app = tracking(&names).start().await;
    let first = app.ago(1_000);
    app.world.github.arrange(|github| {
        for name in names {
            open_spread(github, name, 20, first);
        }
    });
    app.agent("alpha").beat().await;
    app.world.github.arrange(|github| {
        for name in names {
            delete(github, name, 1..=20);
        }
    });
    let first = audit(&app).await;
    assert_eq!((first.status(), first.0["touchedCount"].as_u64()), ("ok", Some(100)));
    assert_eq!((issues_asked_for(&app), pages_audited(&app)), (100, 6));
    // After this many requests a pass stays fresh for longer.
    app.pass_time(300);
    app.clear_requests();
    let rest = app.agent("alpha").beat().await;
    assert_eq!((rest.status(), rest.0["touchedCount"].as_u64()), ("ok", Some(20)));
    assert_eq!((issues_asked_for(&app), pages_audited(&app)), (20, 0));
    assert!(names.iter().all(|name| app.open_rows(name).is_empty()));
    assert!(names.iter().all(|name| app.checkpoints(name)["openCount"] == 0));
    assert_eq!(app.items("REPO#", "AUDIT").len(), 0);
}

#[tokio::test]
async fn audit_cut_by_the_deadline_resumes_with_the_next_absent_issue() {
    let app = settled(20).await;
    app.world.github.arrange(|github| delete(github, API, 1..=5));
    let clock = app.world.clock.clone();
    app.world.github.before(Matching::issue(API, 3), move |_| clock.advance(Duration::from_secs(10)));
    app.pass_time(INTERVAL);
    let cut = app.agent("alpha").beat_within(10).await;
    assert_eq!(
        (cut.status(), cut.touched()),
        ("ok", vec!["deleted acme/api#1".into(), "deleted acme/api#2".into()])
    );
    assert_eq!(left_over(&app)["candidates"], serde_json::json!([3, 4, 5]));
    app.outlive_freshness();
    app.clear_requests();
    assert_eq!(app.agent("alpha").beat_within(10).await.touched().len(), 3);
    assert_eq!((pages_audited(&app), issues_asked_for(&app)), (0, 3));
}

#[tokio::test]
async fn absent_issue_without_an_answer_stays_and_is_looked_up_again() {
    let app = settled(20).await;
    app.world.github.arrange(|github| delete(github, API, 1..=2));
    app.world.github.fault(Matching::issue(API, 2), Fault::Status(503).times(3));
    let failed = audit(&app).await;
    assert_eq!(
        (failed.codes(), failed.touched()),
        (vec!["github_unavailable"], vec!["deleted acme/api#1".to_owned()])
    );
    assert_eq!(app.open_rows(API)[0], 2);
    app.outlive_freshness();
    assert_eq!(app.agent("alpha").beat().await.touched(), ["deleted acme/api#2"]);
}

#[tokio::test]
async fn repository_with_an_audit_on_hold_is_not_fresh() {
    let app = settled(30).await;
    app.world.github.arrange(|github| delete(github, API, 1..=30));
    let held = audit(&app).await;
    app.world.clock.advance(Duration::from_secs(31));
    let next = app.agent("alpha").beat().await;
    assert_eq!(held.0["freshAt"], next.0["freshAt"]);
}
