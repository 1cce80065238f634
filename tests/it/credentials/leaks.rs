//! No secret, no header and no part of an upstream's body appears in any log, answer or record. All of them carry a
//! mark here; the deployed functions handle them through success and every failure, at every log level.

use std::time::Duration;

use serde_json::Value;
use test_world::dynamodb::{Fault as Broken, On};
use test_world::github::{Fault, Matching};
use test_world::{AGENT_TOKENS_SECRET_ID, GITHUB_CREDENTIALS_SECRET_ID, TABLE_NAME};

use crate::support::app::TestApp;
use crate::support::environment::{API, Environment, SCHEDULE, ago};

const AGENTS_TOKEN: &str = "mark-agents-token-0123456789-0123456789";
const GITHUBS_TOKEN: &str = "mark-githubs-token-0123456789-0123456789";
const STRANGERS_TOKEN: &str = "mark-strangers-token-0123456789-0123456789";
const HEADER: &str = "mark-header";
const KEY: &str = "mark-key";
const BODY: &str = "mark-body";

/// The beginning of all of them.
const MARK: &str = "mark-";

/// A field of the summary line of every answered heartbeat: what the marks are searched in contains it.
const SUMMARY_FIELD: &str = "\"run.duration_ms\":";

/// A world in the present with marked secrets. Its functions log at this level.
async fn marked(level: &str) -> TestApp {
    let mut app = ago(TestApp::tracking(&["acme/api", "acme/web"]).with("RUST_LOG", level), 0).start().await;
    app.allows_unused_faults();
    app.world.secrets.put_secret(AGENT_TOKENS_SECRET_ID, AGENTS_TOKEN);
    app.world.secrets.put_secret(GITHUB_CREDENTIALS_SECRET_ID, GITHUBS_TOKEN);
    app.world.github.arrange(|github| {
        github.accept_only([GITHUBS_TOKEN]);
        for repository in ["acme/api", "acme/web"] {
            github.open_issues(repository, 2);
            // Bodies are never stored, titles are.
            github.edit_issue(repository, 1, |issue| issue.body = Some(BODY.into()));
        }
    });
    app
}

/// A heartbeat of alpha or of a stranger, with a marked header and body.
fn event(token: &str) -> Value {
    let mut event = TestApp::event("heartbeat.json");
    event["headers"]["authorization"] = format!("Bearer {token}").into();
    event["headers"]["x-anything"] = HEADER.into();
    event["rawQueryString"] = format!("q={HEADER}").into();
    // The names of unknown members come back to the client, no value of any.
    event["body"] = format!("{{\"unknown\": \"{BODY}\", \"intervalSeconds\": \"{BODY}\"}}").into();
    event
}

/// Requests that are refused.
fn refused() -> Vec<Value> {
    let change = |place: &str, value: Value| {
        let mut event = event(AGENTS_TOKEN);
        *event.pointer_mut(place).expect("a place") = value;
        event
    };
    vec![
        event(STRANGERS_TOKEN),
        change("/body", format!("{{{BODY}").into()),
        change("/body", BODY.repeat(10_000).into()),
        change("/rawPath", "/api/agents/mark-%2F/heartbeat".into()),
        change("/rawPath", "/mark-path".into()),
        change("/requestContext/http/method", "MARK".into()),
        change("/isBase64Encoded", true.into()),
        change("/requestContext", HEADER.into()),
        change("/headers/authorization", format!("Basic {STRANGERS_TOKEN}").into()),
    ]
}

/// A heartbeat with a marked key, the same again, another body with that key, and one with an invalid key.
fn keyed() -> Vec<Value> {
    let with = |key: &str, body: &str| {
        let mut event = event(AGENTS_TOKEN);
        event["headers"]["idempotency-key"] = key.into();
        event["body"] = body.into();
        event
    };
    vec![with(KEY, "{}"), with(KEY, "{}"), with(KEY, "{\"unknown\": \"mark-body\"}"), with("mark key", "{}")]
}

