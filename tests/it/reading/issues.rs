//! Lists of issues, what they filter, and one issue.

use serde_json::{Value, json};
use test_world::dynamodb::{Fault, On};
use test_world::github::{Fault as GitHubFault, Matching};

use crate::support::app::TestApp;

/// The issues of a list, as `acme/api#7`.
async fn listed(app: &TestApp, target: &str) -> Vec<String> {
    let (issues, _) = app.client().read_all(target, "issues").await;
    let named =
        |issue: &Value| format!("{}#{}", issue["repository"].as_str().expect("a name"), issue["number"]);
    issues.iter().map(named).collect()
}

async fn two_repositories() -> TestApp {
    let app = TestApp::tracking(&["acme/web", "acme/api"]).start().await;
    app.world.github.arrange(|github| {
        github.open_issues("acme/api", 3);
        github.open_issues("acme/web", 2);
    });
    app
}

#[tokio::test]
async fn open_issues_are_listed_with_everything_that_a_list_shows() {
    let app = two_repositories().await;
    app.world.github.arrange(|github| {
        github.add_label("acme/api", 2, "status/ready");
        github.assign("acme/api", 2, "octocat");
    });
    app.agent("alpha").beat().await;
    assert_eq!(
        listed(&app, "/api/issues").await,
        ["acme/web#1", "acme/web#2", "acme/api#1", "acme/api#2", "acme/api#3"]
    );
    let page = app.client().read("/api/issues?repository=ACME/api&label=Status/Ready").await;
    assert_eq!((&page["nextCursor"], &page["incomplete"]), (&Value::Null, &json!([])));
    assert_eq!(page["freshAt"], "2026-11-22T06:00:00.000Z");
    let issue = app.world.github.arrange(|github| github.issue("acme/api", 2).clone());
    let expected = json!([{
        "repository": "acme/api",
        "number": 2,
        "url": "https://github.com/acme/api/issues/2",
        "title": issue.title,
        "state": "open",
        "status": "ready",
        "labels": ["status/ready"],
        "assignees": ["octocat"],
        "author": app.row("acme/api", 2)["author"],
        "createdAt": app.row("acme/api", 2)["createdAt"],
        "updatedAt": app.row("acme/api", 2)["updatedAt"],
    }]);
    assert_eq!(page["issues"], expected);
}

#[tokio::test]
async fn filters_are_all_to_be_met() {
    let app = two_repositories().await;
    let labels = ["good first issue", "a,b", "area: x", "c++", "🐛"];
    app.world.github.arrange(|github| {
        labels.iter().for_each(|label| github.add_label("acme/api", 1, label));
        github.add_label("acme/api", 2, "c++");
        github.add_label("acme/web", 1, "status/in-review");
        github.assign("acme/web", 2, "Octocat");
    });
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.close_issue("acme/api", 3));
    app.agent("alpha").beat().await;
    for (query, expected) in [
        ("label=good+first+issue", &["acme/api#1"][..]),
        ("label=good%20first%20issue&label=a%2Cb&label=area:%20x", &["acme/api#1"]),
        ("label=c%2B%2B", &["acme/api#1", "acme/api#2"]),
        ("label=c%2B%2B&label=%F0%9F%90%9B", &["acme/api#1"]),
        ("label=c%2B%2B&label=bug", &[]),
        ("label=a", &[]),
        ("status=in-review", &["acme/web#1"]),
        ("status=none&repository=acme/web", &["acme/web#2"]),
        ("status=done", &[]),
        ("status=done&state=all", &["acme/api#3"]),
        ("assignee=octocat", &["acme/web#2"]),
        ("assignee=*", &["acme/web#2"]),
        ("assignee=none&repository=acme/web", &["acme/web#1"]),
        ("state=closed", &["acme/api#3"]),
        ("state=all&repository=acme/api", &["acme/api#1", "acme/api#2", "acme/api#3"]),
    ] {
        for limit in [1, 200] {
            assert_eq!(
                listed(&app, &format!("/api/issues?{query}&limit={limit}")).await,
                expected,
                "{query}"
            );
        }
    }
}

