//! Less than a tenth of one of GitHub's hourly budgets is left: changes are read on, what can wait waits.

use agent_heartbeat::domain::iso_millis;
use jiff::SignedDuration;
use test_world::github::{Matching, World};

use crate::support::app::{Answer, TestApp, open_spread};

/// How the budgets of a token are to be.
type Arrangement = fn(&mut World);

/// Twenty minutes with less than a tenth of the requests, or of the points; the answer to one more request tells it.
const LOW: [(&str, Arrangement); 2] = [
    ("requests", |github| github.set_budget(1_000, 99, github.now() + SignedDuration::from_mins(20))),
    ("points", |github| github.set_graphql_budget(1_000, 99, github.now() + SignedDuration::from_mins(20))),
];

const ENOUGH: [(&str, Arrangement); 2] = [
    ("requests", |github| github.set_budget(1_000, 200, github.now() + SignedDuration::from_mins(20))),
    ("points", |github| github.set_graphql_budget(1_000, 200, github.now() + SignedDuration::from_mins(20))),
];

/// One repository that was read and is settled.
async fn settled() -> TestApp {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 3));
    app.agent("alpha").beat().await;
    app.pass_time(300);
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app
}

/// Arranges the budgets, and lets a pass with news meet them: the answers to its requests tell what is left.
async fn learn(app: &TestApp, budgets: Arrangement) {
    app.world.github.arrange(|github| {
        budgets(github);
        github.comment("acme/api", 1);
    });
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.touched()), ("ok", vec!["edited acme/api#1".to_owned()]));
    app.outlive_freshness();
}

/// Tracks `acme/web`, too, which has 150 issues.
fn track_another(app: &mut TestApp) {
    app.world.github.arrange(|github| {
        github.create_repository("acme/web");
        github.open_issues("acme/web", 150);
        github.comment("acme/api", 2);
    });
    app.restart_with("REPOSITORIES", "acme/api,acme/web");
    app.clear_requests();
}

fn asked_of_web(app: &TestApp) -> usize {
    app.asked().iter().filter(|path| path.starts_with("/repos/acme/web")).count()
}

/// The only problem is that something was put off, and until when.
fn assert_put_off(answer: &Answer, seconds: u64) {
    assert_eq!((answer.status(), answer.codes()), ("warning", vec!["github_budget_low"]), "{:#}", answer.0);
    let problem = &answer.0["problems"][0];
    assert_eq!((&problem["retryAfterSeconds"], &problem["retryable"]), (&seconds.into(), &true.into()));
    assert!(answer.lines("warnings")[0].contains("backfills and audits wait until"), "{:#}", answer.0);
}

#[tokio::test]
async fn a_fifth_of_a_budget_is_enough_for_everything() {
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
async fn below_a_tenth_of_a_budget_changes_are_read_and_first_listings_wait_until_it_is_granted_anew() {
    for (of_what, low) in LOW {
        let mut app = settled().await;
        learn(&app, low).await;
        track_another(&mut app);
        let answer = app.agent("alpha").beat().await;
        assert_put_off(&answer, 1_200 - 31);
        assert_eq!(answer.touched(), ["edited acme/api#2"], "{of_what}");
        let summary = "Synced 1 of 2 repositories: 1 issue changed; 1 repository deferred to the next pass.";
        assert_eq!(answer.0["summary"], summary, "{of_what}");
        assert_eq!(asked_of_web(&app), 0, "{of_what}");
        let joined = app.agent("beta").beat().await;
        assert!(joined.is_coalesced());
        assert_put_off(&joined, 1_200 - 31);

        app.pass_time(1_200);
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.codes().len()), ("ok", 0), "{of_what}: {:#}", answer.0);
        assert_eq!(app.open_rows("acme/web").len(), 150, "{of_what}");
    }
}

#[tokio::test]
async fn below_a_tenth_of_a_budget_audits_wait_until_it_is_granted_anew() {
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
        let audited_at = app.marks("acme/web")["auditedAt"].clone();
        app.restart_with("AUDIT_INTERVAL_SECONDS", "86400");
        learn(&app, low).await;
        app.restart_with("AUDIT_INTERVAL_SECONDS", "21600");
        app.world.github.arrange(|github| github.comment("acme/api", 2));
        app.clear_requests();
        let answer = app.agent("alpha").beat().await;
        assert_put_off(&answer, 1_200 - 31);
        assert_eq!(answer.touched(), ["edited acme/api#2"], "{of_what}");
        assert_eq!(app.marks("acme/web")["auditedAt"], audited_at, "{of_what}");
        assert_eq!(app.asked().len(), 2, "the probe and a listing: {:?}", app.asked());

        app.pass_time(1_200);
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.codes().len()), ("ok", 0), "{of_what}: {:#}", answer.0);
        assert_eq!(app.marks("acme/web")["auditedAt"], iso_millis(app.ago(0)), "{of_what}");
    }
}

#[tokio::test]
async fn a_budget_that_runs_low_in_the_middle_of_a_first_listing_keeps_what_was_read_and_stops_the_schedule()
{
    let app = TestApp::tracking(&["acme/api"]).start().await;
    let first = app.ago(1_000);
    app.world.github.arrange(|github| {
        open_spread(github, "acme/api", 450, first);
        github.set_budget(1_000, 102, github.now() + SignedDuration::from_mins(20));
    });
    let answer = app.schedule().beat().await.expect("a warning");
    assert_put_off(&answer, 1_200);
    assert_eq!(app.open_rows("acme/api").len(), 100 + 98 + 98, "three pages, of which the last met it");
    assert_eq!(app.state()["fence"], 1, "another pass would meet the same");
    app.pass_time(1_200);
    let answer = app.schedule().beat().await.expect("a good beat");
    assert_eq!((answer.status(), app.open_rows("acme/api").len()), ("ok", 450));
}

#[tokio::test]
async fn a_low_budget_that_one_sandbox_met_is_known_to_a_new_one_before_its_first_request() {
    let mut app = settled().await;
    learn(&app, LOW[0].1).await;
    track_another(&mut app);
    let mut held = app.world.github.hold(Matching::listing("acme/api"));
    let elsewhere = app.agent("beta").in_sandbox(app.another_sandbox());
    let mut beat = Box::pin(elsewhere.beat());
    assert!(crate::support::app::until_held(&mut beat, &mut held).await.is_none());
    // No answer of the REST API has told this sandbox anything.
    held.release();
    assert_put_off(&beat.await, 1_200 - 31);
    assert_eq!(asked_of_web(&app), 0);
}