/// Everything that a function wrote: its answers, its output, and the whole table.
async fn everything_written(app: &TestApp, function: &str, events: Vec<Value>) -> Vec<String> {
    let mut environment = Environment::start(function, app).await;
    let mut texts = Vec::new();
    for event in events {
        texts.push(format!("{:?}", environment.invoke(event).await));
    }
    let written = environment.end_with_output().await;
    texts.extend(written.stdout.lines().chain(written.stderr.lines()).map(str::to_owned));
    texts.extend(app.world.dynamodb.items(TABLE_NAME).iter().map(ToString::to_string));
    texts
}

fn assert_unmarked(texts: &[String], case: &str) {
    for text in texts {
        let shown: String = text.chars().take(2_000).collect();
        assert!(!text.contains(MARK), "{case}: {shown}");
    }
}

#[tokio::test]
async fn success_and_refusals_leak_no_secret_header_or_body() {
    for level in ["info", "debug", "trace", "trace,lambda_runtime=trace,aws_sigv4=trace,hyper=trace"] {
        let app = marked(level).await;
        let events = [vec![event(AGENTS_TOKEN)], refused(), keyed(), vec![event(AGENTS_TOKEN)]].concat();
        let texts = everything_written(&app, API, events).await;
        assert!(texts.iter().any(|line| line.contains(SUMMARY_FIELD)), "{texts:#?}");
        assert_unmarked(&texts, level);
        assert_unmarked(
            &everything_written(&app, SCHEDULE, vec![TestApp::event("schedule.json")]).await,
            level,
        );
    }
}

/// The requests of a board: a sign-in with the token, one with a stranger's, one with the token at a wrong place, and
/// reads, a heartbeat and a sign-out with these cookies.
fn of_a_board(cookies: &[String]) -> Vec<Value> {
    let request = |method: &str, path: &str, body: &str| {
        let mut event = event(AGENTS_TOKEN);
        event["headers"].as_object_mut().expect("headers").remove("authorization");
        event["headers"]["sec-fetch-site"] = "same-origin".into();
        event["headers"]["content-type"] = "application/json".into();
        (event["rawPath"], event["rawQueryString"]) = (path.into(), "".into());
        event["requestContext"]["http"]["method"] = method.into();
        event["body"] = body.into();
        event["cookies"] = cookies.into();
        event
    };
    let sign_in = |token: &str| request("POST", "/api/session", &format!("{{\"token\":\"{token}\"}}"));
    let mut unlike_json = sign_in(AGENTS_TOKEN);
    unlike_json["headers"]["content-type"] = HEADER.into();
    let mut of_another_site = sign_in(AGENTS_TOKEN);
    of_another_site["headers"]["sec-fetch-site"] = HEADER.into();
    vec![
        sign_in(AGENTS_TOKEN),
        sign_in(STRANGERS_TOKEN),
        unlike_json,
        of_another_site,
        request("POST", "/api/session", &format!("{{\"{BODY}\":\"{AGENTS_TOKEN}\"}}")),
        request("POST", "/api/session", AGENTS_TOKEN),
        request("GET", "/api/agents", ""),
        request("GET", &format!("/api/{}", cookies.join("")), ""),
        request("POST", "/api/agents/alpha/heartbeat", ""),
        request("DELETE", "/api/session", ""),
    ]
}

#[tokio::test]
async fn sessions_leak_neither_the_token_nor_the_cookie() {
    for level in ["info", "trace,lambda_runtime=trace,lambda_http=trace"] {
        let app = marked(level).await;
        let mut environment = Environment::start(API, &app).await;
        let begun = environment.invoke(of_a_board(&[])[0].clone()).await.expect("a response");
        let cookie = begun["cookies"][0].as_str().and_then(|cookie| cookie.split(';').next());
        let cookie = cookie.expect("the cookie of a session").to_owned();
        // What only the holder of the cookie knows. A sign-in within the same second has the same one.
        let code = cookie.rsplit('.').next().expect("an authentication code").to_owned();
        let mut answers = Vec::new();
        for cookies in
            [vec![cookie.clone()], vec![format!("{cookie}x")], vec![cookie.clone(), cookie.clone()]]
        {
            for event in of_a_board(&cookies).split_off(1) {
                answers.push(environment.invoke(event).await.expect("a response"));
            }
        }
        let statuses: Vec<&Value> = answers.iter().map(|answer| &answer["statusCode"]).collect();
        let [of_cookie, of_wrong] = [200, 401].map(|read| [401, 415, 403, 400, 400, read, 404, 401, 204]);
        assert_eq!(statuses, [of_cookie, of_wrong, of_wrong].concat());
        let written = environment.end_with_output().await;
        let mut texts: Vec<String> = answers.iter().map(ToString::to_string).collect();
        texts.extend(written.stdout.lines().chain(written.stderr.lines()).map(str::to_owned));
        texts.extend(app.world.dynamodb.items(TABLE_NAME).iter().map(ToString::to_string));
        texts.push(begun["body"].to_string());
        assert_unmarked(&texts, level);
        for text in texts {
            assert!(!text.contains(&code), "{level}: {text}");
        }
    }
}

