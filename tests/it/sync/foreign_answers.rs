//! Answers that do not come from GitHub's API: the message names `GITHUB_API_URL`, which is most often wrong.

use test_world::github::{Fault, Matching};

use crate::support::app::TestApp;

const PAGE: &str = "<!DOCTYPE html><html><body>Sign in to GitHub</body></html>";

fn page(status: u16, body: &str) -> Fault {
    Fault::Answer {
        status,
        headers: vec![
            ("content-type", "text/html; charset=utf-8".to_owned()),
            ("location", "/login".to_owned()),
        ],
        body: body.to_owned(),
    }
}

/// An Enterprise Server whose website answers instead of its API (PyGithub issue 769, terraform-provider-github issue
/// 224, steampipe-plugin-github issue 305).
#[tokio::test]
async fn website_instead_of_the_api_is_reported_with_the_variables_name() {
    for (status, body) in
        [(200, PAGE), (302, PAGE), (302, ""), (404, PAGE), (404, ""), (406, "{}"), (403, PAGE), (410, PAGE)]
    {
        for path in ["/repos/acme/api", "listing"] {
            let app = TestApp::tracking(&["acme/api"]).start().await;
            app.world.github.arrange(|github| github.open_issues("acme/api", 1));
            let matching = if path == "listing" {
                Matching::any_listing()
            } else {
                app.world.github.arrange(|github| github.remove_graphql());
                Matching::repository("acme/api")
            };
            app.world.github.fault(matching, page(status, body).forever());
            let answer = app.agent("alpha").beat().await;
            assert_eq!(
                answer.codes().last(),
                Some(&"github_unexpected_answer"),
                "{status} {path}: {:#}",
                answer.0
            );
            let reported = answer.0["problems"].to_string();
            assert!(
                reported.contains("GITHUB_API_URL") && reported.contains("https://HOST/api/v3"),
                "{status} {path}: {reported}"
            );
            assert!(!reported.contains("Sign in"), "{reported}");
            assert_eq!(app.open_rows("acme/api"), [0; 0]);
        }
    }
}

#[tokio::test]
async fn website_at_both_addresses_is_reported_with_the_variables_name() {
    for (status, body) in [(302, PAGE), (404, PAGE), (406, ""), (200, PAGE)] {
        let app = TestApp::tracking(&["acme/api"]).start().await;
        app.world.github.fault(Matching::anything(), page(status, body).forever());
        let answer = app.agent("alpha").beat().await;
        assert_eq!(answer.status(), "error", "{status}");
        assert!(answer.0["problems"].to_string().contains("GITHUB_API_URL"), "{status}: {:#}", answer.0);
    }
}

#[tokio::test]
async fn missing_api_is_reported_with_the_variables_name() {
    let mut app = TestApp::tracking(&["acme/api", "acme/web"]).start().await;
    app.world.github.arrange(|github| github.remove_graphql());
    let elsewhere = format!("{}/some/where", app.world.github.url());
    app.restart_with("GITHUB_API_URL", &elsewhere);
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.status(), "error");
    assert!(answer.codes().contains(&"repository_not_found"), "{:#}", answer.0);
    assert!(answer.0["problems"].to_string().contains("GITHUB_API_URL"), "{:#}", answer.0);
}

#[tokio::test]
async fn missing_repository_is_reported_without_the_variables_name() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| github.hide_repository("acme/api"));
    let answer = app.agent("alpha").beat().await;
    assert!(!answer.0.to_string().contains("GITHUB_API_URL"), "{:#}", answer.0);
}
