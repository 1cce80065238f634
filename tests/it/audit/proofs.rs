//! What GitHub's answers prove: an issue is removed only when GitHub's own words about that issue say so.

use test_world::github::{Fault, Matching};

use crate::support::app::Answer;
use crate::support::audits::{INTERVAL, audit, issues_asked_for, settled, tracking};
use crate::support::log::Log;

const API: &str = "acme/api";

fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Fault {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Fault::Answer { status, headers, body: body.to_owned() }
}

/// The code and the message of an answer's only problem.
fn problem(answer: &Answer) -> (String, String) {
    let problems = answer.0["problems"].as_array().expect("a list");
    assert_eq!(problems.len(), 1, "{:#}", answer.0);
    let text = |field: &str| problems[0][field].as_str().expect("a text").to_owned();
    (text("code"), text("message"))
}

/// The answer of a proxy, a gateway or a login page in GitHub's place.
const NOT_GITHUBS: &str = "<!DOCTYPE html><html><body>gone fishing</body></html>";

#[tokio::test]
async fn audit_answer_without_githubs_words_removes_nothing() {
    let html = [("content-type", "text/html")];
    let unbelievable = [
        (answer(410, &html, NOT_GITHUBS), "410"),
        (answer(410, &[], ""), "410"),
        (answer(410, &[], r#"{"message":"Gone"}"#), "410"),
        (answer(410, &[], r#"{"message":"API version 2022-11-28 is no longer supported."}"#), "410"),
        (answer(410, &[], r#"{"error":"This issue was deleted"}"#), "410"),
        (answer(410, &[], r#"["This issue was deleted"]"#), "410"),
        (answer(404, &html, NOT_GITHUBS), "404"),
        (answer(404, &[], ""), "404"),
        (answer(404, &[], r#"{"message":"no Route matched with those values"}"#), "404"),
        (answer(422, &[], r#"{"message":"This issue was deleted"}"#), "422"),
    ];
    for (fault, status) in unbelievable {
        let app = settled(3).await;
        app.world.github.arrange(|github| github.hide_issue(API, 1));
        app.world.github.fault(Matching::issue(API, 1), fault.clone().forever());
        // A 404 counts only when two audits meet it.
        for _ in 0..3 {
            let (code, message) = problem(&audit(&app).await);
            assert_eq!(code, "github_unexpected_answer", "{fault:?}: {message}");
            assert!(message.contains(status), "{message}");
            assert_eq!((app.open_rows(API), &app.row(API, 1)["missingSince"]), (vec![1, 2, 3], &().into()));
        }
    }
}

#[tokio::test]
async fn audit_redirect_that_names_no_issue_moves_nothing() {
    let app = settled(3).await;
    let (url, id) = (app.world.github.url().to_owned(), app.world.github.world().repository_id(API));
    let moved = r#"{"message":"Moved Permanently"}"#;
    let issue = format!("{url}/repositories/{id}/issues/2");
    for (status, location, body) in [
        (301, format!("{url}/login"), moved),
        (301, format!("{url}/repos/{API}/issues/1/"), moved),
        (301, format!("{url}/repositories/{id}/issues/two"), moved),
        (301, format!("{url}/repositories/{id}/issues/2/comments"), moved),
        (302, issue.clone(), moved),
        (307, issue.clone(), moved),
        (301, issue.clone(), NOT_GITHUBS),
        (301, issue, ""),
    ] {
        app.world.github.arrange(|github| github.hide_issue(API, 1));
        let fault = answer(status, &[("location", &location)], body);
        app.world.github.fault(Matching::issue(API, 1), fault);
        let (code, message) = problem(&audit(&app).await);
        assert_eq!(code, "github_unexpected_answer", "{status} {location}: {message}");
        assert!(message.contains(&status.to_string()), "{message}");
        assert_eq!(app.open_rows(API), [1, 2, 3], "{status} {location}");
        app.world.github.arrange(|github| github.show_issue(API, 1));
        audit(&app).await;
    }
}

#[tokio::test]
async fn audit_answer_about_another_issue_is_rejected() {
    for (find, other) in [(r#""number":1,"#, r#""number":2,"#), ("repos/acme/api", "repos/acme/web")] {
        let app = settled(3).await;
        app.world.github.before(Matching::graphql().nth(2), |github| github.hide_issue(API, 1));
        app.world.github.before(Matching::issue(API, 1), |github| {
            github.show_issue(API, 1);
            github.close_issue(API, 1);
        });
        let fault = Fault::changed(move |_, _, body| {
            *body = String::from_utf8_lossy(body).replace(find, other).into_bytes();
        });
        app.world.github.fault(Matching::issue(API, 1), fault);
        let (code, message) = problem(&audit(&app).await);
        assert_eq!(code, "github_unexpected_answer", "{other}: {message}");
        assert_eq!(app.open_rows(API), [1, 2, 3], "{other}");
    }
}

#[tokio::test]
async fn issues_disabled_during_an_audit_remove_nothing() {
    // The words of GitHub today, and those of older servers.
    let words = ["Issues has been disabled in this repository.", "Issues are disabled for this repo"];
    for words in words {
        let app = settled(3).await;
        app.world.github.arrange(|github| github.hide_issue(API, 1));
        let fault = answer(410, &[], &format!(r#"{{"message":"{words}"}}"#));
        app.world.github.fault(Matching::issue(API, 1), fault);
        assert_eq!(problem(&audit(&app).await).0, "issues_disabled");
        assert_eq!(app.open_rows(API), [1, 2, 3]);
    }
}

#[tokio::test]
async fn listing_answer_without_githubs_words_is_unexpected() {
    let html = [("content-type", "text/html")];
    for (fault, status) in [
        (answer(410, &html, NOT_GITHUBS), "410"),
        (answer(410, &[], r#"{"message":"Gone"}"#), "410"),
        (answer(404, &html, NOT_GITHUBS), "404"),
    ] {
        for first in [true, false] {
            let app = tracking(&[API]).start().await;
            app.world.github.arrange(|github| github.open_issues(API, 2));
            if !first {
                app.agent("alpha").beat().await;
                app.outlive_freshness();
                app.world.github.arrange(|github| github.close_issue(API, 1));
            }
            app.world.github.fault(Matching::listing(API), fault.clone().forever());
            let (code, message) = problem(&app.agent("alpha").beat().await);
            assert_eq!(code, "github_unexpected_answer", "{message}");
            assert!(message.contains(status), "{message}");
            app.world.github.heal();
            app.outlive_freshness();
            assert_eq!(app.agent("alpha").beat().await.status(), "ok");
        }
    }
}

#[tokio::test]
async fn repository_answer_not_from_github_does_not_prove_absence() {
    let html = [("content-type", "text/html")];
    let another = r#"{"id":7,"full_name":"acme/else","disabled":false}"#;
    for fault in [answer(404, &html, NOT_GITHUBS), answer(404, &[], "{}"), answer(200, &[], another)] {
        let app = tracking(&[API]).start().await;
        app.world.github.arrange(|github| {
            github.open_issues(API, 2);
            github.remove_graphql();
        });
        app.agent("alpha").beat().await;
        app.world.github.fault(Matching::repository(API), fault.forever());
        app.pass_time(INTERVAL);
        let answer = app.agent("alpha").beat().await;
        assert_eq!(answer.codes(), ["probe_unavailable", "github_unexpected_answer"]);
        assert_eq!((app.open_rows(API), app.items("FLEET", "REPO#").len()), (vec![1, 2], 1));
    }
}

#[tokio::test]
async fn disabled_issues_are_detected_without_graphql() {
    let app = tracking(&[API]).start().await;
    app.world.github.arrange(|github| {
        github.open_issues(API, 2);
        github.remove_graphql();
    });
    app.agent("alpha").beat().await;
    // Where issues are disabled, GitHub may return an empty listing instead of an error.
    app.world.github.arrange(|github| github.disable_issues(API));
    app.world.github.fault(Matching::listing(API), Fault::EmptyList.forever());
    app.pass_time(INTERVAL);
    assert_eq!(app.agent("alpha").beat().await.codes(), ["probe_unavailable", "issues_disabled"]);
    assert_eq!(app.open_rows(API), [1, 2]);
    // Nothing requested the listing.
    app.world.github.heal();
}

#[tokio::test]
async fn retired_api_version_removes_nothing_and_is_reported() {
    let mut app = settled(3).await;
    app.allows_unused_faults();
    let (deprecation, sunset) = (app.ago(100), app.ago(0));
    app.world.github.arrange(|github| {
        github.delete_issue(API, 1);
        github.close_down_api_version("2022-11-28", deprecation, sunset);
    });
    for _ in 0..2 {
        let (code, message) = problem(&audit(&app).await);
        assert_eq!(code, "github_unexpected_answer");
        assert!(message.contains("410") && message.contains("2022-11-28"), "{message}");
        assert_eq!(app.open_rows(API), [1, 2, 3]);
    }
}

#[tokio::test]
async fn api_version_retirement_is_logged_once_with_its_dates() {
    let app = settled(1).await;
    let log = Log::begin();
    let in_a_year = app.ago(-365 * 24 * 3_600);
    app.world.github.arrange(|github| {
        let now = github.now();
        github.close_down_api_version("2022-11-28", now, in_a_year);
    });
    for n in 0..3 {
        app.pass_time(60);
        app.world.github.arrange(|github| github.edit_issue(API, 1, |issue| issue.title = format!("{n}")));
        assert_eq!(app.agent("alpha").beat().await.status(), "ok");
    }
    let lines = log.lines("WARN");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert_eq!(lines[0]["github.api_version"], "2022-11-28");
    assert_eq!(lines[0]["github.deprecation"], "2026-11-22T06:02:10Z");
    assert_eq!(lines[0]["github.sunset"], "2027-11-22T06:02:10Z");
}

#[tokio::test]
async fn api_version_retirement_without_a_valid_date_is_logged_without_it() {
    let app = settled(1).await;
    let log = Log::begin();
    let long = "upstream-words".repeat(100);
    for (deprecation, sunset) in [("@1796083200", "soon"), (long.as_str(), "true")] {
        let headers = [("deprecation", deprecation.to_owned()), ("sunset", sunset.to_owned())];
        let add = move |_: &mut u16, sent: &mut Vec<(String, String)>, _: &mut Vec<u8>| {
            sent.extend(headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        };
        app.world.github.fault(Matching::listing(API), Fault::changed(add));
        app.pass_time(60);
        app.world.github.arrange(|github| github.comment(API, 1));
        assert_eq!(app.agent("alpha").beat().await.status(), "ok");
    }
    let lines = log.lines("WARN");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert_eq!(lines[0]["github.deprecation"], "2026-12-01T00:00:00Z");
    assert_eq!(lines[0]["github.sunset"], "not given");
    assert!(!log.text().contains("upstream-words"));
}

#[tokio::test]
async fn odd_answers_about_some_issues_do_not_block_other_removals() {
    let html = answer(404, &[("content-type", "text/html")], NOT_GITHUBS);
    for fault in [Fault::saml_required(), Fault::Status(503), Fault::Status(410), Fault::Cut, html] {
        let app = settled(20).await;
        app.world.github.arrange(|github| (1..=9).for_each(|number| github.delete_issue(API, number)));
        for number in 1..=6 {
            app.world.github.fault(Matching::issue(API, number), fault.clone().forever());
        }
        let answer = audit(&app).await;
        assert_eq!(answer.touched(), ["deleted acme/api#7", "deleted acme/api#8", "deleted acme/api#9"]);
        assert_eq!(app.open_rows(API)[..7], [1, 2, 3, 4, 5, 6, 10], "{fault:?}");
        app.world.github.heal();
        let healed = audit(&app).await;
        assert_eq!((healed.status(), healed.touched().len()), ("ok", 6), "{fault:?}");
    }
}

#[tokio::test]
async fn absent_issues_with_odd_answers_go_to_the_back_of_the_queue() {
    let app = tracking(&[API]).start().await;
    let first = app.ago(1_000);
    app.world.github.arrange(|github| {
        crate::support::app::open_spread(github, API, 300, first);
        github.open_pull_request(API, "A pull request");
    });
    for _ in 0..2 {
        app.agent("alpha").beat().await;
        app.pass_time(130);
    }
    app.world.github.arrange(|github| (1..=30).for_each(|number| github.delete_issue(API, number)));
    for number in 1..=25 {
        app.world.github.fault(Matching::issue(API, number), Fault::Status(503).forever());
    }
    let mut reported = audit(&app).await.touched();
    for _ in 0..3 {
        app.outlive_freshness();
        reported.extend(app.agent("alpha").beat().await.touched());
    }
    assert_eq!(reported, (26..=30).map(|number| format!("deleted acme/api#{number}")).collect::<Vec<_>>());
    app.world.github.heal();
    app.outlive_freshness();
    assert_eq!(app.agent("alpha").beat().await.touched().len(), 25);
    assert_eq!((app.open_rows(API).len(), &app.checkpoints(API)["openCount"]), (270, &270.into()));
}

#[tokio::test]
async fn issue_that_hangs_in_short_passes_does_not_block_other_removals() {
    let app = settled(20).await;
    app.world.github.arrange(|github| (1..=3).for_each(|number| github.delete_issue(API, number)));
    app.world.github.fault(Matching::issue(API, 1), Fault::Hang.forever());
    app.pass_time(INTERVAL);
    let mut reported = Vec::new();
    for _ in 0..2 {
        // Half a second remains for GitHub.
        reported.extend(app.agent("alpha").beat_within(6).await.touched());
        app.outlive_freshness();
    }
    assert_eq!(reported, ["deleted acme/api#2", "deleted acme/api#3"]);
    app.world.github.heal();
    assert_eq!(app.agent("alpha").beat().await.touched(), ["deleted acme/api#1"]);
}

#[tokio::test]
async fn absent_issues_with_odd_answers_stay_within_a_hundred_requests() {
    let app = settled(20).await;
    app.world.github.arrange(|github| (1..=20).for_each(|number| github.delete_issue(API, number)));
    for number in 1..=20 {
        app.world.github.fault(Matching::issue(API, number), Fault::Status(503).forever());
    }
    for _ in 0..2 {
        app.pass_time(INTERVAL);
        app.clear_requests();
        assert_eq!(app.agent("alpha").beat().await.codes(), ["github_unavailable"]);
        assert_eq!(issues_asked_for(&app), 60, "each three times");
    }
    app.world.github.heal();
    app.outlive_freshness();
    assert_eq!(app.agent("alpha").beat().await.touched().len(), 20);
}
