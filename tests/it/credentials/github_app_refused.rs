//! A GitHub App that is refused, forbidden something, or only half configured: what is tried, and what is told.

use serde_json::{Value, json};
use test_world::GITHUB_CREDENTIALS_SECRET_ID;
use test_world::github::{APP_KEY, Fault, Matching};

use crate::credentials::github_app::{
    APP, INSTALLATION, credentials, installed, store, token_requests, two_repositories,
};
use crate::support::app::{Answer, TestApp};

/// How often the secret with the credentials was read.
fn reads(app: &TestApp) -> usize {
    let requests = app.world.secrets.requests();
    requests.iter().filter(|read| read.request["SecretId"] == GITHUB_CREDENTIALS_SECRET_ID).count()
}

/// The answer is an error with these words, which nobody can heal by waiting.
fn assert_told(answer: &Answer, code: &str, words: &[&str]) {
    assert_eq!(answer.status(), "error", "{:#}", answer.0);
    assert!(answer.codes().iter().all(|told| *told == code), "{:#}", answer.0);
    let problem = &answer.0["problems"][0];
    assert_eq!(problem["retryable"], false);
    let message = problem["message"].as_str().expect("a text");
    for word in words {
        assert!(message.contains(word), "{word}: {message}");
    }
}

#[tokio::test]
async fn token_refused_before_its_expiry_is_renewed_once() {
    let app = two_repositories().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| github.revoke_installation_tokens());
    app.clear_requests();
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.codes()), ("ok", vec![]));
    assert_eq!((token_requests(&app), reads(&app)), (1, 1), "the secret is not doubted");
}

#[tokio::test]
async fn new_token_that_is_refused_too_is_an_error() {
    let app = two_repositories().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.fault(Matching::graphql(), Fault::Status(401).forever());
    app.clear_requests();
    let answer = app.agent("alpha").beat().await;
    assert_told(&answer, "github_unauthorized", &["installation", "not even a new one"]);
    // The old token once; the new one also after each of its three waits.
    assert_eq!(app.asked().len(), 1 + 1 + 4, "{:?}", app.asked());
    assert_eq!(token_requests(&app), 1);
    assert_eq!(reads(&app), 2, "another App may stand there by now");
}

#[tokio::test]
async fn refused_app_is_an_error_that_names_key_and_clock() {
    let app = two_repositories().await;
    app.world.github.arrange(|github| github.revoke_app_key(APP));
    let answer = app.agent("alpha").beat().await;
    assert_told(&answer, "github_unauthorized", &["the App's key", "clock"]);
    assert_eq!((app.asked().len(), reads(&app)), (1, 2));
}

#[tokio::test]
async fn clock_that_is_far_off_is_named_in_the_error() {
    for seconds in [-900, 300] {
        let app = installed(TestApp::tracking(&["acme/api"]).ahead(seconds)).await;
        assert_told(&app.agent("alpha").beat().await, "github_unauthorized", &["clock"]);
    }
}

#[tokio::test]
async fn app_replaced_in_the_secret_is_used_at_once() {
    let app = two_repositories().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| {
        github.delete_app(APP);
        github.install_app(APP + 1, INSTALLATION + 1);
    });
    let fresh = json!({ "appId": APP + 1, "installationId": INSTALLATION + 1, "privateKey": APP_KEY });
    store(&app, &fresh);
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.codes()), ("ok", vec![]));
    assert_eq!(reads(&app), 2);
}

#[tokio::test]
async fn removed_installation_is_an_error_that_names_its_id() {
    for delete in [false, true] {
        let app = two_repositories().await;
        app.agent("alpha").beat().await;
        app.outlive_freshness();
        app.world.github.arrange(|github| match delete {
            true => github.delete_app(APP),
            false => github.uninstall_app(INSTALLATION),
        });
        let answer = app.agent("alpha").beat().await;
        assert_told(&answer, "github_unauthorized", &["no installation 7", "uninstalled"]);
    }
}

#[tokio::test]
async fn suspended_installation_is_an_error_until_it_is_unsuspended() {
    for has_token in [false, true] {
        let app = two_repositories().await;
        if has_token {
            app.agent("alpha").beat().await;
            app.outlive_freshness();
        }
        app.world.github.arrange(|github| github.suspend_installation(INSTALLATION));
        app.clear_requests();
        let answer = app.agent("alpha").beat().await;
        assert_told(&answer, "github_forbidden", &["suspended"]);
        assert_eq!(app.asked().len(), 1, "has a token: {has_token}");
        app.world.github.arrange(|github| github.unsuspend_installation(INSTALLATION));
        app.outlive_freshness();
        assert_eq!(app.agent("alpha").beat().await.status(), "ok");
    }
}

