//! Work that does not fit into a pass is deferred to the next, which continues from the cursor.

use std::collections::HashSet;
use std::time::Duration;

use jiff::SignedDuration;
use test_world::github::{Matching, World};

use crate::support::app::{Setup, TestApp};

/// The time that GitHub takes for each request: the clock of the whole world moves by it.
const A_REQUEST: Duration = Duration::from_millis(300);

/// A service whose passes have two seconds for work.
fn short_passes(repositories: &[&str]) -> Setup {
    TestApp::tracking(repositories)
        .timing(|timing| timing.pass_budget = timing.pass_ending + Duration::from_secs(2))
}

/// Delays the next requests to GitHub, up to this number of them.
fn slow(app: &mut TestApp, requests: u64) {
    for n in 1..=requests {
        let clock = app.world.clock.clone();
        app.world.github.before(Matching::anything().nth(n), move |_| clock.advance(A_REQUEST));
    }
    app.allows_unused_faults();
}

/// Opens issues of which no two changed in the same second, the last some time ago.
fn open_apart(github: &mut World, repository: &str, count: u64) {
    let last = github.now() - SignedDuration::from_hours(1);
    for second in 0..count {
        let at =
            last - SignedDuration::from_secs(10 * i64::try_from(count - second).expect("a few thousand"));
        github.open_issue_at(repository, "An issue", at);
    }
}

/// The pages requested since the records were cleared, in order.
fn pages(app: &TestApp) -> Vec<String> {
    let mut asked = app.asked();
    asked.retain(|path| path.contains("/issues?"));
    asked
}

#[tokio::test]
async fn repository_of_5_000_issues_is_complete_after_a_few_short_passes() {
    let mut app = short_passes(&["acme/api"]).start().await;
    app.world.github.arrange(|github| open_apart(github, "acme/api", 5_000));
    slow(&mut app, 100);
    app.clear_requests();
    let mut read = HashSet::new();
    let mut in_flight = None;
    let mut passes = 0;
    loop {
        passes += 1;
        let begun = app.world.clock.now();
        // The next heartbeat continues, whichever agent sends it.
        let answer = app.agent(&format!("agent-{passes}")).beat().await;
        assert_eq!((answer.status(), answer.codes().len()), ("ok", 0), "{:#}", answer.0);
        assert!(app.world.clock.now().duration_since(begun) <= SignedDuration::from_millis(2_300));
        let asked = pages(&app);
        for (n, page) in asked.iter().enumerate() {
            let is_again = in_flight.as_ref() == Some(page) && n == 0;
            assert!(read.insert(page.clone()) || is_again, "{page} was fetched twice, in pass {passes}");
        }
        in_flight = asked.last().cloned();
        app.clear_requests();
        if answer.0["freshAt"].is_string() {
            break;
        }
        assert_eq!(
            (answer.is_deferred(), answer.summary_numbers().last()),
            (true, Some(&1)),
            "{:#}",
            answer.0
        );
        app.outlive_freshness();
    }
    assert!(passes <= 11, "{passes}");
    assert_eq!(read.len(), 51, "5,000 issues in pages of 100, each but the first with two of the one before");
    assert_eq!(app.open_rows("acme/api").len(), 5_000);
    assert_eq!(app.checkpoints("acme/api")["openCount"], 5_000);
    assert_eq!(app.revisions(), [(1, 5_000)], "each row was written once");
}

#[tokio::test]
async fn schedule_continues_until_its_deadline_and_the_next_one_resumes() {
    let mut app = short_passes(&["acme/api"]).start().await;
    app.world.github.arrange(|github| open_apart(github, "acme/api", 2_000));
    slow(&mut app, 60);
    let mut fences = Vec::new();
    let mut open = Vec::new();
    for seconds in [12, 300] {
        let begun = app.world.clock.now();
        let answer = app.schedule().beat_within(seconds).await.expect("a good beat");
        assert_eq!((answer.status(), answer.codes().len()), ("ok", 0), "{:#}", answer.0);
        let took = app.world.clock.now().duration_since(begun);
        assert!(took < SignedDuration::from_secs(12), "{took}");
        fences.push(app.state()["fence"].as_u64().expect("a fence"));
        open.push(app.open_rows("acme/api").len());
        app.outlive_freshness();
    }
    assert!(fences[0] >= 2, "it went on by itself: {fences:?}");
    assert!((500..2_000).contains(&open[0]), "as far as its deadline allowed: {open:?}");
    assert!(fences[1] > fences[0] + 1, "{fences:?}");
    assert_eq!(open[1], 2_000);
    let asked = pages(&app);
    let distinct: HashSet<&String> = asked.iter().collect();
    let passes = usize::try_from(fences[1]).expect("a few");
    assert!(asked.len() - distinct.len() < passes, "only pages in flight were fetched again: {asked:#?}");
    assert_eq!(app.revisions(), [(1, 2_000)]);
}

#[tokio::test]
async fn changes_that_do_not_fit_into_a_pass_are_reported_once_each() {
    let mut app = short_passes(&["acme/api"]).start().await;
    app.world.github.arrange(|github| open_apart(github, "acme/api", 600));
    for _ in 0..2 {
        app.agent("alpha").beat().await;
        app.pass_time(300);
    }
    app.world.github.arrange(|github| {
        let now = github.now();
        for number in 1..=600 {
            let at = now - SignedDuration::from_secs(600 - i64::try_from(number).expect("small"));
            github.edit_issue("acme/api", number, |issue| issue.updated_at = at);
        }
    });
    slow(&mut app, 40);
    let mut reported = Vec::new();
    let mut deferred = 0;
    for _ in 0..6 {
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.codes().len()), ("ok", 0), "{:#}", answer.0);
        deferred += usize::from(answer.is_deferred());
        reported.extend(answer.touched());
        app.outlive_freshness();
    }
    assert!(deferred >= 1, "all of it fit into one pass");
    let distinct: HashSet<&String> = reported.iter().collect();
    assert_eq!((reported.len(), distinct.len()), (600, 600));
}
