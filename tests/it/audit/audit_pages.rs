//! How an audit reads GitHub's open issues: by GraphQL, and by REST where that is cheaper or GraphQL fails.

use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use test_world::TABLE_NAME;
use test_world::github::{Fault, Matching, Request, World};

use crate::support::app::{TestApp, open_spread};
use crate::support::audits::{
    INTERVAL, audit, audited_page, delete, is_brief_page, issues_asked_for, pages_audited, settled, tracking,
};

const API: &str = "acme/api";

/// As [`settled`], with the label `bug` on the issues in `labelled` from the beginning.
async fn labelled(count: u64, labelled: RangeInclusive<u64>) -> TestApp {
    let app = tracking(&[API]).start().await;
    let first = app.ago(1_000);
    app.world.github.arrange(|github| {
        open_spread(github, API, count, first);
        for number in labelled {
            let updated_at = github.issue(API, number).updated_at;
            github.edit_issue(API, number, |issue| {
                issue.labels = vec!["bug".to_owned()];
                issue.updated_at = updated_at;
            });
        }
        github.open_pull_request(API, "A newer one, which keeps the issues out of later listings");
    });
    app.agent("alpha").beat().await;
    app.pass_time(130);
    app.agent("alpha").beat().await;
    app
}

/// The requests of an audit: pages by GraphQL, pages by REST, single issues.
fn asked_for(app: &TestApp) -> (usize, usize, usize) {
    let requests = app.world.github.requests();
    let brief = requests.iter().filter(|request| is_brief_page(request)).count();
    (brief, pages_audited(app) - brief, issues_asked_for(app))
}

/// A GraphQL answer with these nodes as the last page of `acme/api`'s open issues.
fn last_page(app: &TestApp, nodes: Value) -> Fault {
    let id = app.world.github.arrange(|github| github.repository_id(API));
    let page =
        json!({"totalCount": 0, "pageInfo": {"hasNextPage": false, "endCursor": null}, "nodes": nodes});
    let body = json!({"data": {"repository": {"databaseId": id, "issues": page}}});
    Fault::Answer { status: 200, headers: Vec::new(), body: body.to_string() }
}

#[tokio::test]
async fn audit_without_differences_requests_only_its_graphql_pages() {
    let app = settled(250).await;
    let answer = audit(&app).await;
    assert_eq!((answer.status(), answer.touched(), asked_for(&app)), ("ok", vec![], (3, 0, 0)));
    assert_eq!(app.asked(), ["/graphql"; 4], "the probe, too");
    assert_eq!(app.written(API), [""; 0]);
}

#[tokio::test]
async fn audit_page_with_over_three_differences_is_listed_by_rest() {
    for (differ, asked) in [(1, (1, 0, 1)), (3, (1, 0, 3)), (4, (1, 1, 0))] {
        let app = labelled(10, 1..=differ).await;
        app.world.github.arrange(|github| github.rename_label(API, "bug", "defect"));
        let answer = audit(&app).await;
        let edited: Vec<String> = (1..=differ).map(|number| format!("edited acme/api#{number}")).collect();
        assert_eq!((answer.status(), answer.touched()), ("ok", edited));
        assert_eq!(asked_for(&app), asked, "{differ} differ");
        assert_eq!(audit(&app).await.touched(), [""; 0]);
    }
}

#[tokio::test]
async fn audit_that_falls_back_to_rest_resumes_where_graphql_stopped() {
    let app = labelled(250, 150..=153).await;
    app.world.github.arrange(|github| {
        github.rename_label(API, "bug", "defect");
        delete(github, API, [7, 240]);
    });
    let answer = audit(&app).await;
    assert_eq!(answer.0["touchedCount"], 6);
    assert_eq!(app.open_rows(API).len(), 248);
    // Two pages by GraphQL, with too many differences on the second, then two pages by REST.
    assert_eq!(asked_for(&app), (2, 2, 2));
    let position = app.row(API, 101)["updatedAt"].as_str().expect("a time").to_owned();
    assert!(app.listed_since()[0] <= position && !app.listed_since()[0].is_empty(), "{:?}", app.asked());
}

#[tokio::test]
async fn audit_without_graphql_lists_by_rest() {
    let app = labelled(120, 1..=2).await;
    app.world.github.arrange(World::remove_graphql);
    // This pass lists the pull request, so that the next one only audits.
    app.outlive_freshness();
    app.agent("alpha").beat().await;
    app.world.github.arrange(|github| {
        github.rename_label(API, "bug", "defect");
        github.delete_issue(API, 3);
    });
    let answer = audit(&app).await;
    assert_eq!(answer.codes(), ["probe_unavailable"]);
    assert_eq!(answer.touched(), ["edited acme/api#1", "edited acme/api#2", "deleted acme/api#3"]);
    assert_eq!(asked_for(&app), (0, 2, 1));
}

