//! The rules of this GitHub that other tests rely on, checked over HTTP.

mod apps;
mod faults;
mod graphql;
mod graphql_faults;

use std::time::Duration;

use serde_json::Value;

use super::*;

/// A GitHub with `acme/api` and a manual clock.
struct Scene {
    github: GitHub,
    clock: Clock,
    client: reqwest::Client,
}

struct Answered {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Value,
}

impl Scene {
    async fn new() -> Self {
        let clock = Clock::manual("2026-11-22T06:00:00Z".parse().expect("a literal"));
        let github = GitHub::start(clock.clone()).await;
        github.world().create_repository("acme/api");
        // The client wants a provider of TLS even for plain HTTP. A second installation changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .user_agent("tests")
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client");
        Self { github, clock, client }
    }

    fn seconds_pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    async fn send(&self, url: &str) -> reqwest::Result<reqwest::Response> {
        self.client.get(url).bearer_auth("a-token").send().await
    }

    async fn get(&self, path: &str) -> Answered {
        self.answered(self.client.get(format!("{}{path}", self.github.url())).bearer_auth("a-token")).await
    }

    async fn answered(&self, request: reqwest::RequestBuilder) -> Answered {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = serde_json::from_slice(&response.bytes().await.expect("a whole body")).unwrap_or_default();
        Answered { status, headers, body }
    }

    async fn numbers(&self, query: &str) -> Vec<u64> {
        self.get(&format!("/repos/acme/api/issues?{query}")).await.numbers()
    }
}

impl Answered {
    fn numbers(&self) -> Vec<u64> {
        let issues = self.body.as_array().expect("a listing is an array");
        issues.iter().map(|issue| issue["number"].as_u64().expect("an issue has a number")).collect()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("GitHub's headers are ASCII"))
    }

    /// Path and query of the link to the next page.
    fn next(&self, github: &GitHub) -> Option<String> {
        let link = self.header("link")?.split(", ").find(|link| link.ends_with("rel=\"next\""))?;
        let url = link.split(['<', '>']).nth(1).expect("a link is written between angle brackets");
        Some(url.strip_prefix(github.url()).expect("links stay on this server").to_owned())
    }
}

#[tokio::test]
async fn listings_have_the_requested_order_and_since_is_inclusive() {
    let scene = Scene::new().await;
    for _ in 0..3 {
        scene.github.world().open_issue("acme/api", "One");
        scene.seconds_pass(1);
    }
    scene.github.world().comment("acme/api", 1);
    scene.github.world().close_issue("acme/api", 2);

    assert_eq!(scene.numbers("").await, [3, 1]);
    assert_eq!(scene.numbers("state=all&direction=asc").await, [1, 2, 3]);
    assert_eq!(scene.numbers("state=all&sort=updated&direction=asc").await, [3, 1, 2]);
    assert_eq!(scene.numbers("state=all&sort=updated&since=2026-11-22T06:00:03Z").await, [2, 1]);
    assert_eq!(scene.numbers("state=all&since=2026-11-22T06:00:04Z").await, [0; 0]);
    assert_eq!(scene.numbers("state=all&since=1970-01-01T00:00:00Z").await, [0; 0]);
}

#[tokio::test]
async fn edit_between_two_numbered_pages_shifts_the_rest() {
    let scene = Scene::new().await;
    for _ in 0..5 {
        scene.github.world().open_issue("acme/api", "One");
        scene.seconds_pass(1);
    }
    let query = "sort=updated&direction=asc&per_page=2";
    let first = scene.get(&format!("/repos/acme/api/issues?{query}")).await;
    assert_eq!(first.numbers(), [1, 2]);

    scene.github.before(Matching::any_listing().page(2), |world| world.comment("acme/api", 1));
    let second = scene.get(&first.next(&scene.github).expect("a second page")).await;
    assert_eq!(second.numbers(), [4, 5], "3 slid onto the page already read");
    let third = scene.get(&second.next(&scene.github).expect("a third page")).await;
    assert_eq!((third.numbers(), third.next(&scene.github)), (vec![1], None));
}

#[tokio::test]
async fn pages_by_cursor_skip_no_issue_and_have_no_numbers() {
    let scene = Scene::new().await;
    scene.github.world().links = LinkStyle::After;
    scene.github.world().open_issues("acme/api", 5);

    let first = scene.get("/repos/acme/api/issues?direction=asc&per_page=2").await;
    scene.github.world().delete_issue("acme/api", 1);
    let next = first.next(&scene.github).expect("a second page");
    assert!(next.contains("after=") && !first.header("link").unwrap_or_default().contains("last"), "{next}");
    let second = scene.get(&next).await;
    assert_eq!((first.numbers(), second.numbers()), (vec![1, 2], vec![3, 4]));
    let third = scene.get(&second.next(&scene.github).expect("a third page")).await;
    assert_eq!((third.numbers(), third.header("link")), (vec![5], None));

    assert_eq!(scene.get("/repos/acme/api/issues?per_page=2&page=2").await.status, 422);
}

