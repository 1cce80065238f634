//! The token for GitHub: unreadable, malformed, refused, rotated, and never leaked.

use crate::support::changed::two_repositories;
use test_world::dynamodb::{Fault as Broken, On};
use test_world::github::{Fault, Matching, fingerprint};
use test_world::{AGENT_TOKEN, GITHUB_CREDENTIALS_SECRET_ID, GITHUB_TOKEN, TABLE_NAME};

use crate::support::app::TestApp;

#[tokio::test]
async fn token_is_read_once_per_pass() {
    let app = two_repositories().await;
    assert_eq!(app.agent("alpha").beat().await.status(), "ok");
    assert_eq!(app.secret_reads(GITHUB_CREDENTIALS_SECRET_ID), 1);
}

#[tokio::test]
async fn token_in_a_json_object_is_accepted() {
    let app = two_repositories().await;
    let json = r#"{"token":"another-token"}"#;
    app.world.secrets.put_secret(GITHUB_CREDENTIALS_SECRET_ID, json);
    assert_eq!(app.agent("alpha").beat().await.status(), "ok");
    let token = Some(fingerprint("another-token"));
    assert!(app.world.github.requests().iter().all(|request| request.token == token));
}

#[tokio::test]
async fn token_as_secret_stores_format_it_is_accepted() {
    for secret in [
        "\u{feff}another-token\r\n",
        "\"another-token\"",
        "'another-token'",
        r#"{"GITHUB_TOKEN":"another-token"}"#,
        r#"{"token":" another-token\n"}"#,
        r#""{\"token\":\"another-token\"}""#,
        r#"{"GITHUB_CREDENTIALS":"{\"token\":\"another-token\"}"}"#,
    ] {
        let app = two_repositories().await;
        app.world.secrets.put_secret(GITHUB_CREDENTIALS_SECRET_ID, secret);
        assert_eq!(app.agent("alpha").beat().await.status(), "ok", "{secret}");
        let token = Some(fingerprint("another-token"));
        assert!(app.world.github.requests().iter().all(|request| request.token == token), "{secret}");
    }
}

#[tokio::test]
async fn credentials_of_another_form_are_an_error_that_names_the_form() {
    for (secret, terms) in [
        (r#"{"user":"me","password":"wrong-form"}"#, &["JSON", "password", "user"][..]),
        ("Bearer wrong-form", &["Authorization"]),
        ("GITHUB_TOKEN=wrong-form", &["assignment"]),
        (r#"["wrong-form"]"#, &["JSON", "list"]),
        ("-----BEGIN RSA PRIVATE KEY-----\nwrong-form", &["PEM"]),
        ("", &["empty"]),
    ] {
        let app = two_repositories().await;
        app.world.secrets.put_secret(GITHUB_CREDENTIALS_SECRET_ID, secret);
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.codes()), ("error", vec!["credentials_invalid"]), "{secret}");
        let message = answer.0["problems"][0]["message"].as_str().expect("a text");
        // Also what to store instead.
        for term in terms.iter().chain(&["GITHUB_CREDENTIALS_SECRET_ID", "token", "appId"]) {
            assert!(message.contains(term), "{secret}: {message}");
        }
        assert!(!answer.0.to_string().contains("wrong-form"), "{:#}", answer.0);
    }
}

#[tokio::test]
async fn unreadable_credentials_are_an_error_until_they_can_be_read() {
    let app = two_repositories().await;
    let secret = On::operation("GetSecretValue").containing(GITHUB_CREDENTIALS_SECRET_ID);
    app.world.secrets.fault(secret, Broken::AccessDenied.forever());
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.codes()), ("error", vec!["credentials_unavailable"]));
    assert_eq!(answer.0["problems"][0]["retryable"], true);
    assert_eq!(app.requests_to_github(), [""; 0]);
    app.world.secrets.heal();
    app.outlive_freshness();
    assert_eq!(app.agent("alpha").beat().await.status(), "ok");
}

