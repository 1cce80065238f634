//! The callers of the service, and its answers to them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use agent_heartbeat::app::App;
use agent_heartbeat::schedule::{self, ScheduledBeatFailed};
use agent_heartbeat::sweep::Topic;
use jiff::Timestamp;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::Value;
use serde_json::value::RawValue;
use test_world::AGENT_TOKEN;
use tokio::sync::OnceCell;
use tower::util::ServiceExt as _;

use crate::support::app::TestApp;
use crate::support::checked::{Checked, properties};

/// Passes a Lambda event through the function's handler as Lambda's runtime does: JSON in, JSON out.
pub async fn invoke(app: Arc<App>, event: String, deadline: Option<Timestamp>) -> Value {
    let mut context = Context::default();
    // The largest deadline says nothing about when the invocation ends.
    context.deadline =
        deadline.map_or(u64::MAX, |deadline| u64::try_from(deadline.as_millisecond()).expect("after 1970"));
    invoke_in(app, event, context).await
}

/// The same, in an invocation with this context.
pub async fn invoke_in(app: Arc<App>, event: String, context: Context) -> Value {
    let event = LambdaEvent::new(RawValue::from_string(event).expect("JSON"), context);
    let answer = agent_heartbeat::http::service(app).oneshot(event).await.expect("handlers always answer");
    serde_json::to_value(answer).expect("an answer is JSON")
}

async fn ask(app: &Arc<App>, event: &Value, deadline: Option<Timestamp>) -> Reply {
    let reply = invoke(Arc::clone(app), event.to_string(), deadline).await;
    Reply::of(&reply).described_by(description(app).await)
}

/// The API's description, as it is served.
async fn description(app: &Arc<App>) -> &'static Value {
    static DESCRIPTION: OnceCell<Value> = OnceCell::const_new();
    let ask = || async {
        let mut event = TestApp::event("heartbeat.json");
        let path = "/api/openapi.json";
        event["rawPath"] = path.into();
        event["requestContext"]["http"]["path"] = path.into();
        event["requestContext"]["http"]["method"] = "GET".into();
        Reply::of(&invoke(Arc::clone(app), event.to_string(), None).await).body.into_value()
    };
    DESCRIPTION.get_or_init(ask).await
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HashMap<String, String>,
    /// The cookies that it sets, as HTTP APIs and Function URLs get them.
    pub cookies: Vec<String>,
    pub body: Checked,
}

impl Reply {
    /// Reads the form in which Lambda returns answers to API Gateway.
    pub fn of(answer: &Value) -> Self {
        // REST APIs receive all values of each header; ours have one each.
        let headers =
            ["headers", "multiValueHeaders"].map(|member| answer[member].as_object().expect("headers"));
        let text = |value: &Value| {
            let only = value.as_array().map_or(value, |values| values.first().expect("a value"));
            only.as_str().expect("a text").to_owned()
        };
        assert_eq!(answer["isBase64Encoded"], false);
        let headers: HashMap<String, String> =
            headers.into_iter().flatten().map(|(name, value)| (name.clone(), text(value))).collect();
        let body = text(&answer["body"]);
        let is_text = headers.get("content-type").is_some_and(|kind| kind.starts_with("text/plain"));
        let body = if is_text { body.into() } else { serde_json::from_str(&body).unwrap_or(Value::Null) };
        Self {
            status: answer["statusCode"]
                .as_u64()
                .and_then(|code| u16::try_from(code).ok())
                .expect("a status"),
            headers,
            cookies: serde_json::from_value(answer["cookies"].clone()).unwrap_or_default(),
            body: Checked::anything(body),
        }
    }

    /// The same, with a body that allows only the described fields.
    fn described_by(self, description: &Value) -> Self {
        let is_problem =
            self.headers.get("content-type").is_some_and(|kind| kind == "application/problem+json");
        let body = self.body.into_value();
        let body = if is_problem {
            let names = properties(&description["components"]["schemas"]["ProblemDetails"]);
            Checked::new(body, "a problem's details", names)
        } else if body["runId"].is_string() && body["touched"].is_array() {
            Checked::answer(body)
        } else {
            Checked::anything(body)
        };
        Self { body, ..self }
    }
}

