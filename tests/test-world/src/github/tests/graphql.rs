//! What GraphQL answers, and what it costs.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Answered, Scene};

const ONE: &str = "query($owner: String!, $name: String!) {
  rateLimit { cost limit remaining used resetAt nodeCount }
  repository(owner: $owner, name: $name) { ...Probed }
}";
const PROBED: &str = "fragment Probed on Repository {
  databaseId nameWithOwner isDisabled isArchived hasIssuesEnabled
  newest: issues(first: 1, orderBy: {field: UPDATED_AT, direction: DESC}) { nodes { number updatedAt } }
  open: issues(states: OPEN) { totalCount }
}";
const PAGE: &str = "query($first: Int!, $after: String) {
  repository(owner: \"acme\", name: \"api\") {
    issues(first: $first, after: $after, states: OPEN, orderBy: {field: UPDATED_AT, direction: ASC}) {
      totalCount
      pageInfo { hasNextPage endCursor }
      nodes { number updatedAt labels(first: 100) { totalCount nodes { name } } }
    }
  }
}";

impl Scene {
    pub(super) async fn post(&self, token: &str, body: String) -> Answered {
        let url = format!("{}/graphql", self.github.url());
        let response = self.client.post(url).bearer_auth(token).body(body).send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = serde_json::from_slice(&response.bytes().await.expect("a whole body")).unwrap_or_default();
        Answered { status, headers, body }
    }

    pub(super) async fn query(&self, document: &str, variables: Value) -> Answered {
        self.post("a-token", json!({ "query": document, "variables": variables }).to_string()).await
    }

    /// Queries one repository.
    async fn probe(&self, owner: &str, name: &str) -> Answered {
        self.query(&format!("{ONE} {PROBED}"), json!({ "owner": owner, "name": name })).await
    }

    /// Queries many repositories in one call, as `r0`, `r1` and so on.
    pub(super) async fn batch(&self, names: &[&str]) -> Answered {
        let mut variables = json!({});
        let (mut declared, mut fields) = (String::new(), String::new());
        for (n, full_name) in names.iter().enumerate() {
            let (owner, name) = full_name.split_once('/').expect("a full name has two parts");
            declared += &format!("$owner{n}: String!, $name{n}: String!, ");
            fields += &format!("r{n}: repository(owner: $owner{n}, name: $name{n}) {{ ...Probed }} ");
            variables[format!("owner{n}")] = json!(owner);
            variables[format!("name{n}")] = json!(name);
        }
        let document = format!("query({declared}) {{ rateLimit {{ cost }} {fields} }} {PROBED}");
        self.query(&document, variables).await
    }

    /// The numbers of a page of open issues, and the cursor of the next.
    async fn page(&self, first: u64, after: Option<&str>) -> (Vec<u64>, Option<String>) {
        let answered = self.query(PAGE, json!({ "first": first, "after": after })).await;
        let issues = &answered.body["data"]["repository"]["issues"];
        let nodes = issues["nodes"].as_array().unwrap_or_else(|| panic!("no nodes: {}", answered.body));
        let numbers = nodes.iter().map(|node| node["number"].as_u64().expect("an issue has a number"));
        let next = issues["pageInfo"]["hasNextPage"].as_bool().expect("a page says whether it is the last");
        let cursor = issues["pageInfo"]["endCursor"].as_str().filter(|_| next);
        (numbers.collect(), cursor.map(str::to_owned))
    }
}

impl Answered {
    pub(super) fn data(&self) -> &Value {
        &self.body["data"]
    }

    /// The types of the errors.
    pub(super) fn error_types(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        errors.iter().map(|error| error["type"].as_str().unwrap_or("none")).collect()
    }
}

#[tokio::test]
async fn a_repository_is_told_with_its_newest_issue_and_its_open_count_and_pull_requests_are_no_issues() {
    let scene = Scene::new().await;
    let id = scene.github.arrange(|world| {
        world.open_issues("acme/api", 3);
        world.close_issue("acme/api", 2);
        world.repository_id("acme/api")
    });
    scene.seconds_pass(5);
    scene.github.world().open_pull_request("acme/api", "Newer than every issue");
    scene.github.world().archive("acme/api");

    let answered = scene.probe("Acme", "API").await;
    assert_eq!(answered.status, 200);
    assert_eq!(answered.body.get("errors"), None);
    let expected = json!({
        "databaseId": id,
        "nameWithOwner": "acme/api",
        "isDisabled": false,
        "isArchived": true,
        "hasIssuesEnabled": true,
        "newest": { "nodes": [{ "number": 3, "updatedAt": "2026-11-22T06:00:00Z" }] },
        "open": { "totalCount": 2 },
    });
    assert_eq!(answered.data()["repository"], expected);
}

