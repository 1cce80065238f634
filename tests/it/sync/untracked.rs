//! Repositories that `REPOSITORIES` no longer names: briefly, for good, or under a name that another one has now.

use std::collections::BTreeSet;
use std::sync::Arc;

use test_world::scheduler::{Admission, Driven, Stop};

use crate::support::app::{TestApp, open_largest};
use crate::support::checked::Checked;

const API: &str = "acme/api";
const WEB: &str = "acme/web";

/// Longer than a repository that is not configured any more is remembered.
const FOR_GOOD: u64 = 3_700;

const DAY: u64 = 24 * 3_600;

/// Two repositories that alpha and beta know, with three open issues in `acme/web` and this many in `acme/api`.
async fn both_known(in_api: u64) -> TestApp {
    let app = TestApp::tracking(&[API, WEB])
        .with("RUN_RETENTION_DAYS", "2")
        .with("AUDIT_INTERVAL_SECONDS", &(7 * DAY).to_string())
        .start()
        .await;
    app.world.github.arrange(|github| {
        github.open_issues(API, in_api);
        github.open_issues(WEB, 3);
    });
    for _ in 0..2 {
        app.agent("alpha").beat().await;
        app.agent("beta").beat().await;
        app.pass_time(150);
    }
    app
}

/// The changes that an agent's beat reports. The beat must be ok.
async fn reported(app: &TestApp, agent: &str) -> Vec<String> {
    let answer = app.agent(agent).beat().await;
    assert_eq!(answer.status(), "ok", "{:#}", answer.0);
    answer.touched()
}

fn hidden(repository: &str, numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(|number| format!("hidden {repository}#{number}")).collect()
}

/// The fleet's items that concern `acme/web`.
fn remembered(app: &TestApp) -> Vec<Checked> {
    let mut repositories = app.items("FLEET", "REPO#");
    repositories.retain(|item| item["name"] == WEB);
    [repositories, app.items("FLEET", &format!("NAME#{WEB}"))].concat()
}

#[tokio::test]
async fn changes_of_a_repository_another_function_does_not_track_are_reported() {
    let mut app = both_known(1).await;
    let with_both = Arc::clone(&app.app);
    app.restart_with("REPOSITORIES", API);
    let mut alpha_changes = Vec::new();
    for number in 1..=3 {
        app.world.github.arrange(|github| github.close_issue(WEB, number));
        app.agent("beta").in_environment(Arc::clone(&with_both)).beat().await;
        // First served by the pass of the other function, then by a pass of its own function.
        alpha_changes.extend(app.agent("alpha").beat().await.touched());
        app.pass_time(31);
        alpha_changes.extend(app.agent("alpha").beat().await.touched());
        app.pass_time(31);
    }
    alpha_changes.extend(app.agent("alpha").in_environment(with_both).beat().await.touched());
    assert_eq!(alpha_changes, ["closed acme/web#1", "closed acme/web#2", "closed acme/web#3"]);
}

#[tokio::test]
async fn changes_while_briefly_untracked_are_reported_on_return() {
    for minutes in [0, 1, 10, 50] {
        let mut app = both_known(1).await;
        app.world.github.arrange(|github| github.close_issue(WEB, 1));
        assert_eq!(reported(&app, "beta").await, ["closed acme/web#1"]);
        app.restart_with("REPOSITORIES", API);
        app.world.github.arrange(|github| github.close_issue(WEB, 2));
        let mut alpha_changes = Vec::new();
        for _ in 0..minutes {
            app.pass_time(60);
            alpha_changes.extend(reported(&app, "alpha").await);
        }
        app.world.github.arrange(|github| github.comment(WEB, 3));
        app.restart_with("REPOSITORIES", &format!("{API},{WEB}"));
        for _ in 0..3 {
            app.pass_time(60);
            alpha_changes.extend(reported(&app, "alpha").await);
        }
        assert_eq!(
            alpha_changes,
            ["closed acme/web#1", "closed acme/web#2", "edited acme/web#3"],
            "{minutes} minutes"
        );
        assert_eq!(app.open_rows(WEB), [3]);
        assert_eq!(app.checkpoints(WEB)["openCount"], 1);
    }
}

