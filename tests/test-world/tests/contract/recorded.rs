//! Compares answers with those recorded from GitHub.
//!
//! Recordings have GitHub's host and the id 1000 for the first entity of a scenario. Both are replaced by this server's
//! before comparing.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::Scene;
use crate::published::{Exchange, recording};

/// What GitHub shows of a repository only to those who may administer it, or of an organization's.
const SHOWN_TO_ADMINISTRATORS: &[&str] = &[
    "/allow_auto_merge",
    "/allow_merge_commit",
    "/allow_rebase_merge",
    "/allow_squash_merge",
    "/allow_update_branch",
    "/delete_branch_on_merge",
    "/organization",
    "/temp_clone_token",
    "/use_squash_pr_title_as_default",
];

/// A recorded text with this server's host and ids.
fn as_ours(recorded: &str, scene: &Scene, repository: u64) -> String {
    recorded
        .replace("https://api.github.com", scene.github.url())
        .replace("/repositories/1000", &format!("/repositories/{repository}"))
}

/// The pointers of all fields in `value`; items of lists count as one.
fn fields(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(entries) => entries
            .iter()
            .flat_map(|(name, value)| {
                let own = format!("/{name}");
                let inner =
                    fields(value).into_iter().map(|field| format!("{own}{field}")).collect::<Vec<_>>();
                std::iter::once(own).chain(inner)
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(fields).map(|field| format!("/…{field}")).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => BTreeSet::new(),
    }
}

fn assert_no_field_is_missing(ours: &Value, exchange: &Exchange) {
    let ours = fields(ours);
    let recorded = fields(exchange.body());
    let shown = |field: &&String| !SHOWN_TO_ADMINISTRATORS.iter().any(|prefix| field.starts_with(prefix));
    let missing: Vec<_> = recorded.difference(&ours).filter(shown).collect();
    assert!(missing.is_empty(), "{}: GitHub also shows {missing:?}", exchange.path());
}

#[tokio::test]
async fn pages_of_issues_are_linked_as_recorded() {
    let scene = Scene::new().await;
    let name = "octokit-fixture-org/paginate-issues";
    let repository = scene.github.arrange(|world| {
        let id = world.create_repository(name);
        world.open_issues(name, 13);
        id
    });
    let exchanges = recording("paginate-issues");
    assert_eq!(exchanges.len(), 5);
    for exchange in &exchanges {
        let answered = scene.get(&as_ours(exchange.path(), &scene, repository)).await;
        let link = exchange.header("link").map(|link| as_ours(link, &scene, repository));
        assert_eq!(answered.status, exchange.status());
        assert_eq!(answered.header("link"), link.as_deref());
        assert_eq!(answered.header("content-type"), exchange.header("content-type"));
        assert_eq!(answered.header("date"), exchange.header("date"));

        let listed = |body: &Value| -> Vec<Value> {
            let issues = body.as_array().expect("a listing is an array");
            issues
                .iter()
                .map(|issue| [&issue["number"], &issue["html_url"]].into_iter().cloned().collect())
                .collect()
        };
        assert_eq!(listed(&answered.body), listed(exchange.body()));
        assert_no_field_is_missing(&answered.body, exchange);
        for name in ["limit", "remaining", "reset", "resource", "used"] {
            assert!(answered.header(&format!("x-ratelimit-{name}")).is_some(), "{name}");
        }
    }
}

#[tokio::test]
async fn redirect_of_a_renamed_repository_is_as_recorded() {
    let scene = Scene::new().await;
    let old = "octokit-fixture-org/rename-repository";
    let repository = scene.github.arrange(|world| {
        let id = world.create_repository(old);
        world.rename_repository(old, &format!("{old}-newname"));
        id
    });
    let exchanges = recording("rename-repository");
    // Renaming over HTTP, which is recorded too, is not simulated.
    let answerable = |exchange: &&Exchange| exchange.method() == "get" || exchange.status() == 307;
    let answerable: Vec<_> = exchanges.iter().filter(answerable).collect();
    assert_eq!(answerable.iter().map(|exchange| exchange.status()).collect::<Vec<_>>(), [301, 200, 307]);
    for exchange in answerable {
        let method = exchange.method().to_uppercase().parse().expect("a recorded method is one");
        let path = as_ours(exchange.path(), &scene, repository);
        let answered = scene.send(method, &path, "").await;
        let location = exchange.header("location").map(|url| as_ours(url, &scene, repository));
        assert_eq!(answered.status, exchange.status());
        assert_eq!(answered.header("location"), location.as_deref());
        assert_no_field_is_missing(&answered.body, exchange);
        let recorded = exchange.body();
        assert_eq!(answered.body["message"], recorded["message"]);
        assert_eq!(answered.body["full_name"], recorded["full_name"]);
        let url = recorded["url"].as_str().map(|url| as_ours(url, &scene, repository));
        assert_eq!(answered.body["url"].as_str(), url.as_deref());
    }
}

#[tokio::test]
async fn repositories_the_root_and_errors_tell_all_that_is_recorded() {
    let scene = Scene::new().await;
    scene.github.world().create_repository("octokit-fixture-org/hello-world");
    for (scenario, path) in [
        ("get-repository", "/repos/octokit-fixture-org/hello-world"),
        ("get-root", "/"),
        ("errors", "/repos/octokit-fixture-org/hello-world/issues?sort=loudest"),
    ] {
        let exchanges = recording(scenario);
        let exchange = exchanges.first().expect("a scenario has an exchange");
        let answered = scene.get(path).await;
        assert_eq!(answered.status, exchange.status());
        assert_eq!(answered.body["message"], exchange.body()["message"]);
        assert_no_field_is_missing(&answered.body, exchange);
    }
}