#[tokio::test]
async fn a_repository_without_visible_issues_has_an_empty_list() {
    let scene = Scene::new().await;
    let empty = json!([{ "nodes": [] }, { "totalCount": 0 }]);
    let shown = async || {
        let repository = scene.probe("acme", "api").await.data()["repository"].clone();
        json!([repository["newest"], repository["open"]])
    };
    assert_eq!(shown().await, empty);
    scene.github.world().open_issue("acme/api", "One");
    scene.github.world().hide_issue("acme/api", 1);
    assert_eq!(shown().await, empty);
    scene.github.world().show_issue("acme/api", 1);
    assert_eq!(shown().await[1]["totalCount"], 1);
    scene.github.world().disable_issues("acme/api");
    assert_eq!(shown().await, empty);
    scene.github.world().enable_issues("acme/api");
    scene.github.world().disable("acme/api");
    assert_eq!(shown().await, empty);
    assert_eq!(scene.probe("acme", "api").await.data()["repository"]["isDisabled"], true);
}

#[tokio::test]
async fn late_changes_are_late_in_graphql_too() {
    let scene = Scene::new().await;
    scene.github.world().open_issue("acme/api", "Before");
    scene.seconds_pass(60);
    let until = scene.github.world().now() + Duration::from_secs(120);
    scene.github.arrange(|world| {
        world.close_issue("acme/api", 1);
        world.show_late("acme/api", 1, until);
        world.open_issue("acme/api", "Not there yet");
        world.show_late("acme/api", 2, until);
    });
    scene.seconds_pass(119);
    assert_eq!(scene.page(100, None).await.0, [1]);
    scene.seconds_pass(1);
    assert_eq!(scene.page(100, None).await.0, [2]);
}

#[tokio::test]
async fn an_unknown_or_hidden_repository_is_null_under_its_alias_and_the_others_are_shown() {
    let scene = Scene::new().await;
    scene.github.world().create_repository("acme/web");
    scene.github.world().hide_repository("acme/web");
    let answered = scene.batch(&["acme/nowhere", "acme/api", "acme/web"]).await;
    assert_eq!(answered.status, 200);
    let data = answered.data();
    assert_eq!((&data["r0"], &data["r2"]), (&Value::Null, &Value::Null));
    assert_eq!(data["r1"]["nameWithOwner"], "acme/api");
    assert_eq!(answered.error_types(), ["NOT_FOUND", "NOT_FOUND"]);
    let error = &answered.body["errors"][0];
    assert_eq!(error["path"], json!(["r0"]));
    assert_eq!(error["message"], "Could not resolve to a Repository with the name 'acme/nowhere'.");
    assert!(error["locations"][0]["line"].is_number(), "{error}");
    assert_eq!(answered.body["errors"][1]["path"], json!(["r2"]));
}

#[tokio::test]
async fn rename_is_followed_until_another_repository_takes_the_name() {
    let scene = Scene::new().await;
    let id = scene.github.world().repository_id("acme/api");
    scene.github.world().rename_repository("acme/api", "acme/core");
    let followed = scene.probe("acme", "api").await;
    let repository = &followed.data()["repository"];
    assert_eq!((&repository["databaseId"], &repository["nameWithOwner"]), (&json!(id), &json!("acme/core")));

    let document = "{ repository(owner: \"acme\", name: \"api\", followRenames: false) { id } }";
    assert_eq!(scene.query(document, Value::Null).await.error_types(), ["NOT_FOUND"]);

    let fresh = scene.github.world().create_repository("acme/api");
    assert_eq!(scene.probe("acme", "api").await.data()["repository"]["databaseId"], fresh);
}

