//! An operator's word on a held audit: heeded at once, and no word for what GitHub does not say itself.

use agent_heartbeat::schedule::ScheduledBeatFailed;
use serde_json::{Value, json};
use test_world::github::{Fault, Matching};

use crate::audit::audits::{
    audit, audited_page, delete, empty_page, issues_asked_for, pages_audited, settled, tracking,
};
use crate::support::app::{Answer, TestApp, open_spread, until_held};

const API: &str = "acme/api";
const WEB: &str = "acme/web";

/// The audit of `count` open issues is held, because so many of them have been deleted.
async fn held(count: u64, deleted: u64) -> TestApp {
    let app = settled(count).await;
    app.world.github.arrange(|github| delete(github, API, 1..=deleted));
    assert_eq!(audit(&app).await.codes(), ["audit_held"]);
    app.clear_requests();
    app
}

/// Why an invocation failed.
fn why(confirmed: Result<Answer, ScheduledBeatFailed>) -> String {
    confirmed.expect_err("a word that is not heeded fails the invocation").to_string()
}

fn deleted(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(|number| format!("deleted acme/api#{number}")).collect()
}

#[tokio::test]
async fn a_held_audit_is_confirmed_at_once_though_the_last_pass_is_fresh() {
    let app = held(30, 25).await;
    let answer = app.schedule().confirms(API).await.expect("heeded");
    assert_eq!((answer.status(), answer.is_coalesced()), ("ok", false));
    assert_eq!(answer.touched(), deleted(1..=25));
    assert_eq!((pages_audited(&app), issues_asked_for(&app)), (1, 25));
    assert_eq!((app.open_rows(API), &app.marks(API)["openCount"]), ((26..=30).collect(), &Value::from(5)));
    assert_eq!(app.marks(API).get("held"), None);
    assert_eq!(app.agent("alpha").beat().await.touched(), deleted(1..=25));
    let next = audit(&app).await;
    assert_eq!((next.status(), next.touched()), ("ok", vec![]));
}

#[tokio::test]
async fn each_absent_issue_of_a_confirmed_audit_is_asked_for_by_itself() {
    let app = settled(30).await;
    app.world.github.arrange(|github| {
        github.create_repository("acme/attic");
        delete(github, API, [1, 2]);
        github.hide_issue(API, 3);
        github.transfer_issue(API, 4, "acme/attic");
    });
    // GitHub lists nothing at all, whatever is there.
    app.world.github.fault(audited_page(1), empty_page(&app));
    assert_eq!(audit(&app).await.codes(), ["audit_held"]);
    app.world.github.fault(audited_page(1), empty_page(&app));
    app.clear_requests();
    let answer = app.schedule().confirms(API).await.expect("heeded");
    assert_eq!(answer.touched(), ["deleted acme/api#1", "deleted acme/api#2", "moved acme/api#4"]);
    assert_eq!(issues_asked_for(&app), 31, "the moved one at both its addresses");
    let left: Vec<u64> = [3].into_iter().chain(5..=30).collect();
    assert_eq!(app.open_rows(API), left, "what answers 200 stays, and 404 waits for the second audit");
    assert_eq!(app.agent("alpha").beat().await.touched(), answer.touched());
    assert_eq!(audit(&app).await.touched(), ["hidden acme/api#3"]);
    assert_eq!(app.open_rows(API), (5..=30).collect::<Vec<_>>());
}

#[tokio::test]
async fn more_than_a_hundred_go_on_in_later_passes_and_are_not_held_again() {
    let app = held(150, 130).await;
    let answer = app.schedule().confirms(API).await.expect("heeded");
    assert_eq!((answer.status(), issues_asked_for(&app)), ("ok", 100));
    assert_eq!(app.open_rows(API).len(), 50);
    app.outlive_freshness();
    app.clear_requests();
    let rest = app.agent("alpha").beat().await;
    assert_eq!((rest.status(), rest.0["touchedCount"].as_u64()), ("ok", Some(130)));
    assert_eq!((pages_audited(&app), issues_asked_for(&app)), (0, 30));
    assert_eq!(app.open_rows(API), (131..=150).collect::<Vec<_>>());
    assert_eq!(app.items("REPO#", "AUDIT").len(), 0);
}

#[tokio::test]
async fn a_word_for_an_audit_that_is_not_held_or_of_a_repository_that_is_none_of_ours_removes_nothing() {
    for (name, reason) in [
        (API, "no audit of this repository is on hold"),
        ("acme/other", "REPOSITORIES does not name this repository, or GitHub did not show it in this pass"),
    ] {
        let app = settled(30).await;
        app.world.github.arrange(|github| delete(github, API, 1..=25));
        app.clear_requests();
        app.outlive_freshness();
        let why = why(app.schedule().confirms(name).await);
        assert_eq!(
            why,
            format!("the scheduled beat failed: reconcile: {name}: confirmation rejected: {reason}")
        );
        assert_eq!((app.open_rows(API).len(), pages_audited(&app)), (30, 0));
    }
}

