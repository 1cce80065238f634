//! Each reason for a verdict, by what people do on GitHub.

use std::sync::Arc;

use serde_json::{Value, json};
use test_world::dynamodb::{Fault as Broken, On};
use test_world::github::{Fault, Matching, World};

use super::{page, verdicts, working_on};
use crate::support::app::{Answer, TestApp};
use crate::support::audits::{INTERVAL, audit, settled, tracking};
use crate::support::described::Description;

const API: &str = "acme/api";

/// `acme/api` with three issues. Alpha works on the first one.
async fn at_work() -> TestApp {
    let app = TestApp::tracking(&[API]).start().await;
    app.world.github.arrange(|github| github.open_issues(API, 3));
    app.agent("beta").beat().await;
    assert_eq!(verdicts(&working_on(&app, &["acme/api#1"]).beat().await), ["go open"]);
    app.outlive_freshness();
    app
}

/// Alpha's next heartbeat, after this has happened on GitHub. It declares nothing again, and the pass that finds the
/// change is its own.
async fn after(app: &TestApp, happens: impl FnOnce(&mut World)) -> Answer {
    app.outlive_freshness();
    app.world.github.arrange(happens);
    let answer = app.agent("alpha").beat().await;
    assert!(!answer.is_coalesced());
    answer
}

#[tokio::test]
async fn issue_that_is_closed_is_to_be_stopped_in_the_heartbeat_that_finds_it() {
    let app = at_work().await;
    let answer = after(&app, |github| github.close_issue_as(API, 1, "not_planned")).await;
    let seen_at = answer.0["activeIssues"][0]["seenAt"].clone();
    assert!(seen_at.is_string());
    assert_eq!(
        answer.0["activeIssues"],
        json!([{
            "url": page("acme/api#1"), "verdict": "stop", "reason": "closed", "stateReason": "not_planned",
            "detail": "the issue was closed as not planned", "movedTo": null, "seenAt": seen_at,
        }])
    );
    assert_eq!(answer.0["stopIssueUrls"], json!([page("acme/api#1")]));
    let run = app.runs("alpha").pop().expect("a run");
    assert_eq!(run["stopIssueUrls"], json!([page("acme/api#1")]));
    let path = format!("/api/agents/alpha/runs/{}", run["runId"].as_str().expect("an id"));
    assert_eq!(app.client().read(&path).await["stopIssueUrls"], json!([page("acme/api#1")]));
}

#[tokio::test]
async fn verdict_is_repeated_until_the_issue_is_no_longer_declared() {
    let app = at_work().await;
    after(&app, |github| github.close_issue(API, 1)).await;
    for _ in 0..2 {
        app.pass_time(10);
        assert_eq!(verdicts(&app.agent("alpha").beat().await), ["stop closed"]);
    }
    assert_eq!(verdicts(&working_on(&app, &["acme/api#2"]).beat().await), ["go open"]);
    assert_eq!(verdicts(&app.agent("alpha").beat().await), ["go open"]);
    assert_eq!(verdicts(&working_on(&app, &[]).beat().await), [""; 0]);
    assert_eq!(verdicts(&app.agent("alpha").beat().await), [""; 0]);
}

#[tokio::test]
async fn issue_that_is_opened_again_can_be_gone_on_with() {
    let app = at_work().await;
    assert_eq!(verdicts(&after(&app, |github| github.close_issue(API, 1)).await), ["stop closed"]);
    assert_eq!(verdicts(&after(&app, |github| github.reopen_issue(API, 1)).await), ["go open"]);
}

#[tokio::test]
async fn another_agent_is_told_what_this_ones_pass_found() {
    let app = at_work().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.close_issue(API, 1));
    app.agent("beta").in_environment(app.another_environment()).beat().await;
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.is_coalesced(), verdicts(&answer)), (true, vec!["stop closed".to_owned()]));
}

#[tokio::test]
async fn moved_issue_names_its_new_page_if_github_shows_it() {
    for (target, is_tracked) in [("acme/web", true), ("acme/other", false)] {
        let app = tracking(&[API, "acme/web"]).start().await;
        app.world.github.arrange(|github| {
            github.open_issues(API, 3);
            if !is_tracked {
                github.create_repository("acme/other");
            }
        });
        working_on(&app, &["acme/api#1"]).beat().await;
        app.world.github.arrange(|github| github.transfer_issue(API, 1, target));
        app.pass_time(INTERVAL);
        let answer = app.agent("alpha").beat().await;
        assert_eq!(verdicts(&answer), ["stop moved"], "{:#}", answer.0);
        assert_eq!(answer.0["activeIssues"][0]["movedTo"], page(&format!("{target}#1")));
    }
}