#[tokio::test]
async fn late_change_is_visible_after_its_time() {
    let scene = Scene::new().await;
    let until = scene.github.world().now() + Duration::from_secs(120);
    scene.github.arrange(|world| {
        world.open_issue("acme/api", "Before");
        world.open_issue("acme/api", "Not there yet");
        world.edit_issue("acme/api", 1, |issue| issue.title = "After".to_owned());
        world.show_late("acme/api", 1, until);
        world.show_late("acme/api", 2, until);
    });

    let titles = async || {
        let listing = scene.get("/repos/acme/api/issues").await.body;
        listing.as_array().expect("a listing").iter().map(|issue| issue["title"].clone()).collect::<Vec<_>>()
    };
    scene.seconds_pass(119);
    assert_eq!(titles().await, ["Before"]);
    assert_eq!(scene.get("/repos/acme/api/issues/2").await.status, 404);
    scene.seconds_pass(1);
    assert_eq!(titles().await, ["Not there yet", "After"]);
}

#[tokio::test]
async fn transferred_issues_redirect_to_where_they_are_now() {
    let scene = Scene::new().await;
    let (api, web, there) = scene.github.arrange(|world| {
        let web = world.create_repository("acme/web");
        let number = world.open_issue("acme/api", "One");
        (world.repository_id("acme/api"), web, world.transfer_issue("acme/api", number, "acme/web"))
    });
    let location = async |path: &str| {
        let answered = scene.get(path).await;
        assert_eq!(answered.status, 301);
        let location = answered.header("location").expect("a redirect says where to");
        location.strip_prefix(scene.github.url()).expect("redirects stay on this server").to_owned()
    };
    assert_eq!(location("/repos/acme/api/issues/1").await, format!("/repositories/{web}/issues/{there}"));

    let back = scene.github.world().transfer_issue("acme/web", there, "acme/api");
    assert_eq!(back, 2, "it does not get its old number back");
    assert_eq!(location("/repos/acme/api/issues/1").await, format!("/repositories/{api}/issues/2"));
    assert_eq!(scene.numbers("state=all").await, [2]);

    let gone = scene.github.world().transfer_issue("acme/api", back, "acme/web");
    scene.github.world().hide_repository("acme/web");
    assert_eq!((scene.get("/repos/acme/api/issues/2").await.status, gone), (404, 2));
}

#[tokio::test]
async fn name_redirects_to_the_renamed_repository_until_reused() {
    let scene = Scene::new().await;
    let id = scene.github.world().repository_id("acme/api");
    scene.github.world().rename_repository("acme/api", "acme/core");
    let answered = scene.get("/repos/acme/api/issues?state=all").await;
    let location = format!("{}/repositories/{id}/issues?state=all", scene.github.url());
    assert_eq!((answered.status, answered.header("location")), (301, Some(location.as_str())));
    assert_eq!(scene.get(&format!("/repositories/{id}")).await.body["full_name"], "acme/core");

    let fresh = scene.github.world().create_repository("acme/api");
    assert_eq!(scene.get("/repos/Acme/API").await.body["id"], fresh);
}

#[tokio::test]
async fn each_token_has_its_own_budget_until_the_reset() {
    let scene = Scene::new().await;
    let reset = scene.github.world().now() + Duration::from_secs(60);
    scene.github.world().set_budget(5_000, 1, reset);
    assert_eq!(scene.get("/repos/acme/api").await.status, 200);
    let refused = scene.get("/repos/acme/api").await;
    assert_eq!((refused.status, refused.header("x-ratelimit-remaining")), (403, Some("0")));
    assert_eq!(refused.header("x-ratelimit-reset"), Some(reset.as_second().to_string().as_str()));
    assert_eq!(scene.get("/rate_limit").await.body["rate"]["remaining"], 0);

    let url = format!("{}/repos/acme/api", scene.github.url());
    let other = scene.client.get(&url).bearer_auth("another-token").send().await.expect("an answer");
    assert_eq!(other.status(), 200);
    scene.seconds_pass(60);
    assert_eq!(scene.get("/repos/acme/api").await.header("x-ratelimit-remaining"), Some("4999"));
}

#[tokio::test]
async fn people_open_and_change_issues_over_http() {
    let scene = Scene::new().await;
    let issues = format!("{}/repos/acme/api/issues", scene.github.url());
    let body = r#"{"title": "One", "labels": ["bug"]}"#;
    let opened = scene.client.post(&issues).body(body).send().await.expect("an answer");
    assert_eq!(opened.status(), 201);

    scene.seconds_pass(1);
    let body = r#"{"state": "closed", "state_reason": "not_planned"}"#;
    let changed = scene.client.patch(format!("{issues}/1")).body(body).send().await.expect("an answer");
    assert_eq!(changed.status(), 200);
    let issue = scene.github.world().issue("acme/api", 1).clone();
    assert_eq!((issue.state, issue.state_reason.as_deref()), (State::Closed, Some("not_planned")));
    assert_eq!((issue.title.as_str(), issue.labels), ("One", vec!["bug".to_owned()]));
    assert_eq!(issue.updated_at, scene.github.world().now());
}