#[tokio::test]
async fn excluded_and_gone_issues_are_in_no_list() {
    let app = two_repositories().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| {
        github.add_label("acme/api", 1, "Secret");
        github.add_label("acme/api", 2, "secret");
        github.close_issue("acme/api", 2);
        github.transfer_issue("acme/api", 3, "acme/web");
    });
    let mut app = app;
    app.restart_with("EXCLUDED_LABELS", "secret");
    app.agent("alpha").beat().await;
    for _ in 0..3 {
        app.pass_time(6 * 3_600 + 1);
        app.agent("alpha").beat().await;
    }
    for state in ["open", "closed", "all"] {
        let api = listed(&app, &format!("/api/issues?repository=acme/api&state={state}")).await;
        assert_eq!(api, [""; 0], "{state}");
    }
    let client = app.client();
    assert_eq!(client.get("/api/repositories/acme/api/issues/1").await.status, 404);
    let moved = client.read("/api/repositories/acme/api/issues/3").await;
    assert_eq!(moved["gone"]["reason"], "moved");
    assert_eq!(moved["gone"]["movedTo"], "https://github.com/acme/web/issues/3");
}

#[tokio::test]
async fn one_issue_shows_why_it_was_closed() {
    let app = two_repositories().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.close_issue_as("acme/api", 1, "not_planned"));
    app.agent("alpha").beat().await;
    app.clear_requests();
    let issue = app.client().read("/api/repositories/acme/api/issues/1").await;
    assert_eq!((&issue["state"], &issue["stateReason"]), (&json!("closed"), &json!("not_planned")));
    assert_eq!((&issue["status"], &issue["repository"]), (&json!("done"), &json!("acme/api")));
    assert_eq!(issue["closedAt"], app.row("acme/api", 1)["closedAt"]);
    assert_eq!(app.world.dynamodb.capacity().read_units, 2.0);
    for unknown in ["acme/api/issues/4", "acme/api/issues/x", "acme/other/issues/1"] {
        assert_eq!(app.client().get(&format!("/api/repositories/{unknown}")).await.status, 404, "{unknown}");
    }
}

#[tokio::test]
async fn list_tells_no_work_from_not_looked() {
    let app = TestApp::tracking(&["acme/api", "acme/none"]).start().await;
    app.world.github.arrange(|github| github.hide_repository("acme/none"));
    let page = app.client().read("/api/issues").await;
    assert_eq!((&page["issues"], &page["freshAt"]), (&json!([]), &Value::Null));
    assert_eq!(
        page["incomplete"][0],
        json!({ "repository": "acme/api", "state": "waiting", "failure": null })
    );
    app.agent("alpha").beat().await;
    let page = app.client().read("/api/issues").await;
    let failure = json!({ "code": "repository_not_found", "since": "2026-11-22T06:00:00.000Z" });
    let expected = json!([{ "repository": "acme/none", "state": "failing", "failure": failure }]);
    assert_eq!((&page["incomplete"], &page["freshAt"]), (&expected, &Value::Null));
    let of_api = app.client().read("/api/issues?repository=acme/api").await;
    assert_eq!((&of_api["incomplete"], &of_api["freshAt"]), (&json!([]), &json!("2026-11-22T06:00:00.000Z")));
}

#[tokio::test]
async fn unchanged_list_costs_one_read_unit_however_many_passes_confirm_it() {
    let app = two_repositories().await;
    app.agent("alpha").beat().await;
    let client = app.client();
    let tag = client.get("/api/issues").await.headers["etag"].clone();
    for _ in 0..3 {
        app.pass_time(200);
        app.agent("alpha").beat().await;
        app.clear_requests();
        let again = client.get_unless("/api/issues", Some(&tag)).await;
        assert_eq!((again.status, app.world.dynamodb.capacity().read_units), (304, 1.0));
    }
}