#[tokio::test]
async fn pages_of_open_issues_use_keyset_cursors() {
    let scene = Scene::new().await;
    for _ in 0..5 {
        scene.github.world().open_issue("acme/api", "One");
        scene.seconds_pass(1);
    }
    scene.github.world().open_pull_request("acme/api", "Six");

    let (first, next) = scene.page(2, None).await;
    // With numbered pages this would shift the rest, and the second page would skip issue 3.
    scene.github.world().close_issue("acme/api", 2);
    scene.github.world().comment("acme/api", 1);
    let (second, after) = scene.page(2, next.as_deref()).await;
    let (third, end) = scene.page(2, after.as_deref()).await;
    assert_eq!((first, second, third, end), (vec![1, 2], vec![3, 4], vec![5, 1], None));

    let refused = scene.query(PAGE, json!({ "first": 2, "after": "behind" })).await;
    assert_eq!(refused.error_types(), ["INVALID_CURSOR_ARGUMENTS"]);
    assert_eq!(refused.body["errors"][0]["path"], json!(["repository", "issues"]));
    assert_eq!(refused.data()["repository"], Value::Null, "a connection is never null itself");
}

#[tokio::test]
async fn issues_tell_their_labels_in_the_order_they_were_added() {
    let scene = Scene::new().await;
    scene.github.world().open_issue("acme/api", "One");
    scene.github.world().add_label("acme/api", 1, "status/ready");
    scene.github.world().add_label("acme/api", 1, "bug");
    let answered = scene.query(PAGE, json!({ "first": 1 })).await;
    let labels = &answered.data()["repository"]["issues"]["nodes"][0]["labels"];
    let expected = json!({ "totalCount": 2, "nodes": [{ "name": "status/ready" }, { "name": "bug" }] });
    assert_eq!(*labels, expected);
}

#[tokio::test]
async fn invalid_documents_and_variables_get_200_and_errors() {
    let scene = Scene::new().await;
    let page = |arguments: &str| {
        format!(
            "{{ repository(owner: \"acme\", name: \"api\") {{ issues{arguments} {{ nodes {{ id }} }} }} }}"
        )
    };
    for (document, variables, kind, words) in [
        ("query {".to_owned(), json!({}), "none", "expected"),
        ("{ nothing }".to_owned(), json!({}), "none", "nothing"),
        (ONE.to_owned() + PROBED, json!({ "owner": "acme" }), "none", "name"),
        (ONE.to_owned() + PROBED, json!({ "owner": "acme", "name": 7 }), "none", "name"),
        (page(""), json!({}), "MISSING_PAGINATION_BOUNDARIES", "`first`"),
        (page("(first: 101)"), json!({}), "EXCESSIVE_PAGINATION", "101 records"),
        (page("(first: 0)"), json!({}), "none", "from 1 to 100"),
    ] {
        let answered = scene.query(&document, variables).await;
        assert_eq!(answered.status, 200, "{document}");
        assert_eq!(answered.error_types().first(), Some(&kind), "{document}: {}", answered.body);
        assert_eq!(answered.body.get("data"), None, "{document}");
        let message = answered.body["errors"][0]["message"].as_str().expect("an error has a message");
        assert!(message.contains(words), "{message}");
    }
}

