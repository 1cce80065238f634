//! The service as a GitHub App: its installation's token is requested, shared, renewed, and never leaked.
//! `github_app_refused.rs` tests refusals.

use crate::support::app::TestApp;
use crate::support::changed::assert_next_is_ok;
use crate::support::github_app::TOKEN_REQUEST;
use crate::support::github_app::{APP, INSTALLATION, installed, store, token_requests, two_repositories};
use crate::support::log::Log;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use serde_json::json;
use std::time::Duration;
use test_world::AGENT_TOKEN;
use test_world::github::{APP_KEY, APP_KEY_PKCS8, Fault, Matching, World, fingerprint};

/// How long before its expiry a token is renewed: after 55 minutes.
const DUE: u64 = 3_300;

#[tokio::test]
async fn installation_token_serves_a_whole_pass_and_later_passes() {
    let app = two_repositories().await;
    assert_next_is_ok(&app).await;
    assert_eq!(app.open_rows("acme/web").len(), 150);
    app.outlive_freshness();
    assert_next_is_ok(&app).await;
    assert_eq!(token_requests(&app), 1);
    let tokens = app.world.github.arrange(|github| github.installation_tokens());
    let [token] = &tokens[..] else { panic!("{tokens:?}") };
    let requests = app.world.github.requests();
    assert!(requests.len() > 3 && requests[0].path == TOKEN_REQUEST && requests[0].method == "POST");
    assert!(requests[1..].iter().all(|request| request.token == Some(fingerprint(token))));
    assert!(requests.iter().all(|request| request.api_version.is_some()));
}

#[tokio::test]
async fn app_key_in_either_pem_form_and_ids_as_numbers_or_texts_are_accepted() {
    let escaped_twice = APP_KEY.replace('\n', "\\n");
    for credentials in [
        json!({ "appId": APP, "installationId": INSTALLATION, "privateKey": APP_KEY_PKCS8 }),
        json!({ "appId": "4711", "installationId": "7", "privateKey": APP_KEY }),
        json!({ "appId": APP, "installationId": INSTALLATION, "privateKey": escaped_twice }),
        json!({ "appId": APP, "installationId": INSTALLATION, "privateKey": APP_KEY, "webhookSecret": "x" }),
    ] {
        let app = two_repositories().await;
        store(&app, &credentials);
        assert_next_is_ok(&app).await;
    }
}

#[tokio::test]
async fn app_key_as_secret_stores_format_it_is_accepted() {
    let body: String = APP_KEY.lines().filter(|line| !line.starts_with("-----")).collect();
    for key in [
        APP_KEY.replace('\n', "\r\n"),
        APP_KEY.replace('\n', "\\n"),
        APP_KEY.replace('\n', "\\r\\n"),
        APP_KEY.replace('\n', " "),
        APP_KEY.replace('\n', ""),
        format!("\u{feff}{APP_KEY}"),
        format!("\"{}\"", APP_KEY.replace('\n', "\\n")),
        STANDARD.encode(APP_KEY),
        STANDARD
            .encode(APP_KEY)
            .as_bytes()
            .chunks(76)
            .map(String::from_utf8_lossy)
            .collect::<Vec<_>>()
            .join("\n"),
        body,
    ] {
        let app = two_repositories().await;
        store(&app, &json!({ "appId": APP, "installationId": INSTALLATION, "privateKey": key }));
        assert_next_is_ok(&app).await;
    }
}

#[tokio::test]
async fn token_is_renewed_five_minutes_before_expiry_even_by_an_idle_pass() {
    let app = two_repositories().await;
    assert_next_is_ok(&app).await;
    app.pass_time(DUE - 1);
    assert_next_is_ok(&app).await;
    assert_eq!(token_requests(&app), 1);
    app.pass_time(31);
    assert_next_is_ok(&app).await;
    assert_eq!(token_requests(&app), 2);
    app.pass_time(DUE + 60);
    assert_next_is_ok(&app).await;
    assert_eq!(token_requests(&app), 3);
    // The passes so far were idle, and none was without a token. After two hours the token has expired.
    app.pass_time(2 * 3_600);
    app.clear_requests();
    assert_next_is_ok(&app).await;
    assert_eq!(app.asked()[..2], [TOKEN_REQUEST, "/graphql"]);
}

