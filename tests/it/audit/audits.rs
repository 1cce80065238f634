//! Audits compare the open issues on GitHub with the cached ones, and remove nothing without proof.

use crate::support::app::open_spread;
use crate::support::audits::{
    API, INTERVAL, WEB, audit, audited_page, delete, issues_asked_for, pages_audited, settled, tracking,
};
use serde_json::Value;
use test_world::github::{Fault, GitHub, Matching, World};

#[tokio::test]
async fn audit_without_differences_writes_no_issue() {
    let app = settled(3).await;
    for _ in 0..2 {
        let answer = audit(&app).await;
        assert_eq!((answer.status(), answer.touched().len()), ("ok", 0));
        assert_eq!((pages_audited(&app), issues_asked_for(&app)), (1, 0));
        assert_eq!(app.written(API), [""; 0]);
    }
}

#[tokio::test]
async fn audit_before_its_interval_has_passed_is_not_due() {
    let app = tracking(&[API]).start().await;
    app.world.github.arrange(|github| github.open_issues(API, 1));
    app.agent("alpha").beat().await;
    app.clear_requests();
    for _ in 0..5 {
        app.pass_time(INTERVAL / 6);
        app.agent("alpha").beat().await;
    }
    app.pass_time(INTERVAL / 6 - 1);
    app.agent("alpha").beat().await;
    assert_eq!(pages_audited(&app), 0);
    app.outlive_freshness();
    app.agent("alpha").beat().await;
    assert_eq!(pages_audited(&app), 1);
    app.outlive_freshness();
    app.agent("alpha").beat().await;
    assert_eq!(pages_audited(&app), 1, "an audit that is complete is not repeated");
}

#[tokio::test]
async fn repository_with_changes_is_not_audited_until_it_settles() {
    let app = settled(1).await;
    app.pass_time(INTERVAL - 40);
    app.world.github.arrange(|github| github.open_issue(API, "New"));
    app.pass_time(40);
    app.clear_requests();
    app.agent("alpha").beat().await;
    assert_eq!(pages_audited(&app), 0);
    app.pass_time(130);
    app.agent("alpha").beat().await;
    assert_eq!(pages_audited(&app), 1);
}

#[tokio::test]
async fn deleted_issue_is_removed_and_reported_once() {
    let app = settled(2).await;
    app.world.github.arrange(|github| github.delete_issue(API, 1));
    let answer = audit(&app).await;
    assert_eq!((answer.status(), answer.touched()), ("ok", vec!["deleted acme/api#1".to_owned()]));
    assert_eq!(app.open_rows(API), [2]);
    assert_eq!(app.checkpoints(API)["openCount"], 1);
    assert_eq!(app.row(API, 1)["gone"]["reason"], "deleted");
    let again = audit(&app).await;
    assert_eq!((again.touched(), issues_asked_for(&app)), (vec![], 0));
}

#[tokio::test]
async fn issue_transferred_to_a_tracked_repository_is_moved_there_once() {
    let app = tracking(&[API, WEB]).start().await;
    app.world.github.arrange(|github| github.open_issues(API, 2));
    app.agent("alpha").beat().await;
    app.world.github.arrange(|github| github.transfer_issue(API, 1, WEB));
    let answer = audit(&app).await;
    assert_eq!(answer.touched(), ["moved acme/api#1", "opened acme/web#1"]);
    let moved = answer.0["touched"].as_array().expect("a list");
    assert!(
        moved.iter().any(|touch| touch["movedTo"] == "https://github.com/acme/web/issues/1"),
        "{moved:#?}"
    );
    assert_eq!((app.open_rows(API), app.open_rows(WEB)), (vec![2], vec![1]));
    assert_eq!(audit(&app).await.touched(), [""; 0]);
}

