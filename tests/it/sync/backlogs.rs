//! What an agent receives after a long absence, in several responses, and what each response costs.

use crate::support::app::{Answer, TestApp, until_held};
use crate::support::backlogs::{catch_up, narrow, reported};
use agent_heartbeat::app::Timing;
use std::collections::BTreeSet;
use std::sync::Arc;
use test_world::TABLE_NAME;
use test_world::dynamodb::On;

/// Copies the row of a changed issue, so that many issues changed in the same pass.
fn copy_changed_row(app: &TestApp, repository: &str, number: u64, copies: std::ops::RangeInclusive<u64>) {
    let mut row = app.row(repository, number);
    for copy in copies {
        let order = row["changeOrder"].as_str().expect("it changed");
        let (fence, _) = order.split_once('#').expect("a fence and a number");
        row["changeOrder"] = format!("{fence}#{copy:010}").into();
        row["number"] = copy.into();
        row["sk"] = format!("ISSUE#{copy:010}").into();
        row["url"] = format!("https://github.com/{repository}/issues/{copy}").into();
        app.world.dynamodb.put_item(TABLE_NAME, &row);
    }
}

/// Repositories with one open issue each that alpha and beta have seen, with expired freshness.
async fn fleet_of(count: usize, timing: impl FnOnce(&mut Timing)) -> (TestApp, Vec<String>) {
    let names: Vec<String> = (0..count).map(|n| format!("acme/repository-{n:02}")).collect();
    let tracked: Vec<&str> = names.iter().map(String::as_str).collect();
    let app = TestApp::tracking(&tracked).timing(timing).start().await;
    app.world.github.arrange(|github| names.iter().for_each(|name| github.open_issues(name, 1)));
    for agent in ["alpha", "beta"] {
        app.agent(agent).beat().await;
    }
    app.outlive_freshness();
    (app, names)
}

#[tokio::test]
async fn thousands_of_unreported_changes_are_delivered_in_bounded_responses() {
    let (app, _) = fleet_of(1, |_| ()).await;
    app.world.github.arrange(|github| github.close_issue("acme/repository-00", 1));
    app.agent("alpha").beat().await;
    copy_changed_row(&app, "acme/repository-00", 1, 2..=3_000);
    let answers = catch_up(&app, "beta").await;
    assert_eq!(answers.len(), 15);
    let reported = reported(&answers);
    assert_eq!((reported.len(), reported.iter().collect::<BTreeSet<_>>().len()), (3_000, 3_000));
    assert_eq!(app.agent("beta").beat().await.touched(), [""; 0]);
}

#[tokio::test]
async fn changes_in_many_repositories_are_delivered_in_bounded_responses() {
    let (app, names) = fleet_of(60, |_| ()).await;
    app.world.github.arrange(|github| names.iter().for_each(|name| github.open_issues(name, 3)));
    app.agent("alpha").beat().await;
    let answers = catch_up(&app, "beta").await;
    let reported = reported(&answers);
    assert_eq!((reported.len(), reported.iter().collect::<BTreeSet<_>>().len()), (180, 180));
    assert_eq!(app.agent("beta").beat().await.touched(), [""; 0]);
}

#[tokio::test]
async fn oldest_changes_of_all_repositories_are_delivered_first() {
    let (app, names) = fleet_of(2, |_| ()).await;
    for name in names.iter().rev() {
        app.pass_time(150);
        app.world.github.arrange(|github| github.open_issues(name, 150));
        app.agent("alpha").beat().await;
    }
    let answers = catch_up(&app, "beta").await;
    let of_older = |answer: &Answer| {
        let urls = answer.lines("touchedIssueUrls");
        urls.iter().filter(|url| url.contains(names[1].as_str())).count()
    };
    assert_eq!(answers.iter().map(of_older).collect::<Vec<_>>(), [150, 0]);
    assert_eq!(answers.iter().map(|answer| answer.touched().len()).collect::<Vec<_>>(), [200, 100]);
}

#[tokio::test]
async fn excluded_issues_in_a_backlog_cost_no_more_than_others() {
    let mut app = fleet_of(1, |_| ()).await.0;
    app.restart_with("EXCLUDED_LABELS", "spam");
    app.world.github.arrange(|github| {
        github.open_issues("acme/repository-00", 1);
        github.edit_issue("acme/repository-00", 1, |issue| issue.labels = vec!["spam".to_owned()]);
    });
    app.agent("alpha").beat().await;
    copy_changed_row(&app, "acme/repository-00", 1, 3..=2_000);
    copy_changed_row(&app, "acme/repository-00", 2, 2_001..=2_001);
    let answers = catch_up(&app, "beta").await;
    assert!(answers.len() > 2);
    assert_eq!(reported(&answers), ["opened acme/repository-00#2", "opened acme/repository-00#2001"]);
}

