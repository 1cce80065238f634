//! The probe: one query about a hundred repositories, and when its data about each is used.

use crate::support::app::{TestApp, until_held};
use crate::support::changed::assert_ok;
use crate::support::probe::{asked_by_rest, batches, failed, fleet, names, settled};
use std::time::Duration;
use test_world::github::{Fault, Matching};

const FIVE: [&str; 5] = ["acme/api", "acme/web", "acme/docs", "acme/infra", "acme/app"];

async fn settled_five() -> TestApp {
    settled(TestApp::tracking(&FIVE), &FIVE).await
}

#[tokio::test]
async fn idle_fleet_costs_one_query_for_each_hundred_repositories() {
    let names = names(250);
    let mut app = settled(fleet(&names), &names).await;
    for (count, questions) in [(1, vec![1]), (100, vec![100]), (101, vec![100, 1]), (250, vec![100, 100, 50])]
    {
        app.restart_with("REPOSITORIES", &names[..count].join(","));
        app.outlive_freshness();
        app.clear_requests();
        let answer = app.agent("alpha").beat().await;
        assert_ok(&answer);
        assert_eq!(answer.0["freshAt"], answer.0["startedAt"], "every repository agrees");
        let mut asked = batches(&app);
        asked.sort_unstable_by(|one, other| other.cmp(one));
        assert_eq!((asked, asked_by_rest(&app)), (questions, vec![]), "{count} repositories");
        assert_eq!(answer.touched(), [""; 0]);
    }
}

#[tokio::test]
async fn changed_repository_alone_is_listed() {
    let app = settled_five().await;
    app.world.github.arrange(|github| github.close_issue("acme/docs", 1));
    let answer = app.agent("alpha").beat().await;
    assert_ok(&answer);
    assert_eq!(answer.touched(), ["closed acme/docs#1"]);
    assert_eq!(batches(&app), [5]);
    let listed = asked_by_rest(&app);
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert!(listed[0].starts_with("/repos/acme/docs/issues?state=all"), "{listed:?}");
}

#[tokio::test]
async fn change_of_a_pull_request_alone_lists_nothing() {
    let app = settled_five().await;
    app.world.github.arrange(|github| github.open_pull_request("acme/web", "Not for us"));
    assert_ok(&app.agent("alpha").beat().await);
    assert_eq!((batches(&app), asked_by_rest(&app)), (vec![5], vec![]));
}

#[tokio::test]
async fn rename_seen_by_the_probe_is_stored_without_a_listing() {
    let app = settled_five().await;
    app.world.github.arrange(|github| github.rename_repository("acme/api", "acme/core"));
    assert_ok(&app.agent("alpha").beat().await);
    assert_eq!(app.checkpoints("acme/core")["name"], "acme/core");
    assert_eq!((batches(&app), asked_by_rest(&app)), (vec![5], vec![]));
    app.outlive_freshness();
    app.world.github.arrange(|github| github.close_issue("acme/core", 1));
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.touched()), ("ok", vec!["closed acme/core#1".to_owned()]));
}

#[tokio::test]
async fn failed_alias_affects_its_repository_alone() {
    let kinds = [(Some("NOT_FOUND"), "repository_not_found"), (Some("FORBIDDEN"), "github_forbidden")];
    for (kind, code) in kinds {
        let app = settled_five().await;
        let checkpoints = app.checkpoints("acme/web");
        app.world.github.arrange(|github| {
            github.close_issue("acme/api", 1);
            github.close_issue("acme/web", 1);
        });
        app.world.github.fault(Matching::graphql(), Fault::repository_error("acme/web", kind));
        let answer = app.agent("alpha").beat().await;
        assert_eq!(answer.status(), "warning", "{kind:?}");
        assert_eq!(failed(&answer), [("acme/web".to_owned(), code.to_owned())], "{kind:?}");
        assert_eq!(answer.touched(), ["closed acme/api#1"], "{kind:?}");
        assert_eq!(answer.summary_numbers(), [4, 5, 1], "{kind:?}");
        assert_eq!(batches(&app), [5], "{kind:?} is not requested again");
        assert_eq!(app.checkpoints("acme/web")["cursor"], checkpoints["cursor"], "{kind:?}");
        assert_eq!(app.checkpoints("acme/web")["failure"]["code"], code, "{kind:?}");
        app.outlive_freshness();
        let healed = app.agent("alpha").beat().await;
        assert_eq!((healed.status(), healed.touched()), ("ok", vec!["closed acme/web#1".to_owned()]));
        assert_eq!(app.checkpoints("acme/web").get("failure"), None, "{kind:?}");
    }
}