#[tokio::test]
async fn issue_transferred_to_an_untracked_repository_is_moved() {
    let app = settled(2).await;
    app.world.github.arrange(|github| {
        github.create_repository("acme/else");
        github.transfer_issue(API, 1, "acme/else");
    });
    let answer = audit(&app).await;
    insta::assert_json_snapshot!(answer.0["touched"], @r#"
    [
      {
        "change": "moved",
        "movedTo": "https://github.com/acme/else/issues/1",
        "url": "https://github.com/acme/api/issues/1"
      }
    ]
    "#);
    assert_eq!(app.open_rows(API), [2]);
}

#[tokio::test]
async fn issue_transferred_where_the_token_may_not_read_is_moved() {
    for refusal in [Fault::saml_required(), Fault::Status(404), Fault::Status(451)] {
        let app = settled(2).await;
        app.world.github.arrange(|github| {
            github.create_repository("acme/else");
            github.transfer_issue(API, 1, "acme/else");
        });
        app.world.github.fault(Matching::issue("acme/else", 1), refusal);
        let answer = audit(&app).await;
        assert_eq!((answer.status(), answer.touched()), ("ok", vec!["moved acme/api#1".to_owned()]));
    }
}

#[tokio::test]
async fn issue_transferred_to_another_host_is_not_followed_there() {
    let app = settled(2).await;
    let elsewhere = GitHub::start(app.world.clock.clone()).await;
    app.world.github.arrange(|github| github.delete_issue(API, 1));
    let moved = Fault::Answer {
        status: 301,
        headers: vec![("location", format!("{}/repositories/7/issues/1", elsewhere.url()))],
        body: "{}".into(),
    };
    app.world.github.fault(Matching::issue(API, 1), moved);
    audit(&app).await;
    assert_eq!(issues_asked_for(&app), 1);
    assert_eq!(elsewhere.requests(), []);
}

#[tokio::test]
async fn issue_transferred_there_and_back_is_open_under_its_new_number() {
    let app = tracking(&[API, WEB]).start().await;
    app.world.github.arrange(|github| github.open_issues(API, 2));
    app.agent("alpha").beat().await;
    app.world.github.arrange(|github| github.transfer_issue(API, 1, WEB));
    audit(&app).await;
    app.world.github.arrange(|github| github.transfer_issue(WEB, 1, API));
    let answer = audit(&app).await;
    assert_eq!(answer.touched(), ["opened acme/api#3", "moved acme/web#1"]);
    assert_eq!((app.open_rows(API), app.open_rows(WEB)), (vec![2, 3], vec![]));
}

#[tokio::test]
async fn issue_that_returns_after_its_tombstone_is_reopened() {
    let app = settled(2).await;
    app.world.github.arrange(|github| github.hide_issue(API, 1));
    audit(&app).await;
    assert_eq!(audit(&app).await.touched(), ["hidden acme/api#1"]);
    app.world.github.arrange(|github| github.show_issue(API, 1));
    assert_eq!(audit(&app).await.touched(), ["reopened acme/api#1"]);
    assert_eq!((app.open_rows(API), &app.checkpoints(API)["openCount"]), (vec![1, 2], &Value::from(2)));
    assert!(app.row(API, 1).get("gone").is_none());
}

#[tokio::test]
async fn issue_hidden_during_one_audit_only_stays_unchanged() {
    let app = settled(2).await;
    app.world.github.arrange(|github| github.hide_issue(API, 1));
    assert_eq!(audit(&app).await.touched(), [""; 0]);
    assert_eq!((app.open_rows(API), issues_asked_for(&app)), (vec![1, 2], 1));
    app.world.github.arrange(|github| github.show_issue(API, 1));
    assert_eq!(audit(&app).await.touched(), [""; 0]);

    app.world.github.arrange(|github| github.hide_issue(API, 1));
    assert_eq!(
        audit(&app).await.touched(),
        [""; 0],
        "the issue was listed in between, so this absence counts as the first"
    );
    assert_eq!(app.open_rows(API), [1, 2]);
}

#[tokio::test]
async fn issue_hidden_during_two_audits_is_reported_as_hidden() {
    let app = settled(2).await;
    app.world.github.arrange(|github| github.hide_issue(API, 1));
    assert_eq!(audit(&app).await.touched(), [""; 0]);
    app.outlive_freshness();
    assert_eq!(app.agent("alpha").beat().await.touched(), [""; 0]);
    let answer = audit(&app).await;
    assert_eq!((answer.status(), answer.touched()), ("ok", vec!["hidden acme/api#1".to_owned()]));
    assert_eq!(app.open_rows(API), [2]);
    assert_eq!(audit(&app).await.touched(), [""; 0]);
}

#[tokio::test]
async fn issue_of_a_hidden_repository_is_not_reported_as_hidden() {
    let app = tracking(&[API, WEB]).start().await;
    app.world.github.arrange(|github| github.open_issues(API, 2));
    app.agent("alpha").beat().await;
    app.world.github.arrange(|github| github.hide_issue(API, 1));
    audit(&app).await;
    app.world.github.arrange(|github| github.hide_repository(API));
    for _ in 0..2 {
        let answer = audit(&app).await;
        assert_eq!(answer.codes(), ["repository_not_found"]);
        assert_eq!((answer.touched(), app.open_rows(API)), (vec![], vec![1, 2]));
    }
    app.world.github.arrange(|github| github.show_repository(API));
    assert_eq!(audit(&app).await.touched(), ["hidden acme/api#1"]);
}

#[tokio::test]
async fn absent_issue_that_its_lookup_finds_is_written_as_it_is() {
    let app = settled(2).await;
    // Hidden from the audit's listing only, and closed when it is looked up.
    app.world.github.before(audited_page(1), |github| github.hide_issue(API, 1));
    app.world.github.before(Matching::issue(API, 1), |github| {
        github.show_issue(API, 1);
        github.close_issue(API, 1);
    });
    let answer = audit(&app).await;
    assert_eq!(answer.touched(), ["closed acme/api#1"]);
    assert_eq!(app.row(API, 1)["status"], "done");
}

#[tokio::test]
async fn open_issue_missing_from_the_cache_is_restored_by_the_next_audit() {
    let app = settled(2).await;
    let id = app.world.github.arrange(|github| github.repository_id(API));
    app.world.dynamodb.delete_item(test_world::TABLE_NAME, &format!("REPO#{id}"), "ISSUE#0000000001");
    app.outlive_freshness();
    assert_eq!(app.agent("alpha").beat().await.touched(), [""; 0]);
    assert_eq!(app.open_rows(API), [2], "no listing contains it");
    assert_eq!(audit(&app).await.touched(), ["opened acme/api#1"]);
    assert_eq!(app.open_rows(API), [1, 2]);
    assert_eq!(app.checkpoints(API)["openCount"], 2);
    assert_eq!(audit(&app).await.touched(), [""; 0]);
}

#[tokio::test]
async fn issue_on_another_page_of_the_same_audit_is_not_absent() {
    let rest = Matching::listing(API).query("state", "open");
    // GraphQL's pages do not contain the whole issue: it is looked up once, because it differs.
    for (has_graphql, first_page, asked_for) in [(true, audited_page(1), 1), (false, rest, 0)] {
        let app = tracking(&[API]).start().await;
        let first = app.ago(1_000);
        app.world.github.arrange(|github| open_spread(github, API, 101, first));
        app.agent("alpha").beat().await;
        if !has_graphql {
            app.world.github.arrange(World::remove_graphql);
        }
        app.world
            .github
            .before(first_page, |github| github.edit_issue(API, 1, |issue| issue.title = "Moved on".into()));
        let answer = audit(&app).await;
        assert_eq!(answer.touched(), ["edited acme/api#1"]);
        assert_eq!((pages_audited(&app), issues_asked_for(&app)), (2, asked_for));
    }
}

#[tokio::test]
async fn absent_issue_with_an_odd_answer_does_not_block_the_others() {
    let app = settled(20).await;
    app.world.github.arrange(|github| delete(github, API, 1..=3));
    app.world.github.fault(Matching::issue(API, 1), Fault::Status(451).forever());
    let answer = audit(&app).await;
    assert_eq!((answer.status(), answer.codes()), ("error", vec!["github_unexpected_answer"]));
    assert_eq!(answer.touched(), ["deleted acme/api#2", "deleted acme/api#3"]);
    assert_eq!(app.open_rows(API)[..2], [1, 4], "the answer about the first one proves nothing");
    app.outlive_freshness();
    app.clear_requests();
    assert_eq!(app.agent("alpha").beat().await.status(), "ok");
    assert_eq!(issues_asked_for(&app), 0, "the next audit looks it up again");
    app.world.github.heal();
    assert_eq!(audit(&app).await.touched(), ["deleted acme/api#1"]);
}

#[tokio::test]
async fn audit_with_twenty_odd_answers_in_a_row_defers_the_other_lookups() {
    let app = settled(300).await;
    app.world.github.arrange(|github| delete(github, API, 1..=25));
    for number in 1..=22 {
        app.world.github.fault(Matching::issue(API, number), Fault::saml_required().forever());
    }
    let answer = audit(&app).await;
    assert_eq!((answer.codes(), answer.touched()), (vec!["github_forbidden"], vec![]));
    assert_eq!(issues_asked_for(&app), 20);
    app.outlive_freshness();
    app.clear_requests();
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.touched(), ["deleted acme/api#23", "deleted acme/api#24", "deleted acme/api#25"]);
    assert_eq!(issues_asked_for(&app), 5);
    app.world.github.heal();
}