#[tokio::test]
async fn slow_read_delivers_what_was_read_and_the_next_beat_continues() {
    let (app, names) = fleet_of(1, |_| ()).await;
    app.world.github.arrange(|github| github.open_issues(&names[0], 190));
    app.agent("alpha").beat().await;
    let mut held = app.world.dynamodb.hold(On::operation("Query").containing("Changes"));
    let beta = app.agent("beta");
    let mut slow = Box::pin(beta.beat());
    assert!(until_held(&mut slow, &mut held).await.is_none());
    app.pass_time(1);
    held.release();
    let first = slow.await;
    assert_eq!((first.status(), first.touched().len()), ("ok", 101), "{:#}", first.0);
    assert_eq!(first.0["nextHeartbeatInSeconds"], 0);
    assert_eq!(reported(&catch_up(&app, "beta").await).len(), 89);
}

#[tokio::test]
async fn changes_of_a_dead_pass_are_found_by_the_next_pass_not_by_each_agent() {
    let (app, names) = fleet_of(60, |_| ()).await;
    app.agent("gamma").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.close_issue(&names[42], 1));
    let mut held = app.world.dynamodb.hold(On::operation("UpdateItem").containing("SET ended"));
    let alpha = app.agent("alpha");
    let mut dying = Box::pin(alpha.beat());
    assert!(until_held(&mut dying, &mut held).await.is_none());
    drop(dying);
    app.pass_time(150);
    assert_eq!(app.agent("beta").beat().await.touched(), ["closed acme/repository-42#1"]);
    app.clear_requests();
    let joined = app.agent("gamma").beat().await;
    assert_eq!((joined.is_coalesced(), joined.touched()), (true, vec!["closed acme/repository-42#1".into()]));
    let read_units = app.world.dynamodb.capacity().read_units;
    assert!(read_units <= 10.0, "{read_units}");
}

#[tokio::test]
async fn changes_of_a_repository_only_another_function_tracks_are_delivered() {
    let (app, names) = fleet_of(2, |_| ()).await;
    let mut elsewhere = app.variables.clone();
    elsewhere.insert("REPOSITORIES".to_owned(), names[0].clone());
    let elsewhere = app.environment_with(&elsewhere);
    app.world.github.arrange(|github| github.close_issue(&names[1], 1));
    app.agent("alpha").beat().await;
    let beta = app.agent("beta").in_environment(Arc::clone(&elsewhere));
    assert_eq!(beta.beat().await.touched(), ["closed acme/repository-01#1"]);
    // A pass that dies, and one of the other function that takes over.
    app.outlive_freshness();
    app.world.github.arrange(|github| github.reopen_issue(&names[1], 1));
    let mut held = app.world.dynamodb.hold(On::operation("UpdateItem").containing("SET ended"));
    let alpha = app.agent("alpha");
    let mut dying = Box::pin(alpha.beat());
    assert!(until_held(&mut dying, &mut held).await.is_none());
    drop(dying);
    app.pass_time(150);
    let beta = app.agent("beta").in_environment(elsewhere);
    assert_eq!(beta.beat().await.touched(), ["reopened acme/repository-01#1"]);
}

#[tokio::test]
async fn close_edited_by_a_running_pass_during_delivery_stays_a_close() {
    let (app, names) = fleet_of(1, |timing| timing.backlog.changes = 3).await;
    app.world.github.arrange(|github| github.open_issues(&names[0], 5));
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.close_issue(&names[0], 1));
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.comment(&names[0], 1));
    let mut held = app.world.dynamodb.hold(On::operation("UpdateItem").containing("SET ended"));
    let alpha = app.agent("alpha");
    let mut running = Box::pin(alpha.beat());
    assert!(until_held(&mut running, &mut held).await.is_none());
    let mut answers = vec![app.agent("beta").beat().await];
    held.release();
    running.await;
    answers.extend(catch_up(&app, "beta").await);
    let reported: BTreeSet<String> = reported(&answers).into_iter().collect();
    let opened = (2..=6).map(|n| format!("opened {}#{n}", names[0]));
    let expected: BTreeSet<String> = opened.chain([format!("closed {}#1", names[0])]).collect();
    assert_eq!(reported, expected);
}

#[tokio::test]
async fn changes_made_during_delivery_by_repository_are_not_lost() {
    let (app, names) = fleet_of(3, narrow).await;
    app.world.github.arrange(|github| names.iter().for_each(|name| github.open_issues(name, 3)));
    app.agent("alpha").beat().await;
    let mut answers = vec![app.agent("beta").beat().await, app.agent("beta").beat().await];
    app.outlive_freshness();
    app.world.github.arrange(|github| {
        for name in &names {
            github.close_issue(name, 2);
            github.comment(name, 4);
        }
    });
    app.agent("alpha").beat().await;
    answers.extend(catch_up(&app, "beta").await);
    let reported: BTreeSet<String> = reported(&answers).into_iter().collect();
    for name in &names {
        assert!(reported.contains(&format!("closed {name}#2")), "{reported:#?}");
        assert!(reported.contains(&format!("opened {name}#3")), "{reported:#?}");
        assert!(reported.contains(&format!("opened {name}#4")), "{reported:#?}");
    }
    assert_eq!(catch_up(&app, "beta").await[0].touched(), [""; 0]);
}