#[tokio::test]
async fn issues_of_an_untracked_repository_are_reported_once_as_hidden() {
    let mut app = both_known(1).await;
    app.restart_with("REPOSITORIES", API);
    assert_eq!(reported(&app, "alpha").await, [""; 0]);
    assert_eq!(app.open_rows(WEB), [1, 2, 3]);
    app.pass_time(FOR_GOOD);
    assert_eq!(reported(&app, "alpha").await, hidden(WEB, 1..=3));
    assert_eq!((app.open_rows(WEB), remembered(&app)), (vec![], vec![]));
    for _ in 0..2 {
        app.pass_time(60);
        assert_eq!(reported(&app, "alpha").await, [""; 0]);
    }
    // An agent that was away for a day receives them as well, from any pass.
    app.pass_time(DAY);
    assert_eq!(reported(&app, "beta").await, hidden(WEB, 1..=3));
    app.pass_time(60);
    assert_eq!(reported(&app, "beta").await, [""; 0]);
}

#[tokio::test]
async fn many_issues_of_an_untracked_repository_are_reported_by_several_passes() {
    let mut app = both_known(250).await;
    app.restart_with("REPOSITORIES", WEB);
    reported(&app, "alpha").await;
    app.pass_time(FOR_GOOD);
    let mut alpha_changes = Vec::new();
    let mut passes = 0;
    while !app.open_rows(API).is_empty() {
        passes += 1;
        app.clear_requests();
        alpha_changes.extend(reported(&app, "alpha").await);
        assert!(app.written(API).len() <= 110, "a pass writes {}", app.written(API).len());
        app.pass_time(60);
    }
    alpha_changes.extend(reported(&app, "alpha").await);
    assert!((2..=4).contains(&passes), "{passes} passes");
    let issues: BTreeSet<&String> = alpha_changes.iter().collect();
    assert_eq!((issues.len(), alpha_changes.len()), (250, 250));
}

#[tokio::test]
async fn large_issues_of_an_untracked_repository_are_all_reported_as_hidden() {
    // Their index entries have more than 1 MB together, so that DynamoDB returns them in parts.
    let mut app = both_known(1).await;
    app.world.github.arrange(|github| (0..70).for_each(|_| open_largest(github, WEB)));
    reported(&app, "alpha").await;
    app.pass_time(150);
    app.restart_with("REPOSITORIES", API);
    reported(&app, "alpha").await;
    app.pass_time(FOR_GOOD);
    // The pass hides all of them. The changes are as large, so the agent receives them by several heartbeats.
    let mut changes = reported(&app, "alpha").await;
    assert_eq!((app.open_rows(WEB), remembered(&app)), (vec![], vec![]));
    while changes.len() < 73 {
        let more = reported(&app, "alpha").await;
        assert!(!more.is_empty(), "{changes:?}");
        changes.extend(more);
    }
    assert_eq!(changes, hidden(WEB, 1..=73));
}

#[tokio::test]
async fn issues_of_a_replaced_repository_are_reported_once_as_hidden() {
    let app = both_known(1).await;
    let (old, new) = app.world.github.arrange(|github| {
        let old = github.repository_id(WEB);
        github.rename_repository(WEB, "acme/deleted");
        github.hide_repository("acme/deleted");
        let new = github.create_repository(WEB);
        github.open_issues(WEB, 2);
        (old, new)
    });
    assert_eq!(reported(&app, "alpha").await, hidden(WEB, 1..=3));
    let rows = |id: u64| app.items(&format!("REPO#{id}"), "ISSUE#");
    assert!(rows(old).iter().all(|row| row["gone"]["reason"] == "hidden"), "{:#?}", rows(old));
    assert_eq!((rows(new).len(), app.open_rows(WEB)), (2, vec![1, 2]));
    app.pass_time(150);
    app.world.github.arrange(|github| github.close_issue(WEB, 2));
    assert_eq!(reported(&app, "alpha").await, ["closed acme/web#2"]);
    assert_eq!(reported(&app, "beta").await.len(), 4);
}

#[tokio::test]
async fn renamed_repository_tracked_under_its_new_name_is_not_hidden() {
    let mut app = both_known(1).await;
    app.world.github.arrange(|github| {
        github.rename_repository(WEB, "acme/site");
        github.create_repository(WEB);
        github.close_issue("acme/site", 1);
    });
    app.restart_with("REPOSITORIES", &format!("{API},{WEB},acme/site"));
    assert_eq!(reported(&app, "alpha").await, ["closed acme/site#1"]);
    for _ in 0..2 {
        app.pass_time(FOR_GOOD);
        assert_eq!(reported(&app, "alpha").await, [""; 0]);
    }
    assert_eq!(app.open_rows("acme/site"), [2, 3]);
}