#[tokio::test]
async fn missing_repository_is_reported_each_pass_without_another_query() {
    let app = settled_five().await;
    app.world.github.arrange(|github| github.hide_repository("acme/app"));
    for _ in 0..3 {
        app.clear_requests();
        let answer = app.agent("alpha").beat().await;
        assert_eq!(failed(&answer), [("acme/app".to_owned(), "repository_not_found".to_owned())]);
        assert_eq!((batches(&app), asked_by_rest(&app)), (vec![5], vec![]));
        app.outlive_freshness();
    }
}

#[tokio::test]
async fn data_with_errors_that_name_no_repository_is_not_used() {
    let bodies = [
        r#"{"data":{"r0":null,"r1":null,"r2":null,"r3":null,"r4":null},"errors":[{"message":"Something"}]}"#,
        r#"{"data":{},"errors":[{"message":"Something","path":[0]}]}"#,
        r#"{"data":{},"errors":[{"message":"Something","path":null}]}"#,
        r#"{"data":null,"errors":[{"message":"Something","path":["r1"]}]}"#,
        r#"{"errors":[{"message":"Something"}]}"#,
        r#"{"data":{}}"#,
        r#"{"data":null}"#,
        "{}",
        "[]",
        "",
    ];
    for body in bodies {
        let app = settled_five().await;
        app.world.github.arrange(|github| github.close_issue("acme/api", 1));
        let answer = Fault::Answer { status: 200, headers: Vec::new(), body: body.to_owned() };
        app.world.github.fault(Matching::graphql(), answer.forever());
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.codes()), ("warning", vec!["probe_unavailable"]), "{body}");
        assert_eq!(answer.touched(), ["closed acme/api#1"], "{body}: REST shows it");
        assert_eq!(asked_by_rest(&app).len(), 10, "{body}: each is looked up and listed");
    }
}

#[tokio::test]
async fn probe_with_incomplete_data_is_halved_until_it_is_complete() {
    let app = settled_five().await;
    app.world.github.arrange(|github| FIVE.iter().for_each(|name| github.close_issue(name, 1)));
    app.world.github.fault(Matching::graphql(), Fault::resource_limits(2));
    let answer = app.agent("alpha").beat().await;
    assert_ok(&answer);
    assert_eq!(answer.touched().len(), 5);
    assert_eq!(batches(&app), [5, 2, 3]);
}

#[tokio::test]
async fn batch_too_large_for_github_is_sent_in_parts() {
    let names = names(100);
    let app = settled(fleet(&names), &names).await;
    app.world.github.arrange(|github| {
        github.time_out_batches_above(30);
        github.close_issue(&names[77], 1);
    });
    let answer = app.agent("alpha").beat().await;
    assert_ok(&answer);
    assert_eq!(answer.touched(), ["closed acme/repository-077#1"]);
    assert_eq!(batches(&app), [100, 50, 50, 25, 25, 25, 25]);
}

