//! The metrics of each invocation, as the functions write them.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde_json::{Value, json};
use test_world::dynamodb::{Fault as Broken, On};
use test_world::github::APP_KEY;

use crate::support::app::{Setup, TestApp, open_spread};
use crate::support::browser::{Browser, COOKIE};
use crate::support::checked::Checked;
use crate::support::environment::{API, Environment, Log, SCHEDULE, ago};
use crate::support::github_app::{APP, store};

const AN_HOUR: u64 = 3_600;

/// A service whose last pass ended an hour ago.
async fn an_hour_later(setup: Setup) -> TestApp {
    let app = ago(setup, AN_HOUR).start().await;
    app.agent("alpha").beat().await;
    app.pass_time(AN_HOUR);
    app
}

/// The only value of a histogram.
fn value(line: &Checked, name: &str) -> f64 {
    let [value] = &line[name].as_array().expect("values")[..] else { panic!("one value: {line:#}") };
    value.as_f64().expect("a number")
}

/// Whether a value is this duration, plus the time that the test itself takes.
fn is_about(seconds: f64, expected: u64) -> bool {
    (expected as f64 - 1.0..expected as f64 + 60.0).contains(&seconds)
}

/// Moves the last pass to an hour ago.
fn outlive_freshness(app: &TestApp) {
    let mut state = app.state();
    state["ended"]["at"] = app.ago(i64::try_from(AN_HOUR).expect("small")).to_string().into();
    app.world.dynamodb.put_item(test_world::TABLE_NAME, &state);
}

#[tokio::test]
async fn idle_pass_is_counted_with_its_duration_and_requests() {
    let app = an_hour_later(TestApp::tracking(&["acme/api", "acme/web"])).await;
    app.world.github.arrange(|github| {
        let reset = github.now() + SignedDuration::from_mins(20);
        github.set_budget(5_000, 4_000, reset);
        github.set_graphql_budget(5_000, 2_501, reset);
    });
    let mut environment = Environment::start(API, &app).await;
    environment.beat("alpha").await;
    let log = environment.end().await;
    let line = log.metrics(1);
    assert!(is_about(value(line, "OldestRepositoryAge"), 0), "{line:#}");
    assert!(value(line, "PassDuration") <= value(line, "BeatDuration"), "{line:#}");
    insta::assert_json_snapshot!(line, {
        "._aws.Timestamp" => "a time",
        ".BeatDuration[]" => "a duration",
        ".PassDuration[]" => "a duration",
        ".OldestRepositoryAge[]" => "an age",
    }, @r#"
    {
      "AuditsHeld": [
        0.0
      ],
      "BeatDuration": [
        "a duration"
      ],
      "BeatsFresh": 1,
      "BeatsOk": 1,
      "ColdStarts": 1,
      "GitHubBudgetRemaining": [
        50.0
      ],
      "GitHubPoints": 1,
      "GitHubRequests": 1,
      "OldestRepositoryAge": [
        "an age"
      ],
      "PassDuration": [
        "a duration"
      ],
      "Passes": 1,
      "PassesSucceeded": 1,
      "RepositoriesFailing": [
        0.0
      ],
      "TableName": "heartbeat",
      "_aws": {
        "CloudWatchMetrics": [
          {
            "Dimensions": [
              [
                "TableName"
              ]
            ],
            "Metrics": [
              {
                "Name": "AuditsHeld",
                "Unit": "Count"
              },
              {
                "Name": "BeatDuration",
                "Unit": "Milliseconds"
              },
              {
                "Name": "BeatsFresh",
                "Unit": "Count"
              },
              {
                "Name": "BeatsOk",
                "Unit": "Count"
              },
              {
                "Name": "ColdStarts",
                "Unit": "Count"
              },
              {
                "Name": "GitHubBudgetRemaining",
                "Unit": "Percent"
              },
              {
                "Name": "GitHubPoints",
                "Unit": "Count"
              },
              {
                "Name": "GitHubRequests",
                "Unit": "Count"
              },
              {
                "Name": "OldestRepositoryAge",
                "Unit": "Seconds"
              },
              {
                "Name": "PassDuration",
                "Unit": "Milliseconds"
              },
              {
                "Name": "Passes",
                "Unit": "Count"
              },
              {
                "Name": "PassesSucceeded",
                "Unit": "Count"
              },
              {
                "Name": "RepositoriesFailing",
                "Unit": "Count"
              }
            ],
            "Namespace": "AgentHeartbeat"
          }
        ],
        "Timestamp": "a time"
      },
      "requestId": "8476a536-e9f4-11e8-9739-000000000001"
    }
    "#);
}

#[tokio::test]
async fn coalesced_beat_counts_no_pass_and_no_request() {
    let app = an_hour_later(TestApp::tracking(&["acme/api"])).await;
    let mut environment = Environment::start(API, &app).await;
    environment.beat("alpha").await;
    environment.beat("beta").await;
    let log = environment.end().await;
    let [first, second] = [1, 2].map(|n| log.metrics(n));
    assert_eq!((&first["ColdStarts"], &first["BeatsCoalesced"]), (&json!(1), &Value::Null));
    assert_eq!((&second["BeatsOk"], &second["BeatsCoalesced"]), (&json!(1), &json!(1)));
    let mut names: Vec<&str> = metrics_of(second).iter().filter_map(|one| one["Name"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["BeatDuration", "BeatsCoalesced", "BeatsFresh", "BeatsOk"]);
}

fn metrics_of(line: &Checked) -> &[Value] {
    line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().expect("a list")
}

#[tokio::test]
async fn scheduled_beat_is_counted_like_an_agents() {
    let app = an_hour_later(TestApp::tracking(&["acme/api"])).await;
    let mut environment = Environment::start(SCHEDULE, &app).await;
    environment.invoke(TestApp::event("schedule.json")).await.expect("a good beat");
    let log = environment.end().await;
    let line = log.metrics(1);
    for name in ["BeatsOk", "Passes", "PassesSucceeded", "GitHubRequests", "ColdStarts"] {
        assert_eq!(line[name], 1, "{name}: {line:#}");
    }
}

#[tokio::test]
async fn changed_issues_are_counted() {
    let app = an_hour_later(TestApp::tracking(&["acme/api"])).await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 3));
    let mut environment = Environment::start(API, &app).await;
    environment.beat("alpha").await;
    assert_eq!(environment.end().await.metrics(1)["IssuesTouched"], 3);
}

