//! Without the probe: each repository is asked for by itself, that is told, and the freshness is stretched.

use crate::support::changed::{assert_ok, one_closed_in_each};
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;
use test_world::github::{Fault, Matching};

use crate::support::app::TestApp;

/// How GraphQL is not to be had, whether a person has to do something about it, and how it heals.
struct Way {
    breaks: fn(&TestApp),
    lasts: bool,
    is_transient: fn(&TestApp),
    message: &'static str,
}

const WAYS: [Way; 3] = [
    Way {
        breaks: |app| app.world.github.arrange(|github| github.remove_graphql()),
        lasts: true,
        is_transient: |app| app.world.github.arrange(|github| github.heal_graphql()),
        message: "GitHub has no GraphQL API at GITHUB_GRAPHQL_URL (404)",
    },
    Way {
        breaks: |app| app.world.github.fault(Matching::graphql(), Fault::Status(403).forever()),
        lasts: true,
        is_transient: |app| app.world.github.heal(),
        message: "GitHub forbids this token to use the GraphQL API (403)",
    },
    Way {
        breaks: |app| {
            app.world.github.arrange(|github| {
                github.set_graphql_budget(5_000, 0, github.now() + SignedDuration::from_secs(60));
            });
        },
        lasts: false,
        is_transient: |app| app.pass_time(60),
        message: "GitHub's budget of GraphQL points is used up until 2026-11-22T06:01:31Z",
    },
];

fn asked_by_rest(app: &TestApp) -> Vec<String> {
    let mut asked = app.asked();
    asked.retain(|path| path != "/graphql");
    asked.sort();
    asked
}

#[tokio::test]
async fn working_probe_causes_no_warning_and_no_lookup() {
    let app = one_closed_in_each().await;
    assert_ok(&app.agent("alpha").beat().await);
    assert!(asked_by_rest(&app).iter().all(|path| path.contains("/issues?")), "{:?}", app.asked());
}

#[tokio::test]
async fn missing_probe_is_a_warning_and_each_repository_is_looked_up() {
    for Way { breaks, lasts, is_transient, message } in WAYS {
        let app = one_closed_in_each().await;
        breaks(&app);
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.codes()), ("warning", vec!["probe_unavailable"]));
        let problem = &answer.0["problems"][0];
        assert_eq!(problem["retryable"], !lasts, "{message}");
        assert_eq!(problem.get("retryAfterSeconds").is_none(), lasts, "{message}");
        assert_eq!(problem.get("repository"), None, "{message}");
        let line =
            format!("sync: {message}; falling back to one REST lookup per repository, at a lower rate");
        assert_eq!(answer.lines("warnings"), [line]);
        assert_eq!(answer.touched(), ["closed acme/api#1", "closed acme/web#1"], "{message}");
        assert_eq!(answer.0["freshAt"], answer.0["startedAt"], "{message}");
        let asked = asked_by_rest(&app);
        assert_eq!(asked.len(), 4, "{asked:?}");
        assert_eq!((asked[0].as_str(), asked[2].as_str()), ("/repos/acme/api", "/repos/acme/web"));
        let graphql = app.asked().len() - asked.len();
        assert_eq!(graphql, 1, "{message} is found out once in a pass");

        app.outlive_freshness();
        app.clear_requests();
        let idle = app.agent("alpha").beat().await;
        assert_eq!((idle.codes(), idle.touched()), (vec!["probe_unavailable"], vec![]), "{message}");
        assert_eq!(app.listed_since().len(), 2, "whether anything is new only a listing tells");

        is_transient(&app);
        app.outlive_freshness();
        app.clear_requests();
        assert_ok(&app.agent("alpha").beat().await);
        assert!(asked_by_rest(&app).iter().all(|path| path.contains("/issues?")), "{:?}", app.asked());
        assert_eq!(app.asked().iter().filter(|path| *path == "/graphql").count(), 1, "{message}");
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
    // A pass asks four times, and half of the budget is twenty: 4 × 3,600 / (21 − 4).
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
    let nonsense = "unexpected answer from GitHub";
    let faults = [
        (Fault::Garbage.forever(), "github_unexpected_answer", nonsense),
        (Fault::Status(404).forever(), "repository_not_found", "GitHub shows no such repository"),
        (Fault::saml_required().forever(), "github_forbidden", "GitHub forbids this request"),
        (Fault::Status(502).forever(), "github_unavailable", "GitHub answered 502 three times"),
        (Fault::Cut.forever(), "github_unavailable", "GitHub broke off its answer three times"),
    ];
    for (fault, code, words) in faults {
        let app = one_closed_in_each().await;
        app.world.github.arrange(|github| github.remove_graphql());
        app.world.github.fault(Matching::repository("acme/web"), fault);
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.codes()), ("warning", vec!["probe_unavailable", code]));
        assert_eq!(answer.0["problems"][1]["repository"], "acme/web", "{code}");
        assert!(answer.lines("warnings")[1].contains(words), "{:#}", answer.0);
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
    assert_eq!(app.marks("acme/api")["cursor"], agent_heartbeat::domain::iso_millis(newest));
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
    // 21 s to work in, and up to eight look-ups under way when half of them are over.
    assert!((11..=18).contains(&looked_up), "{looked_up}");
    let summary = format!(
        "Synced {looked_up} of 40 repositories: 0 issues changed; {} repositories deferred to the next pass.",
        40 - looked_up
    );
    assert_eq!(answer.0["summary"], summary);
    for _ in 0..9 {
        app.pass_time(400);
        app.agent("alpha").beat().await;
    }
    assert_eq!(app.items("FLEET", "REPO#").len(), 40, "each gets its turn");
}
