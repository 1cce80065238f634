//! Without the probe: each repository is looked up individually, a warning says so, and the freshness is stretched.

use crate::support::changed::{assert_ok, one_closed_in_each};
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;
use test_world::github::{Fault, Matching};

use crate::support::app::TestApp;
use crate::support::probe::asked_by_rest;

/// A way in which GraphQL becomes unavailable, whether an operator must act, how it heals, and what the message names.
struct Way {
    breaks: fn(&TestApp),
    lasts: bool,
    heals: fn(&TestApp),
    names: &'static str,
}

const WAYS: [Way; 3] = [
    Way {
        breaks: |app| app.world.github.arrange(|github| github.remove_graphql()),
        lasts: true,
        heals: |app| app.world.github.arrange(|github| github.heal_graphql()),
        names: "GITHUB_GRAPHQL_URL",
    },
    Way {
        breaks: |app| app.world.github.fault(Matching::graphql(), Fault::Status(403).forever()),
        lasts: true,
        heals: |app| app.world.github.heal(),
        names: "403",
    },
    Way {
        breaks: |app| {
            app.world.github.arrange(|github| {
                github.set_graphql_budget(5_000, 0, github.now() + SignedDuration::from_secs(60));
            });
        },
        lasts: false,
        heals: |app| app.pass_time(60),
        names: "2026-11-22T06:01:31Z",
    },
];

#[tokio::test]
async fn working_probe_causes_no_warning_and_no_lookup() {
    let app = one_closed_in_each().await;
    assert_ok(&app.agent("alpha").beat().await);
    assert!(asked_by_rest(&app).iter().all(|path| path.contains("/issues?")), "{:?}", app.asked());
}

#[tokio::test]
async fn missing_probe_is_a_warning_and_each_repository_is_looked_up() {
    for Way { breaks, lasts, heals, names } in WAYS {
        let app = one_closed_in_each().await;
        breaks(&app);
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.codes()), ("warning", vec!["probe_unavailable"]));
        let problem = &answer.0["problems"][0];
        assert_eq!(problem["retryable"], !lasts, "{names}");
        assert_eq!(problem.get("retryAfterSeconds").is_none(), lasts, "{names}");
        assert_eq!(problem.get("repository"), None, "{names}");
        let message = problem["message"].as_str().expect("a text");
        assert!(message.contains(names), "{names}: {message}");
        assert_eq!(answer.lines("warnings"), [format!("sync: {message}")]);
        assert_eq!(answer.touched(), ["closed acme/api#1", "closed acme/web#1"], "{names}");
        assert_eq!(answer.0["freshAt"], answer.0["startedAt"], "{names}");
        let asked = asked_by_rest(&app);
        assert_eq!(asked.len(), 4, "{asked:?}");
        assert_eq!((asked[0].as_str(), asked[2].as_str()), ("/repos/acme/api", "/repos/acme/web"));
        let graphql = app.asked().len() - asked.len();
        assert_eq!(graphql, 1, "{names} is found out once in a pass");

        app.outlive_freshness();
        app.clear_requests();
        let idle = app.agent("alpha").beat().await;
        assert_eq!((idle.codes(), idle.touched()), (vec!["probe_unavailable"], vec![]), "{names}");
        assert_eq!(app.listed_since().len(), 2, "only a listing shows whether anything is new");

        heals(&app);
        app.outlive_freshness();
        app.clear_requests();
        assert_ok(&app.agent("alpha").beat().await);
        assert!(asked_by_rest(&app).iter().all(|path| path.contains("/issues?")), "{:?}", app.asked());
        assert_eq!(app.asked().iter().filter(|path| *path == "/graphql").count(), 1, "{names}");
    }
}

#[tokio::test]
async fn used_up_points_stop_graphql_in_all_environments_until_they_reset() {
    let app = one_closed_in_each().await;
    (WAYS[2].breaks)(&app);
    app.agent("alpha").beat().await;
    app.clear_requests();
    app.outlive_freshness();
    let elsewhere = app.agent("beta").in_environment(app.another_environment());
    let answer = elsewhere.beat().await;
    assert_eq!((answer.is_coalesced(), answer.codes()), (false, vec!["probe_unavailable"]));
    assert_eq!(answer.0["problems"][0]["retryAfterSeconds"], 29);
    assert!(!app.asked().contains(&"/graphql".to_owned()), "{:?}", app.asked());
    app.outlive_freshness();
    assert_ok(&elsewhere.beat().await);
    assert!(app.asked().contains(&"/graphql".to_owned()), "{:?}", app.asked());
}

