//! A GitHub App that is refused, lacks a permission, or is configured incompletely: the requests sent, and the problem
//! reported.

use serde_json::{Value, json};
use test_world::GITHUB_CREDENTIALS_SECRET_ID;
use test_world::github::{APP_KEY, Fault, Matching};

use crate::support::app::{Answer, TestApp};
use crate::support::github_app::{
    APP, INSTALLATION, credentials, installed, store, token_requests, two_repositories,
};

/// The answer is a lasting error with this code only, and the first message contains these terms.
fn assert_reported(answer: &Answer, code: &str, terms: &[&str]) {
    assert_eq!(answer.status(), "error", "{:#}", answer.0);
    assert!(answer.codes().iter().all(|reported| *reported == code), "{:#}", answer.0);
    let problem = &answer.0["problems"][0];
    assert_eq!(problem["retryable"], false);
    let message = problem["message"].as_str().expect("a text");
    for term in terms {
        assert!(message.contains(term), "{term}: {message}");
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
    assert_eq!(
        (token_requests(&app), app.secret_reads(GITHUB_CREDENTIALS_SECRET_ID)),
        (1, 1),
        "the secret is not read again"
    );
}

#[tokio::test]
async fn new_token_that_is_refused_too_is_an_error() {
    let app = two_repositories().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.fault(Matching::graphql(), Fault::Status(401).forever());
    app.clear_requests();
    let answer = app.agent("alpha").beat().await;
    assert_reported(&answer, "github_unauthorized", &["installation", "401"]);
    // The old token once, the new one four times: at first and after each of three waits.
    assert_eq!(app.asked().len(), 1 + 1 + 4, "{:?}", app.asked());
    assert_eq!(token_requests(&app), 1);
    assert_eq!(app.secret_reads(GITHUB_CREDENTIALS_SECRET_ID), 2, "the secret may name another App by now");
}

#[tokio::test]
async fn refused_app_is_an_error_that_names_key_and_clock() {
    let app = two_repositories().await;
    app.world.github.arrange(|github| github.revoke_app_key(APP));
    let answer = app.agent("alpha").beat().await;
    assert_reported(&answer, "github_unauthorized", &["appId", "privateKey", "clock"]);
    assert_eq!((app.asked().len(), app.secret_reads(GITHUB_CREDENTIALS_SECRET_ID)), (1, 2));
}

#[tokio::test]
async fn clock_that_is_far_off_is_named_in_the_error() {
    for seconds in [-900, 300] {
        let app = installed(TestApp::tracking(&["acme/api"]).ahead(seconds)).await;
        assert_reported(&app.agent("alpha").beat().await, "github_unauthorized", &["clock"]);
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
    assert_eq!(app.secret_reads(GITHUB_CREDENTIALS_SECRET_ID), 2);
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
        assert_reported(&answer, "github_unauthorized", &["installation 7", "404"]);
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
        assert_reported(&answer, "github_forbidden", &["suspended"]);
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
        let forbidden: Vec<&Value> =
            problems.iter().filter(|problem| problem["code"] == "github_forbidden").collect();
        assert_eq!((answer.status(), forbidden.len()), ("error", 2), "{:#}", answer.0);
        assert!(forbidden[0]["message"].as_str().expect("a text").contains("issues=read"));
        app.world.github.arrange(|github| github.allow_issues(INSTALLATION));
        app.outlive_freshness();
        assert_ne!(app.agent("alpha").beat().await.status(), "error");
    }
}

#[tokio::test]
async fn permission_header_of_unknown_form_is_not_repeated() {
    const THEIRS: &str = "what-github-said-is-not-ours-to-repeat";
    for (header, permission) in [
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
        assert_reported(&answer, "github_forbidden", &[permission]);
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
    for (credentials, terms) in [
        (without(&["appId"]), &["appId"][..]),
        (without(&["installationId"]), &["installationId", "installations"]),
        (without(&["privateKey"]), &["privateKey"]),
        (without(&["appId", "privateKey"]), &["appId", "privateKey"]),
        (without(&["appId", "installationId"]), &["appId", "installationId", "installations"]),
        (with("privateKey", json!("")), &["privateKey"]),
        (with("appId", json!(null)), &["appId"]),
        (with("token", json!("a-token")), &["token", "GitHub App"]),
        (with("privateKey", json!("key-material")), &["privateKey", "PEM", "base64"]),
        (with("privateKey", json!(half_a_key)), &["privateKey", "PEM"]),
        (with("privateKey", json!(APP_KEY.replace("RSA PRIVATE", "PRIVATE"))), &["privateKey", "truncated"]),
        (with("privateKey", json!(APP_KEY.replace("RSA PRIVATE", "EC PRIVATE"))), &["privateKey", "EC"]),
        (
            with("privateKey", json!(APP_KEY.replace("RSA PRIVATE", "ENCRYPTED PRIVATE"))),
            &["privateKey", "encrypted"],
        ),
        (with("privateKey", json!(APP_KEY.replace("RSA PRIVATE", "PUBLIC"))), &["privateKey", "public key"]),
        (with("appId", json!("my app")), &["appId"]),
        (with("installationId", json!("acme")), &["installationId"]),
        (json!({}), &["token", "appId", "installationId", "installations", "privateKey"]),
    ] {
        let app = two_repositories().await;
        store(&app, &credentials);
        let answer = app.agent("alpha").beat().await;
        assert_reported(&answer, "credentials_invalid", &["GITHUB_CREDENTIALS_SECRET_ID"]);
        assert_reported(&answer, "credentials_invalid", terms);
        let message = answer.0["problems"][0]["message"].as_str().expect("a text");
        for field in ["appId", "installationId", "installations", "privateKey"] {
            assert!(
                terms.contains(&field) || !message.contains(field),
                "{field} is not the mistake: {message}"
            );
        }
        assert_eq!(app.asked(), [""; 0]);
        let written = format!("{} {:?}", answer.0, app.items("", ""));
        for secret in ["key-material", "a-token", APP_KEY.lines().nth(1).expect("a line")] {
            assert!(!written.contains(secret), "{written}");
        }
    }
}
