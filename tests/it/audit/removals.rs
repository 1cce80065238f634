//! Removals that an audit proves, when writing them to the table fails, when the answer to a write is lost, and when
//! they arrive late, after a pass that could not audit.
//!
//! Each case is tried at every request to DynamoDB of a heartbeat with such an audit.

use test_world::dynamodb::{Fault, Held, On};
use test_world::github::{Fault as GitHubFault, Matching};

use crate::support::app::{Agent, TestApp, open_spread, until_held};
use crate::support::audits::{INTERVAL, audited_page, tracking};

const API: &str = "acme/api";
const REMOVAL: &str = "deleted acme/api#1";

/// Alpha and beta have sent heartbeats, an issue has been deleted since, and the next audit finds it absent.
async fn deleted() -> TestApp {
    let app = tracking(&[API]).start().await;
    app.world.github.arrange(|github| {
        github.open_issues(API, 3);
        github.open_pull_request(API, "A pull request");
    });
    for agent in ["alpha", "beta"] {
        app.agent(agent).beat().await;
    }
    app.pass_time(150);
    for agent in ["alpha", "beta"] {
        app.agent(agent).beat().await;
    }
    app.pass_time(INTERVAL);
    app.world.github.arrange(|github| github.delete_issue(API, 1));
    app.clear_requests();
    app
}

/// Lets audits' listings fail on both APIs. The next pass's probe, its first query, is still answered.
fn break_audits(app: &TestApp) {
    app.world.github.fault(audited_page(1), GitHubFault::Status(502).forever());
    let listings = Matching::listing(API).query("state", "open");
    app.world.github.fault(listings, GitHubFault::Status(502).forever());
}

/// The row is a tombstone, and the count agrees with the rows.
fn assert_in_step(app: &TestApp, when: &str) {
    assert_eq!(app.row(API, 1)["gone"]["reason"], "deleted", "{when}");
    assert_eq!((app.open_rows(API), &app.checkpoints(API)["openCount"]), (vec![2, 3], &2.into()), "{when}");
}

/// This change, and no other, was reported to each agent at least once.
fn assert_reported(change: &str, reported: [Vec<String>; 2], when: &str) {
    for reported in reported {
        assert!(!reported.is_empty() && reported.iter().all(|touch| touch == change), "{when}: {reported:?}");
    }
}

/// How many requests to DynamoDB a heartbeat with the removal sends.
async fn requests_of_a_heartbeat() -> u64 {
    let app = deleted().await;
    assert_eq!(app.agent("alpha").beat().await.touched(), [REMOVAL]);
    assert_in_step(&app, "undisturbed");
    let requests = app.world.dynamodb.requests().len();
    assert!(requests > 10, "{requests}");
    requests as u64
}

/// What an agent's next two audits report to it.
async fn reported_later(app: &TestApp, agent: &Agent<'_>) -> Vec<String> {
    let mut reported = Vec::new();
    for _ in 0..2 {
        app.pass_time(INTERVAL);
        reported.extend(agent.beat().await.touched());
    }
    reported
}

/// What is reported to each agent when a request of a dead pass arrives after a pass that could not audit.
async fn reported_when_it_arrives_late(
    app: &TestApp,
    held: Held,
    agents: [&Agent<'_>; 2],
) -> [Vec<String>; 2] {
    app.pass_time(31);
    break_audits(app);
    let [one, other] = agents;
    let mut reported = [one.beat().await.touched(), other.beat().await.touched()];
    held.release();
    app.wait_for_dynamodb().await;
    app.world.github.heal();
    reported[0].extend(reported_later(app, one).await);
    reported[1].extend(reported_later(app, other).await);
    reported
}

#[tokio::test]
async fn removal_arriving_after_a_pass_without_audit_is_refused_or_reported() {
    for n in 1..=requests_of_a_heartbeat().await {
        let app = deleted().await;
        let (alpha, beta) = (app.agent("alpha"), app.agent("beta"));
        let mut held = app.world.dynamodb.hold(On::anything().nth(n));
        let mut dying = Box::pin(alpha.beat());
        assert!(until_held(&mut dying, &mut held).await.is_none());
        drop(dying);
        let reported = reported_when_it_arrives_late(&app, held, [&beta, &alpha]).await;
        assert_reported(REMOVAL, reported, &format!("after request {n}"));
        assert_in_step(&app, &format!("after request {n}"));
    }
}

#[tokio::test]
async fn removal_whose_answer_is_lost_is_reported() {
    for n in 1..=requests_of_a_heartbeat().await {
        let app = deleted().await;
        app.world.dynamodb.fault(On::anything().nth(n), Fault::LoseAnswer);
        for agent in ["alpha", "beta"] {
            let answer = app.agent(agent).beat().await;
            assert_eq!(
                (answer.status(), answer.touched()),
                ("ok", vec![REMOVAL.to_owned()]),
                "{agent}, request {n}"
            );
        }
        assert_in_step(&app, &format!("request {n}"));
    }
}

#[tokio::test]
async fn removal_with_the_table_failing_at_any_request_is_reported() {
    for n in 1..=requests_of_a_heartbeat().await {
        let app = deleted().await;
        let (alpha, beta) = (app.agent("alpha"), app.agent("beta"));
        app.world.dynamodb.fault(On::anything().nth(n), Fault::AccessDenied);
        let mut reported = [Vec::new(), alpha.beat().await.touched()];
        app.pass_time(31);
        reported[0].extend(reported_later(&app, &beta).await);
        reported[1].extend(reported_later(&app, &alpha).await);
        assert_reported(REMOVAL, reported, &format!("request {n}"));
        assert_in_step(&app, &format!("request {n}"));
    }
}

#[tokio::test]
async fn audit_edit_arriving_after_a_failed_audit_is_refused_or_reported() {
    const EDIT: &str = "edited acme/api#1";
    for n in 1.. {
        let mut app = tracking(&[API]).start().await;
        let long_ago = app.ago(1_000);
        app.world.github.arrange(|github| {
            open_spread(github, API, 2, long_ago);
            github.edit_issue(API, 1, |issue| {
                issue.labels = vec!["bug".to_owned()];
                issue.updated_at = long_ago;
            });
            github.open_pull_request(API, "A newer one, which keeps the issues out of later listings");
        });
        let (alpha, beta) = (app.agent("alpha"), app.agent("beta"));
        for _ in 0..2 {
            alpha.beat().await;
            beta.beat().await;
            app.pass_time(150);
        }
        app.pass_time(INTERVAL);
        // Only an audit finds it: no `updated_at` changes.
        app.world.github.arrange(|github| github.rename_label(API, "bug", "defect"));
        app.clear_requests();
        let mut held = app.world.dynamodb.hold(On::anything().nth(n));
        let mut dying = Box::pin(alpha.beat());
        let ended = until_held(&mut dying, &mut held).await;
        drop(dying);
        if let Some(answer) = ended {
            assert_eq!(answer.touched(), [EDIT]);
            drop((alpha, beta));
            app.allows_unused_faults();
            break;
        }
        let reported = reported_when_it_arrives_late(&app, held, [&beta, &alpha]).await;
        assert_reported(EDIT, reported, &format!("after request {n}"));
        assert_eq!(app.row(API, 1)["labels"], serde_json::json!(["defect"]), "after request {n}");
    }
}