#[tokio::test]
async fn deleted_issue_is_to_be_stopped_after_the_audit() {
    let app = settled(3).await;
    working_on(&app, &["acme/api#1"]).beat().await;
    app.world.github.arrange(|github| github.delete_issue(API, 1));
    assert_eq!(verdicts(&audit(&app).await), ["stop deleted"]);
}

#[tokio::test]
async fn issue_that_is_missing_for_a_moment_is_to_be_checked_and_hidden_after_the_second_look() {
    let app = settled(3).await;
    working_on(&app, &["acme/api#1"]).beat().await;
    app.world.github.arrange(|github| github.hide_issue(API, 1));
    assert_eq!(verdicts(&audit(&app).await), ["check missing"]);
    assert_eq!(verdicts(&audit(&app).await), ["stop hidden"]);
    app.world.github.arrange(|github| github.show_issue(API, 1));
    assert_eq!(verdicts(&audit(&app).await), ["go open"]);
}

#[tokio::test]
async fn issue_that_became_a_pull_request_is_to_be_stopped() {
    let app = settled(3).await;
    working_on(&app, &["acme/api#1"]).beat().await;
    app.world.github.arrange(|github| github.convert_to_pull_request(API, 1));
    assert_eq!(verdicts(&audit(&app).await), ["stop converted"]);
}

#[tokio::test]
async fn issue_with_an_excluded_label_is_to_be_stopped() {
    let mut app = at_work().await;
    let labelled = after(&app, |github| github.add_label(API, 1, "Epic")).await;
    assert_eq!(verdicts(&labelled), ["go open"]);
    app.restart_with("EXCLUDED_LABELS", "epic");
    assert_eq!(verdicts(&app.agent("alpha").beat().await), ["stop excluded"], "no pass in between");
}

#[tokio::test]
async fn issue_that_is_assigned_to_others_is_to_be_checked_by_an_agent_with_a_login() {
    let app = at_work().await;
    let answer = after(&app, |github| github.assign(API, 1, "hubot")).await;
    assert_eq!(verdicts(&answer), ["go open"]);
    let named = async |login: Value| {
        let agent = app.agent("alpha").with_body(&json!({ "login": login }).to_string());
        verdicts(&agent.beat().await)
    };
    assert_eq!(named(json!("octocat")).await, ["check reassigned"]);
    assert_eq!(named(json!("HuBot")).await, ["go open"]);
    assert_eq!(named(json!(null)).await, ["go open"]);
}

#[tokio::test]
async fn addresses_that_name_no_tracked_issue_come_back_and_are_not_kept() {
    let app = at_work().await;
    app.world.github.arrange(|github| github.open_pull_request(API, "A pull request"));
    let urls = [
        "https://github.com/acme/api/pull/4",
        "https://github.example/acme/api/issues/1",
        "https://github.com/acme/other/issues/1",
        "https://github.com/acme/api/issues/4",
        "https://github.com/acme/api/issues/2",
    ];
    let answer = app.agent("alpha").with_body(&json!({ "activeIssueUrls": urls }).to_string()).beat().await;
    let expected =
        ["check not_an_issue", "check not_an_issue", "check untracked", "check not_seen", "go open"];
    assert_eq!(verdicts(&answer), expected);
    let told: Vec<&Value> = (0..urls.len()).map(|n| &answer.0["activeIssues"][n]["url"]).collect();
    assert_eq!(told, urls);
    assert_eq!(verdicts(&app.agent("alpha").beat().await), ["check not_seen", "go open"]);
}

#[tokio::test]
async fn thirteenth_issue_is_not_judged() {
    let app = TestApp::tracking(&[API]).start().await;
    app.world.github.arrange(|github| github.open_issues(API, 14));
    let issues: Vec<String> = (1..=14).map(|number| format!("acme/api#{number}")).collect();
    let mut issues: Vec<&str> = issues.iter().map(String::as_str).collect();
    issues.push("acme/api#1");
    let answer = working_on(&app, &issues).beat().await;
    let expected = [vec!["go open"; 12], vec!["check too_many"; 2]].concat();
    // An address that is declared twice comes back once.
    assert_eq!(verdicts(&answer), expected);
    assert_eq!(verdicts(&app.agent("alpha").beat().await), ["go open"; 12]);
}