#[tokio::test]
async fn token_that_cannot_be_renewed_serves_until_it_expires() {
    let app = two_repositories().await;
    assert_next_is_ok(&app).await;
    app.pass_time(DUE);
    app.world.github.fault(Matching::token_request(), Fault::Status(502).forever());
    app.clear_requests();
    for _ in 0..9 {
        assert_next_is_ok(&app).await;
        app.outlive_freshness();
    }
    assert_eq!(token_requests(&app), 9, "one attempt a pass");
    app.pass_time(60);
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.codes()), ("error", vec!["github_unavailable"; 2]));
    assert_eq!(token_requests(&app), 9 + 3, "without a token, the token request is retried like any other");
    app.world.github.heal();
    app.outlive_freshness();
    assert_next_is_ok(&app).await;
}

#[tokio::test]
async fn token_request_that_fails_transiently_is_retried() {
    let app = two_repositories().await;
    app.world.github.fault(Matching::token_request(), Fault::Status(502));
    app.world.github.fault(Matching::token_request(), Fault::Cut);
    assert_next_is_ok(&app).await;
    assert_eq!(token_requests(&app), 3);
}

#[tokio::test]
async fn token_request_that_uses_up_the_pass_time_is_the_last_request() {
    for is_failing in [false, true] {
        let app = two_repositories().await;
        let clock = app.world.clock.clone();
        let takes_long = move |_: &mut World| clock.advance(Duration::from_secs(22));
        app.world.github.before(Matching::token_request(), takes_long);
        if is_failing {
            app.world.github.fault(Matching::token_request(), Fault::Status(502));
        }
        app.agent("alpha").beat().await;
        assert_eq!(app.asked(), [TOKEN_REQUEST], "is failing: {is_failing}");
    }
}