#[tokio::test]
async fn missing_probe_stretches_the_freshness_until_it_is_back() {
    let app = one_closed_in_each().await;
    app.world.github.arrange(|github| {
        github.remove_graphql();
        github.set_budget(40, 40, github.now() + SignedDuration::from_hours(1));
    });
    // A pass sends four requests, and half of the budget is twenty: 4 × 3,600 / (21 − 4).
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.0["nextHeartbeatInSeconds"], 848);
    app.world.github.arrange(|github| github.heal_graphql());
    app.pass_time(847);
    assert!(app.agent("alpha").beat().await.is_coalesced());
    app.pass_time(1);
    let healed = app.agent("alpha").beat().await;
    assert_eq!((healed.is_coalesced(), healed.0["nextHeartbeatInSeconds"].clone()), (false, 30.into()));
    assert_ok(&healed);
}

#[tokio::test]
async fn failed_lookup_without_the_probe_affects_its_repository_alone() {
    let faults = [
        (Fault::Garbage.forever(), "github_unexpected_answer"),
        (Fault::Status(404).forever(), "repository_not_found"),
        (Fault::saml_required().forever(), "github_forbidden"),
        (Fault::Status(502).forever(), "github_unavailable"),
        (Fault::Cut.forever(), "github_unavailable"),
    ];
    for (fault, code) in faults {
        let app = one_closed_in_each().await;
        app.world.github.arrange(|github| github.remove_graphql());
        app.world.github.fault(Matching::repository("acme/web"), fault);
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.codes()), ("warning", vec!["probe_unavailable", code]));
        assert_eq!(answer.0["problems"][1]["repository"], "acme/web", "{code}");
        assert!(answer.lines("warnings")[1].starts_with("sync: acme/web: "), "{:#}", answer.0);
        assert_eq!(answer.touched(), ["closed acme/api#1"], "{code}");
        app.world.github.heal();
        app.outlive_freshness();
        assert_eq!(app.agent("alpha").beat().await.touched(), ["closed acme/web#1"], "{code}");
    }
}

#[tokio::test]
async fn backfill_without_the_probe_begins_with_the_newest_update() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    let newest = app.ago(5);
    app.world.github.arrange(|github| {
        github.remove_graphql();
        let old = github.now() - SignedDuration::from_hours(1);
        github.open_issue_at("acme/api", "Open", old);
        let closed = github.open_issue_at("acme/api", "Closed", old);
        github.close_issue("acme/api", closed);
        github.edit_issue("acme/api", closed, |issue| issue.updated_at = newest);
    });
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.codes(), ["probe_unavailable"]);
    assert_eq!(app.checkpoints("acme/api")["cursor"], agent_heartbeat::domain::iso_millis(newest));
    assert_eq!(app.open_rows("acme/api"), [1]);
    assert_eq!(app.row("acme/api", 2), Value::Null);
}

#[tokio::test]
async fn lookups_without_the_probe_stop_after_half_of_the_time() {
    let names: Vec<String> = (0..40).map(|n| format!("acme/repository-{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let app = TestApp::tracking(&names).start().await;
    app.world.github.arrange(|github| github.remove_graphql());
    for name in &names {
        let clock = app.world.clock.clone();
        let look_up = Matching::repository(name);
        app.world.github.before(look_up, move |_| clock.advance(Duration::from_secs(1)));
    }
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.codes(), ["probe_unavailable"]);
    let looked_up = app.asked().iter().filter(|path| path.matches('/').count() == 3).count();
    // 21 s for work, and up to eight lookups under way when half of that is over.
    assert!((11..=18).contains(&looked_up), "{looked_up}");
    let synced = looked_up as u64;
    assert_eq!((answer.is_deferred(), answer.summary_numbers()), (true, vec![synced, 40, 0, 40 - synced]));
    for _ in 0..9 {
        app.pass_time(400);
        app.agent("alpha").beat().await;
    }
    assert_eq!(app.items("FLEET", "REPO#").len(), 40, "each gets its turn");
}