/// Whatever changes a list changes its tag, too.
#[tokio::test]
async fn tag_changes_with_all_that_a_list_shows() {
    let mut app = two_repositories().await;
    let mut last = String::new();
    let mut next = async |app: &TestApp, what: &str| {
        app.pass_time(200);
        app.agent("alpha").beat().await;
        let reply = app.client().get("/api/issues").await;
        let tag = reply.headers["etag"].clone();
        assert_ne!(std::mem::replace(&mut last, tag.clone()), tag, "{what}");
    };
    next(&app, "the first list").await;
    app.world.github.arrange(|github| github.edit_issue("acme/api", 1, |issue| issue.title = "New".into()));
    next(&app, "a title").await;
    app.world.github.arrange(|github| github.close_issue("acme/api", 1));
    next(&app, "a closed issue").await;
    app.world.github.arrange(|github| github.hide_repository("acme/web"));
    next(&app, "a failing repository").await;
    app.world.github.arrange(|github| github.show_repository("acme/web"));
    next(&app, "one that can be read again, with the failure gone").await;
    app.world.github.arrange(|github| github.rename_repository("acme/web", "acme/site"));
    next(&app, "a renamed one").await;
    app.world.github.arrange(|github| {
        github.create_repository("acme/new");
        github.open_issues("acme/new", 2);
    });
    app.restart_with("REPOSITORIES", "acme/web,acme/api,acme/new");
    let waiting = app.client().get("/api/issues").await.headers["etag"].clone();
    next(&app, "a new one, read by a backfill").await;
    assert_ne!(app.client().get("/api/issues").await.headers["etag"], waiting);
    app.restart_with("EXCLUDED_LABELS", "wontfix");
    next(&app, "other excluded labels").await;
}

/// An issue that was closed before its repository was tracked is stored without being reported as a change.
#[tokio::test]
async fn tag_of_closed_issues_changes_with_one_that_is_not_reported() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| {
        github.open_issues("acme/api", 2);
        github.close_issue("acme/api", 1);
    });
    app.agent("alpha").beat().await;
    let target = "/api/issues?state=closed";
    let first = app.client().get(target).await;
    assert_eq!(first.body["issues"], json!([]));
    app.pass_time(200);
    app.agent("alpha").beat().await;
    let again = app.client().get_unless(target, Some(&first.headers["etag"])).await;
    assert_eq!(listed(&app, target).await, ["acme/api#1"]);
    assert_eq!(again.status, 200);
}

/// A pass that cannot store a checkpoint leaves the list as it is. The next one changes it.
#[tokio::test]
async fn tag_changes_once_a_checkpoint_can_be_stored() {
    let app = two_repositories().await;
    app.agent("alpha").beat().await;
    app.pass_time(200);
    app.agent("alpha").beat().await;
    app.world.github.arrange(|github| github.rename_repository("acme/web", "acme/site"));
    app.world.dynamodb.fault(On::anything().containing("acme/site"), Fault::AccessDenied);
    app.pass_time(31);
    app.agent("alpha").beat().await;
    let before = app.client().get("/api/issues").await;
    assert_eq!(before.body["issues"][0]["repository"], "acme/web");
    app.pass_time(31);
    app.agent("alpha").beat().await;
    let again = app.client().get_unless("/api/issues", Some(&before.headers["etag"])).await;
    assert_eq!(listed(&app, "/api/issues").await[0], "acme/site#1");
    assert_eq!(again.status, 200);
}

/// An issue that cannot be read is requested again and again, which changes no list.
#[tokio::test]
async fn tag_stays_while_an_issue_stays_unreadable() {
    let app = two_repositories().await;
    let odd = GitHubFault::changed(|_, _, text| {
        let text_before = String::from_utf8_lossy(text).into_owned();
        let Ok(mut answer) = serde_json::from_str::<Value>(&text_before) else { return };
        let records = match &mut answer {
            Value::Array(records) => records.iter_mut().collect(),
            record => vec![record],
        };
        let odd = records.into_iter().filter(|record| record["number"] == 2);
        odd.for_each(|record| record["state"] = json!("archived"));
        *text = answer.to_string().into_bytes();
    });
    app.world.github.fault(Matching::any_of("acme/api"), odd.forever());
    for _ in 0..3 {
        app.agent("alpha").beat().await;
        app.pass_time(1_800);
    }
    app.agent("alpha").beat().await;
    let page = app.client().get("/api/issues").await;
    assert_eq!(page.body["incomplete"][0]["repository"], "acme/api");
    for _ in 0..4 {
        app.pass_time(1_800);
        app.agent("alpha").beat().await;
        assert_eq!(app.client().get_unless("/api/issues", Some(&page.headers["etag"])).await.status, 304);
    }
}