#[tokio::test]
async fn github_failures_leak_neither_the_token_nor_githubs_words() {
    let answer = |status: u16| Fault::Answer {
        status,
        headers: vec![
            ("x-mark", HEADER.to_owned()),
            ("location", format!("https://{HEADER}.example/")),
            ("link", format!("<https://{HEADER}.example/>; rel=\"next\"")),
            ("retry-after", HEADER.to_owned()),
        ],
        body: format!(
            "{{\"message\":\"{BODY}\",\"errors\":[{{\"type\":\"{BODY}\",\"message\":\"{BODY}\"}}]}}"
        ),
    };
    let mut faults: Vec<Fault> =
        [200, 204, 301, 304, 400, 401, 403, 404, 410, 422, 429, 451, 500, 502, 503].map(answer).into();
    faults.extend([Fault::Cut, Fault::HalfPage, Fault::Garbage, Fault::EmptyList, Fault::saml_required()]);
    faults.extend([Fault::secondary_limit(None), Fault::Delay(Duration::from_millis(1))]);
    for fault in faults {
        for matching in [Matching::anything(), Matching::any_listing()] {
            let app = marked("trace").await;
            app.world.github.fault(matching, fault.clone().forever());
            let texts = everything_written(&app, API, vec![event(AGENTS_TOKEN)]).await;
            assert!(texts.iter().any(|line| line.contains(SUMMARY_FIELD)), "{fault:?}: {texts:#?}");
            assert_unmarked(&texts, &format!("{fault:?}"));
        }
    }
}

#[tokio::test]
async fn aws_failures_leak_no_secret() {
    let faults = [
        Broken::Status(503),
        Broken::Throttle,
        Broken::InternalError,
        Broken::AccessDenied,
        Broken::Cut,
        Broken::LoseAnswer,
        Broken::Delay(Duration::from_millis(1)),
    ];
    for fault in faults {
        for nth in [1, 3] {
            let app = marked("trace").await;
            app.world.secrets.fault(On::anything().nth(nth), fault.forever());
            assert_unmarked(
                &everything_written(&app, API, vec![event(AGENTS_TOKEN)]).await,
                &format!("secrets {fault:?}"),
            );
            let app = marked("trace").await;
            app.world.dynamodb.fault(On::anything().nth(nth), fault.forever());
            assert_unmarked(
                &everything_written(&app, API, vec![event(AGENTS_TOKEN)]).await,
                &format!("table {fault:?}"),
            );
        }
    }
}

#[tokio::test]
async fn unusable_secrets_are_not_leaked() {
    for text in [
        "mark-short",
        "{\"tokens\":[{\"token\":\"mark-short\"}]}",
        "{\"token\":\"mark- x\"}",
        "{mark-",
        "mark-é",
    ] {
        let app = marked("trace").await;
        app.world.secrets.put_secret(GITHUB_CREDENTIALS_SECRET_ID, text);
        assert_unmarked(&everything_written(&app, API, vec![event(AGENTS_TOKEN)]).await, text);
        app.world.secrets.put_secret(AGENT_TOKENS_SECRET_ID, text);
        assert_unmarked(&everything_written(&app, API, vec![event(AGENTS_TOKEN)]).await, text);
    }
}
