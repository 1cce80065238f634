//! Drift: GitHub's number of open issues differs from the cached one, and no newer change explains it. Two probes in a
//! row with the same difference bring the audit forward.

use agent_heartbeat::domain::iso_millis;
use serde_json::Value;
use test_world::github::{Fault, World};

use crate::support::app::{Answer, TestApp};
use crate::support::audits::{
    INTERVAL, audit, audited_page, delete, issues_asked_for, pages_audited, settled, tracking,
};

const API: &str = "acme/api";
const WEB: &str = "acme/web";

/// Sends a heartbeat when the last pass is no longer fresh, long before the next audit is due.
async fn probe(app: &TestApp) -> Answer {
    app.outlive_freshness();
    app.clear_requests();
    let answer = app.agent("alpha").beat().await;
    assert!(!answer.is_coalesced());
    answer
}

/// How many pages the audits of each of the next passes list.
async fn pages_audited_in(app: &TestApp, passes: usize) -> Vec<usize> {
    let mut pages = Vec::new();
    for _ in 0..passes {
        probe(app).await;
        pages.push(pages_audited(app));
    }
    pages
}

fn touched(changes: &[&str]) -> Vec<String> {
    changes.iter().map(|change| (*change).to_owned()).collect()
}

#[tokio::test]
async fn counts_that_agree_cause_no_audit_and_no_request_beyond_the_probe() {
    let app = settled(3).await;
    for _ in 0..3 {
        let answer = probe(&app).await;
        assert_eq!((answer.status(), answer.touched()), ("ok", vec![]));
        assert_eq!(app.asked(), ["/graphql"]);
        assert_eq!(app.written(API), [""; 0]);
    }
}

#[tokio::test]
async fn vanished_issue_is_found_by_the_second_probe_that_differs() {
    // A transferred issue is looked up at both its addresses.
    let delete: fn(&mut World) = |github| github.delete_issue(API, 1);
    let transfer: fn(&mut World) = |github| {
        github.transfer_issue(API, 1, "acme/attic");
    };
    for (go, change, asked_for) in [(delete, "deleted acme/api#1", 1), (transfer, "moved acme/api#1", 2)] {
        let app = settled(3).await;
        app.world.github.arrange(|github| {
            github.create_repository("acme/attic");
            go(github);
        });
        let first = probe(&app).await;
        assert_eq!(
            (first.status(), first.touched(), app.asked()),
            ("ok", vec![], vec!["/graphql".to_owned()])
        );
        let second = probe(&app).await;
        assert_eq!((second.status(), second.touched()), ("ok", touched(&[change])));
        assert_eq!((pages_audited(&app), issues_asked_for(&app)), (1, asked_for));
        assert_eq!((app.open_rows(API), &app.checkpoints(API)["openCount"]), (vec![2, 3], &Value::from(2)));
        assert_eq!(pages_audited_in(&app, 3).await, [0, 0, 0], "the difference is explained");
    }
}

#[tokio::test]
async fn issue_transferred_between_tracked_repositories_is_found_by_drift() {
    let app = tracking(&[API, WEB]).start().await;
    app.world.github.arrange(|github| github.open_issues(API, 2));
    for _ in 0..2 {
        app.agent("alpha").beat().await;
        app.pass_time(150);
    }
    app.world.github.arrange(|github| github.transfer_issue(API, 1, WEB));
    assert_eq!(probe(&app).await.touched(), ["opened acme/web#1"]);
    assert_eq!(probe(&app).await.touched(), ["moved acme/api#1"]);
    assert_eq!((app.open_rows(API), app.open_rows(WEB)), (vec![2], vec![1]));
}

#[tokio::test]
async fn hidden_issue_causes_one_drift_audit_and_no_other() {
    let app = settled(3).await;
    app.world.github.arrange(|github| github.hide_issue(API, 1));
    assert_eq!(pages_audited_in(&app, 2).await, [0, 1]);
    assert_eq!(issues_asked_for(&app), 1);
    assert!(app.row(API, 1)["missingSince"].is_string(), "{:#}", app.row(API, 1));
    assert_eq!(pages_audited_in(&app, 4).await, [0; 4]);
    assert_eq!(app.open_rows(API), [1, 2, 3]);
    assert_eq!(audit(&app).await.touched(), ["hidden acme/api#1"]);
    assert_eq!(pages_audited_in(&app, 3).await, [0; 3]);
}