/// Fifty repositories without GraphQL: all are looked up at the same time.
async fn fifty() -> TestApp {
    let names: Vec<String> = (0..50).map(|n| format!("acme/r{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let app = installed(TestApp::tracking(&names)).await;
    app.world.github.arrange(|github| github.remove_graphql());
    app
}

#[tokio::test]
async fn fifty_concurrent_calls_request_one_token_and_renew_it_once() {
    let app = fifty().await;
    let beat = async || app.agent("alpha").beat().await.codes().join(" ");
    assert_eq!(beat().await, "probe_unavailable");
    assert_eq!(token_requests(&app), 1);
    app.pass_time(DUE);
    assert_eq!(beat().await, "probe_unavailable");
    assert_eq!(token_requests(&app), 2, "renewal was due");
    app.pass_time(3_600);
    assert_eq!(beat().await, "probe_unavailable");
    assert_eq!(token_requests(&app), 3, "the token had expired");
    app.pass_time(600);
    app.world.github.arrange(|github| github.revoke_installation_tokens());
    assert_eq!(beat().await, "probe_unavailable");
    assert_eq!(token_requests(&app), 4, "the token was refused");
}

#[tokio::test]
async fn fifty_concurrent_calls_share_one_failing_token_request() {
    let app = fifty().await;
    app.world.github.arrange(|github| github.revoke_app_key(APP));
    assert_eq!(app.agent("alpha").beat().await.codes(), ["github_unauthorized"]);
    assert_eq!(app.asked(), [TOKEN_REQUEST]);
    app.world.github.arrange(|github| github.restore_app_key(APP));
    app.world.github.fault(Matching::token_request(), Fault::Status(502).forever());
    app.outlive_freshness();
    app.clear_requests();
    assert_eq!(app.agent("alpha").beat().await.status(), "error");
    assert_eq!(app.asked(), [TOKEN_REQUEST; 3]);
}

#[tokio::test]
async fn clock_that_is_off_by_a_minute_changes_nothing() {
    for seconds in [-60, 60] {
        let app = installed(TestApp::tracking(&["acme/api"]).ahead(seconds)).await;
        assert_next_is_ok(&app).await;
        app.pass_time(DUE - 1);
        assert_next_is_ok(&app).await;
        assert_eq!(token_requests(&app), 1, "{seconds}");
        app.pass_time(31);
        assert_next_is_ok(&app).await;
        assert_eq!(token_requests(&app), 2, "{seconds}");
    }
}

#[tokio::test]
async fn limit_of_an_installation_outlives_its_token() {
    let app = two_repositories().await;
    assert_next_is_ok(&app).await;
    app.pass_time(DUE - 300);
    app.world.github.fault(Matching::graphql(), Fault::secondary_limit(Some("1800")));
    assert_eq!(app.agent("alpha").beat().await.codes(), ["github_rate_limited"]);
    app.pass_time(1_799);
    app.clear_requests();
    for environment in [app.app.clone(), app.another_environment()] {
        let answer = app.agent("alpha").in_environment(environment).beat().await;
        assert_eq!(answer.codes(), ["github_rate_limited"]);
        assert_eq!(app.asked(), [""; 0], "no token is requested either");
    }
    app.pass_time(60);
    assert_next_is_ok(&app).await;
    assert_eq!(token_requests(&app), 1);
}

#[tokio::test]
async fn budget_of_an_installation_outlives_its_token() {
    let app = two_repositories().await;
    app.world.github.arrange(|github| {
        github.set_graphql_budget(5_000, 2_000, github.now() + SignedDuration::from_hours(3));
    });
    assert_next_is_ok(&app).await;
    app.pass_time(DUE);
    assert_next_is_ok(&app).await;
    let state = app.state();
    let limits = state["ended"]["limits"].as_array().expect("a list");
    assert_eq!(limits[0]["graphql"]["budget"]["remaining"], 2_000 - 2, "{limits:#?}");
    assert_eq!((limits.len(), token_requests(&app)), (1, 2), "{limits:#?}");
}

#[tokio::test]
async fn limit_of_the_app_itself_blocks_token_requests_until_it_lifts() {
    let app = two_repositories().await;
    app.world.github.fault(Matching::token_request(), Fault::secondary_limit(Some("300")));
    assert_eq!(app.agent("alpha").beat().await.codes(), ["github_rate_limited"]);
    app.pass_time(299);
    app.clear_requests();
    let elsewhere = app.agent("beta").in_environment(app.another_environment());
    assert_eq!(elsewhere.beat().await.codes(), ["github_rate_limited"]);
    assert_eq!(app.asked(), [""; 0]);
    app.pass_time(40);
    assert_next_is_ok(&app).await;
}

#[tokio::test]
async fn token_request_on_an_enterprise_server_goes_to_its_api() {
    let mut app = installed(TestApp::tracking(&["acme/api"])).await;
    let api = format!("{}/api/v3", app.world.github.url());
    app.restart_with("GITHUB_API_URL", &api);
    app.agent("alpha").beat().await;
    assert_eq!(app.asked(), [format!("/api/v3{TOKEN_REQUEST}")]);
}

#[tokio::test]
async fn app_key_and_tokens_appear_in_no_answer_item_or_log() {
    let app = two_repositories().await;
    let log = Log::begin();
    app.app.prepare().await;
    let mut written = vec![app.agent("alpha").beat().await.0.to_string()];
    app.pass_time(60);
    for fault in [Fault::Status(401), Fault::Status(403), Fault::Status(404), Fault::Status(502)] {
        app.world.github.arrange(|github| github.revoke_installation_tokens());
        app.world.github.fault(Matching::token_request(), fault.forever());
        written.push(app.agent("alpha").beat().await.0.to_string());
        app.world.github.heal();
        app.pass_time(60);
        written.push(app.agent("alpha").beat().await.0.to_string());
        app.pass_time(60);
    }
    written.extend(app.items("", "").iter().map(ToString::to_string));
    written.push(log.text());
    let tokens = app.world.github.arrange(|github| github.installation_tokens());
    assert!(tokens.len() > 3, "{tokens:?}");
    let line_of_key = APP_KEY.lines().nth(3).expect("a key of many lines").to_owned();
    // The beginning of each JWT that the App signs.
    let jwt = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9".to_owned();
    for secret in tokens.into_iter().chain([line_of_key, jwt, AGENT_TOKEN.to_owned()]) {
        assert!(written.iter().all(|text| !text.contains(&secret)), "{secret}");
    }
}
