//! An operator's confirmation of an audit on hold: it applies at once, and removes only what GitHub itself reports as
//! gone.

use agent_heartbeat::schedule::ScheduledBeatFailed;
use serde_json::{Value, json};
use test_world::github::{Fault, Matching};

use crate::support::app::{Answer, TestApp, open_spread, until_held};
use crate::support::audits::{
    audit, audited_page, delete, empty_page, issues_asked_for, pages_audited, settled, tracking,
};
use crate::support::checked::Checked;

const API: &str = "acme/api";
const WEB: &str = "acme/web";

/// A service whose audit of `count` open issues is on hold, because `deleted` of them have been deleted.
async fn held(count: u64, deleted: u64) -> TestApp {
    let app = settled(count).await;
    app.world.github.arrange(|github| delete(github, API, 1..=deleted));
    assert_eq!(audit(&app).await.codes(), ["audit_held"]);
    app.clear_requests();
    app
}

/// The answer of an invocation that failed.
fn failed(invoked: Result<Answer, ScheduledBeatFailed>) -> Answer {
    match invoked {
        Err(ScheduledBeatFailed::Beat(answer)) => {
            Answer(Checked::answer(serde_json::to_value(answer).expect("an answer is JSON")))
        }
        other => panic!("the invocation did not fail with an answer: {other:#?}"),
    }
}

/// The only problem with this code.
fn problem<'a>(answer: &'a Answer, code: &str) -> &'a Value {
    let problems = answer.0["problems"].as_array().expect("a list");
    let problems: Vec<&Value> = problems.iter().filter(|problem| problem["code"] == code).collect();
    let [problem] = problems[..] else { panic!("{:#}", answer.0) };
    problem
}

/// The confirmation for this repository was rejected, and only a person can change that.
fn assert_not_confirmed(answer: &Answer, repository: &str) {
    let problem = problem(answer, "not_confirmed");
    assert_eq!(
        (&problem["repository"], &problem["phase"], &problem["severity"], &problem["retryable"]),
        (&json!(repository), &json!("reconcile"), &json!("error"), &json!(false)),
        "{:#}",
        answer.0
    );
}

fn deleted(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(|number| format!("deleted acme/api#{number}")).collect()
}

#[tokio::test]
async fn confirmation_during_a_fresh_pass_applies_at_once() {
    let app = held(30, 25).await;
    let answer = app.schedule().confirms(API).await.expect("confirmed");
    assert_eq!((answer.status(), answer.is_coalesced()), ("ok", false));
    assert_eq!(answer.touched(), deleted(1..=25));
    assert_eq!((pages_audited(&app), issues_asked_for(&app)), (1, 25));
    assert_eq!(
        (app.open_rows(API), &app.checkpoints(API)["openCount"]),
        ((26..=30).collect(), &Value::from(5))
    );
    assert_eq!(app.checkpoints(API).get("held"), None);
    assert_eq!(app.agent("alpha").beat().await.touched(), deleted(1..=25));
    let next = audit(&app).await;
    assert_eq!((next.status(), next.touched()), ("ok", vec![]));
}

#[tokio::test]
async fn confirmed_audit_looks_up_each_absent_issue() {
    let app = settled(30).await;
    app.world.github.arrange(|github| {
        github.create_repository("acme/attic");
        delete(github, API, [1, 2]);
        github.hide_issue(API, 3);
        github.transfer_issue(API, 4, "acme/attic");
    });
    // GitHub's listing is empty, although the issues exist.
    app.world.github.fault(audited_page(1), empty_page(&app));
    assert_eq!(audit(&app).await.codes(), ["audit_held"]);
    app.world.github.fault(audited_page(1), empty_page(&app));
    app.clear_requests();
    let answer = app.schedule().confirms(API).await.expect("confirmed");
    assert_eq!(answer.touched(), ["deleted acme/api#1", "deleted acme/api#2", "moved acme/api#4"]);
    assert_eq!(issues_asked_for(&app), 31, "the transferred issue at both its addresses");
    let left: Vec<u64> = [3].into_iter().chain(5..=30).collect();
    assert_eq!(
        app.open_rows(API),
        left,
        "an issue with status 200 stays, and one with 404 waits for the second audit"
    );
    assert_eq!(app.agent("alpha").beat().await.touched(), answer.touched());
    assert_eq!(audit(&app).await.touched(), ["hidden acme/api#3"]);
    assert_eq!(app.open_rows(API), (5..=30).collect::<Vec<_>>());
}