#[tokio::test]
async fn issue_deleted_while_another_is_hidden_is_found_by_drift() {
    let app = settled(3).await;
    app.world.github.arrange(|github| github.hide_issue(API, 1));
    pages_audited_in(&app, 3).await;
    app.world.github.arrange(|github| github.delete_issue(API, 2));
    assert_eq!(probe(&app).await.touched(), [""; 0]);
    assert_eq!(probe(&app).await.touched(), ["deleted acme/api#2"]);
    assert_eq!(app.open_rows(API), [1, 3], "the hidden issue waits for its second audit");
}

#[tokio::test]
async fn probe_that_differs_only_once_in_a_row_starts_no_audit() {
    let app = settled(3).await;
    for _ in 0..3 {
        app.world.github.arrange(|github| github.hide_issue(API, 1));
        assert_eq!(pages_audited_in(&app, 1).await, [0]);
        app.world.github.arrange(|github| github.show_issue(API, 1));
        assert_eq!(pages_audited_in(&app, 1).await, [0]);
    }
}

#[tokio::test]
async fn probes_with_two_different_counts_start_no_audit_until_the_third() {
    let app = settled(3).await;
    app.world.github.arrange(|github| github.delete_issue(API, 1));
    assert_eq!(pages_audited_in(&app, 1).await, [0]);
    app.world.github.arrange(|github| github.delete_issue(API, 2));
    assert_eq!(pages_audited_in(&app, 1).await, [0]);
    assert_eq!(probe(&app).await.touched(), ["deleted acme/api#1", "deleted acme/api#2"]);
}

#[tokio::test]
async fn listing_between_two_probes_makes_the_second_one_the_first() {
    let app = settled(3).await;
    app.pass_time(60);
    app.world.github.arrange(|github| github.delete_issue(API, 1));
    assert_eq!(pages_audited_in(&app, 1).await, [0]);
    // A change that is settled at once, and leaves the count as it is.
    let settled_by_now = app.ago(91);
    app.world.github.arrange(|github| {
        github.edit_issue(API, 2, |issue| {
            issue.title = "Edited".into();
            issue.updated_at = settled_by_now;
        });
    });
    assert_eq!(probe(&app).await.touched(), ["edited acme/api#2"]);
    assert_eq!(app.checkpoints(API)["settled"], app.checkpoints(API)["cursor"]);
    assert_eq!(pages_audited_in(&app, 2).await, [0, 1]);
}

#[tokio::test]
async fn difference_left_by_an_audit_on_hold_starts_no_other_audit() {
    let app = settled(30).await;
    app.world.github.arrange(|github| delete(github, API, 1..=30));
    assert_eq!(pages_audited_in(&app, 2).await, [0, 1]);
    for _ in 0..3 {
        let answer = probe(&app).await;
        assert_eq!((answer.codes(), app.asked()), (vec!["audit_held"], vec!["/graphql".to_owned()]));
    }
    assert_eq!(app.open_rows(API).len(), 30);
}

#[tokio::test]
async fn unsettled_repository_is_not_audited_until_two_probes_after_settling() {
    let app = settled(3).await;
    app.world.github.arrange(|github| {
        github.open_issue(API, "New");
        github.delete_issue(API, 1);
    });
    // Listed at once, and again when no late change can follow: 121 s later, by the fourth pass.
    assert_eq!(pages_audited_in(&app, 5).await, [0; 5]);
    assert_eq!(probe(&app).await.touched(), ["deleted acme/api#1"]);
}