#[tokio::test]
async fn repository_that_fails_its_batch_is_found_in_few_queries() {
    let names = names(100);
    let app = settled(fleet(&names), &names).await;
    for place in [0, 42, 99] {
        app.clear_requests();
        app.world.github.arrange(|github| {
            github.time_out_batches_with(&names[place]);
            github.comment(&names[50], 1);
        });
        let answer = app.agent("alpha").beat().await;
        assert_ok(&answer);
        assert!(asked_by_rest(&app).contains(&format!("/repos/{}", names[place])));
        assert_eq!(answer.touched(), ["edited acme/repository-050#1"]);
        let asked = batches(&app);
        assert!(
            asked.len() <= 1 + 2 * 7,
            "seven halvings, each with a good half beside the bad one: {asked:?}"
        );
        app.world.github.arrange(|github| github.heal_graphql());
        app.pass_time(60);
        assert_ok(&app.agent("alpha").beat().await);
        app.outlive_freshness();
    }
}

#[tokio::test]
async fn two_repositories_that_fail_their_batch_are_both_found() {
    let names = names(100);
    let app = settled(fleet(&names), &names).await;
    // The first halves are sent first: at the beginning of a batch most queries fail in a row.
    for (one, other) in [(20, 80), (0, 1), (0, 2)] {
        let mut held = app.world.github.hold(Matching::graphql());
        let alpha = app.agent("alpha");
        let mut beat = Box::pin(alpha.beat());
        assert!(until_held(&mut beat, &mut held).await.is_none());
        let batch =
            app.world.github.requests().pop().expect("the probe").graphql.expect("a query").repositories;
        let mut spoilers = [one, other].map(|place: usize| batch[place].clone());
        app.world
            .github
            .arrange(|github| spoilers.iter().for_each(|name| github.time_out_batches_with(name)));
        held.release();
        let answer = beat.await;
        spoilers.sort();
        let mut looked_up = asked_by_rest(&app);
        looked_up.retain(|path| !path.contains("/issues"));
        assert_eq!(looked_up, spoilers.map(|name| format!("/repos/{name}")));
        assert_eq!(answer.summary_numbers(), [100, 100, 0]);
        app.world.github.arrange(|github| github.heal_graphql());
        app.pass_time(60);
        assert_ok(&app.agent("alpha").beat().await);
        app.outlive_freshness();
        app.clear_requests();
    }
}

#[tokio::test]
async fn total_outage_costs_few_queries_however_large_the_fleet() {
    let outages = [
        (Fault::Status(502), 15),
        (Fault::Status(504), 15),
        (Fault::resource_limits(0), 15),
        (Fault::Status(500), 2 + 15),
        (Fault::Cut, 2 + 15),
        (Fault::HalfPage, 2 + 15),
        (Fault::Garbage, 1),
    ];
    for (outage, questions) in outages {
        let app = fleet(&names(100)).start().await;
        app.world.github.fault(Matching::graphql(), outage.clone().forever());
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.codes()), ("warning", vec!["probe_unavailable"]), "{outage:?}");
        assert_eq!(answer.summary_numbers(), [100, 100, 0], "{outage:?}");
        let asked = batches(&app);
        assert!(asked.len() <= questions, "{outage:?}: {asked:?}");
    }
}

#[tokio::test]
async fn hanging_probe_times_out_and_the_next_one_serves() {
    let impatient =
        TestApp::tracking(&FIVE).timing(|timing| timing.github.attempt_timeout = Duration::from_millis(300));
    let app = settled(impatient, &FIVE).await;
    app.world.github.fault(Matching::graphql(), Fault::Hang.forever());
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.codes()), ("warning", vec!["probe_unavailable"]), "{:#}", answer.0);
    let asked = batches(&app);
    assert!(asked.len() <= 6, "all at once, then each repository by itself: {asked:?}");
    app.world.github.heal();
    app.pass_time(60);
    assert_ok(&app.agent("alpha").beat().await);
}

#[tokio::test]
async fn outage_that_uses_the_whole_pass_is_reported_and_not_deferred_work() {
    let app = fleet(&names(100)).start().await;
    let given_up = Fault::GivesUp(Duration::from_secs(10));
    app.world.github.fault(Matching::anything(), given_up.forever());
    let answer = app.agent("alpha").beat().await;
    assert_eq!(batches(&app), [100]);
    assert_eq!(
        (answer.status(), answer.codes()),
        ("error", vec!["github_unavailable"; answer.codes().len()])
    );
    assert!(answer.lines("errors")[0].contains("502"), "{:#}", answer.0);
}