#[tokio::test]
async fn a_word_that_names_no_repository_fails_before_anything_is_asked() {
    let app = held(30, 25).await;
    let before = app.items("", "");
    for name in [
        Value::Null,
        json!(""),
        json!("acme"),
        json!("acme/api/1"),
        json!(7),
        json!([API]),
        json!({"name": API}),
    ] {
        let why = why(app.schedule().sends(json!({ "confirmAudit": name }), 300).await);
        assert!(
            why.starts_with("nothing was confirmed: confirmAudit takes the name of one repository"),
            "{why}"
        );
    }
    assert_eq!((app.asked(), app.items("", "")), (vec![], before));
}

#[tokio::test]
async fn a_word_while_another_pass_runs_is_not_heeded_and_works_when_that_has_ended() {
    let app = held(30, 25).await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.comment(API, 30));
    let mut listing = app.world.github.hold(Matching::listing(API));
    let alpha = app.agent("alpha");
    let mut running = Box::pin(alpha.beat());
    assert!(until_held(&mut running, &mut listing).await.is_none());
    let why = why(app.schedule().confirms(API).await);
    assert!(
        why.contains("acme/api: confirmation rejected: no pass could be run for it now; confirm it again"),
        "{why}"
    );
    listing.release();
    assert_eq!(running.await.codes(), ["audit_held"]);
    assert_eq!(app.open_rows(API).len(), 30);
    assert!(app.schedule().confirms(API).await.is_ok());
    assert_eq!(app.open_rows(API), (26..=30).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_word_for_a_repository_that_cannot_be_read_is_not_heeded_and_works_when_it_can() {
    let app = held(30, 25).await;
    app.world.github.fault(Matching::graphql(), Fault::repository_error(API, "FORBIDDEN"));
    let why = why(app.schedule().confirms(API).await);
    assert!(
        why.contains(
            "acme/api: confirmation rejected: the repository could not be read in this pass; confirm again"
        ),
        "{why}"
    );
    assert_eq!((app.open_rows(API).len(), issues_asked_for(&app)), (30, 0));
    let answer = app.schedule().confirms(API).await.expect("heeded");
    assert_eq!(answer.touched(), deleted(1..=25));
}

#[tokio::test]
async fn a_word_is_remembered_when_its_audit_fails() {
    let app = held(30, 25).await;
    app.world.github.fault(audited_page(1), Fault::Status(500).times(3));
    assert!(why(app.schedule().confirms(API).await).contains("GitHub answered 500 three times"));
    assert_eq!(app.open_rows(API).len(), 30);
    app.outlive_freshness();
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.touched()), ("ok", deleted(1..=25)));
}

#[tokio::test]
async fn a_word_is_remembered_while_githubs_budget_is_low() {
    let app = held(30, 25).await;
    let reset = app.ago(-600);
    app.world.github.arrange(|github| github.set_graphql_budget(5_000, 400, reset));
    let said = why(app.schedule().confirms(API).await);
    assert!(said.contains("acme/api: audit on hold: 25 of 30"), "{said}");
    assert!(
        said.contains("An operator confirmed that they are gone; the next passes continue with the removal"),
        "{said}"
    );
    assert_eq!(app.agent("alpha").beat().await.codes(), ["github_budget_low", "audit_held"]);
    app.outlive_freshness();
    let later = app.agent("alpha").beat().await;
    assert!(later.lines("errors")[0].contains("An operator confirmed"), "{:#}", later.0);
    assert_eq!((app.open_rows(API).len(), issues_asked_for(&app)), (30, 0));
    app.pass_time(610);
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.touched()), ("ok", deleted(1..=25)));
}

#[tokio::test]
async fn a_word_given_twice_is_heeded_once_and_the_second_time_there_is_nothing_to_confirm() {
    let app = held(250, 230).await;
    assert!(app.schedule().confirms(API).await.is_ok());
    // Also while the first word's audit goes on, a hundred issues in each pass.
    for left in [50, 20, 20] {
        let again = why(app.schedule().confirms(API).await);
        assert_eq!(
            again,
            "the scheduled beat failed: reconcile: acme/api: confirmation rejected: no audit of this repository is on hold"
        );
        assert_eq!(app.open_rows(API).len(), left);
    }
    assert_eq!(app.agent("alpha").beat().await.0["touchedCount"], 230);
}

#[tokio::test]
async fn a_word_for_one_repository_says_nothing_of_another() {
    let app = tracking(&[API, WEB]).start().await;
    let first = app.ago(1_000);
    app.world.github.arrange(|github| {
        for repository in [API, WEB] {
            open_spread(github, repository, 30, first);
        }
    });
    app.agent("alpha").beat().await;
    app.world.github.arrange(|github| {
        for repository in [API, WEB] {
            delete(github, repository, 1..=25);
        }
    });
    assert_eq!(audit(&app).await.codes(), ["audit_held", "audit_held"]);
    let why = why(app.schedule().confirms("ACME/Api").await);
    assert!(why.contains("acme/web: audit on hold: 25 of 30") && !why.contains("acme/api"), "{why}");
    assert_eq!((app.open_rows(API).len(), app.open_rows(WEB).len()), (5, 30));
}

#[tokio::test]
async fn a_word_that_was_not_heeded_is_told_to_nobody_else() {
    let app = settled(3).await;
    app.schedule().confirms("acme/wep").await.expect_err("no such repository");
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.codes()), ("ok", vec![]), "{:#}", answer.0);
}
