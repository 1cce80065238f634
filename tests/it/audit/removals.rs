//! Removals that an audit proves, when the table fails who writes them or does not tell what became of a request, and
//! when they come late, after a pass that could not audit.
//!
//! Each is tried at every request to DynamoDB that a beat with such an audit makes.

use test_world::dynamodb::{Fault, Held, On};
use test_world::github::{Fault as GitHubFault, Matching};

use crate::audit::audits::{INTERVAL, audited_page, tracking};
use crate::support::app::{Agent, TestApp, open_spread, until_held};

const API: &str = "acme/api";
const NEWS: &str = "deleted acme/api#1";

/// Alpha and beta have beaten, an issue has been deleted since, and the next beat's audit finds it absent.
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

/// No open issues can be listed for an audit, by either API; the next pass's probe, its first question, is answered.
fn break_audits(app: &TestApp) {
    app.world.github.fault(audited_page(1), GitHubFault::Status(502).forever());
    let listings = Matching::listing(API).query("state", "open");
    app.world.github.fault(listings, GitHubFault::Status(502).forever());
}

/// The row has ended as a tombstone, and the count agrees with the rows.
fn assert_in_step(app: &TestApp, when: &str) {
    assert_eq!(app.row(API, 1)["gone"]["reason"], "deleted", "{when}");
    assert_eq!((app.open_rows(API), &app.marks(API)["openCount"]), (vec![2, 3], &2.into()), "{when}");
}

/// Each agent was told, at least once, and of nothing else.
fn assert_told(news: &str, told: [Vec<String>; 2], when: &str) {
    for told in told {
        assert!(!told.is_empty() && told.iter().all(|touch| touch == news), "{when}: {told:?}");
    }
}

/// How many requests to DynamoDB a beat with the removal makes.
async fn requests_of_a_beat() -> u64 {
    let app = deleted().await;
    assert_eq!(app.agent("alpha").beat().await.touched(), [NEWS]);
    assert_in_step(&app, "undisturbed");
    let requests = app.world.dynamodb.requests().len();
    assert!(requests > 10, "{requests}");
    requests as u64
}

/// What an agent is told by a pass once the next interval is over, and by the one after.
async fn later_told(app: &TestApp, agent: &Agent<'_>) -> Vec<String> {
    let mut told = Vec::new();
    for _ in 0..2 {
        app.pass_time(INTERVAL);
        told.extend(agent.beat().await.touched());
    }
    told
}

/// What each agent is told when what a dead pass had under way arrives after a pass that could not audit.
async fn told_when_it_arrives_late(app: &TestApp, held: Held, agents: [&Agent<'_>; 2]) -> [Vec<String>; 2] {
    app.pass_time(31);
    break_audits(app);
    let [one, other] = agents;
    let mut told = [one.beat().await.touched(), other.beat().await.touched()];
    held.release();
    app.nothing_is_under_way().await;
    app.world.github.heal();
    told[0].extend(later_told(app, one).await);
    told[1].extend(later_told(app, other).await);
    told
}

#[tokio::test]
async fn removal_arriving_after_a_pass_without_audit_is_refused_or_reported() {
    for n in 1..=requests_of_a_beat().await {
        let app = deleted().await;
        let (alpha, beta) = (app.agent("alpha"), app.agent("beta"));
        let mut held = app.world.dynamodb.hold(On::anything().nth(n));
        let mut dying = Box::pin(alpha.beat());
        assert!(until_held(&mut dying, &mut held).await.is_none());
        drop(dying);
        let told = told_when_it_arrives_late(&app, held, [&beta, &alpha]).await;
        assert_told(NEWS, told, &format!("after request {n}"));
        assert_in_step(&app, &format!("after request {n}"));
    }
}

#[tokio::test]
async fn removal_whose_answer_is_lost_is_reported() {
    for n in 1..=requests_of_a_beat().await {
        let app = deleted().await;
        app.world.dynamodb.fault(On::anything().nth(n), Fault::LoseAnswer);
        for agent in ["alpha", "beta"] {
            let answer = app.agent(agent).beat().await;
            assert_eq!(
                (answer.status(), answer.touched()),
                ("ok", vec![NEWS.to_owned()]),
                "{agent}, request {n}"
            );
        }
        assert_in_step(&app, &format!("request {n}"));
    }
}

#[tokio::test]
async fn removal_with_the_table_failing_at_any_request_is_reported() {
    for n in 1..=requests_of_a_beat().await {
        let app = deleted().await;
        let (alpha, beta) = (app.agent("alpha"), app.agent("beta"));
        app.world.dynamodb.fault(On::anything().nth(n), Fault::AccessDenied);
        let mut told = [Vec::new(), alpha.beat().await.touched()];
        app.pass_time(31);
        told[0].extend(later_told(&app, &beta).await);
        told[1].extend(later_told(&app, &alpha).await);
        assert_told(NEWS, told, &format!("request {n}"));
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
            github.open_pull_request(API, "A newer one, which keeps the issues out of the listings to come");
        });
        let (alpha, beta) = (app.agent("alpha"), app.agent("beta"));
        for _ in 0..2 {
            alpha.beat().await;
            beta.beat().await;
            app.pass_time(150);
        }
        app.pass_time(INTERVAL);
        // Only an audit sees it: no `updated_at` moves.
        app.world.github.arrange(|github| github.rename_label(API, "bug", "defect"));
        app.clear_requests();
        let mut held = app.world.dynamodb.hold(On::anything().nth(n));
        let mut dying = Box::pin(alpha.beat());
        let ended = until_held(&mut dying, &mut held).await;
        drop(dying);
        if let Some(answer) = ended {
            assert_eq!(answer.touched(), [EDIT]);
            drop((alpha, beta));
            app.leaves_orders_open();
            break;
        }
        let told = told_when_it_arrives_late(&app, held, [&beta, &alpha]).await;
        assert_told(EDIT, told, &format!("after request {n}"));
        assert_eq!(app.row(API, 1)["labels"], serde_json::json!(["defect"]), "after request {n}");
    }
}
