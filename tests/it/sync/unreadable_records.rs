//! An unreadable record stops nothing else: the other records are read, and it is named and looked up individually.
//!
//! Such records are real: one broken record stopped a whole sync (cncf/devstats.archive#121), and GitHub's API returns
//! text that is invalid Unicode (yegor256/rultor#855).

use serde_json::{Value, json};
use test_world::github::{Fault, Matching, World};

use crate::support::app::{Answer, TestApp, open_spread};
use crate::support::audits::{audit, delete, settled};

const API: &str = "acme/api";

/// Changes the record of issue 7 in an answer, in a page or alone.
fn odd(change: impl Fn(&mut Value) + Send + Sync + 'static) -> Fault {
    Fault::changed(move |_, _, text| {
        let mut answer: Value = serde_json::from_slice(text).expect("GitHub's JSON");
        let records = match &mut answer {
            Value::Array(records) => records.iter_mut().collect(),
            record => vec![record],
        };
        records.into_iter().filter(|record| record["number"] == 7).for_each(&change);
        *text = answer.to_string().into_bytes();
    })
}

/// Replaces a text in an answer by any bytes.
fn replaced(text: &'static str, by: &'static [u8]) -> Fault {
    Fault::changed(move |_, _, answer| {
        let place = answer.windows(text.len()).position(|found| found == text.as_bytes());
        if let Some(place) = place {
            answer.splice(place..place + text.len(), by.iter().copied());
        }
    })
}

/// Twelve open issues that no pass has read; issue 7 has a body and a title of its own.
async fn twelve() -> TestApp {
    let app = TestApp::tracking(&[API]).with("AUDIT_INTERVAL_SECONDS", "3600").start().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    let first = app.ago(1_000);
    app.world.github.arrange(|github| {
        open_spread(github, API, 12, first);
        let at = github.issue(API, 7).updated_at;
        github.edit_issue(API, 7, |issue| {
            issue.body = Some("The seventh body".to_owned());
            issue.title = "The seventh title".to_owned();
            issue.updated_at = at;
        });
    });
    app
}

fn assert_named(answer: &Answer) {
    assert_eq!(
        (answer.status(), answer.codes()),
        ("warning", vec!["github_unexpected_answer"]),
        "{answer:#?}"
    );
    assert_eq!(answer.0["problems"][0]["repository"], API);
    let [warning] = answer.lines("warnings")[..] else { panic!("{answer:#?}") };
    assert!(warning.starts_with("sync: acme/api: ") && warning.contains("issue 7;"), "{warning}");
}

fn asked_by_itself(app: &TestApp) -> usize {
    app.asked().iter().filter(|path| path.ends_with("/issues/7")).count()
}

fn without_seven() -> Vec<u64> {
    (1..=12).filter(|number| *number != 7).collect()
}

#[tokio::test]
async fn unreadable_record_of_any_kind_is_named_and_looked_up_next_pass() {
    let faults: [fn() -> Fault; 12] = [
        || replaced("The seventh body", br"\ud83d"),
        || replaced("The seventh body", b"\xff\xfe"),
        || replaced("The seventh title", br"\ude00\ud83d"),
        || replaced("The seventh title", b"a\x01b"),
        || odd(|record| record["state"] = json!("archived")),
        || odd(|record| record["title"] = json!(null)),
        || odd(|record| drop(record.as_object_mut().expect("a record").remove("title"))),
        || odd(|record| record["labels"] = json!({"name": "bug"})),
        || odd(|record| record["updated_at"] = json!("yesterday")),
        || odd(|record| record["number"] = json!(-7)),
        || odd(|record| record["number"] = json!(1e300)),
        || odd(|record| record["body"] = json!("x".repeat(3_000_000))),
    ];
    for (kind, fault) in faults.into_iter().enumerate() {
        let app = twelve().await;
        app.world.github.fault(Matching::listing(API), fault().forever());
        let answer = app.agent("alpha").beat().await;
        assert_named(&answer);
        assert_eq!(app.open_rows(API), without_seven(), "{kind}");
        assert_eq!(asked_by_itself(&app), 0);
        app.world.github.heal();
        app.outlive_freshness();
        let answer = app.agent("alpha").beat().await;
        assert_eq!(
            (answer.status(), answer.touched()),
            ("ok", vec!["opened acme/api#7".to_owned()]),
            "{kind}"
        );
        assert_eq!((app.open_rows(API).len(), asked_by_itself(&app)), (12, 1), "{kind}");
        assert_eq!(app.checkpoints(API)["unread"], Value::Null, "{kind}");
    }
}

#[tokio::test]
async fn invalid_unicode_in_every_answer_is_read_once_without_more_requests() {
    for by in [br"\ud83d".as_slice(), b"\xff"] {
        let app = twelve().await;
        app.world.github.fault(Matching::any_of(API), replaced("The seventh title", by).forever());
        assert_named(&app.agent("alpha").beat().await);
        app.outlive_freshness();
        assert_eq!(app.agent("alpha").beat().await.touched(), ["opened acme/api#7"]);
        let title = if by == b"\xff" { "?" } else { "\u{fffd}" };
        assert_eq!(app.row(API, 7)["title"], title);
        for _ in 0..3 {
            app.pass_time(130);
            let at = app.row(API, 7)["updatedAt"].as_str().expect("a time").parse().expect("a time");
            // The newest second, with which every listing begins.
            app.world.github.arrange(|github| github.open_issue_at(API, "Another", at));
            app.agent("alpha").beat().await;
        }
        assert_eq!(app.agent("alpha").beat().await.status(), "ok");
        assert_eq!(asked_by_itself(&app), 1);
        assert_eq!(app.row(API, 7)["revision"], 1);
    }
}

