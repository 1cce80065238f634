//! Issues that are converted to pull requests: they keep their number and are issues no more.

use test_world::dynamodb::On;
use test_world::github::{Matching, World};

use crate::support::app::{TestApp, open_spread, until_held};
use crate::support::audits::{INTERVAL, audit, issues_asked_for, pages_audited, settled, tracking};

const API: &str = "acme/api";
const NEWS: &str = "converted acme/api#1";

/// Two agents know three open issues; since then one was converted to a pull request, and another edited.
async fn converted() -> TestApp {
    let app = settled(3).await;
    app.agent("beta").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| {
        github.convert_to_pull_request(API, 1);
        github.edit_issue(API, 2, |issue| issue.title = "Another title".to_owned());
    });
    app.clear_requests();
    app
}

/// The row is a tombstone, and the count agrees with the rows.
fn assert_in_step(app: &TestApp, when: &str) {
    let row = app.row(API, 1);
    assert_eq!((&row["gone"]["reason"], &row["number"]), (&"converted".into(), &1.into()), "{when}: {row:#}");
    assert_eq!((app.open_rows(API), &app.checkpoints(API)["openCount"]), (vec![2, 3], &2.into()), "{when}");
}

#[tokio::test]
async fn converted_issue_is_removed_by_an_audit_and_reported_once() {
    let app = settled(3).await;
    app.world.github.arrange(|github| github.convert_to_pull_request(API, 1));
    let answer = audit(&app).await;
    assert_eq!((answer.status(), answer.touched()), ("ok", vec![NEWS.to_owned()]));
    assert_eq!(issues_asked_for(&app), 1);
    assert_in_step(&app, "audited");
    let again = audit(&app).await;
    assert_eq!((again.touched(), issues_asked_for(&app)), (vec![], 0));
}

#[tokio::test]
async fn converted_issue_is_found_by_the_second_probe_in_a_row() {
    let app = settled(3).await;
    app.world.github.arrange(|github| github.convert_to_pull_request(API, 1));
    let mut reported = Vec::new();
    for _ in 0..2 {
        app.outlive_freshness();
        let answer = app.agent("alpha").beat().await;
        assert_eq!(answer.status(), "ok", "{:#}", answer.0);
        reported.extend(answer.touched());
    }
    assert_eq!(reported, [NEWS]);
    assert_in_step(&app, "after two probes");
}

#[tokio::test]
async fn converted_issue_is_removed_by_the_listing_that_shows_it() {
    let app = converted().await;
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.touched(), [NEWS, "edited acme/api#2"]);
    assert_eq!((pages_audited(&app), issues_asked_for(&app)), (0, 0));
    assert_in_step(&app, "listed");
    for _ in 0..3 {
        app.pass_time(130);
        assert_eq!(app.agent("alpha").beat().await.touched(), [""; 0]);
    }
    assert_in_step(&app, "settled");
}

#[tokio::test]
async fn converted_issue_is_removed_without_graphql() {
    let app = settled(3).await;
    app.world.github.arrange(|github| {
        World::remove_graphql(github);
        github.convert_to_pull_request(API, 1);
    });
    app.outlive_freshness();
    app.clear_requests();
    assert_eq!(app.agent("alpha").beat().await.touched(), [NEWS]);
    assert_eq!((pages_audited(&app), issues_asked_for(&app)), (0, 0));
    assert_in_step(&app, "listed");
}

#[tokio::test]
async fn pull_requests_and_closed_issues_in_a_listing_are_not_conversions() {
    let app = settled(3).await;
    app.world.github.arrange(|github| github.close_issue(API, 3));
    app.outlive_freshness();
    assert_eq!(app.agent("alpha").beat().await.touched(), ["closed acme/api#3"]);
    app.pass_time(130);
    app.world.github.arrange(|github| {
        github.convert_to_pull_request(API, 3);
        github.open_pull_request(API, "Another");
        github.comment(API, 4);
        github.comment(API, 1);
    });
    assert_eq!(app.agent("alpha").beat().await.touched(), ["edited acme/api#1"]);
    assert_eq!((app.row(API, 3)["state"].as_str(), app.open_rows(API)), (Some("closed"), vec![1, 2]));
}

#[tokio::test]
async fn conversion_during_a_backfill_is_reported_by_the_first_listing() {
    let app = tracking(&[API]).start().await;
    let first = app.ago(1_000);
    app.world.github.arrange(|github| open_spread(github, API, 150, first));
    app.world.github.before(Matching::listing(API).nth(2), |github| {
        github.convert_to_pull_request(API, 1);
        github.comment(API, 2);
    });
    assert_eq!(app.agent("alpha").beat().await.touched(), [""; 0]);
    app.outlive_freshness();
    assert_eq!(app.agent("alpha").beat().await.touched()[0], NEWS);
    assert_eq!(app.open_rows(API).len(), 149);
}

/// The changes that alpha's dead beat had recorded as reported.
fn recorded(app: &TestApp) -> Vec<String> {
    let run = app.runs("alpha").pop().expect("a run");
    let urls = run["touchedIssueUrls"].as_array().cloned().unwrap_or_default();
    let is_news = urls.iter().any(|url| url == "https://github.com/acme/api/issues/1");
    is_news.then(|| NEWS.to_owned()).into_iter().collect()
}

#[tokio::test]
async fn conversion_written_by_a_dying_pass_is_reported() {
    let requests = {
        let app = converted().await;
        app.agent("alpha").beat().await;
        app.world.dynamodb.requests().len() as u64
    };
    assert!(requests > 5, "{requests}");
    for n in 1..=requests {
        for is_carried_out in [true, false] {
            let app = converted().await;
            let (alpha, beta) = (app.agent("alpha"), app.agent("beta"));
            let on = On::anything().nth(n);
            let mut held = match is_carried_out {
                true => app.world.dynamodb.hold_answer(on),
                false => app.world.dynamodb.hold(on),
            };
            let mut dying = Box::pin(alpha.beat());
            assert!(until_held(&mut dying, &mut held).await.is_none());
            drop(dying);
            app.pass_time(31);
            let mut reported = [beta.beat().await.touched(), recorded(&app)];
            reported[1].extend(alpha.beat().await.touched());
            held.release();
            app.wait_for_dynamodb().await;
            for _ in 0..2 {
                app.pass_time(INTERVAL);
                reported[0].extend(beta.beat().await.touched());
                reported[1].extend(alpha.beat().await.touched());
            }
            let when = format!("request {n}, carried out: {is_carried_out}");
            for reported in reported {
                assert!(reported.iter().any(|touch| touch == NEWS), "{when}: {reported:?}");
                assert!(
                    reported.iter().all(|touch| touch == NEWS || touch == "edited acme/api#2"),
                    "{when}: {reported:?}"
                );
            }
            assert_in_step(&app, &when);
        }
    }
}