#[tokio::test]
async fn issue_is_known_in_any_case_and_twice_declared_it_is_kept_once() {
    let app = at_work().await;
    let urls = ["https://GitHub.com/Acme/API/issues/1/?x#y", "https://github.com/acme/api/issues/1"];
    let answer = app.agent("alpha").with_body(&json!({ "activeIssueUrls": urls }).to_string()).beat().await;
    assert_eq!(verdicts(&answer), ["go open", "go open"]);
    assert_eq!(answer.0["activeIssues"][0]["url"], urls[0]);
    let answer = app.agent("alpha").beat().await;
    assert_eq!(
        (verdicts(&answer), &answer.0["activeIssues"][0]["url"]),
        (vec!["go open".to_owned()], &json!(urls[1]))
    );
}

#[tokio::test]
async fn renamed_repository_is_known_under_both_names() {
    let app = at_work().await;
    after(&app, |github| github.rename_repository(API, "acme/core")).await;
    for name in ["acme/api", "acme/core"] {
        let issues = [format!("{name}#1"), format!("{name}#2")];
        let answer = working_on(&app, &issues.each_ref().map(String::as_str)).beat().await;
        assert_eq!(verdicts(&answer), ["go open", "go open"], "{name}");
    }
    let app_2 = app.another_environment();
    let answer = working_on(&app, &["acme/core#1"]).in_environment(Arc::clone(&app_2)).beat().await;
    assert_eq!(verdicts(&answer), ["go open"]);
}

#[tokio::test]
async fn name_that_belongs_to_another_repository_now_means_that_one() {
    let app = at_work().await;
    let answer = after(&app, |github| {
        github.rename_repository(API, "acme/core");
        github.create_repository(API);
        github.open_issue(API, "Another first issue");
        github.close_issue(API, 1);
    })
    .await;
    // The item names the repository that was meant when the agent declared the issue.
    assert_ne!(verdicts(&answer), ["go open"], "{:#}", answer.0);
    app.outlive_freshness();
    app.agent("beta").beat().await;
    assert_ne!(verdicts(&working_on(&app, &["acme/api#1"]).beat().await), ["go open"]);
}

#[tokio::test]
async fn enterprise_servers_addresses_count_and_githubs_own_do_not() {
    let app = TestApp::tracking(&[API]).start().await;
    app.world.github.arrange(|github| github.open_issues(API, 1));
    let elsewhere = app
        .agent("alpha")
        .with_body(&json!({ "activeIssueUrls": ["https://ghe.example/acme/api/issues/1"] }).to_string());
    assert_eq!(verdicts(&elsewhere.beat().await), ["check not_an_issue"]);
}

#[tokio::test]
async fn issue_of_a_repository_whose_backfill_runs_is_not_ready() {
    let app = TestApp::tracking(&[API, "acme/web"]).start().await;
    app.world.github.arrange(|github| github.open_issues(API, 1));
    app.world.github.fault(Matching::listing("acme/web"), Fault::Status(502).forever());
    let answer = working_on(&app, &["acme/api#1", "acme/api#9", "acme/web#1"]).beat().await;
    assert_eq!(verdicts(&answer), ["go open", "check not_seen", "check not_ready"]);
    app.world.github.heal();
    app.outlive_freshness();
    assert_eq!(verdicts(&app.agent("alpha").beat().await), ["go open", "check not_seen", "check not_seen"]);
}

#[tokio::test]
async fn issue_of_a_repository_that_cannot_be_read_is_stale_unless_its_work_is_over() {
    let app = at_work().await;
    app.world.github.arrange(|github| github.close_issue(API, 3));
    working_on(&app, &["acme/api#1", "acme/api#3"]).beat().await;
    app.outlive_freshness();
    app.world.github.fault(Matching::anything(), Fault::Status(502).forever());
    let answer = app.agent("alpha").beat().await;
    app.world.github.heal();
    assert_eq!(verdicts(&answer), ["check stale", "stop closed"]);
    app.outlive_freshness();
    assert_eq!(verdicts(&app.agent("alpha").beat().await), ["go open", "stop closed"]);
}

#[tokio::test]
async fn other_repositorys_failure_makes_no_verdict_stale() {
    let app = TestApp::tracking(&[API, "acme/web"]).start().await;
    app.world.github.arrange(|github| {
        github.open_issues(API, 1);
        github.open_issues("acme/web", 1);
    });
    working_on(&app, &["acme/api#1", "acme/web#1"]).beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.hide_repository("acme/web"));
    assert_eq!(verdicts(&app.agent("alpha").beat().await), ["go open", "check stale"]);
    assert_eq!(verdicts(&app.agent("alpha").beat().await), ["go open", "check stale"]);
}