#[tokio::test]
async fn busy_repository_is_not_audited_for_drift() {
    let app = settled(3).await;
    app.world.github.arrange(|github| github.delete_issue(API, 1));
    for _ in 0..6 {
        app.outlive_freshness();
        app.world.github.arrange(|github| github.comment(API, 2));
        app.clear_requests();
        assert_eq!(app.agent("alpha").beat().await.touched(), ["edited acme/api#2"]);
        assert_eq!((pages_audited(&app), app.open_rows(API)), (0, vec![1, 2, 3]));
    }
    app.pass_time(100);
    assert_eq!(pages_audited_in(&app, 3).await, [0, 0, 1]);
    assert_eq!(app.open_rows(API), [2, 3]);
}

#[tokio::test]
async fn drifted_repository_is_not_fresh_until_its_audit() {
    let app = settled(3).await;
    let fresh_at = probe(&app).await.0["freshAt"].clone();
    app.world.github.arrange(|github| github.delete_issue(API, 1));
    let drifted = probe(&app).await;
    assert_eq!((drifted.status(), &drifted.0["freshAt"]), ("ok", &fresh_at));
    assert_eq!(
        drifted.summary_numbers(),
        [0, 1, 0, 1],
        "not synced, and its audit announced: {:#}",
        drifted.0
    );
    let now = iso_millis(app.ago(-31));
    let audited = probe(&app).await;
    assert_eq!((audited.status(), &audited.0["freshAt"]), ("ok", &Value::from(now)));
    assert_eq!(audited.summary_numbers(), [1, 1, 1], "{:#}", audited.0);
}

#[tokio::test]
async fn drift_audit_that_fails_is_retried_by_the_next_pass() {
    let app = settled(3).await;
    app.world.github.arrange(|github| github.delete_issue(API, 1));
    probe(&app).await;
    let fresh_at = app.state()["ended"]["freshAt"].clone();
    app.world.github.fault(audited_page(1), Fault::Status(500).times(3));
    let failed = probe(&app).await;
    assert_eq!((failed.codes(), failed.touched()), (vec!["github_unavailable"], vec![]));
    assert_eq!(app.state()["ended"]["freshAt"], fresh_at);
    assert_eq!(probe(&app).await.touched(), ["deleted acme/api#1"]);
}

/// A repository whose audit met an issue that the probe of the same pass had not counted yet.
async fn audited_while_an_issue_was_opened() -> TestApp {
    let app = settled(3).await;
    app.pass_time(INTERVAL);
    app.world.github.before(audited_page(1), |github| {
        github.open_issue(API, "Opened meanwhile");
    });
    app.agent("alpha").beat().await;
    app
}

#[tokio::test]
async fn deletion_after_an_audit_that_met_a_newer_issue_is_found() {
    let app = audited_while_an_issue_was_opened().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.delete_issue(API, 1));
    let mut reported = Vec::new();
    for _ in 0..12 {
        let answer = app.agent("alpha").beat().await;
        reported.extend(answer.touched());
        app.outlive_freshness();
    }
    assert!(reported.contains(&"deleted acme/api#1".to_owned()), "{reported:?}");
}

#[tokio::test]
async fn audit_that_met_an_issue_newer_than_its_probe_causes_no_other() {
    let app = audited_while_an_issue_was_opened().await;
    app.clear_requests();
    for _ in 0..12 {
        app.outlive_freshness();
        app.agent("alpha").beat().await;
    }
    assert_eq!(pages_audited(&app), 0);
}

#[tokio::test]
async fn deletion_while_only_pull_requests_change_is_found() {
    let app = settled(3).await;
    app.world.github.arrange(|github| {
        github.open_pull_request(API, "another");
        github.delete_issue(API, 1);
    });
    let mut reported = Vec::new();
    app.world.github.arrange(|github| github.comment(API, 2));
    // Less than two intervals.
    for _ in 0..100 {
        app.pass_time(40);
        app.world.github.arrange(|github| github.open_pull_request(API, "another"));
        reported.extend(app.agent("alpha").beat().await.touched());
    }
    assert!(reported.contains(&"deleted acme/api#1".to_owned()), "{reported:?}");
}