#[tokio::test]
async fn failing_repository_is_counted_with_the_age_of_its_data() {
    let app = ago(TestApp::tracking(&["acme/api", "acme/web"]), 2 * AN_HOUR).start().await;
    app.agent("alpha").beat().await;
    app.pass_time(AN_HOUR);
    app.world.github.arrange(|github| github.hide_repository("acme/web"));
    app.agent("alpha").beat().await;
    app.pass_time(AN_HOUR);
    let mut environment = Environment::start(API, &app).await;
    environment.beat("alpha").await;
    let log = environment.end().await;
    let line = log.metrics(1);
    assert_eq!((&line["RepositoriesFailing"], &line["PassesSucceeded"]), (&json!([1.0]), &json!(1)));
    assert_eq!(line["BeatsWarning"], 1);
    assert!(is_about(value(line, "OldestRepositoryAge"), 2 * AN_HOUR), "{line:#}");
}

#[tokio::test]
async fn name_that_github_never_showed_ages_from_its_first_pass() {
    let setup = TestApp::tracking(&["acme/api"]).with("REPOSITORIES", "acme/api acme/none");
    let app = an_hour_later(setup).await;
    let mut environment = Environment::start(API, &app).await;
    environment.beat("alpha").await;
    let log = environment.end().await;
    let line = log.metrics(1);
    assert_eq!(line["RepositoriesFailing"], json!([1.0]));
    assert!(is_about(value(line, "OldestRepositoryAge"), AN_HOUR), "{line:#}");
}