#[tokio::test]
async fn malformed_credentials_are_an_error_that_does_not_show_them() {
    for wrong in [r#"{"tokens":["wrong-form"]}"#, r#"{"token":""}"#, "wrong-form of words", "{wrong-form"] {
        let app = two_repositories().await;
        app.world.secrets.put_secret(GITHUB_CREDENTIALS_SECRET_ID, wrong);
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.codes()), ("error", vec!["credentials_invalid"]), "{wrong}");
        assert_eq!(answer.0["problems"][0]["retryable"], false);
        assert!(!answer.0.to_string().contains("wrong-form"), "{:#}", answer.0);
        assert_eq!(app.requests_to_github(), [""; 0]);
    }
}

#[tokio::test]
async fn token_rotated_during_a_pass_is_read_again_once() {
    let app = two_repositories().await;
    app.world.secrets.put_secret(GITHUB_CREDENTIALS_SECRET_ID, "the-old-token");
    let mut held = app.world.github.hold(Matching::listing("acme/web").query("state", "open").nth(2));
    let alpha = app.agent("alpha");
    let mut beat = Box::pin(alpha.beat());
    assert!(crate::support::app::until_held(&mut beat, &mut held).await.is_none());
    app.world.secrets.put_secret(GITHUB_CREDENTIALS_SECRET_ID, "the-new-token");
    app.world.github.arrange(|github| github.accept_only(["the-new-token"]));
    held.release();
    let answer = beat.await;
    assert_eq!((answer.status(), answer.codes().len()), ("ok", 0), "{:#}", answer.0);
    assert_eq!(app.open_rows("acme/web").len(), 150);
    assert_eq!(app.secret_reads(GITHUB_CREDENTIALS_SECRET_ID), 2);
}

#[tokio::test]
async fn token_refused_during_a_pass_is_read_again_once_and_reported() {
    let app = two_repositories().await;
    let second_page = Matching::listing("acme/web").query("state", "open").nth(2);
    app.world.github.before(second_page, |github| github.accept_only(["some-other-token"]));
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.codes()), ("warning", vec!["github_unauthorized"]));
    assert_eq!(answer.0["problems"][0]["retryable"], false);
    assert_eq!(app.secret_reads(GITHUB_CREDENTIALS_SECRET_ID), 2);
    assert_eq!(app.open_rows("acme/web").len(), 100);
}

#[tokio::test]
async fn token_that_is_never_accepted_is_reported_after_one_request() {
    let app = two_repositories().await;
    app.world.github.arrange(|github| github.accept_only(["some-other-token"]));
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.codes()), ("error", vec!["github_unauthorized"]));
    assert_eq!(app.requests_to_github(), ["/graphql"]);
    assert_eq!(app.secret_reads(GITHUB_CREDENTIALS_SECRET_ID), 2);
}

#[tokio::test]
async fn refused_token_ends_the_requests_of_its_pass() {
    let names: Vec<String> = (0..12).map(|n| format!("acme/r{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let app = TestApp::tracking(&names).start().await;
    app.world.github.fault(Matching::any_listing(), Fault::Status(401).forever());
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.codes()), ("error", vec!["github_unauthorized"]));
    let listings = app.requests_to_github().iter().filter(|path| path.contains("/issues?")).count();
    assert!((1..=8).contains(&listings), "those that were in flight: {listings}");
}

#[tokio::test]
async fn secrets_and_githubs_words_appear_in_no_answer_or_item() {
    let app = two_repositories().await;
    let mut written = Vec::new();
    let upstream = |status| Fault::Answer {
        status,
        headers: Vec::new(),
        body: format!("upstream-words {GITHUB_TOKEN}"),
    };
    for status in [200, 401, 403, 422, 429, 503] {
        app.world.github.fault(Matching::any_listing(), upstream(status).forever());
        written.push(app.agent("alpha").beat().await.0.to_string());
        app.world.github.heal();
        app.pass_time(90);
    }
    app.world.dynamodb.fault(On::operation("Query"), Broken::AccessDenied.times(1));
    written.push(app.agent("alpha").beat().await.0.to_string());
    written.extend(app.world.dynamodb.items(TABLE_NAME).iter().map(ToString::to_string));
    for text in written {
        for secret in [AGENT_TOKEN, GITHUB_TOKEN, "upstream-words", "Denied by a fault", "127.0.0.1"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