fn counts(answers: &[Answer]) -> Vec<u64> {
    answers.iter().map(|answer| answer.0["touchedCount"].as_u64().expect("a count")).collect()
}

#[tokio::test]
async fn count_of_more_changes_than_one_beat_reads_is_exact() {
    let (app, names) = fleet_of(2, |_| ()).await;
    for (name, count) in names.iter().zip([1_100, 300]) {
        app.pass_time(150);
        app.world.github.arrange(|github| github.open_issues(name, count));
        app.agent("alpha").beat().await;
    }
    let answers = catch_up(&app, "beta").await;
    assert_eq!(counts(&answers), [1_400, 1_200, 1_000, 800, 600, 400, 200]);
    assert_eq!(answers[0].summary_numbers(), [0, 1_400]);
}

#[tokio::test]
async fn count_has_repeated_changes_once_and_excluded_issues_never() {
    let (mut app, names) = fleet_of(1, |timing| timing.backlog.changes = 4).await;
    app.restart_with("EXCLUDED_LABELS", "spam");
    app.agent("alpha").beat().await;
    let rounds: [std::ops::RangeInclusive<u64>; 3] = [2..=31, 20..=25, 2..=3];
    app.world.github.arrange(|github| github.open_issues(&names[0], 30));
    for round in rounds {
        app.outlive_freshness();
        app.world.github.arrange(|github| {
            round.for_each(|number| github.comment(&names[0], number));
            github.edit_issue(&names[0], 30, |issue| issue.labels = vec!["spam".to_owned()]);
        });
        app.agent("alpha").beat().await;
    }
    let answers = catch_up(&app, "beta").await;
    assert_eq!(counts(&answers), [29, 25, 21, 17, 13, 9, 5, 1]);
    assert_eq!(reported(&answers).len(), 29);
}

#[tokio::test]
async fn count_during_delivery_by_repository_is_exact() {
    let (app, names) = fleet_of(30, |_| ()).await;
    app.world.github.arrange(|github| names.iter().for_each(|name| github.open_issues(name, 10)));
    app.agent("alpha").beat().await;
    let answers = catch_up(&app, "beta").await;
    let reported = answers.iter().map(|answer| answer.touched().len() as u64);
    let left = reported.scan(300, |left, reported| Some(std::mem::replace(left, *left - reported)));
    assert_eq!(counts(&answers), left.collect::<Vec<_>>());
}

#[tokio::test]
async fn count_above_10_000_changes_is_at_least_10_000() {
    let (app, names) = fleet_of(1, |_| ()).await;
    app.world.github.arrange(|github| github.open_issues(&names[0], 250));
    app.agent("alpha").beat().await;
    for (counted, reported) in [(9_999_u64, 9_999), (10_000, 10_000), (10_001, 10_000)] {
        let mut item = app.items("FLEET", "COUNTS").pop().expect("the counts");
        let fence = item["upto"].clone();
        item["entries"] = serde_json::json!([fence, 0, counted]);
        app.world.dynamodb.put_item(TABLE_NAME, &item);
        let agent = format!("agent-{counted}");
        let answer = app.agent(&agent).beat().await;
        assert_eq!(answer.0["touchedCount"], reported);
        let summary = answer.0["summary"].as_str().expect("a sentence");
        assert_eq!(summary.contains("at least 10000 issues"), counted > 10_000, "{summary}");
    }
}

#[tokio::test]
async fn count_after_a_dead_pass_is_never_too_high() {
    let (app, names) = fleet_of(1, |timing| timing.backlog.changes = 10).await;
    app.world.github.arrange(|github| github.open_issues(&names[0], 60));
    let mut held = app.world.dynamodb.hold(On::operation("UpdateItem").containing("SET ended"));
    let alpha = app.agent("alpha");
    let mut dying = Box::pin(alpha.beat());
    assert!(until_held(&mut dying, &mut held).await.is_none());
    drop(dying);
    app.pass_time(150);
    app.agent("alpha").beat().await;
    let answers = catch_up(&app, "beta").await;
    let reported: Vec<u64> = answers.iter().map(|answer| answer.touched().len() as u64).collect();
    assert_eq!(reported.iter().sum::<u64>(), 60);
    for (at, count) in counts(&answers).into_iter().enumerate() {
        assert!(count <= reported[at..].iter().sum(), "{count} at {at}: {reported:?}");
    }
}