#[tokio::test]
async fn rest_audit_that_is_cut_off_removes_nothing_and_resumes() {
    let app = settled(250).await;
    app.world.github.arrange(|github| {
        github.remove_graphql();
        delete(github, API, [5, 200]);
    });
    let third_page = Matching::listing(API).query("state", "open").nth(3);
    app.world.github.fault(third_page, Fault::Status(500).times(3));
    let cut = audit(&app).await;
    assert_eq!(cut.codes(), ["probe_unavailable", "github_unavailable"]);
    assert_eq!((app.open_rows(API).len(), issues_asked_for(&app)), (250, 0));
    app.outlive_freshness();
    app.clear_requests();
    let rest = app.agent("alpha").beat().await;
    assert_eq!(rest.touched(), ["deleted acme/api#5", "deleted acme/api#200"]);
    assert_eq!(asked_for(&app), (0, 1, 2));
}

#[tokio::test]
async fn audit_with_graphql_failing_midway_finishes_by_rest() {
    // A shorter page is tried first where that may help.
    let retried = [Fault::Status(502), Fault::Status(504), Fault::resource_limits(0)].map(|fault| (fault, 3));
    for (fault, times) in retried.into_iter().chain([(Fault::saml_required(), 1)]) {
        let app = settled(150).await;
        app.world.github.arrange(|github| delete(github, API, [5, 140]));
        app.world.github.fault(audited_page(2), fault.clone().times(times));
        let answer = audit(&app).await;
        assert_eq!(answer.touched(), ["deleted acme/api#5", "deleted acme/api#140"], "{fault:?}");
        let tried = usize::try_from(times).expect("a few");
        assert_eq!((answer.status(), asked_for(&app)), ("ok", (1 + tried, 1, 2)), "{fault:?}");
        assert_eq!((app.open_rows(API).len(), &app.checkpoints(API)["openCount"]), (148, &Value::from(148)));
    }
}

#[tokio::test]
async fn audit_with_graphql_points_exhausted_midway_finishes_by_rest() {
    let app = settled(150).await;
    app.world.github.arrange(|github| github.delete_issue(API, 5));
    let reset = app.ago(-7_200);
    app.world.github.before(audited_page(2), move |github| github.set_graphql_budget(5_000, 0, reset));
    let answer = audit(&app).await;
    assert_eq!((answer.touched(), asked_for(&app)), (vec!["deleted acme/api#5".to_owned()], (2, 1, 1)));
    assert_eq!(app.open_rows(API).len(), 149);
}

#[tokio::test]
async fn audit_page_with_a_gap_or_errors_removes_nothing_and_is_read_again() {
    let gap: fn(&TestApp) -> Fault = |app| last_page(app, json!([null]));
    for (fault, code) in [
        (gap, "github_unexpected_answer"),
        (|_| Fault::node_error(3), "github_unexpected_answer"),
        (|_| Fault::repository_error(API, "FORBIDDEN"), "github_forbidden"),
        (|_| Fault::repository_error(API, None), "github_unexpected_answer"),
    ] {
        let app = settled(10).await;
        app.world.github.arrange(|github| github.delete_issue(API, 1));
        app.world.github.fault(audited_page(1), fault(&app));
        let answer = audit(&app).await;
        assert_eq!((answer.status(), answer.codes(), answer.touched()), ("error", vec![code], vec![]));
        assert_eq!((app.open_rows(API).len(), asked_for(&app)), (10, (1, 0, 0)));
        app.outlive_freshness();
        assert_eq!(app.agent("alpha").beat().await.touched(), ["deleted acme/api#1"]);
    }
}

#[tokio::test]
async fn audit_page_without_an_end_cursor_is_not_taken_for_the_last() {
    let app = settled(150).await;
    let id = app.world.github.arrange(|github| github.repository_id(API));
    let page = json!({"totalCount": 0, "pageInfo": {"hasNextPage": true, "endCursor": null}, "nodes": []});
    let body = json!({"data": {"repository": {"databaseId": id, "issues": page}}}).to_string();
    app.world.github.fault(audited_page(1), Fault::Answer { status: 200, headers: Vec::new(), body });
    let answer = audit(&app).await;
    assert_eq!(answer.codes(), ["github_unexpected_answer"]);
    assert_eq!((app.open_rows(API).len(), issues_asked_for(&app)), (150, 0));
}

#[tokio::test]
async fn audit_page_of_another_repository_with_the_name_removes_nothing() {
    let app = settled(10).await;
    app.world.github.before(audited_page(1), |github| {
        github.rename_repository(API, "acme/api-old");
        github.create_repository(API);
    });
    let answer = audit(&app).await;
    assert_eq!((answer.codes(), answer.touched()), (vec!["github_unexpected_answer"], vec![]));
    assert_eq!(app.items("REPO#", "ISSUE#").iter().filter(|row| row["state"] == "open").count(), 10);
}