#[tokio::test]
async fn confirmed_audit_of_over_a_hundred_issues_continues_in_later_passes() {
    let app = held(150, 130).await;
    let answer = app.schedule().confirms(API).await.expect("confirmed");
    assert_eq!((answer.status(), issues_asked_for(&app)), ("ok", 100));
    assert_eq!(app.open_rows(API).len(), 50);
    app.outlive_freshness();
    app.clear_requests();
    let rest = app.agent("alpha").beat().await;
    assert_eq!((rest.status(), rest.0["touchedCount"].as_u64()), ("ok", Some(130)));
    assert_eq!((pages_audited(&app), issues_asked_for(&app)), (0, 30));
    assert_eq!(app.open_rows(API), (131..=150).collect::<Vec<_>>());
    assert_eq!(app.items("REPO#", "AUDIT").len(), 0);
}

#[tokio::test]
async fn confirmation_without_an_audit_on_hold_removes_nothing() {
    // The first has no audit on hold, the second is not tracked.
    for name in [API, "acme/other"] {
        let app = settled(30).await;
        app.world.github.arrange(|github| delete(github, API, 1..=25));
        app.clear_requests();
        app.outlive_freshness();
        let answer = failed(app.schedule().confirms(name).await);
        assert_eq!(answer.codes(), ["not_confirmed"]);
        assert_not_confirmed(&answer, name);
        assert_eq!((app.open_rows(API).len(), pages_audited(&app)), (30, 0));
    }
}

#[tokio::test]
async fn confirmation_without_a_repository_name_fails_before_any_request() {
    let app = held(30, 25).await;
    let before = app.items("", "");
    for name in [
        Value::Null,
        json!(""),
        json!("acme"),
        json!("acme/api/1"),
        json!(7),
        json!([API]),
        json!({"name": API}),
    ] {
        let failed = app.schedule().sends(json!({ "confirmAudit": name }), 300).await;
        let failed = failed.expect_err("a name that is none fails the invocation");
        assert!(matches!(failed, ScheduledBeatFailed::Name(_)), "{failed:?}");
        assert!(failed.to_string().contains("confirmAudit"), "{failed}");
    }
    assert_eq!((app.asked(), app.items("", "")), (vec![], before));
}

#[tokio::test]
async fn confirmation_during_another_pass_is_rejected_until_it_ends() {
    let app = held(30, 25).await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.comment(API, 30));
    let mut listing = app.world.github.hold(Matching::listing(API));
    let alpha = app.agent("alpha");
    let mut running = Box::pin(alpha.beat());
    assert!(until_held(&mut running, &mut listing).await.is_none());
    let rejected = failed(app.schedule().confirms(API).await);
    assert_not_confirmed(&rejected, API);
    listing.release();
    assert_eq!(running.await.codes(), ["audit_held"]);
    assert_eq!(app.open_rows(API).len(), 30);
    assert!(app.schedule().confirms(API).await.is_ok());
    assert_eq!(app.open_rows(API), (26..=30).collect::<Vec<_>>());
}

#[tokio::test]
async fn confirmation_for_an_unreadable_repository_is_rejected_until_read() {
    let app = held(30, 25).await;
    app.world.github.fault(Matching::graphql(), Fault::repository_error(API, "FORBIDDEN"));
    let rejected = failed(app.schedule().confirms(API).await);
    assert_not_confirmed(&rejected, API);
    assert_eq!((app.open_rows(API).len(), issues_asked_for(&app)), (30, 0));
    let answer = app.schedule().confirms(API).await.expect("confirmed");
    assert_eq!(answer.touched(), deleted(1..=25));
}

