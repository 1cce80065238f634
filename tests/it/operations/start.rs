//! The start of an execution environment: what is prepared before the first event. A failure there stops nothing.

use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use test_world::dynamodb::{Fault as Broken, On};
use test_world::github::{Fault, Matching};
use test_world::{
    AGENT_TOKEN, AGENT_TOKENS_SECRET_ID, GITHUB_CREDENTIALS_SECRET_ID, GITHUB_TOKEN, TestWorld,
};

use crate::support::app::TestApp;
use crate::support::environment::{API, Environment, SCHEDULE, command};

/// Both functions, as they are deployed.
const FUNCTIONS: [&str; 2] = [API, SCHEDULE];

async fn app() -> TestApp {
    TestApp::tracking(&["acme/api"]).start().await
}

/// A service whose preparation ends soon if hosts do not answer.
async fn impatient() -> TestApp {
    let soon = Duration::from_millis(50);
    TestApp::tracking(&["acme/api"]).timing(|timing| timing.preparation = soon).start().await
}

/// The requests to each host so far, by host.
fn asked(world: &TestWorld) -> Vec<String> {
    let mut secrets: Vec<String> = world
        .secrets
        .requests()
        .iter()
        .map(|read| format!("{} {}", read.operation, read.request["SecretId"].as_str().unwrap_or("?")))
        .collect();
    secrets.sort();
    let github = world.github.requests();
    let github = github.iter().map(|request| {
        let token = if request.token.is_some() { "with a token" } else { "without a token" };
        format!("{} {} {token}", request.method, request.path)
    });
    let dynamodb = world.dynamodb.requests();
    let dynamodb = dynamodb.iter().map(|exchange| {
        let key = &exchange.request["Key"];
        format!("{} {} {}", exchange.operation, key["pk"]["S"], key["sk"]["S"])
    });
    secrets.into_iter().chain(github).chain(dynamodb).collect()
}

fn forget(world: &TestWorld) {
    world.secrets.clear_requests();
    world.github.clear_requests();
    world.dynamodb.clear_requests();
}

fn whole_preparation() -> [String; 4] {
    [
        format!("GetSecretValue {AGENT_TOKENS_SECRET_ID}"),
        format!("GetSecretValue {GITHUB_CREDENTIALS_SECRET_ID}"),
        "HEAD / without a token".to_owned(),
        r#"GetItem "FLEET" "STATE""#.to_owned(),
    ]
}

#[tokio::test]
async fn service_that_is_only_built_sends_nothing() {
    let app = app().await;
    assert_eq!(asked(&app.world), [""; 0]);
}

#[tokio::test]
async fn preparation_reads_both_secrets_and_costs_half_a_read_unit() {
    let app = app().await;
    app.app.prepare().await;
    assert_eq!(asked(&app.world), whole_preparation());
    assert_eq!(app.world.dynamodb.capacity().read_units, 0.5);
}

#[tokio::test]
async fn preparation_contacts_all_hosts_at_the_same_time() {
    let app =
        TestApp::tracking(&[]).timing(|timing| timing.preparation = Duration::from_secs(10)).start().await;
    let mut secrets = app.world.secrets.hold(On::anything());
    let mut dynamodb = app.world.dynamodb.hold(On::anything());
    let mut github = app.world.github.hold(Matching::anything());
    let everything_has_arrived = async {
        secrets.arrived().await;
        dynamodb.arrived().await;
        github.arrived().await;
    };
    tokio::select! {
        () = app.app.prepare() => panic!("it did not wait for an answer"),
        () = everything_has_arrived => {}
    }
}

#[tokio::test]
async fn first_beat_after_preparation_reads_no_secret() {
    let app = app().await;
    app.app.prepare().await;
    forget(&app.world);
    assert_eq!(app.agent("alpha").beat().await.status(), "ok");
    assert_eq!(app.world.secrets.requests(), []);
}

#[tokio::test]
async fn secret_rotated_after_preparation_is_read_again() {
    let app = app().await;
    app.world.secrets.put_secret(AGENT_TOKENS_SECRET_ID, "the-old-token-not-a-secret-0123456789");
    app.app.prepare().await;
    app.world.secrets.put_secret(AGENT_TOKENS_SECRET_ID, AGENT_TOKEN);
    assert_eq!(app.agent("alpha").beat().await.status(), "ok");
}

#[tokio::test]
async fn preparation_without_secrets_manager_ends_and_the_first_beat_reads() {
    for fault in [Broken::AccessDenied, Broken::Hang, Broken::Cut, Broken::InternalError] {
        let app = impatient().await;
        app.world.secrets.fault(On::anything(), fault.forever());
        app.app.prepare().await;
        app.world.secrets.heal();
        forget(&app.world);
        assert_eq!(app.agent("alpha").beat().await.status(), "ok", "{fault:?}");
        assert_eq!(app.world.secrets.requests().len(), 2, "{fault:?}");
    }
}