#[tokio::test]
async fn batch_that_uses_the_whole_pass_is_smaller_in_the_next_one() {
    let names = names(8);
    let app = settled(fleet(&names), &names).await;
    app.world.github.arrange(|github| github.time_out_batches_above(2));
    let clock = app.world.clock.clone();
    app.world.github.before(Matching::graphql(), move |_| clock.advance(Duration::from_secs(10)));
    let next = async |seconds: u64| {
        app.pass_time(seconds);
        app.clear_requests();
        assert_ok(&app.agent("alpha").beat().await);
        batches(&app)
    };
    assert_eq!(next(0).await, [8]);
    assert_eq!(next(31).await, [1; 8]);
    assert_eq!(next(31).await, [2; 4], "a minute later");
    assert_eq!(next(31).await, [4, 4, 2, 2, 2, 2], "two are as many as it answers for");
    assert_eq!(next(31).await, [2; 4], "and no more are tried for some minutes");
    app.world.github.arrange(|github| github.heal_graphql());
    assert_eq!(next(600).await, [4, 4]);
    assert_eq!(next(31).await, [8]);
}

#[tokio::test]
async fn html_instead_of_a_probe_is_reported_and_not_retried() {
    let app = settled_five().await;
    app.world.github.fault(Matching::graphql(), Fault::Garbage.forever());
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.codes()), ("warning", vec!["probe_unavailable"]));
    assert!(answer.lines("warnings")[0].contains("line 1, column 1"), "{:#}", answer.0);
    assert!(!answer.0.to_string().contains("Unicorn"), "{:#}", answer.0);
    assert_eq!(batches(&app), [5]);
}

#[tokio::test]
async fn token_that_the_probe_refuses_is_read_again_once_and_then_reported() {
    let app = settled_five().await;
    app.world.github.arrange(|github| github.accept_only(["the-new-token"]));
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.codes()), ("error", vec!["github_unauthorized"]));
    assert_eq!(app.asked(), ["/graphql"], "there was no newer token");

    app.world.secrets.put_secret(test_world::GITHUB_CREDENTIALS_SECRET_ID, "the-new-token");
    app.outlive_freshness();
    app.clear_requests();
    assert_ok(&app.agent("alpha").beat().await);
    assert_eq!(app.asked(), ["/graphql"; 2], "once with each token");
}

#[tokio::test]
async fn graphql_error_text_never_appears_in_responses_or_records() {
    const THEIRS: &str = "what-github-said-is-not-ours-to-repeat";
    let of_root = format!(r#"{{"data":null,"errors":[{{"type":"{THEIRS}","message":"{THEIRS}"}}]}}"#);
    let of_part = format!(
        r#"{{"data":{{}},"errors":[{{"type":"{THEIRS}","path":["{THEIRS}"],"message":"{THEIRS}"}}]}}"#
    );
    let mistyped = format!(r#"{{"data":{{"r0":"{THEIRS}"}}}}"#);
    for (status, body) in [
        (200, THEIRS),
        (200, &of_root),
        (200, &of_part),
        (200, &mistyped),
        (400, THEIRS),
        (401, THEIRS),
        (403, THEIRS),
        (404, THEIRS),
        (429, THEIRS),
        (500, THEIRS),
        (502, THEIRS),
    ] {
        let app = settled_five().await;
        let fault = Fault::Answer { status, headers: Vec::new(), body: body.to_owned() };
        app.world.github.fault(Matching::graphql(), fault.forever());
        for agent in ["alpha", "beta"] {
            let answer = app.agent(agent).beat().await;
            assert_ne!(answer.status(), "ok", "{status} {body}");
            let said = format!("{} {:?}", answer.0, app.items("", ""));
            assert!(!said.contains(THEIRS), "{status}: {said}");
        }
    }
}