#[tokio::test]
async fn table_that_cannot_be_read_is_a_problem_and_no_verdict() {
    let app = at_work().await;
    app.world.dynamodb.fault(On::operation("BatchGetItem"), Broken::AccessDenied);
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.codes(), verdicts(&answer)), (vec!["store_unavailable"], vec![]));
    // The rows alone cannot be read: the second such request of a heartbeat.
    app.agent("beta").beat().await;
    app.world.github.arrange(|github| github.close_issue(API, 1));
    app.outlive_freshness();
    app.world
        .dynamodb
        .fault(On::operation("BatchGetItem").containing("ISSUE#0000000001").nth(2), Broken::AccessDenied);
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.codes(), verdicts(&answer)), (vec!["store_unavailable"], vec![]));
    assert_eq!(verdicts(&app.agent("alpha").beat().await), ["stop closed"], "what was declared is kept");
}

#[tokio::test]
async fn repeated_request_with_a_key_repeats_the_verdicts() {
    let app = at_work().await;
    let agent = working_on(&app, &["acme/api#1"]).with_key("a-key");
    let first = agent.knock().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.close_issue(API, 1));
    app.agent("beta").beat().await;
    assert_eq!(agent.knock().await.body, first.body);
    assert_eq!(verdicts(&app.agent("alpha").beat().await), ["stop closed"]);
}

#[tokio::test]
async fn verdicts_are_as_the_api_is_described() {
    let app = at_work().await;
    let mut description = Description::served(&app).await;
    app.world.github.arrange(|github| github.close_issue(API, 2));
    let reply = working_on(&app, &["acme/api#1", "acme/api#2", "acme/x#1"]).knock().await;
    description.covers("/paths/~1api~1agents~1{agentName}~1heartbeat/post", &reply);
}

#[tokio::test]
async fn first_heartbeat_of_a_fleet_whose_first_pass_runs_is_not_told_to_go_on() {
    let app = TestApp::tracking(&[API]).start().await;
    app.world.github.arrange(|github| github.open_issues(API, 1));
    let mut held = app.world.dynamodb.hold(On::operation("UpdateItem").containing("ended"));
    let beta = app.agent("beta");
    let mut running = Box::pin(beta.beat());
    assert!(crate::support::app::until_held(&mut running, &mut held).await.is_none());
    let answer = working_on(&app, &["acme/api#1"]).in_environment(app.another_environment()).beat().await;
    assert_eq!(verdicts(&answer), ["check stale"]);
    held.release();
    running.await;
    assert_eq!(verdicts(&app.agent("alpha").beat().await), ["go open"]);
}

#[tokio::test]
async fn issue_of_a_repository_that_is_no_longer_configured_is_untracked_until_it_is_hidden() {
    let mut app = tracking(&[API, "acme/web"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/web", 1));
    assert_eq!(verdicts(&working_on(&app, &["acme/web#1"]).beat().await), ["go open"]);
    app.restart_with("REPOSITORIES", API);
    app.world.github.arrange(|github| github.close_issue("acme/web", 1));
    app.outlive_freshness();
    app.agent("beta").beat().await;
    let answer = app.agent("alpha").beat().await;
    assert_eq!(verdicts(&answer), ["check untracked"], "no pass reads it");
    assert_eq!(verdicts(&working_on(&app, &["acme/web#1"]).beat().await), ["check untracked"]);
}

#[tokio::test]
async fn issue_that_becomes_unreadable_is_to_be_checked_although_its_row_stays() {
    let app = at_work().await;
    app.world.github.arrange(|github| github.close_issue(API, 1));
    let odd = Fault::changed(|_, _, text| {
        let Ok(mut records) = serde_json::from_slice::<Vec<Value>>(text) else { return };
        records
            .iter_mut()
            .filter(|record| record["number"] == 1)
            .for_each(|record| record["state"] = "odd".into());
        *text = Value::from(records).to_string().into_bytes();
    });
    app.world.github.fault(Matching::listing(API), odd.forever());
    app.outlive_freshness();
    assert_eq!(verdicts(&app.agent("alpha").beat().await), ["check unreadable"]);
    app.world.github.heal();
}

#[tokio::test]
async fn run_keeps_the_page_of_each_issue_to_stop_once() {
    let app = at_work().await;
    app.world.github.arrange(|github| github.close_issue(API, 1));
    let urls: Vec<String> =
        (0..40).map(|n| format!("{}?{n}{}", page("acme/api#1"), "x".repeat(200))).collect();
    let answer = app.agent("alpha").with_body(&json!({ "activeIssueUrls": urls }).to_string()).beat().await;
    assert_eq!(answer.0["stopIssueUrls"].as_array().map(Vec::len), Some(40));
    let run = app.runs("alpha").pop().expect("a run");
    assert_eq!(run["stopIssueUrls"], json!([page("acme/api#1")]));
}
