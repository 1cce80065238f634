//! URLs in GitHub's answers: agents receive only pages of the configured site, and the token goes only to the
//! configured API.

use serde_json::{Value, json};
use test_world::github::{Fault, GitHub, Matching};

use crate::support::app::TestApp;

const API: &str = "acme/api";

/// Values of `html_url` that are not the page of issue 1.
const NO_PAGES: [&str; 4] =
    ["", "javascript:alert(1)", "https://github.com/acme/api/pull/1", "https://github.com/acme/api/issues/2"];

/// The page of issue 1 as GitHub may name it: behind a TLS terminator, a proxy, an alias, or when somebody tries to
/// send agents elsewhere.
const PAGES: [&str; 4] = [
    "http://github.com/acme/api/issues/1",
    "https://elsewhere.example:8443/acme/api/issues/1",
    "https://elsewhere.example/ghe/acme/api/issues/1",
    "https://github.com@elsewhere.example/acme/api/issues/1",
];

async fn app() -> TestApp {
    let app = TestApp::tracking(&[API]).start().await;
    app.world.github.arrange(|github| github.open_issues(API, 1));
    app
}

/// The correct answer with another `html_url` in each of its issues.
fn with_page(url: &str) -> Fault {
    let url = url.to_owned();
    Fault::changed(move |_, _, body| {
        let mut document: Value = serde_json::from_slice(body).expect("GitHub's JSON");
        match &mut document {
            Value::Array(issues) => issues.iter_mut().for_each(|issue| issue["html_url"] = json!(url)),
            issue => issue["html_url"] = json!(url),
        }
        *body = document.to_string().into_bytes();
    })
}

fn redirect(status: u16, location: &str) -> Fault {
    Fault::Answer { status, headers: vec![("location", location.to_owned())], body: "{}".into() }
}

async fn elsewhere(app: &TestApp) -> GitHub {
    let elsewhere = GitHub::start(app.world.clock.clone()).await;
    elsewhere.arrange(|github| github.create_repository(API));
    elsewhere
}

#[tokio::test]
async fn reported_url_is_on_the_configured_site_whatever_host_github_names() {
    for (server, site) in
        [("", "https://github.com"), ("https://pages.example/ghe", "https://pages.example/ghe")]
    {
        for named in PAGES {
            let app = TestApp::tracking(&[API]).with("GITHUB_SERVER_URL", server).start().await;
            app.world.github.arrange(|github| github.open_issues(API, 1));
            app.world.github.fault(Matching::any_listing(), with_page(named).forever());
            assert_eq!(app.agent("alpha").beat().await.status(), "ok", "{named}");
            app.outlive_freshness();
            app.world.github.arrange(|github| github.comment(API, 1));
            let answer = app.agent("alpha").beat().await;
            assert_eq!(answer.0["touchedIssueUrls"], json!([format!("{site}/acme/api/issues/1")]), "{named}");
            let stored = format!("{:?}", app.items("", ""));
            assert!(!answer.0.to_string().contains("elsewhere") && !stored.contains("elsewhere"), "{stored}");
        }
    }
}

#[tokio::test]
async fn listing_of_issues_without_a_url_is_rejected() {
    for url in NO_PAGES {
        let app = app().await;
        app.world.github.fault(Matching::listing(API).query("state", "open"), with_page(url));
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.codes()), ("error", vec!["github_unexpected_answer"]), "{url}");
        assert!(url.is_empty() || !answer.0.to_string().contains(url), "{:#}", answer.0);
        assert_eq!(app.row(API, 1), Value::Null, "{url}");
        app.outlive_freshness();
        assert_eq!(app.agent("alpha").beat().await.status(), "ok", "once it is repaired");
        assert_eq!(app.row(API, 1)["url"], "https://github.com/acme/api/issues/1");
    }
}

#[tokio::test]
async fn pull_request_with_any_url_is_accepted() {
    let app = app().await;
    app.world.github.arrange(|github| github.open_pull_request(API, "A change"));
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), app.open_rows(API)), ("ok", vec![1]));
}