#[tokio::test]
async fn confirmation_whose_audit_fails_is_remembered() {
    let app = held(30, 25).await;
    app.world.github.fault(audited_page(1), Fault::Status(500).times(3));
    let unaudited = failed(app.schedule().confirms(API).await);
    let problem = problem(&unaudited, "github_unavailable");
    assert_eq!((&problem["repository"], &problem["phase"]), (&json!(API), &json!("reconcile")));
    assert!(!unaudited.codes().contains(&"not_confirmed"), "{:#}", unaudited.0);
    assert_eq!(app.open_rows(API).len(), 30);
    app.outlive_freshness();
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.touched()), ("ok", deleted(1..=25)));
}

#[tokio::test]
async fn confirmation_while_githubs_budget_is_low_is_remembered() {
    let app = held(30, 25).await;
    let reset = app.ago(-600);
    app.world.github.arrange(|github| github.set_graphql_budget(5_000, 400, reset));
    let held_problem = |answer: &Answer| problem(answer, "audit_held").clone();
    let before = held_problem(&app.agent("alpha").beat().await);
    let confirmed = held_problem(&failed(app.schedule().confirms(API).await));
    assert_eq!(confirmed["repository"], API);
    let message = |problem: &Value| problem["message"].as_str().expect("a text").to_owned();
    assert!(["25", "30"].iter().all(|count| message(&confirmed).contains(count)), "{confirmed:#}");
    assert_ne!(message(&confirmed), message(&before), "the message reports the confirmation");
    assert_eq!(app.agent("alpha").beat().await.codes(), ["github_budget_low", "audit_held"]);
    app.outlive_freshness();
    let later = app.agent("alpha").beat().await;
    assert_eq!(message(&held_problem(&later)), message(&confirmed), "the confirmation stays reported");
    assert_eq!((app.open_rows(API).len(), issues_asked_for(&app)), (30, 0));
    app.pass_time(610);
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.touched()), ("ok", deleted(1..=25)));
}

#[tokio::test]
async fn confirmation_sent_twice_is_rejected_the_second_time() {
    let app = held(250, 230).await;
    assert!(app.schedule().confirms(API).await.is_ok());
    // The confirmed audit is still running, a hundred issues in each pass.
    for left in [50, 20, 20] {
        let again = failed(app.schedule().confirms(API).await);
        assert_eq!(again.codes(), ["not_confirmed"]);
        assert_not_confirmed(&again, API);
        assert_eq!(app.open_rows(API).len(), left);
    }
    assert_eq!(app.agent("alpha").beat().await.0["touchedCount"], 230);
}

#[tokio::test]
async fn confirmation_for_one_repository_does_not_affect_another() {
    let app = tracking(&[API, WEB]).start().await;
    let first = app.ago(1_000);
    app.world.github.arrange(|github| {
        for repository in [API, WEB] {
            open_spread(github, repository, 30, first);
        }
    });
    app.agent("alpha").beat().await;
    app.world.github.arrange(|github| {
        for repository in [API, WEB] {
            delete(github, repository, 1..=25);
        }
    });
    assert_eq!(audit(&app).await.codes(), ["audit_held", "audit_held"]);
    let other = failed(app.schedule().confirms("ACME/Api").await);
    assert_eq!(other.codes(), ["audit_held"]);
    let problem = problem(&other, "audit_held");
    assert_eq!(problem["repository"], WEB);
    let message = problem["message"].as_str().expect("a text");
    assert!(message.contains("25") && message.contains("30"), "{message}");
    assert_eq!((app.open_rows(API).len(), app.open_rows(WEB).len()), (5, 30));
}

#[tokio::test]
async fn confirmation_that_is_rejected_is_not_reported_to_agents() {
    let app = settled(3).await;
    app.schedule().confirms("acme/wep").await.expect_err("no such repository");
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.codes()), ("ok", vec![]), "{:#}", answer.0);
}