#[tokio::test]
async fn missing_permission_is_named_in_the_error() {
    for has_graphql in [true, false] {
        let app = two_repositories().await;
        app.world.github.arrange(|github| {
            github.forbid_issues(INSTALLATION);
            if !has_graphql {
                github.remove_graphql();
            }
        });
        let answer = app.agent("alpha").beat().await;
        let problems = answer.0["problems"].as_array().expect("a list");
        let told: Vec<&Value> =
            problems.iter().filter(|problem| problem["code"] == "github_forbidden").collect();
        assert_eq!((answer.status(), told.len()), ("error", 2), "{:#}", answer.0);
        assert!(told[0]["message"].as_str().expect("a text").contains("the permission issues=read"));
        app.world.github.arrange(|github| github.allow_issues(INSTALLATION));
        app.outlive_freshness();
        assert_ne!(app.agent("alpha").beat().await.status(), "error");
    }
}

#[tokio::test]
async fn permission_header_of_unknown_form_is_not_repeated() {
    const THEIRS: &str = "what-github-said-is-not-ours-to-repeat";
    for (header, told) in [
        ("issues=read,metadata=read; contents=read", "issues=read,metadata=read; contents=read"),
        (THEIRS, "issues=read"),
        ("issues=read <br>", "issues=read"),
    ] {
        let app = two_repositories().await;
        let fault = Fault::Answer {
            status: 403,
            headers: vec![("x-accepted-github-permissions", header.to_owned())],
            body: r#"{"message":"Resource not accessible by personal access token"}"#.to_owned(),
        };
        app.world.github.fault(Matching::any_listing(), fault.forever());
        let answer = app.agent("alpha").beat().await;
        assert_told(&answer, "github_forbidden", &[&format!("the permission {told} is lacking")]);
        assert!(!answer.0.to_string().contains(THEIRS));
    }
}

#[tokio::test]
async fn incomplete_app_is_an_error_that_names_the_missing_field() {
    let without = |fields: &[&str]| {
        let mut credentials = credentials();
        let credentials_fields = credentials.as_object_mut().expect("an object");
        fields.iter().for_each(|field| drop(credentials_fields.remove(*field)));
        credentials
    };
    let with = |field: &str, value: Value| {
        let mut credentials = credentials();
        credentials[field] = value;
        credentials
    };
    let half_a_key = &APP_KEY[..APP_KEY.len() / 2];
    for (credentials, words) in [
        (without(&["appId"]), "needs appId too"),
        (without(&["installationId"]), "needs installationId or installations too"),
        (without(&["privateKey"]), "needs privateKey too"),
        (without(&["appId", "privateKey"]), "needs appId and privateKey too"),
        (without(&["appId", "installationId"]), "needs appId and installationId or installations too"),
        (with("privateKey", json!("")), "needs privateKey too"),
        (with("appId", json!(null)), "needs appId too"),
        (with("token", json!("a-token")), "a token and a GitHub App"),
        (with("privateKey", json!("key-material")), "but a text that is neither PEM nor base64"),
        (with("privateKey", json!(half_a_key)), "but PEM that breaks off"),
        (
            with("privateKey", json!(APP_KEY.replace("RSA PRIVATE", "PRIVATE"))),
            "but a key that was cut off or changed",
        ),
        (
            with("privateKey", json!(APP_KEY.replace("RSA PRIVATE", "EC PRIVATE"))),
            "but a key of another kind (EC)",
        ),
        (
            with("privateKey", json!(APP_KEY.replace("RSA PRIVATE", "ENCRYPTED PRIVATE"))),
            "but an encrypted key",
        ),
        (with("privateKey", json!(APP_KEY.replace("RSA PRIVATE", "PUBLIC"))), "but a public key"),
        (with("appId", json!("my app")), "appId is neither"),
        (with("installationId", json!("acme")), "installationId is not a number"),
        (json!({}), "store a plain token"),
    ] {
        let app = two_repositories().await;
        store(&app, &credentials);
        let answer = app.agent("alpha").beat().await;
        assert_told(&answer, "credentials_invalid", &["GITHUB_CREDENTIALS_SECRET_ID", words]);
        assert_eq!(app.asked(), [""; 0]);
        let said = format!("{} {:?}", answer.0, app.items("", ""));
        for secret in ["key-material", "a-token", APP_KEY.lines().nth(1).expect("a line")] {
            assert!(!said.contains(secret), "{said}");
        }
    }
}