#[tokio::test]
async fn repository_that_github_does_not_show_is_still_tracked() {
    let app = both_known(1).await;
    app.world.github.arrange(|github| github.hide_repository(WEB));
    for _ in 0..3 {
        app.pass_time(FOR_GOOD);
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.touched()), ("warning", vec![]));
    }
    assert_eq!(app.open_rows(WEB), [1, 2, 3]);
}

#[tokio::test]
async fn returning_repository_after_hidden_reports_is_in_step_at_once() {
    let mut app = both_known(1).await;
    app.restart_with("REPOSITORIES", API);
    reported(&app, "alpha").await;
    app.pass_time(FOR_GOOD);
    assert_eq!(reported(&app, "alpha").await, hidden(WEB, 1..=3));
    app.world.github.arrange(|github| {
        github.close_issue(WEB, 1);
        github.open_issue(WEB, "New");
    });
    app.pass_time(DAY);
    app.restart_with("REPOSITORIES", &format!("{API},{WEB}"));
    let mut alpha_changes = reported(&app, "alpha").await;
    app.pass_time(150);
    alpha_changes.extend(reported(&app, "alpha").await);
    alpha_changes.sort();
    let expected = ["closed acme/web#1", "opened acme/web#4", "reopened acme/web#2", "reopened acme/web#3"];
    assert_eq!(alpha_changes, expected);
    assert_eq!((app.open_rows(WEB), &app.checkpoints(WEB)["openCount"]), (vec![2, 3, 4], &3.into()));
}

#[tokio::test]
async fn repository_tracked_again_after_the_retention_is_imported_again() {
    // In the first case its issues were reported as hidden; in the second they were not, because the service was down.
    for had_passes in [true, false] {
        let mut app = both_known(1).await;
        app.restart_with("REPOSITORIES", API);
        reported(&app, "alpha").await;
        app.pass_time(FOR_GOOD);
        if had_passes {
            assert_eq!(reported(&app, "alpha").await, hidden(WEB, 1..=3));
        }
        app.world.github.arrange(|github| {
            github.close_issue(WEB, 1);
            github.open_issue(WEB, "New");
        });
        app.pass_time(3 * DAY);
        app.restart_with("REPOSITORIES", &format!("{API},{WEB}"));
        app.clear_requests();
        assert_eq!(reported(&app, "alpha").await, [""; 0]);
        assert!(
            app.asked().iter().any(|path| path.contains("acme/web/issues?state=open")),
            "a first listing"
        );
        app.pass_time(150);
        app.world.github.arrange(|github| github.comment(WEB, 3));
        // An issue that is open in the cache and closed in the listing is a change.
        let closed = if had_passes { None } else { Some("closed acme/web#1") };
        let expected: Vec<&str> = closed.into_iter().chain(["edited acme/web#3"]).collect();
        assert_eq!(reported(&app, "alpha").await, expected);
        // The audit finds what was closed meanwhile, if it was never reported as hidden.
        app.pass_time(7 * DAY);
        reported(&app, "alpha").await;
        assert_eq!((app.open_rows(WEB), &app.checkpoints(WEB)["openCount"]), (vec![2, 3, 4], &3.into()));
    }
}

#[tokio::test]
async fn beat_that_dies_while_it_retires_a_repository_loses_no_report() {
    for stop in [Stop::Before, Stop::After] {
        for k in 1.. {
            let mut app = both_known(1).await;
            app.restart_with("REPOSITORIES", API);
            reported(&app, "alpha").await;
            app.pass_time(FOR_GOOD);
            let alpha = app.agent("alpha");
            let mut beat = Box::pin(alpha.beat());
            let scheduler = &app.world.scheduler;
            let driven = scheduler.drive(Admission::OneByOne, Some(stop(k)), &mut beat).await;
            let Driven::Stopped(stopped) = driven else { break };
            drop(beat);
            let what = format!("{:?}: {}", stop(k), stopped.what());
            let on_its_way = match stop(k) {
                Stop::Before(_) => Some(stopped),
                Stop::After(_) => {
                    stopped.resume();
                    None
                }
            };
            let mut beta_changes = Vec::new();
            app.pass_time(150);
            beta_changes.extend(reported(&app, "beta").await);
            drop(on_its_way);
            scheduler.idle().await;
            for _ in 0..2 {
                app.pass_time(150);
                beta_changes.extend(reported(&app, "beta").await);
            }
            let beta_changes: BTreeSet<String> = beta_changes.into_iter().collect();
            assert_eq!(beta_changes, hidden(WEB, 1..=3).into_iter().collect(), "{what}");
            assert_eq!((app.open_rows(WEB), remembered(&app)), (vec![], vec![]), "{what}");
        }
    }
}
