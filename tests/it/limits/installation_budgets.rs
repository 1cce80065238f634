//! A GitHub App with several installations: limits, low budgets and rejected queries of one installation do not affect
//! the others.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use test_world::github::{Fault, Matching};

use crate::support::app::{TestApp, until_held};
use crate::support::github_app::{APP, store};
use crate::support::installations::{
    GLOBEX, assert_globex_alone, batches, credentials, installed, open, open_one_in_each, token_request,
    two_changed_owners, two_owners,
};

/// Leaves globex's installation `remaining` requests and points for half an hour.
fn leave_globex(app: &TestApp, remaining: u64) {
    app.world.github.arrange(|github| {
        let reset = github.now() + SignedDuration::from_mins(30);
        github.set_installation_budget(GLOBEX, remaining, reset);
    });
}

#[tokio::test]
async fn probe_too_large_for_one_owner_is_split_for_that_owner_alone() {
    let names = ["acme/a", "acme/b", "acme/c", "acme/d", "globex/a", "globex/b", "globex/c", "globex/d"];
    let app = installed(TestApp::tracking(&names)).await;
    let acme = || Matching::graphql().containing("acme/a");
    app.world.github.fault(acme(), Fault::Status(504).forever());
    let clock = app.world.clock.clone();
    app.world.github.before(acme(), move |_| clock.advance(Duration::from_secs(10)));
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.codes(), [""; 0], "{:#}", answer.0);
    assert_eq!((batches(&app, "acme"), batches(&app, "globex")), (vec![4], vec![4]));
    app.world.github.heal();
    app.outlive_freshness();
    app.clear_requests();
    assert_eq!(app.agent("alpha").beat().await.codes(), [""; 0]);
    assert_eq!((batches(&app, "acme"), batches(&app, "globex")), (vec![1; 4], vec![4]));
}

#[tokio::test]
async fn probe_that_hangs_delays_no_other_owner() {
    let owners: Vec<String> = (10..30).map(|n| format!("owner{n}")).collect();
    let names: Vec<String> = owners.iter().map(|owner| format!("{owner}/api")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let app = TestApp::tracking(&names).start().await;
    let ids = owners.iter().zip(1..).map(|(owner, id): (&String, u64)| (owner.clone(), json!(id)));
    let ids: serde_json::Map<String, Value> = ids.collect();
    app.world.github.arrange(|github| {
        for (owner, id) in &ids {
            github.install_app_at(owner, APP, id.as_u64().expect("a number"));
        }
        github.accept_only([]);
    });
    store(&app, &credentials(Value::Object(ids)));
    // The first pass starts in the middle of the list.
    let probe_of = |n: usize| app.world.github.hold(Matching::graphql().containing(names[n]));
    let (mut first, mut last) = (probe_of(12), probe_of(11));
    let alpha = app.agent("alpha");
    let mut beat = Box::pin(alpha.beat());
    assert!(until_held(&mut beat, &mut first).await.is_none());
    assert!(until_held(&mut beat, &mut last).await.is_none());
    last.release();
    first.release();
    assert_eq!(beat.await.status(), "ok");
}

#[tokio::test]
async fn limit_of_one_installation_does_not_affect_the_others() {
    let app = two_changed_owners().await;
    app.world
        .github
        .fault(Matching::graphql().containing("globex/web"), Fault::secondary_limit(Some("1800")));
    let answer = app.agent("alpha").beat().await;
    assert_globex_alone(&answer, &["github_rate_limited"]);
    assert_eq!(answer.0["nextHeartbeatInSeconds"], 30, "acme may have changes: {:#}", answer.0);
    assert_eq!(open(&app), [2, 2, 1]);
    for environment in [app.app.clone(), app.another_environment()] {
        app.outlive_freshness();
        app.clear_requests();
        let answer = app.agent("alpha").in_environment(environment).beat().await;
        assert_globex_alone(&answer, &["github_rate_limited"]);
        assert!(app.asked().iter().all(|path| !path.contains("globex") && *path != token_request(GLOBEX)));
        let asked = app.world.github.requests().into_iter().filter_map(|request| request.graphql);
        assert!(asked.flat_map(|call| call.repositories).all(|name| name.starts_with("acme/")));
    }
    app.pass_time(1_800);
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), open(&app)), ("ok", [2, 2, 2]), "{:#}", answer.0);
    assert_eq!(app.state()["ended"]["limits"], Value::Null, "no limit is in force any more");
}

