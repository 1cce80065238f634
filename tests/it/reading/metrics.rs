//! The agents and the copy in the text format of Prometheus.

use std::collections::BTreeMap;

use serde_json::json;
use test_world::AGENT_TOKENS_SECRET_ID;

use super::five_hundred_agents;
use crate::support::app::TestApp;

const CIS: &str = "the-cis-token-not-a-secret-0123456789";

/// The samples of an exposition: the metric with its labels, without the common prefix, and the value.
///
/// Fails unless each line is a sample of the metric that the lines before declare as a gauge.
async fn scrape(app: &TestApp, token: Option<&str>) -> BTreeMap<String, String> {
    let client = token.map_or_else(|| app.client(), |token| app.client_with(token));
    let reply = client.get("/api/metrics").await;
    assert_eq!((reply.status, reply.headers["content-type"].as_str()), (200, "text/plain; version=0.0.4"));
    let text = reply.body.into_value();
    let mut declared = String::new();
    let mut samples = BTreeMap::new();
    for line in text.as_str().expect("a text").lines() {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            declared = head.strip_suffix(" gauge").expect("a gauge").to_owned();
        } else if !line.starts_with("# HELP ") {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert_eq!(series.split('{').next(), Some(declared.as_str()), "{line}");
            let series = series.strip_prefix("agent_heartbeat_").expect("the common prefix");
            assert_eq!(samples.insert(series.to_owned(), value.to_owned()), None, "{line}");
        }
    }
    samples
}

/// The states of an agent that are 1.
fn current<'a>(samples: &'a BTreeMap<String, String>, metric: &str, agent: &str) -> Vec<&'a str> {
    let start = format!("{metric}{{agent=\"{agent}\",state=\"");
    let of_agent = samples.iter().filter(|(_, value)| *value == "1");
    of_agent.filter_map(|(series, _)| series.strip_prefix(&start)?.strip_suffix("\"}")).collect()
}

#[tokio::test]
async fn metrics_show_agents_and_the_copy_as_status_and_agents_do() {
    let app = TestApp::tracking(&["acme/api", "acme/web"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 1));
    let issue = "https://github.com/acme/api/issues/1";
    let body = json!({ "intervalSeconds": 60, "stalledAfterSeconds": 60, "activeIssueUrls": [issue] });
    app.agent("alpha").with_body(&body.to_string()).beat().await;
    app.agent("beta").beat().await;
    app.schedule().orders(json!({ "hold": "beta", "why": "x" })).await.expect("a hold");
    app.world.github.arrange(|github| github.hide_repository("acme/web"));
    app.pass_time(90);
    app.agent("gamma").beat().await;
    let samples = scrape(&app, None).await;
    // 06:00:00 and 06:01:30.
    assert_eq!(samples["fresh_timestamp_seconds"], "1795327200");
    assert_eq!(samples["agent_last_heartbeat_timestamp_seconds{agent=\"gamma\"}"], "1795327290");
    assert_eq!(
        (
            samples["problems{severity=\"warning\"}"].as_str(),
            samples["problems{severity=\"error\"}"].as_str()
        ),
        ("1", "0")
    );
    assert_eq!(current(&samples, "agent_state", "alpha"), ["late"]);
    assert_eq!(current(&samples, "agent_work", "alpha"), ["stalled"]);
    assert_eq!(current(&samples, "agent_state", "beta"), ["unwatched"]);
    assert_eq!(current(&samples, "agent_work", "beta"), ["idle"]);
    let held =
        ["alpha", "beta", "gamma"].map(|name| samples[&format!("agent_held{{agent=\"{name}\"}}")].as_str());
    assert_eq!(held, ["0", "1", "0"]);
    // Each agent has six states, four of its work, a hold and a last heartbeat.
    assert_eq!(samples.len(), 3 + 3 * (6 + 4 + 2));
}

#[tokio::test]
async fn metrics_show_only_the_agents_that_the_token_covers() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    for agent in ["alpha", "ci-1"] {
        app.agent(agent).beat().await;
    }
    let tokens = json!({ "tokens": [{ "token": CIS, "agents": ["ci-*", "ci-9"], "may": ["beat", "read"] }] });
    app.world.secrets.put_secret(AGENT_TOKENS_SECRET_ID, &tokens.to_string());
    app.pass_time(3_600);
    let samples = scrape(&app, Some(CIS)).await;
    assert!(samples.keys().all(|series| !series.contains("alpha")), "{samples:#?}");
    assert_eq!(current(&samples, "agent_state", "ci-1"), ["unwatched"]);
    assert_eq!(current(&samples, "agent_state", "ci-9"), ["new"]);
    assert!(!samples.contains_key("agent_last_heartbeat_timestamp_seconds{agent=\"ci-9\"}"));
}

#[tokio::test]
async fn scrape_of_500_agents_reads_all_pages_and_costs_few_read_units() {
    let app = five_hundred_agents().await;
    app.clear_requests();
    let samples = scrape(&app, None).await;
    assert_eq!(samples.keys().filter(|series| series.starts_with("agent_held")).count(), 500);
    insta::assert_snapshot!(app.world.dynamodb.capacity().read_units, @"22.5");
}