/// An agent with a valid token.
pub struct Agent<'a> {
    pub test: &'a TestApp,
    pub app: Arc<App>,
    pub name: String,
    /// The `Idempotency-Key` of its requests, if they have one.
    pub key: Option<String>,
    pub body: Option<String>,
}

impl Agent<'_> {
    /// The same agent, whose requests have this key.
    pub fn with_key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// The same agent, whose requests have this body.
    pub fn with_body(mut self, body: &str) -> Self {
        self.body = Some(body.to_owned());
        self
    }

    /// The same agent, served by another execution environment.
    pub fn in_environment(mut self, app: Arc<App>) -> Self {
        self.app = app;
        self
    }

    /// Sends a heartbeat and expects the status 200.
    pub async fn beat(&self) -> Answer {
        self.beat_until(None).await
    }

    /// Sends a heartbeat in an invocation that ends after this many seconds.
    pub async fn beat_within(&self, seconds: u64) -> Answer {
        let deadline = self.test.world.clock.now() + Duration::from_secs(seconds);
        self.beat_until(Some(deadline)).await
    }

    /// Sends a heartbeat in an invocation with this deadline; `None` if the deadline is unknown.
    pub async fn beat_until(&self, deadline: Option<Timestamp>) -> Answer {
        let reply = self.knock_until(deadline).await;
        assert_eq!(reply.status, 200, "{reply:#?}");
        Answer(reply.body)
    }

    /// Sends a heartbeat and returns any reply.
    pub async fn knock(&self) -> Reply {
        self.knock_until(None).await
    }

    /// Sends a heartbeat in an invocation with this deadline and returns any reply.
    pub async fn knock_until(&self, deadline: Option<Timestamp>) -> Reply {
        let mut event = TestApp::event("heartbeat.json");
        let path = format!("/api/agents/{}/heartbeat", self.name);
        event["rawPath"] = path.clone().into();
        event["requestContext"]["http"]["path"] = path.into();
        event["headers"]["authorization"] = format!("Bearer {AGENT_TOKEN}").into();
        if let Some(key) = &self.key {
            event["headers"]["idempotency-key"] = key.clone().into();
        }
        if let Some(body) = &self.body {
            event["body"] = body.clone().into();
            event["isBase64Encoded"] = false.into();
        }
        ask(&self.app, &event, deadline).await
    }
}

/// A caller who may send anything.
pub struct Stranger<'a> {
    pub test: &'a TestApp,
}

impl Stranger<'_> {
    /// Sends an event as it is.
    pub async fn sends(&self, event: &Value) -> Reply {
        ask(&self.test.app, event, None).await
    }

    /// Sends `events/heartbeat.json`, changed.
    pub async fn sends_changed(&self, change: impl FnOnce(&mut Value)) -> Reply {
        let mut event = TestApp::event("heartbeat.json");
        change(&mut event);
        self.sends(&event).await
    }
}

/// A client that reads, with a token.
pub struct Client<'a> {
    pub test: &'a TestApp,
    pub token: String,
}

impl Client<'_> {
    /// Requests a path with its query.
    pub async fn get(&self, target: &str) -> Reply {
        self.get_unless(target, None).await
    }

    /// Requests a path with its query, unless the answer has this tag.
    pub async fn get_unless(&self, target: &str, tag: Option<&str>) -> Reply {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut event = TestApp::event("issues.json");
        event["rawPath"] = path.into();
        event["rawQueryString"] = query.into();
        event["requestContext"]["http"]["path"] = path.into();
        let headers = event["headers"].as_object_mut().expect("headers");
        headers.insert("authorization".to_owned(), format!("Bearer {}", self.token).into());
        headers.extend(tag.map(|tag| ("if-none-match".to_owned(), tag.into())));
        ask(&self.test.app, &event, None).await
    }

    /// Requests a path with its query and expects the status 200.
    pub async fn read(&self, target: &str) -> Value {
        let reply = self.get(target).await;
        assert_eq!(reply.status, 200, "{target}: {reply:#?}");
        reply.body.into_value()
    }

    /// Reads all pages of a list: the items in their order, and the number of pages.
    pub async fn read_all(&self, target: &str, items: &str) -> (Vec<Value>, usize) {
        let mut all = Vec::new();
        let mut next = target.to_owned();
        for pages in 1..=1_000 {
            let page = self.read(&next).await;
            all.extend(page[items].as_array().expect("a list").iter().cloned());
            let Some(cursor) = page["nextCursor"].as_str() else { return (all, pages) };
            let separator = if target.contains('?') { '&' } else { '?' };
            next = format!("{target}{separator}cursor={cursor}");
        }
        panic!("{target} has no last page");
    }
}