#[tokio::test]
async fn exhausted_budget_of_one_installation_does_not_affect_the_others() {
    let app = two_changed_owners().await;
    leave_globex(&app, 0);
    let answer = app.agent("alpha").beat().await;
    assert_globex_alone(&answer, &["probe_unavailable", "github_rate_limited"]);
    assert_eq!(open(&app), [2, 2, 1]);
    app.pass_time(1_830);
    assert_eq!((app.agent("alpha").beat().await.status(), open(&app)), ("ok", [2, 2, 2]));
}

#[tokio::test]
async fn low_budget_of_one_installation_defers_only_its_first_listing() {
    let app = two_owners().await;
    leave_globex(&app, 400);
    let answer = app.agent("alpha").beat().await;
    assert_globex_alone(&answer, &["github_budget_low"]);
    assert_eq!(
        (&answer.0["problems"][0]["phase"], open(&app)),
        (&json!("sync"), [1, 1, 0]),
        "{:#}",
        answer.0
    );
    app.pass_time(1_830);
    app.agent("alpha").beat().await;
    assert_eq!(open(&app), [1, 1, 1]);
}

#[tokio::test]
async fn scarce_budget_of_one_installation_defers_only_its_repositories() {
    let app = two_changed_owners().await;
    leave_globex(&app, 20);
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.codes(), open(&app)), (vec![], [2, 2, 2]), "{:#}", answer.0);
    assert_eq!(answer.0["nextHeartbeatInSeconds"], 30);
    for (n, environment) in [(3, app.app.clone()), (4, app.another_environment())] {
        app.outlive_freshness();
        open_one_in_each(&app);
        app.clear_requests();
        let answer = app.agent("alpha").in_environment(environment).beat().await;
        assert_globex_alone(&answer, &["github_budget_low"]);
        assert_eq!((open(&app), answer.0["nextHeartbeatInSeconds"].as_u64()), ([n, n, 2], Some(30)));
        assert!(app.asked().iter().all(|path| !path.contains("globex")), "{:#?}", app.asked());
        assert_eq!(batches(&app, "globex"), [0; 0]);
        let again = answer.0["problems"][0]["retryAfterSeconds"].as_u64().expect("a number");
        assert!((10..200).contains(&again), "{again}");
    }
    app.pass_time(200);
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.codes(), open(&app)), (vec![], [4, 4, 4]), "{:#}", answer.0);
}

#[tokio::test]
async fn repositories_waiting_for_a_budget_cause_no_extra_scheduled_pass() {
    let names: Vec<String> = (1..=20).map(|n| format!("globex/web{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).chain(["acme/api"]).collect();
    let app = installed(TestApp::tracking(&names)).await;
    app.world.github.fault(Matching::graphql().containing("globex/web1"), Fault::Status(403).forever());
    // Two requests for each of globex's repositories exceed what one pass in 30 seconds may send.
    app.schedule().beat().await.expect("a heartbeat without errors");
    app.outlive_freshness();
    app.world.github.arrange(|github| github.open_issues("acme/api", 1));
    let before = app.state()["fence"].as_u64().expect("a number");
    app.clear_requests();
    let answer = app.schedule().beat().await.expect("a heartbeat without errors");
    assert_eq!(app.open_rows("acme/api"), [1], "{answer:#?}");
    assert!(app.asked().iter().all(|path| !path.contains("globex")), "{:#?}", app.asked());
    assert_eq!(app.state()["fence"].as_u64(), Some(before + 1), "one pass");
}