#[tokio::test]
async fn issue_edited_during_an_audit_is_reported_once() {
    let app = settled(2).await;
    app.world.github.before(audited_page(1), |github| {
        github.edit_issue(API, 1, |issue| issue.title = "Edited".into());
    });
    let audited = audit(&app).await;
    assert_eq!((audited.status(), pages_audited(&app)), ("ok", 1));
    let mut reported = audited.touched();
    for _ in 0..3 {
        app.pass_time(130);
        reported.extend(app.agent("alpha").beat().await.touched());
    }
    assert_eq!(reported, ["edited acme/api#1"]);
    assert_eq!((app.row(API, 1)["title"].as_str(), app.revisions()), (Some("Edited"), vec![(1, 1), (2, 1)]));
}

#[tokio::test]
async fn absent_issue_without_an_answer_is_looked_up_again_after_a_limit() {
    let app = settled(20).await;
    app.world.github.arrange(|github| delete(github, API, 1..=3));
    app.world.github.fault(Matching::issue(API, 1), Fault::Status(502).times(3));
    app.world.github.fault(Matching::issue(API, 3), Fault::secondary_limit(Some("60")));
    let cut = audit(&app).await;
    assert_eq!(
        (cut.touched(), cut.codes()),
        (vec!["deleted acme/api#2".to_owned()], vec!["github_rate_limited"])
    );
    app.pass_time(61);
    let next = app.agent("alpha").beat().await;
    assert_eq!(next.touched(), ["deleted acme/api#1", "deleted acme/api#3"]);
}