#[tokio::test]
async fn name_without_an_installation_ages_too() {
    let app = ago(TestApp::tracking(&["acme/api", "globex/web"]), AN_HOUR).start().await;
    app.world.github.arrange(|github| github.install_app_at("acme", APP, 7));
    store(&app, &json!({ "appId": APP, "installations": { "acme": 7 }, "privateKey": APP_KEY }));
    assert_eq!(app.agent("alpha").beat().await.codes(), ["credentials_invalid"]);
    app.pass_time(AN_HOUR);
    let mut environment = Environment::start(API, &app).await;
    environment.beat("alpha").await;
    let log = environment.end().await;
    assert!(is_about(value(log.metrics(1), "OldestRepositoryAge"), AN_HOUR), "{:#}", log.metrics(1));
}

#[tokio::test]
async fn pass_in_which_every_repository_fails_is_no_success() {
    let app = an_hour_later(TestApp::tracking(&["acme/api"])).await;
    app.world.github.arrange(|github| github.hide_repository("acme/api"));
    let mut environment = Environment::start(API, &app).await;
    environment.beat("alpha").await;
    let log = environment.end().await;
    let line = log.metrics(1);
    assert_eq!(
        (&line["Passes"], &line["PassesSucceeded"], &line["BeatsError"]),
        (&json!(1), &Value::Null, &json!(1))
    );
}

#[tokio::test]
async fn beat_is_fresh_only_when_a_recent_successful_pass_serves_it() {
    let app = an_hour_later(TestApp::tracking(&["acme/api"])).await;
    let mut environment = Environment::start(API, &app).await;
    environment.beat("ran-a-pass").await;
    environment.beat("joined-it").await;
    app.world.github.arrange(|github| github.hide_repository("acme/api"));
    outlive_freshness(&app);
    environment.beat("ran-a-pass-that-failed").await;
    environment.beat("joined-that").await;
    let mut state = app.state();
    let later = app.ago(-60).as_millisecond();
    state["ended"]["at"] = app.ago(i64::try_from(AN_HOUR).expect("small")).to_string().into();
    state["ended"]["status"] = "ok".into();
    state["claimUntil"] = later.into();
    app.world.dynamodb.put_item(test_world::TABLE_NAME, &state);
    environment.beat("joined-an-old-one-while-another-runs").await;
    let log = environment.end().await;
    let fresh = [1, 2, 3, 4, 5].map(|n| log.metrics(n)["BeatsFresh"] == 1);
    assert_eq!(fresh, [true, true, false, false, false]);
}

#[tokio::test]
async fn audit_on_hold_is_counted_until_it_is_confirmed() {
    let app = ago(TestApp::tracking(&["acme/api"]), 10 * AN_HOUR).start().await;
    let first = app.ago(1_000);
    app.world.github.arrange(|github| open_spread(github, "acme/api", 30, first));
    app.agent("alpha").beat().await;
    app.pass_time(10 * AN_HOUR);
    app.world.github.arrange(|github| (1..=30).for_each(|number| github.delete_issue("acme/api", number)));
    let mut environment = Environment::start(SCHEDULE, &app).await;
    for _ in 0..2 {
        let failed = environment.invoke(TestApp::event("schedule.json")).await.expect_err("an error");
        assert!(failed.contains("acme/api") && failed.contains("30 of 30"), "{failed}");
        outlive_freshness(&app);
    }
    environment.invoke(TestApp::event("confirm-audit.json")).await.expect("no failure");
    let log = environment.end().await;
    let reported = [1, 2, 3].map(|n| (&log.metrics(n)["AuditsHeld"], &log.metrics(n)["PassesSucceeded"]));
    let (held, lifted) = (json!([1.0]), json!([0.0]));
    assert_eq!(reported, [(&held, &json!(1)), (&held, &json!(1)), (&lifted, &json!(1))]);
}

#[tokio::test]
async fn pass_that_loses_the_table_is_no_success() {
    let app = an_hour_later(TestApp::tracking(&["acme/api"])).await;
    app.world.dynamodb.fault(On::operation("Query"), Broken::AccessDenied.forever());
    let mut environment = Environment::start(API, &app).await;
    environment.beat("alpha").await;
    let log = environment.end().await;
    let line = log.metrics(1);
    assert_eq!(
        (&line["Passes"], &line["PassesSucceeded"], &line["BeatsError"]),
        (&json!(1), &Value::Null, &json!(1))
    );
    assert!(line["PassDuration"].is_array() && line["RepositoriesFailing"].is_null(), "{line:#}");
}

