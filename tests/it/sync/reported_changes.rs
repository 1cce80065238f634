//! The changes that agents receive, whichever beat ran the pass.

use std::collections::BTreeSet;

use test_world::dynamodb::On;
use test_world::github::Matching;

use crate::support::app::{TestApp, until_held};

#[tokio::test]
async fn first_beat_reads_all_open_issues_and_reports_none() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| {
        github.open_issues("acme/api", 3);
        github.open_pull_request("acme/api", "A pull request");
    });
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.status(), "ok", "{:#}", answer.0);
    assert_eq!(answer.touched(), [""; 0]);
    assert_eq!(app.open_rows("acme/api"), [1, 2, 3]);
}

#[tokio::test]
async fn later_beat_reports_what_was_opened_edited_and_closed() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 3));
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| {
        github.close_issue("acme/api", 1);
        github.edit_issue("acme/api", 2, |issue| issue.title = "Another title".into());
        github.open_issue("acme/api", "New");
    });
    let answer = app.agent("alpha").beat().await;
    assert_eq!(
        answer.touched(),
        ["closed acme/api#1", "edited acme/api#2", "opened acme/api#4"],
        "{:#}",
        answer.0
    );
    assert_eq!(app.open_rows("acme/api"), [2, 3, 4]);
    app.outlive_freshness();
    assert_eq!(app.agent("alpha").beat().await.touched(), [""; 0]);
}

#[tokio::test]
async fn unchanged_issue_read_again_is_not_reported() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 3));
    app.agent("alpha").beat().await;
    let before = app.items("REPO#", "ISSUE#");
    app.clear_requests();
    for _ in 0..3 {
        app.pass_time(60);
        let answer = app.agent("alpha").beat().await;
        assert!(!answer.is_coalesced());
        assert_eq!(answer.touched(), [""; 0]);
    }
    assert_eq!(app.listed_since().len(), 1, "they are read again when they settle");
    assert_eq!(app.items("REPO#", "ISSUE#"), before);
}

#[tokio::test]
async fn coalesced_beat_reports_changes_since_its_agents_last_beat() {
    let app = two_agents_and_two_issues().await;
    app.world.github.arrange(|github| github.close_issue("acme/api", 1));
    app.agent("alpha").beat().await;
    let answer = app.agent("beta").beat().await;
    assert!(answer.is_coalesced());
    assert_eq!(answer.touched(), ["closed acme/api#1"]);
    assert_eq!(answer.lines("touchedIssueUrls"), ["https://github.com/acme/api/issues/1"]);
}

#[tokio::test]
async fn each_change_is_reported_once_to_each_agent() {
    let app = two_agents_and_two_issues().await;
    app.world.github.arrange(|github| github.close_issue("acme/api", 1));
    for agent in ["alpha", "beta"] {
        assert_eq!(app.agent(agent).beat().await.touched(), ["closed acme/api#1"]);
        assert_eq!(app.agent(agent).beat().await.touched(), [""; 0]);
    }
    for agent in ["alpha", "beta"] {
        app.pass_time(200);
        let answer = app.agent(agent).beat().await;
        assert!(!answer.is_coalesced());
        assert_eq!(answer.touched(), [""; 0]);
    }
}

#[tokio::test]
async fn reported_changes_are_in_the_agent_run() {
    let app = two_agents_and_two_issues().await;
    app.world.github.arrange(|github| github.close_issue("acme/api", 1));
    for agent in ["alpha", "beta"] {
        let answer = app.agent(agent).beat().await;
        let run = app.runs(agent).pop().expect("a run");
        assert_eq!(run["runId"], answer.0["runId"]);
        assert_eq!(run["touchedIssueUrls"], answer.0["touchedIssueUrls"]);
        assert_eq!(run["touchedIssueUrls"][0], "https://github.com/acme/api/issues/1");
        assert_eq!(run["touchedCount"], 1);
    }
}

#[tokio::test]
async fn first_beat_of_an_agent_reports_the_changes_of_its_pass() {
    let app = two_agents_and_two_issues().await;
    app.world.github.arrange(|github| github.close_issue("acme/api", 1));
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.close_issue("acme/api", 2));
    let runs_it = app.agent("gamma").beat().await;
    let joins_it = app.agent("delta").beat().await;
    assert_eq!([runs_it.is_coalesced(), joins_it.is_coalesced()], [false, true]);
    assert_eq!(runs_it.touched(), ["closed acme/api#2"]);
    assert_eq!(joins_it.touched(), ["closed acme/api#2"]);
}

