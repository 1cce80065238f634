//! The log: one summary line for each invocation, and in every line the ids that CloudWatch searches by.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use test_world::github::{Fault, Matching};
use test_world::lambda::{TRACE_ID, request_id};
use test_world::{AGENT_TOKEN, GITHUB_TOKEN};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::support::app::{Setup, TestApp};
use crate::support::checked::Checked;
use crate::support::environment::{API, Environment, Log, SCHEDULE, ago};

/// A service whose world has the system's time.
async fn present(setup: Setup) -> TestApp {
    ago(setup, 0).start().await
}

/// The log lines of the `n`th invocation, without metrics.
fn logged(log: &Log, n: u64) -> Vec<&Checked> {
    let is_of = |line: &&Checked| !line.is_metrics() && line["spans"][0]["requestId"] == request_id(n);
    log.0.iter().filter(is_of).collect()
}

fn assert_tells_no_token(log: &Log) {
    let text = format!("{:?}", log.0);
    assert!(!text.contains(AGENT_TOKEN) && !text.contains(GITHUB_TOKEN), "{text}");
}

#[tokio::test]
async fn beat_that_runs_a_pass_is_logged_in_one_line() {
    let app = present(TestApp::tracking(&["acme/api"])).await;
    let mut environment = Environment::start(API, &app).await;
    let answer = environment.beat("alpha").await;
    let log = environment.end().await;
    let [line] = logged(&log, 1)[..] else { panic!("one line: {:#?}", log.0) };
    assert_eq!(line["run.id"], answer["runId"]);
    insta::assert_json_snapshot!(line, {
        ".timestamp" => "a time",
        r#"["run.id"]"# => "an id",
        r#"["pass.id"]"# => "an id",
        r#"["run.duration_ms"]"# => "a duration",
        r#"["pass.duration_ms"]"# => "a duration",
    }, @r#"
    {
      "agent.name": "alpha",
      "github.points": 1,
      "github.requests": 3,
      "issues.told": 0,
      "issues.touched": 0,
      "level": "INFO",
      "message": "A beat was answered.",
      "pass.count": 1,
      "pass.deferred": 0,
      "pass.duration_ms": "a duration",
      "pass.id": "an id",
      "problems": 0,
      "run.coalesced": false,
      "run.duration_ms": "a duration",
      "run.id": "an id",
      "run.status": "ok",
      "run.type": "heartbeat",
      "spans": [
        {
          "name": "Lambda runtime invoke",
          "requestId": "8476a536-e9f4-11e8-9739-000000000001",
          "xrayTraceId": "Root=1-6a113060-0123456789abcdef01234567;Sampled=0"
        }
      ],
      "target": "agent_heartbeat::heartbeat::summary",
      "timestamp": "a time"
    }
    "#);
    assert_eq!((log.0.len(), log.all_metrics(1).len()), (2, 1), "this line and the metrics");
    assert_tells_no_token(&log);
}

#[tokio::test]
async fn coalesced_beat_is_logged_with_the_pass_it_joined() {
    let app = present(TestApp::tracking(&["acme/api"])).await;
    let mut environment = Environment::start(API, &app).await;
    environment.beat("alpha").await;
    environment.beat("beta").await;
    let log = environment.end().await;
    let [first, second] = [1, 2].map(|n| logged(&log, n)[0]);
    assert_eq!(second["pass.id"], first["pass.id"]);
    assert_eq!((&second["run.coalesced"], &second["agent.name"]), (&true.into(), &"beta".into()));
    for none in ["pass.count", "pass.duration_ms", "github.requests", "github.points", "issues.touched"] {
        assert_eq!(second[none], 0, "{none}");
    }
}

#[tokio::test]
async fn each_line_has_lambdas_ids() {
    for level in ["warn", "error,agent_heartbeat=warn", "debug"] {
        let app = present(TestApp::tracking(&["acme/api"]).with("RUST_LOG", level)).await;
        app.world.github.fault(Matching::graphql(), Fault::Status(404));
        app.world.github.fault(Matching::path("/repos/acme/api"), Fault::Status(403));
        let mut environment = Environment::start(SCHEDULE, &app).await;
        environment.invoke(TestApp::event("schedule.json")).await.expect_err("the only repository failed");
        let log = environment.end().await;
        let ours: Vec<_> = log
            .0
            .iter()
            .filter(|line| {
                let target = (!line.is_metrics()).then(|| line["target"].as_str()).flatten();
                target.is_some_and(|target| target.starts_with("agent_heartbeat"))
            })
            .collect();
        let warned = ours.iter().filter(|line| line["level"] == "WARN");
        // The cause follows the colon.
        let sentences = warned.filter_map(|line| line["message"].as_str()?.split(": ").next());
        let warned: Vec<_> = sentences.collect();
        let expected = [
            "A request to GitHub failed with status 404.",
            "A request to GitHub failed with status 403.",
            "Sync of acme/api failed",
        ];
        assert_eq!(warned, expected, "{level}: {:#?}", log.0);
        assert_eq!(ours.iter().any(|line| line["level"] == "INFO"), level == "debug");
        for line in ours {
            let span = &line["spans"][0];
            assert_eq!((&span["requestId"], &span["xrayTraceId"]), (&request_id(1).into(), &TRACE_ID.into()));
        }
        assert_tells_no_token(&log);
    }
}

#[tokio::test]
async fn refused_request_is_logged_as_refused_and_not_as_a_beat() {
    let app = present(TestApp::tracking(&["acme/api"])).await;
    let mut environment = Environment::start(API, &app).await;
    environment.invoke(TestApp::event("heartbeat-unauthorized.json")).await.expect("a response");
    let log = environment.end().await;
    let [line] = logged(&log, 1)[..] else { panic!("one line: {:#?}", log.0) };
    assert_eq!((&line["message"], &line["http.status"]), (&"A request was refused.".into(), &401.into()));
    assert!(!format!("{:?}", log.0).contains("this-token-was-never-issued"), "{:#?}", log.0);
}

/// The log of this thread.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panics").write(text)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn scheduled_beat_with_several_passes_is_logged_in_one_line() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 250));
    for n in 1..=6 {
        let clock = app.world.clock.clone();
        let listing = Matching::listing("acme/api").nth(n);
        app.world.github.before(listing, move |_| clock.advance(Duration::from_secs(7)));
    }
    // With a single dispatcher, tracing lets the first thread that reaches a line decide for all threads whether it is
    // enabled.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let written = Written::default();
    let writer = written.clone();
    let json = tracing_subscriber::fmt::layer().json().flatten_event(true);
    let log = tracing_subscriber::registry().with(json.with_writer(move || writer.clone()));
    let logging = tracing::subscriber::set_default(log);
    app.schedule().beat().await.expect("a good beat");
    drop(logging);
    let text = String::from_utf8(written.0.lock().expect("nobody panics").clone()).expect("text");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON"));
    let reported: Vec<Value> =
        lines.filter(|line: &Value| line["message"] == "A beat was answered.").collect();
    let [line] = &reported[..] else { panic!("one line: {text} {reported:#?}") };
    let numbers = ["pass.count", "pass.duration_ms", "pass.deferred", "github.requests", "github.points"];
    let asked = u64::try_from(app.world.github.requests().len()).expect("a few");
    assert_eq!(numbers.map(|name| line[name].as_u64().expect("a number")), [3, 42_000, 0, asked, 3]);
    assert_eq!((&line["run.type"], &line["run.duration_ms"]), (&"scheduled".into(), &42_000.into()));
}