#[tokio::test]
async fn issue_moved_to_another_host_is_not_reported_there() {
    let app = TestApp::tracking(&[API]).with("AUDIT_INTERVAL_SECONDS", "60").start().await;
    app.world.github.arrange(|github| {
        github.create_repository("acme/else");
        github.open_issues(API, 2);
    });
    for _ in 0..2 {
        app.agent("alpha").beat().await;
        app.pass_time(150);
    }
    app.world.github.arrange(|github| github.transfer_issue(API, 1, "acme/else"));
    app.world.github.fault(
        Matching::issue("acme/else", 1),
        with_page("https://elsewhere.example/acme/else/issues/1").times(1),
    );
    let mut reported = Vec::new();
    for _ in 0..4 {
        let answer = app.agent("alpha").beat().await.0.to_string();
        assert!(!answer.contains("elsewhere.example"), "{answer}");
        reported.push(app.row(API, 1)["movedTo"].clone());
        app.pass_time(150);
    }
    assert!(
        reported.iter().all(|to| to.is_null() || to == "https://github.com/acme/else/issues/1"),
        "{reported:?}"
    );
    assert_eq!(reported.last(), Some(&json!("https://github.com/acme/else/issues/1")), "once it is repaired");
}

#[tokio::test]
async fn graphql_redirect_to_another_host_is_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let app = app().await;
        let elsewhere = elsewhere(&app).await;
        let location = format!("{}/graphql", elsewhere.url());
        app.world.github.fault(Matching::graphql(), redirect(status, &location));
        let answer = app.agent("alpha").beat().await;
        assert_eq!(answer.codes(), ["probe_unavailable"], "{status}");
        assert_eq!(elsewhere.requests(), [], "{status}");
    }
}

#[tokio::test]
async fn redirect_of_the_early_connection_is_not_followed() {
    let app = app().await;
    let elsewhere = elsewhere(&app).await;
    app.world.github.fault(Matching::path("/"), redirect(302, elsewhere.url()));
    app.app.prepare().await;
    assert_eq!(elsewhere.requests(), []);
}

#[tokio::test]
async fn token_is_never_sent_to_a_redirect_or_link_elsewhere() {
    let app = app().await;
    let elsewhere = elsewhere(&app).await;
    let host = app.world.github.url().trim_start_matches("http://").to_owned();
    app.world.github.arrange(|github| github.remove_graphql());
    for to in [
        format!("{}/repos/acme/api", elsewhere.url()),
        format!("https://{host}/repos/acme/api"),
        format!("http://me:you@{host}/repos/acme/api"),
        format!("http://me@{host}/repos/acme/api"),
        "//elsewhere.example/repos/acme/api".to_owned(),
        "/repos/acme/web".to_owned(),
        "file:///etc/hostname".to_owned(),
    ] {
        app.outlive_freshness();
        app.clear_requests();
        app.world.github.fault(Matching::repository(API), redirect(301, &to));
        let answer = app.agent("alpha").beat().await;
        assert!(answer.codes().contains(&"github_unexpected_answer"), "{to}: {:#}", answer.0);
        assert_eq!(app.asked().iter().filter(|path| path.starts_with("/repos")).count(), 1, "{to}");
    }
    assert_eq!(elsewhere.requests(), []);
}

#[tokio::test]
async fn enterprise_server_receives_the_token_below_its_api_only() {
    let mut app = app().await;
    let host = app.world.github.url().to_owned();
    app.restart_with("GITHUB_API_URL", &format!("{host}/api/v3"));
    for page in ["/acme/api/raw/main/x", "/api/v3evil", "/api/v3/../../acme"] {
        app.outlive_freshness();
        let to = redirect(301, &format!("{host}{page}"));
        app.world.github.fault(Matching::path("/api/v3/repos/acme/api"), to);
        let answer = app.agent("alpha").beat().await;
        assert!(answer.codes().contains(&"github_unexpected_answer"), "{page}: {:#}", answer.0);
    }
    let mut asked = app.requests_to_github();
    asked.dedup();
    assert_eq!(asked, ["/api/graphql", "/api/v3/repos/acme/api"]);
}