#[tokio::test]
async fn issues_changed_between_two_audit_pages_are_reported_once() {
    let app = settled(150).await;
    app.world.github.before(audited_page(2), |github| {
        github.edit_issue(API, 1, |issue| issue.title = "Edited after its page".into());
        github.edit_issue(API, 149, |issue| issue.title = "Edited before its page".into());
        github.close_issue(API, 2);
        github.close_issue(API, 120);
    });
    let mut reported = audit(&app).await.touched();
    let edits = ["edited acme/api#1", "closed acme/api#120", "edited acme/api#149"];
    assert_eq!(reported, edits, "an issue closed after its page is reported by the next listing");
    assert_eq!(asked_for(&app), (2, 0, 3));
    for _ in 0..3 {
        app.pass_time(130);
        reported.extend(app.agent("alpha").beat().await.touched());
    }
    assert_eq!(reported, [edits.as_slice(), &["closed acme/api#2"]].concat());
    assert_eq!(app.revisions().into_iter().map(|(_, rows)| rows).sum::<usize>(), 150);
    assert_eq!((app.open_rows(API).len(), &app.checkpoints(API)["openCount"]), (148, &Value::from(148)));
}

#[tokio::test]
async fn audit_cut_between_two_pages_by_a_deadline_resumes_there() {
    let app = settled(250).await;
    app.world.github.arrange(|github| delete(github, API, [5, 200]));
    let clock = app.world.clock.clone();
    app.world.github.before(audited_page(2), move |_| clock.advance(Duration::from_secs(5)));
    app.pass_time(INTERVAL);
    app.clear_requests();
    let cut = app.agent("alpha").beat_within(10).await;
    assert_eq!((cut.status(), cut.touched(), asked_for(&app)), ("ok", vec![], (2, 0, 0)));
    assert_eq!(app.items("PASSES", "").last().expect("a record")["deferred"], json!([API]));
    app.outlive_freshness();
    app.clear_requests();
    let rest = app.agent("alpha").beat_within(10).await;
    assert_eq!(rest.touched(), ["deleted acme/api#5", "deleted acme/api#200"]);
    assert_eq!(asked_for(&app), (2, 0, 2), "only the last second of the first page is read again");
    let filter = |request: &Request| {
        request
            .graphql
            .as_ref()
            .and_then(|call| call.variables["filter"]["since"].as_str().map(str::to_owned))
    };
    let since: Vec<String> = app.world.github.requests().iter().filter_map(filter).collect();
    let last_of_the_first_page: Timestamp =
        app.row(API, 100)["updatedAt"].as_str().and_then(|at| at.parse().ok()).expect("an instant");
    assert_eq!(since, vec![last_of_the_first_page.to_string(); 2]);
    assert_eq!(app.items("REPO#", "AUDIT").len(), 0);
}

#[tokio::test]
async fn resumed_audit_corrects_the_number_of_open_issues() {
    let app = settled(150).await;
    app.world.github.fault(audited_page(2), Fault::Status(500).times(3));
    audit(&app).await;
    assert_eq!(app.items("REPO#", "AUDIT").len(), 1);
    let mut checkpoints = app.checkpoints(API);
    checkpoints["openCount"] = 7.into();
    app.world.dynamodb.put_item(TABLE_NAME, &checkpoints);
    app.outlive_freshness();
    app.clear_requests();
    app.agent("alpha").beat().await;
    assert_eq!((asked_for(&app), app.items("REPO#", "AUDIT").len()), ((1, 0, 0), 0), "it resumed");
    assert_eq!(app.checkpoints(API)["openCount"], 150);
}

#[tokio::test]
async fn audit_of_an_empty_repository_requests_one_page() {
    let app = tracking(&[API]).start().await;
    app.agent("alpha").beat().await;
    let answer = audit(&app).await;
    assert_eq!((answer.status(), asked_for(&app)), ("ok", (1, 0, 0)));
    app.world.github.arrange(World::remove_graphql);
    assert_eq!((audit(&app).await.codes(), asked_for(&app)), (vec!["probe_unavailable"], (0, 1, 0)));
}

#[tokio::test]
async fn issue_that_never_answers_does_not_block_the_rest_of_its_audit() {
    let app = tracking(&[API]).start().await;
    let first = app.ago(1_000);
    app.world.github.arrange(|github| {
        open_spread(github, API, 5, first);
        let at = github.issue(API, 1).updated_at;
        github.edit_issue(API, 1, |issue| {
            issue.labels = vec!["bug".to_owned()];
            issue.updated_at = at;
        });
        github.open_pull_request(API, "A newer one");
    });
    app.agent("alpha").beat().await;
    app.pass_time(130);
    app.agent("alpha").beat().await;
    app.world.github.arrange(|github| {
        github.rename_label(API, "bug", "defect");
        github.delete_issue(API, 5);
    });
    app.world.github.fault(Matching::issue(API, 1), Fault::Status(500).forever());
    let mut reported = Vec::new();
    for _ in 0..4 {
        let answer = audit(&app).await;
        reported.extend(answer.touched());
    }
    assert!(reported.contains(&"deleted acme/api#5".to_owned()), "{reported:?}");
}