#[tokio::test]
async fn unreadable_issue_is_reported_each_pass_and_requested_each_interval() {
    let app = twelve().await;
    app.world
        .github
        .fault(Matching::any_of(API), odd(|record| record["state"] = json!("archived")).forever());
    for _ in 0..5 {
        assert_named(&app.agent("alpha").beat().await);
        app.outlive_freshness();
    }
    assert_eq!((app.open_rows(API), asked_by_itself(&app)), (without_seven(), 1));
    app.world.github.arrange(|github| github.close_issue(API, 3));
    let answer = app.agent("alpha").beat().await;
    assert_named(&answer);
    assert_eq!(answer.touched(), ["closed acme/api#3"], "the others go on");
    app.pass_time(3_600);
    app.agent("alpha").beat().await;
    assert_eq!(asked_by_itself(&app), 2);
    app.world.github.heal();
    app.world.github.arrange(|github| github.comment(API, 7));
    app.outlive_freshness();
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.touched()), ("ok", vec!["opened acme/api#7".to_owned()]));
}

#[tokio::test]
async fn issue_closed_while_unreadable_is_reported_as_closed_later() {
    let app = twelve().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.close_issue(API, 7));
    app.world.github.fault(Matching::listing(API), replaced("The seventh body", br"\ud83d").forever());
    let answer = app.agent("alpha").beat().await;
    assert_named(&answer);
    assert_eq!(answer.touched(), [""; 0]);
    app.outlive_freshness();
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.touched()), ("ok", vec!["closed acme/api#7".to_owned()]));
    assert_eq!(app.checkpoints(API)["openCount"], 11);
}

#[tokio::test]
async fn issue_unreadable_in_the_first_listing_is_imported_without_a_report() {
    let app = TestApp::tracking(&[API]).start().await;
    let first = app.ago(1_000);
    app.world.github.arrange(|github| open_spread(github, API, 12, first));
    app.world.github.fault(Matching::listing(API), odd(|record| record["title"] = json!(null)).forever());
    assert_named(&app.agent("alpha").beat().await);
    app.world.github.heal();
    app.outlive_freshness();
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.touched()), ("ok", vec![]));
    assert_eq!(app.open_rows(API).len(), 12);
}

#[tokio::test]
async fn audit_counts_an_unreadable_issue_as_present_and_continues() {
    let app = settled(12).await;
    app.world.github.arrange(|github| {
        github.remove_graphql();
        delete(github, API, [3]);
    });
    app.world
        .github
        .fault(Matching::listing(API), odd(|record| record["state"] = json!("archived")).forever());
    let answer = audit(&app).await;
    assert_eq!(answer.touched(), ["deleted acme/api#3"]);
    assert!(answer.codes().contains(&"github_unexpected_answer"), "{answer:#?}");
    assert_eq!(app.open_rows(API).len(), 11);
}

#[tokio::test]
async fn audit_by_graphql_reads_labels_with_invalid_unicode() {
    let app = settled(3).await;
    app.world.github.arrange(|github: &mut World| {
        let at = github.issue(API, 2).updated_at;
        github.edit_issue(API, 2, |issue| {
            issue.labels = vec!["A label".to_owned()];
            issue.updated_at = at;
        });
        delete(github, API, [3]);
    });
    let faults = replaced("A label", br"\ud83d").forever();
    app.world.github.fault(Matching::anything(), faults);
    let answer = audit(&app).await;
    assert_eq!(
        (answer.status(), answer.touched()),
        ("ok", vec!["edited acme/api#2".to_owned(), "deleted acme/api#3".to_owned()])
    );
    assert_eq!(audit(&app).await.touched(), [""; 0]);
}

#[tokio::test]
async fn repository_with_too_many_unreadable_records_keeps_its_cursor() {
    let app = TestApp::tracking(&[API]).start().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    let first = app.ago(1_000);
    app.world.github.arrange(|github| open_spread(github, API, 30, first));
    let before = app.checkpoints(API);
    let all_odd = Fault::changed(|_, _, text| {
        let mut records: Value = serde_json::from_slice(text).expect("GitHub's JSON");
        let records = records.as_array_mut().expect("a page");
        records.iter_mut().for_each(|record| record["state"] = json!("archived"));
        *text = Value::from(records.clone()).to_string().into_bytes();
    });
    app.world.github.fault(Matching::listing(API), all_odd.forever());
    for _ in 0..2 {
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.codes()), ("error", vec!["github_unexpected_answer"]));
        assert!(answer.lines("errors")[0].contains("more than 20 issues"), "{answer:#?}");
        app.outlive_freshness();
    }
    assert_eq!(
        (&app.checkpoints(API)["cursor"], &app.checkpoints(API)["unread"]),
        (&before["cursor"], &Value::Null)
    );
    app.world.github.heal();
    assert_eq!(app.agent("alpha").beat().await.0["touchedCount"], 30);
}

#[tokio::test]
async fn record_without_a_number_is_reported_and_the_others_are_read() {
    let app = twelve().await;
    let nameless = odd(|record| {
        let record = record.as_object_mut().expect("a record");
        record.remove("number");
        record.remove("url");
    });
    app.world.github.fault(Matching::listing(API), nameless.forever());
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.codes()), ("warning", vec!["github_unexpected_answer"]));
    assert!(answer.lines("warnings")[0].contains("number"), "{answer:#?}");
    assert_eq!(app.open_rows(API), without_seven());
    app.world.github.heal();
    assert_eq!(audit_later(&app).await, ["opened acme/api#7"], "the audit finds it");
}

/// The changes that the next audit reports.
async fn audit_later(app: &TestApp) -> Vec<String> {
    app.pass_time(130);
    app.agent("alpha").beat().await;
    app.pass_time(2 * 3_600);
    app.agent("alpha").beat().await.touched()
}