#[tokio::test]
async fn wrong_token_is_counted_and_is_no_beat() {
    let app = an_hour_later(TestApp::tracking(&["acme/api"])).await;
    let mut environment = Environment::start(API, &app).await;
    let answer = environment.invoke(TestApp::event("heartbeat-unauthorized.json")).await.expect("a response");
    assert_eq!(answer["statusCode"], 401);
    let log = environment.end().await;
    let mut names: Vec<&str> =
        metrics_of(log.metrics(1)).iter().filter_map(|one| one["Name"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["ColdStarts", "RequestsUnauthorized"]);
}

#[tokio::test]
async fn wrong_sign_in_and_ended_session_are_counted_like_a_wrong_token() {
    let app = an_hour_later(TestApp::tracking(&["acme/api"])).await;
    let mut environment = Environment::start(API, &app).await;
    let mut browser = Browser::new(&app);
    let wrong = environment.invoke(browser.sign_in("wrong")).await.expect("a response");
    browser.cookie = Some(format!("{COOKIE}=v1.0123456789abcdef.1.x"));
    let ended = environment.invoke(browser.request("GET", "/api/status")).await.expect("a response");
    assert_eq!([&wrong["statusCode"], &ended["statusCode"]], [401, 401]);
    let log = environment.end().await;
    assert_eq!([1, 2].map(|n| &log.metrics(n)["RequestsUnauthorized"]), [&json!(1), &json!(1)]);
}

#[tokio::test]
async fn throttled_beat_is_counted_as_refused_and_is_no_beat() {
    let app = an_hour_later(TestApp::tracking(&["acme/api"]).with("BEATS_PER_MINUTE", "1")).await;
    let mut environment = Environment::start(API, &app).await;
    let mut statuses = Vec::new();
    // A minute may end between two of three heartbeats, but not between each two of them.
    for _ in 0..3 {
        let answer = environment.invoke(TestApp::event("heartbeat.json")).await.expect("a response");
        statuses.push(answer["statusCode"].clone());
    }
    let log = environment.end().await;
    let refused = statuses.iter().position(|status| *status == 429).expect("one of them is refused");
    let line = log.metrics(refused as u64 + 1);
    assert_eq!((&line["RequestsTooMany"], &line["BeatsOk"]), (&json!(1), &Value::Null), "{line:#}");
}

#[tokio::test]
async fn invocation_without_counts_writes_no_metrics_line() {
    let app = an_hour_later(TestApp::tracking(&["acme/api"])).await;
    let mut environment = Environment::start(API, &app).await;
    for _ in 0..2 {
        let mut event = TestApp::event("heartbeat.json");
        event["rawPath"] = "/api/health".into();
        event["requestContext"]["http"]["path"] = "/api/health".into();
        event["requestContext"]["http"]["method"] = "GET".into();
        assert_eq!(environment.invoke(event).await.expect("a response")["statusCode"], 200);
    }
    let log = environment.end().await;
    assert_eq!((log.all_metrics(1).len(), log.all_metrics(2).len()), (1, 0), "the cold start, and nothing");
}

/// The dimensions of all lines, and the value of the only one.
fn dimensions(log: &Log) -> BTreeSet<String> {
    let lines = log.0.iter().filter(|line| line.is_metrics());
    let tell = |line: &Checked| {
        let [of_all] = &line["_aws"]["CloudWatchMetrics"].as_array().expect("a list")[..] else {
            panic!("one namespace: {line:#}")
        };
        format!("{} {} {}", of_all["Namespace"], of_all["Dimensions"], line["TableName"])
    };
    lines.map(tell).collect()
}

#[tokio::test]
async fn five_hundred_agents_make_one_dimension_the_table() {
    let app = an_hour_later(TestApp::tracking(&["acme/api"])).await;
    let mut environment = Environment::start(API, &app).await;
    for n in 1..=500 {
        environment.beat(&format!("agent-{n}")).await;
    }
    let log = environment.end().await;
    assert_eq!(log.metrics(500)["BeatsCoalesced"], 1);
    let expected = r#""AgentHeartbeat" [["TableName"]] "heartbeat""#.to_owned();
    assert_eq!(dimensions(&log), BTreeSet::from([expected]));
}
