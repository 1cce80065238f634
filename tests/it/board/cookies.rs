//! Cookies that are not those of a session, whatever they hold.

use proptest::prelude::*;
use serde_json::{Value, json};
use test_world::{AGENT_TOKEN, AGENT_TOKENS_SECRET_ID};

use crate::support::app::TestApp;
use crate::support::browser::{Browser, COOKIE};
use crate::support::cases::{self, runtime, try_cases};
use crate::support::roles::invoke;

/// These take about two seconds.
const CASES: u32 = 1_000;

const VIEWERS: &str = "viewers-token-not-a-secret-0123456789";

/// The status of a read with these cookies, as an HTTP API passes them.
async fn status(browser: &Browser<'_>, cookies: Value) -> u16 {
    let mut event = browser.request("GET", "/api/status");
    event["cookies"] = cookies;
    browser.sends(event).await.status
}

#[tokio::test]
async fn changed_cookie_is_no_session_and_says_so() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    let tokens = json!({"tokens": [
        {"token": AGENT_TOKEN, "agents": ["*"], "may": ["read"]},
        {"token": VIEWERS, "agents": ["alpha"], "may": ["read"]},
    ]});
    app.world.secrets.put_secret(AGENT_TOKENS_SECRET_ID, &tokens.to_string());
    let browser = Browser::signed_in(&app, AGENT_TOKEN).await;
    let others = Browser::signed_in(&app, VIEWERS).await;
    let [ours, others]: [Vec<&str>; 2] = [&browser, &others].map(|it| it.value().split('.').collect());
    let with = |place: usize, part: &str| {
        let mut parts = ours.clone();
        parts[place] = part;
        parts.join(".")
    };
    for value in [
        with(0, "v2"),
        with(1, others[1]),
        with(1, "0000000000000000"),
        with(2, "1795370401"),
        with(2, "99999999999999999999"),
        with(3, others[3]),
        with(3, ""),
        with(3, &"A".repeat(43)),
        ours[..3].join("."),
        AGENT_TOKEN.to_owned(),
        String::new(),
    ] {
        let mut event = browser.request("GET", "/api/status");
        event["cookies"] = json!([format!("{COOKIE}={value}")]);
        let reply = browser.sends(event).await;
        assert_eq!(reply.status, 401, "{value}");
        assert_eq!(reply.body["detail"], "the session has ended; sign in again", "{value}");
    }
    assert_eq!(status(&browser, json!([browser.cookie])).await, 200);
    assert_eq!(app.requests_to_github(), [""; 0]);
}

#[tokio::test]
async fn cookies_of_other_applications_do_not_matter_and_two_of_ours_do() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    let browser = Browser::signed_in(&app, AGENT_TOKEN).await;
    let cookie = browser.cookie.as_deref().expect("a session");
    for cookies in [
        json!([cookie]),
        json!(["a=b", cookie, "c=é"]),
        json!([format!("a=b; {cookie}; c")]),
        json!([format!("a=b;{cookie} ;")]),
        json!([7, "x=\n", cookie, null]),
        json!([cookie, format!("x{COOKIE}=1"), format!("{COOKIE}x=1"), COOKIE.to_lowercase() + "=1"]),
    ] {
        assert_eq!(status(&browser, cookies.clone()).await, 200, "{cookies}");
    }
    for cookies in [
        json!([]),
        json!(null),
        json!("text"),
        json!([cookie, cookie]),
        json!([format!("{cookie}; {cookie}")]),
        json!([cookie, format!("{COOKIE}=")]),
        json!([cookie.to_lowercase()]),
        json!([format!("\"{cookie}\"")]),
        json!([format!("{cookie},{cookie}")]),
        json!([COOKIE]),
        json!([[cookie]]),
        json!([format!("{cookie}\n")]),
    ] {
        assert_eq!(status(&browser, cookies.clone()).await, 401, "{cookies}");
    }
}

#[test]
fn any_cookies_are_answered_and_only_a_whole_session_reads() {
    let runtime = runtime();
    let (app, cookie) = runtime.block_on(async {
        let app = TestApp::tracking(&[]).with("READS_PER_MINUTE", "60000").start().await;
        let cookie = Browser::signed_in(&app, AGENT_TOKEN).await.cookie.expect("a session");
        (app, cookie)
    });
    let whole = cookie.clone();
    let cut = (any::<prop::sample::Index>(), cases::text()).prop_map(move |(place, text)| {
        let place = place.index(cookie.len());
        format!("{}{text}{}", &cookie[..place], &cookie[(place + 1).min(cookie.len())..])
    });
    let one = prop_oneof![
        2 => cut.prop_map(Value::from),
        2 => cases::text().prop_map(|text| format!("{COOKIE}={text}").into()),
        1 => cases::text().prop_map(Value::from),
        1 => cases::json(),
    ];
    let some = prop_oneof![4 => prop::collection::vec(one, 0..4).prop_map(Value::from), 1 => cases::json()];
    let files = prop::sample::select(vec!["issues.json", "issues-function-url.json", "issues-rest-api.json"]);
    try_cases(CASES, &(files, some, any::<bool>()), |(file, cookies, is_listed)| {
        let mut event = TestApp::event(file);
        for headers in ["headers", "multiValueHeaders"] {
            if let Some(headers) = event.get_mut(headers).and_then(Value::as_object_mut) {
                headers.retain(|name, _| !name.eq_ignore_ascii_case("authorization"));
                headers.insert("sec-fetch-site".to_owned(), "same-origin".into());
                headers.insert("cookie".to_owned(), cookies.clone());
            }
        }
        if is_listed {
            event["cookies"] = cookies.clone();
        }
        let answer = runtime.block_on(invoke(app.app.clone(), event.to_string(), None));
        let is_whole = cookies.as_array().is_some_and(|cookies| cookies.iter().any(|one| *one == whole));
        let status = answer["statusCode"].as_u64();
        assert!(status == Some(401) || (is_whole && status == Some(200)), "{cookies}: {answer:#}");
    });
}
