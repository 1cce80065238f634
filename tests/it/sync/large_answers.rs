//! Answers of any size: an answer that is too large fails, the pass ends, and the other repositories are read.

use crate::support::changed::one_opened_in_each;
use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use test_world::github::{Fault, Matching};

use crate::support::app::{Answer, TestApp};

const API: &str = "acme/api";
const WEB: &str = "acme/web";

/// Two repositories with one unread issue each.
async fn one_unread_in_each() -> TestApp {
    // Compression and decompression take time on a busy machine.
    let patient = TestApp::tracking(&[API, WEB]).timing(|timing| {
        timing.github.attempt_timeout = Duration::from_secs(60);
    });
    one_opened_in_each(patient).await
}

/// An answer of this status whose body is small on the wire and 17 MB once it is decompressed.
fn bomb(status: u16, text: &'static str) -> Fault {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let whole = format!("[{}", text.repeat(17 * 1024 * 1024 / text.len()));
    encoder.write_all(whole.as_bytes()).expect("memory takes all");
    let compressed = encoder.finish().expect("memory takes all");
    assert!(compressed.len() < 200_000);
    Fault::changed(move |sent, headers, body| {
        *sent = status;
        headers.push(("content-encoding".to_owned(), "gzip".to_owned()));
        body.clone_from(&compressed);
    })
}

fn assert_only_api_was_read(answer: &Answer, code: &str) {
    assert_eq!((answer.status(), answer.codes()), ("warning", vec![code]), "{answer:#?}");
    assert_eq!(answer.0["problems"][0]["repository"], WEB);
    assert_eq!(answer.touched(), ["opened acme/api#1"]);
}

#[tokio::test]
async fn endless_listing_fails_and_the_others_are_read() {
    let listings = [
        (Fault::Endless(r#",{"number":1}"#), "larger"),
        (Fault::Endless(" "), "larger"),
        (Fault::Endless(r#",{"number":1,"body":"\ud83d"}"#), "larger"),
        (Fault::Endless(",{\"pull_request\":{}}"), "larger"),
        (Fault::Endless(",{\"a\":["), "larger"),
        (bomb(200, " "), "larger"),
        (bomb(200, ",{}"), "JSON"),
    ];
    for (fault, what) in listings {
        let app = one_unread_in_each().await;
        app.world.github.fault(Matching::listing(WEB), fault.clone().forever());
        let answer = app.agent("alpha").beat().await;
        assert_only_api_was_read(&answer, "github_unexpected_answer");
        assert!(answer.lines("warnings")[0].contains(what), "{fault:?}: {answer:#?}");
        app.world.github.heal();
        app.outlive_freshness();
        assert_eq!(app.agent("alpha").beat().await.touched(), ["opened acme/web#1"], "{fault:?}");
    }
}

#[tokio::test]
async fn endless_error_is_read_up_to_its_limit() {
    // A 404 proves nothing without GitHub's message, which is at its end.
    for (status, code) in
        [(403, "github_forbidden"), (404, "github_unexpected_answer"), (502, "github_unavailable")]
    {
        let app = one_unread_in_each().await;
        app.world.github.fault(Matching::listing(WEB), bomb(status, "resource ").forever());
        assert_only_api_was_read(&app.agent("alpha").beat().await, code);
    }
}

#[tokio::test]
async fn endless_graphql_answer_fails_and_the_next_pass_reads_everything() {
    for fault in [Fault::Endless(" "), Fault::Endless("x"), bomb(200, " ")] {
        let app = one_unread_in_each().await;
        app.world.github.fault(Matching::graphql(), fault.forever());
        let answer = app.agent("alpha").beat().await;
        assert_ne!(answer.status(), "ok", "{answer:#?}");
        app.world.github.heal();
        app.outlive_freshness();
        assert_eq!(app.agent("alpha").beat().await.touched().len(), 2 - answer.touched().len());
    }
}

#[tokio::test]
async fn page_of_the_largest_bodies_is_read_in_shorter_pages() {
    let app = one_unread_in_each().await;
    app.world.github.arrange(|github| {
        for n in 0..12 {
            let number = github.open_issue(WEB, "Large");
            github.edit_issue(WEB, number, |issue| {
                issue.body = Some("\u{1}".repeat(262_144));
                issue.updated_at += jiff::SignedDuration::from_secs(n);
            });
        }
    });
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.0["touchedCount"].as_u64()), ("ok", Some(14)), "{answer:#?}");
    assert_eq!(app.open_rows(WEB).len(), 13);
    assert_eq!(app.checkpoints(WEB)["shortPages"]["length"], 10);
}

#[tokio::test]
async fn record_larger_than_any_issue_is_named_and_the_others_are_read() {
    let app = one_unread_in_each().await;
    app.world.github.arrange(|github| {
        github.open_issues(WEB, 2);
        github.edit_issue(WEB, 2, |issue| issue.body = Some("x".repeat(5_000_000)));
    });
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.codes()), ("warning", vec!["github_unexpected_answer"]));
    assert_eq!(answer.0["problems"][0]["repository"], WEB);
    assert!(answer.lines("warnings")[0].contains("issue 2;"), "{:#}", answer.0);
    assert_eq!(answer.touched(), ["opened acme/api#1", "opened acme/web#1", "opened acme/web#3"]);
    app.outlive_freshness();
    assert_eq!(app.agent("alpha").beat().await.codes(), ["github_unexpected_answer"], "nor alone");
    app.world.github.arrange(|github| github.edit_issue(WEB, 2, |issue| issue.body = None));
    app.outlive_freshness();
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.touched()), ("ok", vec!["opened acme/web#2".to_owned()]));
}
