//! The start of a sandbox: what is prepared before the first event, and that nothing which fails then stops it.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::process::{Output, Stdio};
use std::time::Duration;

use local_stack::dynamodb::{Fault as Broken, On};
use local_stack::github::{Fault, Matching};
use local_stack::{
    AGENT_TOKEN, AGENT_TOKENS_SECRET_ID, GITHUB_CREDENTIALS_SECRET_ID, GITHUB_TOKEN, LocalStack,
};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::app::TestApp;

/// Both functions, as they are deployed.
const FUNCTIONS: [&str; 2] = [env!("CARGO_BIN_EXE_api"), env!("CARGO_BIN_EXE_schedule")];

async fn app() -> TestApp {
    TestApp::tracking(&["acme/api"]).start().await
}

/// A service that gives up its preparation soon, for hosts that do not answer.
async fn impatient() -> TestApp {
    let soon = Duration::from_millis(50);
    TestApp::tracking(&["acme/api"]).timing(|timing| timing.preparation = soon).start().await
}

/// What each host was asked for so far, in the order in which the hosts stand here.
fn asked(world: &LocalStack) -> Vec<String> {
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

fn forget(world: &LocalStack) {
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
async fn a_service_that_is_only_built_has_sent_nothing() {
    let app = app().await;
    assert_eq!(asked(&app.world), [""; 0]);
}

#[tokio::test]
async fn the_preparation_reads_both_secrets_and_asks_each_host_once_for_half_a_read_unit() {
    let app = app().await;
    app.app.prepare().await;
    assert_eq!(asked(&app.world), whole_preparation());
    assert_eq!(app.world.dynamodb.capacity().read_units, 0.5);
}

#[tokio::test]
async fn all_hosts_are_asked_at_the_same_time() {
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
async fn the_first_beat_after_it_reads_no_secret() {
    let app = app().await;
    app.app.prepare().await;
    forget(&app.world);
    assert_eq!(app.agent("alpha").beat().await.status(), "ok");
    assert_eq!(app.world.secrets.requests(), []);
}

#[tokio::test]
async fn a_secret_that_is_rotated_after_it_is_read_afresh_like_any_other() {
    let app = app().await;
    app.world.secrets.put_secret(AGENT_TOKENS_SECRET_ID, "the-old-token-not-a-secret-0123456789");
    app.app.prepare().await;
    app.world.secrets.put_secret(AGENT_TOKENS_SECRET_ID, AGENT_TOKEN);
    assert_eq!(app.agent("alpha").beat().await.status(), "ok");
}

#[tokio::test]
async fn without_secrets_manager_it_ends_and_the_first_beat_reads_as_if_nobody_had_tried() {
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
async fn a_secrets_manager_that_stays_away_is_told_by_the_first_beat() {
    let app = impatient().await;
    app.world.secrets.fault(On::anything(), Broken::AccessDenied.forever());
    app.app.prepare().await;
    let reply = app.stranger().sends_changed(|_| {}).await;
    assert_eq!((reply.status, reply.headers["retry-after"].as_str()), (503, "10"));
}

#[tokio::test]
async fn without_dynamodb_it_ends_and_the_first_beat_uses_the_table_as_ever() {
    for fault in [Broken::AccessDenied, Broken::Hang, Broken::Cut, Broken::Throttle] {
        let app = impatient().await;
        app.world.dynamodb.fault(On::anything(), fault.forever());
        app.app.prepare().await;
        app.world.dynamodb.heal();
        assert_eq!(app.agent("alpha").beat().await.status(), "ok", "{fault:?}");
    }
}

#[tokio::test]
async fn without_github_it_ends_and_the_first_beat_asks_as_ever() {
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

/// A function's process in this world, which finds its Lambda there.
fn function(path: &str, world: &LocalStack, runtime_api: &str) -> Command {
    let mut command = Command::new(path);
    command.env_clear().envs(world.environment()).stdout(Stdio::piped()).kill_on_drop(true).envs([
        ("AWS_LAMBDA_RUNTIME_API", runtime_api),
        ("AWS_LAMBDA_FUNCTION_NAME", "heartbeat"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ]);
    command
}

/// What the function has logged when it asks Lambda for its first event.
async fn log_until_its_first_event(path: &str, world: &LocalStack) -> String {
    let lambda = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = lambda.local_addr().expect("an address").to_string();
    let mut running = function(path, world, &address).spawn().expect("the function was built");
    let (mut connection, _) = lambda.accept().await.expect("a connection");
    let mut request = [0; 64];
    let length = connection.read(&mut request).await.expect("a request");
    let request = String::from_utf8_lossy(&request[..length]);
    assert!(request.starts_with("GET /2018-06-01/runtime/invocation/next "), "{request}");
    running.start_kill().expect("it runs");
    let Output { stdout, .. } = running.wait_with_output().await.expect("it has ended");
    String::from_utf8(stdout).expect("text")
}

#[tokio::test]
async fn each_function_is_prepared_before_it_asks_for_its_first_event() {
    for path in FUNCTIONS {
        let app = app().await;
        assert_eq!(log_until_its_first_event(path, &app.world).await, "", "{path}");
        assert_eq!(asked(&app.world), whole_preparation(), "{path}");
    }
}

#[tokio::test]
async fn what_fails_at_the_start_is_logged_once_each_and_tells_no_secret() {
    let app = app().await;
    app.world.secrets.fault(On::anything(), Broken::AccessDenied.forever());
    app.world.dynamodb.fault(On::anything(), Broken::AccessDenied.forever());
    app.world.github.fault(Matching::anything(), Fault::Cut.forever());
    let log = log_until_its_first_event(FUNCTIONS[0], &app.world).await;
    let mut lines: Vec<(String, String)> = log
        .lines()
        .map(|line| {
            let line: HashMap<String, String> = serde_json::from_str(line).expect("a line of JSON");
            (line["level"].clone(), line["host"].clone())
        })
        .collect();
    lines.sort();
    let hosts = ["DynamoDB", "GitHub", "Secrets Manager"];
    assert_eq!(lines, hosts.map(|host| ("INFO".to_owned(), host.to_owned())), "{log}");
    assert!(!log.contains(AGENT_TOKEN) && !log.contains(GITHUB_TOKEN), "{log}");
}

#[tokio::test]
async fn a_wrong_configuration_ends_each_function_and_names_all_its_mistakes() {
    let app = app().await;
    for path in FUNCTIONS {
        let mut command = function(path, &app.world, "127.0.0.1:9");
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
