//! With less than a tenth of one of GitHub's hourly budgets left, changes are still read, and other work is deferred.

use agent_heartbeat::domain::iso_millis;
use jiff::SignedDuration;
use serde_json::json;
use test_world::github::{Matching, World};

use crate::support::app::{Answer, TestApp, open_spread};

/// Sets the budgets of a token.
type Arrangement = fn(&mut World);

/// Twenty minutes with less than a tenth of the requests, or of the points. The next answer reports it.
const LOW: [(&str, Arrangement); 2] = [
    ("requests", |github| github.set_budget(1_000, 99, github.now() + SignedDuration::from_mins(20))),
    ("points", |github| github.set_graphql_budget(1_000, 99, github.now() + SignedDuration::from_mins(20))),
];

const ENOUGH: [(&str, Arrangement); 2] = [
    ("requests", |github| github.set_budget(1_000, 200, github.now() + SignedDuration::from_mins(20))),
    ("points", |github| github.set_graphql_budget(1_000, 200, github.now() + SignedDuration::from_mins(20))),
];

/// One repository that has been read and is settled.
async fn settled() -> TestApp {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 3));
    app.agent("alpha").beat().await;
    app.pass_time(300);
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app
}

/// Sets the budgets, and lets a pass with a change learn them: the answers to its requests report what is left.
async fn learn(app: &TestApp, budgets: Arrangement) {
    app.world.github.arrange(|github| {
        budgets(github);
        github.comment("acme/api", 1);
    });
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.touched()), ("ok", vec!["edited acme/api#1".to_owned()]));
    app.outlive_freshness();
}

/// Also tracks `acme/web`, which has 150 issues.
fn track_another(app: &mut TestApp) {
    app.world.github.arrange(|github| {
        github.create_repository("acme/web");
        github.open_issues("acme/web", 150);
        github.comment("acme/api", 2);
    });
    app.restart_with("REPOSITORIES", "acme/api,acme/web");
    app.clear_requests();
}

fn requests_for_web(app: &TestApp) -> usize {
    app.asked().iter().filter(|path| path.starts_with("/repos/acme/web")).count()
}

/// The only problem is that work was deferred for this many seconds.
fn assert_deferred(answer: &Answer, seconds: u64) {
    assert_eq!((answer.status(), answer.codes()), ("warning", vec!["github_budget_low"]), "{:#}", answer.0);
    let problem = &answer.0["problems"][0];
    assert_eq!((&problem["retryAfterSeconds"], &problem["retryable"]), (&seconds.into(), &true.into()));
}

#[tokio::test]
async fn budget_of_a_fifth_defers_nothing() {
    for (of_what, enough) in ENOUGH {
        let mut app = settled().await;
        learn(&app, enough).await;
        track_another(&mut app);
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.codes().len()), ("ok", 0), "{of_what}: {:#}", answer.0);
        assert_eq!(app.open_rows("acme/web").len(), 150, "{of_what}");
    }
}

#[tokio::test]
async fn budget_below_a_tenth_defers_first_listings_until_it_resets() {
    for (of_what, low) in LOW {
        let mut app = settled().await;
        learn(&app, low).await;
        track_another(&mut app);
        let answer = app.agent("alpha").beat().await;
        assert_deferred(&answer, 1_200 - 31);
        assert_eq!(answer.touched(), ["edited acme/api#2"], "{of_what}");
        assert_eq!(answer.summary_numbers(), [1, 2, 1, 1], "{of_what}: {:#}", answer.0);
        assert_eq!(app.items("PASSES", "").last().expect("a record")["deferred"], json!(["acme/web"]));
        assert_eq!(requests_for_web(&app), 0, "{of_what}");
        let joined = app.agent("beta").beat().await;
        assert!(joined.is_coalesced());
        assert_deferred(&joined, 1_200 - 31);

        app.pass_time(1_200);
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.codes().len()), ("ok", 0), "{of_what}: {:#}", answer.0);
        assert_eq!(app.open_rows("acme/web").len(), 150, "{of_what}");
    }
}

#[tokio::test]
async fn budget_below_a_tenth_defers_audits_until_it_resets() {
    for (of_what, low) in LOW {
        let mut app = TestApp::tracking(&["acme/api", "acme/web"]).start().await;
        app.world.github.arrange(|github| {
            github.open_issues("acme/api", 3);
            github.open_issues("acme/web", 3);
        });
        app.agent("alpha").beat().await;
        app.pass_time(300);
        app.agent("alpha").beat().await;
        app.pass_time(21_600);
        let audited_at = app.checkpoints("acme/web")["auditedAt"].clone();
        app.restart_with("AUDIT_INTERVAL_SECONDS", "86400");
        learn(&app, low).await;
        app.restart_with("AUDIT_INTERVAL_SECONDS", "21600");
        app.world.github.arrange(|github| github.comment("acme/api", 2));
        app.clear_requests();
        let answer = app.agent("alpha").beat().await;
        assert_deferred(&answer, 1_200 - 31);
        assert_eq!(answer.touched(), ["edited acme/api#2"], "{of_what}");
        assert_eq!(app.checkpoints("acme/web")["auditedAt"], audited_at, "{of_what}");
        assert_eq!(app.asked().len(), 2, "the probe and a listing: {:?}", app.asked());

        app.pass_time(1_200);
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.codes().len()), ("ok", 0), "{of_what}: {:#}", answer.0);
        assert_eq!(app.checkpoints("acme/web")["auditedAt"], iso_millis(app.ago(0)), "{of_what}");
    }
}

#[tokio::test]
async fn budget_that_runs_low_during_a_first_listing_keeps_what_was_read() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    let first = app.ago(1_000);
    app.world.github.arrange(|github| {
        open_spread(github, "acme/api", 450, first);
        github.set_budget(1_000, 102, github.now() + SignedDuration::from_mins(20));
    });
    let answer = app.schedule().beat().await.expect("a warning");
    assert_deferred(&answer, 1_200);
    assert_eq!(
        app.open_rows("acme/api").len(),
        100 + 98 + 98,
        "three pages, the last of which reported the low budget"
    );
    assert_eq!(app.state()["fence"], 1, "no second pass: it would meet the same budget");
    app.pass_time(1_200);
    let answer = app.schedule().beat().await.expect("a heartbeat without errors");
    assert_eq!((answer.status(), app.open_rows("acme/api").len()), ("ok", 450));
}

#[tokio::test]
async fn low_budget_is_known_to_a_new_execution_environment() {
    let mut app = settled().await;
    learn(&app, LOW[0].1).await;
    track_another(&mut app);
    let mut held = app.world.github.hold(Matching::listing("acme/api"));
    let elsewhere = app.agent("beta").in_environment(app.another_environment());
    let mut beat = Box::pin(elsewhere.beat());
    assert!(crate::support::app::until_held(&mut beat, &mut held).await.is_none());
    // No answer of the REST API has reported the budget to this execution environment.
    held.release();
    assert_deferred(&beat.await, 1_200 - 31);
    assert_eq!(requests_for_web(&app), 0);
}