/// EventBridge Scheduler.
pub struct Schedule<'a> {
    pub test: &'a TestApp,
    pub app: Arc<App>,
}

impl Schedule<'_> {
    /// The same schedule, served by another execution environment.
    pub fn in_environment(mut self, app: Arc<App>) -> Self {
        self.app = app;
        self
    }

    /// Sends the scheduled event, in an invocation of five minutes.
    pub async fn beat(&self) -> Result<Answer, ScheduledBeatFailed> {
        self.beat_within(300).await
    }

    /// Sends the scheduled event, in an invocation that ends after this many seconds.
    pub async fn beat_within(&self, seconds: u64) -> Result<Answer, ScheduledBeatFailed> {
        self.sends(TestApp::event("schedule.json"), seconds).await
    }

    /// Confirms an audit on hold, as an operator does.
    pub async fn confirms(&self, repository: &str) -> Result<Answer, ScheduledBeatFailed> {
        self.sends(serde_json::json!({ "confirmAudit": repository }), 300).await
    }

    /// Sends an event in an invocation that ends after this many seconds.
    pub async fn sends(&self, event: Value, seconds: u64) -> Result<Answer, ScheduledBeatFailed> {
        self.invokes(event, seconds).await.map(|answer| Answer(Checked::answer(answer)))
    }

    /// Changes the holds, as an operator does. Returns the function's answer.
    pub async fn orders(&self, event: Value) -> Result<Value, ScheduledBeatFailed> {
        self.invokes(event, 60).await
    }

    async fn invokes(&self, event: Value, seconds: u64) -> Result<Value, ScheduledBeatFailed> {
        let deadline = self.test.world.clock.now() + Duration::from_secs(seconds);
        let topic = Topic::of(&self.app);
        let answer = schedule::handle(&self.app, topic.as_ref(), event, Some(deadline)).await?;
        Ok(serde_json::to_value(answer).expect("an answer is JSON"))
    }
}

/// The answer to a heartbeat.
#[derive(Clone, Debug)]
pub struct Answer(pub Checked);

impl Answer {
    pub fn status(&self) -> &str {
        self.0["status"].as_str().expect("a status")
    }

    pub fn is_coalesced(&self) -> bool {
        self.0["coalesced"].as_bool().expect("a flag")
    }

    /// The reported changes, as `closed acme/api#7`, by repository and number.
    pub fn touched(&self) -> Vec<String> {
        let mut touched: Vec<(String, u64, String)> = self.0["touched"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|touch| {
                let url = touch["url"].as_str().expect("a URL");
                let path = url.strip_prefix("https://github.com/").expect("a page of GitHub's");
                let (repository, number) = path.split_once("/issues/").expect("an issue's page");
                let change = touch["change"].as_str().expect("a change");
                (repository.to_owned(), number.parse().expect("a number"), change.to_owned())
            })
            .collect();
        touched.sort();
        touched.into_iter().map(|(repository, n, change)| format!("{change} {repository}#{n}")).collect()
    }

    pub fn lines(&self, field: &str) -> Vec<&str> {
        self.0[field].as_array().expect("a list").iter().filter_map(Value::as_str).collect()
    }

    /// The numbers in its summary, in order: repositories synced, repositories tracked, issues changed, and those of
    /// optional parts.
    pub fn summary_numbers(&self) -> Vec<u64> {
        let summary = self.0["summary"].as_str().expect("a sentence");
        summary.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
    }

    /// Whether its summary says that work is deferred to the next pass.
    pub fn is_deferred(&self) -> bool {
        self.0["summary"].as_str().expect("a sentence").contains("deferred")
    }

    /// `nextHeartbeatInSeconds`.
    pub fn next_heartbeat(&self) -> u64 {
        self.0["nextHeartbeatInSeconds"].as_u64().expect("whole seconds")
    }

    pub fn codes(&self) -> Vec<&str> {
        let problems = self.0["problems"].as_array().expect("a list");
        problems.iter().filter_map(|problem| problem["code"].as_str()).collect()
    }
}