#[tokio::test]
async fn first_beat_during_the_first_pass_misses_no_change() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 2));
    let mut held = app.world.github.hold(Matching::listing("acme/api"));
    let alpha = app.agent("alpha");
    let mut first = Box::pin(alpha.beat());
    assert!(until_held(&mut first, &mut held).await.is_none());
    let early = app.agent("beta").beat().await;
    assert_eq!(early.codes(), ["first_pass_running"]);
    assert_eq!(early.touched(), [""; 0]);
    held.release();
    first.await;
    for issue in [1, 2] {
        app.outlive_freshness();
        app.world.github.arrange(|github| github.close_issue("acme/api", issue));
        app.agent("alpha").beat().await;
    }
    assert_eq!(app.agent("beta").beat().await.touched(), ["closed acme/api#1", "closed acme/api#2"]);
}

#[tokio::test]
async fn changes_of_a_running_pass_are_reported_when_it_has_ended() {
    let app = two_agents_and_two_issues().await;
    app.world.github.arrange(|github| github.close_issue("acme/api", 1));
    let mut held = app.world.dynamodb.hold(On::operation("UpdateItem").containing("SET ended"));
    let alpha = app.agent("alpha");
    let mut running = Box::pin(alpha.beat());
    assert!(until_held(&mut running, &mut held).await.is_none());
    assert_eq!(app.row("acme/api", 1)["state"], "closed");
    assert_eq!(app.agent("beta").beat().await.touched(), [""; 0]);
    held.release();
    assert_eq!(running.await.touched(), ["closed acme/api#1"]);
    assert_eq!(app.agent("beta").beat().await.touched(), ["closed acme/api#1"]);
}

#[tokio::test]
async fn agent_away_for_many_passes_gets_the_changes_of_all() {
    let app = two_agents_and_two_issues().await;
    for n in 3..=8 {
        app.world.github.arrange(|github| {
            github.open_issue("acme/api", "New");
            github.close_issue("acme/api", n - 2);
        });
        app.agent("alpha").beat().await;
        app.pass_time(150);
    }
    let answer = app.agent("beta").beat().await;
    let closed = (1..=6).map(|n| format!("closed acme/api#{n}"));
    let opened = (7..=8).map(|n| format!("opened acme/api#{n}"));
    assert_eq!(answer.touched(), closed.chain(opened).collect::<Vec<_>>());
    assert_eq!(answer.0["touchedCount"], 8);
}

#[tokio::test]
async fn changes_above_200_are_counted_exactly_and_reported_in_parts() {
    let app = TestApp::tracking(&["acme/api", "acme/web"]).start().await;
    app.agent("beta").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| {
        github.open_issues("acme/api", 250);
        github.open_issues("acme/web", 200);
    });
    app.agent("alpha").beat().await;
    let mut reported = BTreeSet::new();
    for (urls, left) in [(200, 450), (200, 250), (50, 50), (0, 0)] {
        let answer = app.agent("beta").beat().await;
        assert!(answer.is_coalesced());
        assert_eq!(answer.lines("touchedIssueUrls").len(), urls);
        assert_eq!(answer.0["touched"].as_array().map(Vec::len), Some(urls));
        assert_eq!(answer.0["touchedCount"], left);
        reported.extend(answer.touched());
    }
    assert_eq!(reported.len(), 450);
}

#[tokio::test]
async fn change_made_while_others_are_reported_in_parts_is_not_lost() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.agent("beta").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.open_issues("acme/api", 250));
    let first = app.agent("beta").beat().await;
    let reported = first.touched();
    app.outlive_freshness();
    app.world.github.arrange(|github| {
        github.close_issue("acme/api", 1);
        github.close_issue("acme/api", 250);
    });
    let second = app.agent("beta").beat().await;
    assert_eq!(reported.len(), 200);
    assert_eq!(second.0["touchedCount"], 51);
    let second = second.touched();
    assert_eq!(second.first().map(String::as_str), Some("closed acme/api#1"));
    assert_eq!(second.last().map(String::as_str), Some("closed acme/api#250"));
    assert_eq!(app.agent("beta").beat().await.touched(), [""; 0]);
}

#[tokio::test]
async fn slower_beat_of_the_same_agent_repeats_no_change() {
    let app = two_agents_and_two_issues().await;
    let cursor = On::operation("UpdateItem").containing("AGENTS").containing("alpha");
    let mut held = app.world.dynamodb.hold(cursor);
    let alpha = app.agent("alpha");
    let mut slow = Box::pin(alpha.beat());
    assert!(until_held(&mut slow, &mut held).await.is_none());
    app.outlive_freshness();
    app.world.github.arrange(|github| github.close_issue("acme/api", 1));
    assert_eq!(app.agent("alpha").beat().await.touched(), ["closed acme/api#1"]);
    held.release();
    assert_eq!(slow.await.touched(), [""; 0]);
    assert_eq!(app.agent("alpha").beat().await.touched(), [""; 0]);
}

/// Both agents have sent heartbeats, and the next one runs a pass.
async fn two_agents_and_two_issues() -> TestApp {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 2));
    app.agent("alpha").beat().await;
    app.agent("beta").beat().await;
    app.outlive_freshness();
    app
}