#[tokio::test]
async fn unavailable_secrets_manager_is_reported_by_the_first_beat() {
    let app = impatient().await;
    app.world.secrets.fault(On::anything(), Broken::AccessDenied.forever());
    app.app.prepare().await;
    let reply = app.stranger().sends_changed(|_| {}).await;
    assert_eq!((reply.status, reply.headers["retry-after"].as_str()), (503, "10"));
}

#[tokio::test]
async fn preparation_without_dynamodb_ends_and_the_first_beat_uses_it() {
    for fault in [Broken::AccessDenied, Broken::Hang, Broken::Cut, Broken::Throttle] {
        let app = impatient().await;
        app.world.dynamodb.fault(On::anything(), fault.forever());
        app.app.prepare().await;
        app.world.dynamodb.heal();
        assert_eq!(app.agent("alpha").beat().await.status(), "ok", "{fault:?}");
    }
}

#[tokio::test]
async fn preparation_without_github_ends_and_the_first_beat_uses_it() {
    let limited = Fault::secondary_limit(Some("60"));
    for fault in [Fault::Hang, Fault::Cut, Fault::Garbage, Fault::Status(503), Fault::Status(401), limited] {
        let app = impatient().await;
        app.world.github.fault(Matching::anything(), fault.clone());
        app.app.prepare().await;
        forget(&app.world);
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.codes().len()), ("ok", 0), "{fault:?}");
        assert_eq!(app.asked()[0], "/graphql", "{fault:?}");
    }
}

#[tokio::test]
async fn each_function_is_prepared_before_its_first_event() {
    for path in FUNCTIONS {
        let app = app().await;
        assert_eq!(Environment::start(path, &app).await.end().await.0, [Value::Null; 0], "{path}");
        assert_eq!(asked(&app.world), whole_preparation(), "{path}");
    }
}

#[tokio::test]
async fn start_failure_is_logged_once_without_a_secret() {
    let app = app().await;
    app.world.secrets.fault(On::anything(), Broken::AccessDenied.forever());
    app.world.dynamodb.fault(On::anything(), Broken::AccessDenied.forever());
    app.world.github.fault(Matching::anything(), Fault::Cut.forever());
    let log = Environment::start(FUNCTIONS[0], &app).await.end().await;
    let mut lines: Vec<_> =
        log.0.iter().map(|line| (line["level"].as_str(), line["host"].as_str())).collect();
    lines.sort_unstable();
    let hosts = ["DynamoDB", "GitHub", "Secrets Manager"];
    assert_eq!(lines, hosts.map(|host| (Some("INFO"), Some(host))), "{:#?}", log.0);
    let log = format!("{:?}", log.0);
    assert!(!log.contains(AGENT_TOKEN) && !log.contains(GITHUB_TOKEN), "{log}");
}

#[tokio::test]
async fn invalid_configuration_ends_each_function_and_names_all_mistakes() {
    let app = app().await;
    for path in FUNCTIONS {
        let mut command = command(path, &app, "127.0.0.1:9");
        command.env_remove("TABLE_NAME").envs([("REPOSITORIES", "acme"), ("FRESHNESS_SECONDS", "soon")]);
        let Output { status, stdout, .. } = command.output().await.expect("the function was built");
        let log = String::from_utf8(stdout).expect("text");
        assert_eq!(status.code(), Some(1), "{log}");
        for variable in ["TABLE_NAME", "REPOSITORIES", "FRESHNESS_SECONDS"] {
            assert!(log.contains(variable), "{variable}: {log}");
        }
    }
    assert_eq!(asked(&app.world), [""; 0]);
}

#[tokio::test]
async fn plain_cargo_lambda_watch_names_what_is_missing_and_the_way_out() {
    let app = app().await;
    for path in FUNCTIONS {
        let mut command = command(path, &app, "http://[::1]:9/.rt/_");
        for variable in app.variables.keys() {
            command.env_remove(variable);
        }
        let Output { status, stdout, .. } = command.output().await.expect("the function was built");
        let log = String::from_utf8(stdout).expect("text");
        assert_eq!(status.code(), Some(1), "{log}");
        let missing = ["TABLE_NAME", "AGENT_TOKENS_SECRET_ID", "GITHUB_CREDENTIALS_SECRET_ID"];
        for said in missing.into_iter().chain(["`make dev`", "--env-file target/dev.env"]) {
            assert!(log.contains(said), "{said}: {log}");
        }
    }
}