#[tokio::test]
async fn invalid_graphql_requests_are_rejected_as_in_rest() {
    let scene = Scene::new().await;
    scene.github.world().accept_only(["a-token"]);
    let valid = json!({ "query": "{ rateLimit { cost } }" }).to_string();
    for (token, body, status, message) in [
        ("a-token", "no JSON".to_owned(), 400, "Problems parsing JSON"),
        ("a-token", "{}".to_owned(), 400, "A query attribute must be specified and must be a string."),
        ("a-token", r#"{"query": "{ a }", "variables": 1}"#.to_owned(), 400, "Variables are invalid JSON."),
        ("another-token", valid.clone(), 401, "Bad credentials"),
    ] {
        let answered = scene.post(token, body).await;
        assert_eq!((answered.status, &answered.body["message"]), (status, &json!(message)));
    }
    let url = format!("{}/graphql", scene.github.url());
    let anonymous = scene.client.post(&url).body(valid).send().await.expect("an answer");
    assert_eq!(anonymous.status(), 401);
    assert_eq!(scene.get("/graphql").await.status, 404);
}

#[tokio::test]
async fn call_costs_by_githubs_formula_and_not_from_rests_budget() {
    let scene = Scene::new().await;
    let names: Vec<String> = (0..100).map(|n| format!("acme/r{n}")).collect();
    for name in &names {
        scene.github.world().create_repository(name);
    }
    let batch = scene.batch(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(batch.data()["rateLimit"]["cost"], 2, "two connections of each repository: 200 requests");
    assert_eq!(batch.header("x-ratelimit-remaining"), Some("4998"));
    // 1 request for the issues and 100 for their labels.
    let page = scene.query(PAGE, json!({ "first": 100 })).await;
    assert_eq!(page.header("x-ratelimit-used"), Some("3"));

    let one = scene.probe("acme", "api").await;
    let expected = json!({
        "cost": 1, "limit": 5_000, "remaining": 4_996, "used": 4, "resetAt": "2026-11-22T07:00:00Z",
        "nodeCount": 1,
    });
    assert_eq!(one.data()["rateLimit"], expected);
    assert_eq!(one.header("x-ratelimit-resource"), Some("graphql"));
    assert_eq!(one.header("x-ratelimit-limit"), Some("5000"));
    assert_eq!(one.header("x-ratelimit-reset"), Some("1795330800"));
    assert_eq!(one.header("date"), Some("Sun, 22 Nov 2026 06:00:00 GMT"));

    let rest = scene.get("/repos/acme/api").await;
    assert_eq!(rest.header("x-ratelimit-resource"), Some("core"));
    assert_eq!(rest.header("x-ratelimit-remaining"), Some("4999"));
    let resources = scene.get("/rate_limit").await.body["resources"].clone();
    assert_eq!((&resources["graphql"]["used"], &resources["core"]["used"]), (&json!(4), &json!(1)));

    let points: Vec<u64> =
        scene.github.requests().into_iter().filter_map(|request| Some(request.graphql?.points)).collect();
    assert_eq!(points, [2, 1, 1]);
}

#[tokio::test]
async fn call_may_request_half_a_million_nodes_at_most() {
    let scene = Scene::new().await;
    let issues = "issues(first: 100) { nodes { labels(first: 100) { nodes { name } } } }";
    let asking = |lists: usize| {
        let lists: String = (0..lists).map(|n| format!("i{n}: {issues} ")).collect();
        format!(
            "{{ rateLimit {{ nodeCount cost }} repository(owner: \"acme\", name: \"api\") {{ {lists} }} }}"
        )
    };
    // Each list: 100 issues and 10,000 labels; 1 request and 100.
    let most = scene.query(&asking(49), Value::Null).await;
    assert_eq!(most.data()["rateLimit"], json!({ "nodeCount": 494_900, "cost": 49 }));
    let more = scene.query(&asking(50), Value::Null).await;
    assert_eq!((more.status, more.error_types()), (200, vec!["MAX_NODE_LIMIT_EXCEEDED"]));
}

#[tokio::test]
async fn a_dry_run_tells_the_cost_and_takes_nothing() {
    let scene = Scene::new().await;
    let document = "{ rateLimit(dryRun: true) { cost remaining } \
                    repository(owner: \"acme\", name: \"api\") { databaseId } }";
    let answered = scene.query(document, Value::Null).await;
    let expected = json!({ "rateLimit": { "cost": 1, "remaining": 5_000 }, "repository": null });
    assert_eq!((answered.data(), answered.body.get("errors")), (&expected, None));
}

#[tokio::test]
async fn calls_stand_in_the_log_with_the_repositories_they_asked_for() {
    let scene = Scene::new().await;
    scene.batch(&["acme/api", "acme/nowhere"]).await;
    scene.get("/repos/acme/api").await;
    let requests = scene.github.requests();
    let call = requests[0].graphql.as_ref().expect("the first was one of GraphQL");
    assert_eq!((requests[0].method.as_str(), requests[0].path.as_str()), ("POST", "/graphql"));
    assert_eq!(call.repositories, ["acme/api", "acme/nowhere"]);
    assert_eq!(call.variables["name1"], "nowhere");
    assert_eq!((requests[0].status, call.points), (Some(200), 1));
    assert_eq!(requests[1].graphql, None);
}
