//! How long a pass serves every beat: recurring costs stretch its freshness, single ones do not.

use jiff::SignedDuration;
use test_world::github::{Fault, Matching};

use crate::support::app::TestApp;
use crate::support::audits::{INTERVAL, audit, pages_audited, settled};

const API: &str = "acme/api";

#[tokio::test]
async fn audit_does_not_stretch_the_freshness() {
    let app = settled(1_000).await;
    app.world.github.arrange(|github| {
        github.set_graphql_budget(1_000, 1_000, github.now() + SignedDuration::from_mins(120))
    });
    app.outlive_freshness();
    assert_eq!(app.agent("alpha").beat().await.next_heartbeat(), 30);
    let answer = audit(&app).await;
    assert_eq!(pages_audited(&app), 10);
    assert_eq!(answer.next_heartbeat(), 30, "{:#}", answer.0);
}

#[tokio::test]
async fn audits_in_several_passes_in_a_row_delay_no_change() {
    // The audit takes the same share of a small budget as the audits of a large fleet take of GitHub's.
    let app = settled(4_000).await;
    app.world
        .github
        .arrange(|github| github.set_graphql_budget(100, 100, github.now() + SignedDuration::from_mins(180)));
    app.outlive_freshness();
    app.agent("alpha").beat().await;
    app.pass_time(INTERVAL);
    app.schedule().beat().await.expect("a good beat");
    assert!(pages_audited(&app) >= 40, "all of them were audited");
    app.pass_time(1_200);
    app.world.github.arrange(|github| {
        github.open_issue(API, "News");
    });
    let later = app.agent("alpha").beat().await;
    assert!(!later.is_coalesced(), "{} {:?}: next {}", later.status(), later.codes(), later.next_heartbeat());
}

#[tokio::test]
async fn busy_fleet_is_read_less_often_after_half_of_the_hourly_budget() {
    let names: Vec<String> = (0..10).map(|n| format!("acme/r{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let app = TestApp::tracking(&names).start().await;
    app.world.github.arrange(|github| {
        names.iter().for_each(|name| {
            github.open_issues(name, 1);
        })
    });
    app.agent("alpha").beat().await;
    app.pass_time(300);
    // 10 of 500 is the same share as 100 of 5,000.
    app.world
        .github
        .arrange(|github| github.set_budget(500, 500, github.now() + SignedDuration::from_mins(60)));
    for pass in 0..110 {
        app.outlive_freshness();
        app.world.github.arrange(|github| names.iter().for_each(|name| github.comment(name, 1)));
        let answer = app.agent("alpha").beat().await;
        assert_eq!(
            (answer.status(), answer.codes()),
            ("ok", vec![]),
            "pass {pass}, {} s: next {}",
            pass * 31,
            answer.next_heartbeat()
        );
    }
}

#[tokio::test]
async fn earlier_of_two_rate_limit_resets_is_reported() {
    let app = TestApp::tracking(&[API]).start().await;
    app.world.github.arrange(|github| {
        github.open_issues(API, 2);
        github.set_graphql_budget(1_000, 0, github.now() + SignedDuration::from_mins(50));
    });
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.fault(Matching::repository(API), Fault::secondary_limit(Some("60")));
    app.agent("alpha").beat().await;
    app.pass_time(31);
    let answer = app.agent("alpha").beat().await;
    assert!(answer.next_heartbeat() <= 60, "{}", answer.next_heartbeat());
}
