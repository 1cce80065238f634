//! Whatever an event contains, it is answered: the invocation never fails, and the status is never 5xx.

use lambda_runtime::Context;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::app::{Reply, TestApp};
use crate::support::cases::{self, Mutation};
use crate::support::environment::{API, Environment};
use crate::support::roles::{invoke, invoke_in};

/// These take about ten seconds.
const CASES: u32 = 600;

const SAMPLES: [&str; 7] = [
    "heartbeat.json",
    "heartbeat-function-url.json",
    "heartbeat-rest-api.json",
    "heartbeat-unauthorized.json",
    "issues.json",
    "issues-function-url.json",
    "issues-rest-api.json",
];

/// A change of an event.
#[derive(Clone, Debug)]
enum Hostility {
    Anywhere(Mutation),
    /// At a place that the answer depends on, or that may become part of a URL.
    At(&'static str, Value),
    Header(String, Vec<Value>),
    /// A query parameter, in each form in which an event has it.
    Parameter(String, Vec<Value>),
}

fn hostility() -> impl Strategy<Value = Hostility> {
    let places = [
        "/rawPath",
        "/path",
        "/httpMethod",
        "/requestContext/http/method",
        "/requestContext/stage",
        "/requestContext/domainName",
        "/requestContext/elb",
        "/rawQueryString",
        "/body",
        "/isBase64Encoded",
        "/headers/host",
        "/headers/Host",
        "/headers/authorization",
        "/multiValueHeaders/Authorization",
        "/headers/x-forwarded-proto",
        "/headers/content-length",
        "/cookies",
        "/queryStringParameters",
        "/multiValueQueryStringParameters",
        "/pathParameters",
        "/version",
    ];
    let value = prop_oneof![
        3 => cases::text().prop_map(Value::from),
        1 => cases::json(),
        1 => any::<bool>().prop_map(Value::from),
        1 => cases::text().prop_map(|name| format!("/api/agents/{name}/heartbeat").into()),
    ];
    let names = ["authorization", "Authorization", "host", "content-type", "transfer-encoding", "x"];
    let name = prop_oneof![prop::sample::select(names.to_vec()).prop_map(str::to_owned), cases::text()];
    let values = prop::collection::vec(value.clone(), 0..4);
    let parameters = ["label", "state", "limit", "cursor", "repository", "lable"];
    let parameter =
        prop_oneof![prop::sample::select(parameters.to_vec()).prop_map(str::to_owned), cases::text()];
    let parameter_values = values.clone();
    prop_oneof![
        2 => cases::mutation().prop_map(Hostility::Anywhere),
        3 => (prop::sample::select(places.to_vec()), value).prop_map(|(place, value)| Hostility::At(place, value)),
        1 => (name, values).prop_map(|(name, values)| Hostility::Header(name, values)),
        2 => (parameter, parameter_values).prop_map(|(name, values)| Hostility::Parameter(name, values)),
    ]
}

impl Hostility {
    fn carry_out(self, event: &mut Value) {
        match self {
            Self::Anywhere(mutation) => mutation.carry_out(event),
            Self::At(place, value) => {
                let (parent, key) = place.rsplit_once('/').expect("a pointer");
                if let Some(Value::Object(fields)) = event.pointer_mut(parent) {
                    fields.insert(key.to_owned(), value);
                }
            }
            Self::Header(name, values) => {
                for field in ["headers", "multiValueHeaders"] {
                    if let Some(headers) = event.get_mut(field).and_then(Value::as_object_mut) {
                        headers.insert(name.clone(), values.clone().into());
                    }
                }
            }
            Self::Parameter(name, values) => {
                let Some(fields) = event.as_object_mut() else { return };
                let part = |value: &Value| format!("&{name}={}", value.as_str().unwrap_or("{}"));
                let query: String = values.iter().map(part).collect();
                fields.insert("rawQueryString".to_owned(), query.into());
                let last = values.last().cloned().unwrap_or_default();
                fields.insert("queryStringParameters".to_owned(), json!({ &name: last }));
                fields.insert("multiValueQueryStringParameters".to_owned(), json!({ name: values }));
            }
        }
    }
}

/// The reply is an answer in JSON, leads from the root to the board, or is a problem document that says what is wrong with the request.
fn assert_answered(answer: &Value) -> Reply {
    let reply = Reply::of(answer);
    assert!((200..500).contains(&reply.status), "{reply:#?}");
    if reply.status >= 400 {
        assert_eq!(reply.headers["content-type"], "application/problem+json", "{reply:#?}");
        let error = reply.body["error"].as_str().expect("an error");
        assert!(!error.is_empty(), "{reply:#?}");
        assert_eq!(reply.body["status"], reply.status);
    } else if reply.status == 307 {
        assert_eq!(reply.headers["location"], "api/board", "{reply:#?}");
    } else {
        assert_eq!(reply.headers["content-type"], "application/json", "{reply:#?}");
    }
    reply
}

/// The status of each answer.
async fn statuses(app: &TestApp, events: impl IntoIterator<Item = String>) -> Vec<u16> {
    let mut statuses = Vec::new();
    for event in events {
        statuses.push(assert_answered(&invoke(app.app.clone(), event, None).await).status);
    }
    statuses
}

/// The sample events of both forms, each with this value at this place.
fn changed(place: &str, value: &Value) -> Vec<String> {
    let events = ["heartbeat.json", "heartbeat-rest-api.json"].map(|file| {
        let mut event = TestApp::event(file);
        let (parent, key) = place.rsplit_once('/').expect("a pointer");
        event.pointer_mut(parent).expect("a parent")[key] = value.clone();
        event.to_string()
    });
    events.into()
}

/// A service without a limit of heartbeats for an agent, and whose clock does not move.
async fn app() -> TestApp {
    TestApp::tracking(&[]).with("BEATS_PER_MINUTE", "6000").start().await
}

#[test]
fn any_event_is_answered() {
    let runtime = cases::runtime();
    let app = runtime.block_on(app());
    let hostilities = prop::collection::vec(hostility(), 0..4);
    cases::try_cases(CASES, &(prop::sample::select(SAMPLES.to_vec()), hostilities), |(file, hostilities)| {
        let mut event = TestApp::event(file);
        hostilities.into_iter().for_each(|hostility| hostility.carry_out(&mut event));
        assert_answered(&runtime.block_on(invoke(app.app.clone(), event.to_string(), None)));
    });
}

#[tokio::test]
async fn unused_event_fields_may_have_any_value() {
    let app = app().await;
    for host in ["a b", "[::1", "é", "\0", "a:99999", "@", ""] {
        for place in
            ["/headers/host", "/headers/Host", "/requestContext/domainName", "/headers/x-forwarded-proto"]
        {
            assert_eq!(statuses(&app, changed(place, &host.into())).await, [200, 200], "{host:?} at {place}");
        }
    }
    for query in ["a b", "%zz", "\0", "é", "&=&", "x=\u{202e}"] {
        assert_eq!(statuses(&app, changed("/rawQueryString", &query.into())).await, [200, 200], "{query:?}");
    }
}

/// No sender has such events. Routes without parameters ignore any query, but not an event that is not one.
#[tokio::test]
async fn query_of_an_unexpected_type_or_length_is_a_bad_request() {
    let app = app().await;
    for value in [json!(7), json!(false), json!([]), json!({"x": 7}), json!({"x": [null]})] {
        assert_eq!(statuses(&app, changed("/rawQueryString", &value)).await, [400, 200], "{value}");
        for place in ["/queryStringParameters", "/multiValueQueryStringParameters"] {
            assert_eq!(statuses(&app, changed(place, &value)).await, [200, 400], "{value} at {place}");
        }
    }
    for (length, status) in [(60_000, 200), (65_536, 400), (1_000_000, 400)] {
        let query = "x".repeat(length);
        assert_eq!(statuses(&app, changed("/rawQueryString", &query.clone().into())).await, [status, 200]);
        let parameters = json!({"x": [query]});
        let place = "/multiValueQueryStringParameters";
        assert_eq!(statuses(&app, changed(place, &parameters)).await, [200, status], "{length}");
    }
}

#[tokio::test]
async fn body_that_contradicts_its_base64_flag_is_a_bad_request() {
    let app = app().await;
    for body in ["e30", "{}", "=", "e30=\n", "é"] {
        let mut event = TestApp::event("heartbeat.json");
        (event["body"], event["isBase64Encoded"]) = (body.into(), true.into());
        assert_eq!(statuses(&app, [event.to_string()]).await, [400], "{body:?}");
    }
    for body in [json!({}), json!([]), json!(7), json!(false)] {
        assert_eq!(statuses(&app, changed("/body", &body)).await, [400, 400], "{body}");
    }
}

#[tokio::test]
async fn impossible_method_or_path_is_a_bad_request_or_not_found() {
    let app = app().await;
    for method in ["", "G T", "é", "\0"] {
        let mut event = TestApp::event("heartbeat.json");
        event["requestContext"]["http"]["method"] = method.into();
        let mut rest = TestApp::event("heartbeat-rest-api.json");
        rest["httpMethod"] = method.into();
        assert_eq!(statuses(&app, [event.to_string(), rest.to_string()]).await, [400, 400], "{method:?}");
    }
    for (path, status) in [("", 405), ("*", 404), (":99999", 404), ("//", 404), ("\0", 404), ("a?b#c", 404)] {
        let mut event = TestApp::event("heartbeat.json");
        event["rawPath"] = path.into();
        assert_eq!(statuses(&app, [event.to_string()]).await, [status], "{path:?}");
        event["rawPath"] = format!("/api/agents/{path}x?/heartbeat").into();
        assert!([400, 404].contains(&statuses(&app, [event.to_string()]).await[0]), "{path:?}");
    }
    assert_eq!(statuses(&app, changed("/requestContext/stage", &"\0 é".into())).await, [200, 200]);
}

#[tokio::test]
async fn event_that_is_no_http_request_is_a_bad_request() {
    let app = app().await;
    let schedule = TestApp::event("schedule.json").to_string();
    let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
    let lone_surrogate = TestApp::event("heartbeat.json").to_string().replace("\"{}\"", r#""\ud800""#);
    for event in ["null", "[]", "{}", "7", r#""x""#, &schedule, &deep, &lone_surrogate] {
        assert_eq!(statuses(&app, [event.to_owned()]).await, [400], "{event}");
    }
}

#[tokio::test]
async fn second_authorization_header_is_unauthorized_whatever_its_value() {
    let app = app().await;
    let good = TestApp::event("heartbeat.json")["headers"]["authorization"].clone();
    for other in [good.clone(), json!(""), json!("\0"), json!(null), json!({})] {
        let mut event = TestApp::event("heartbeat-rest-api.json");
        event["multiValueHeaders"]["Authorization"] = json!([good, other]);
        assert_eq!(statuses(&app, [event.to_string()]).await, [401], "{other}");
        let mut event = TestApp::event("heartbeat.json");
        event["headers"]["Authorization"] = other.clone();
        assert_eq!(statuses(&app, [event.to_string()]).await, [401], "{other}");
    }
}

#[tokio::test]
async fn request_with_too_many_headers_is_a_bad_request() {
    let mut event = TestApp::event("heartbeat.json");
    for n in 0..40_000 {
        event["headers"][format!("x-{n}")] = "".into();
    }
    assert_eq!(statuses(&app().await, [event.to_string()]).await, [400]);
}

/// A header map holds 24,576 names, and `lambda_http` adds Lambda's trace id with a call that panics on a full one.
#[tokio::test]
async fn event_whose_conversion_panics_is_a_bad_request() {
    let app = app().await;
    for (file, field) in [("heartbeat.json", "headers"), ("heartbeat-rest-api.json", "multiValueHeaders")] {
        let mut event = TestApp::event(file);
        let headers = event[field].as_object_mut().expect("headers");
        headers.retain(|name, _| name.eq_ignore_ascii_case("authorization"));
        headers.extend((1..24_576).map(|n| (format!("x-{n}"), json!([""]))));
        assert_eq!(statuses(&app, [event.to_string()]).await, [200], "{file}");
        let mut context = Context::default();
        context.xray_trace_id = Some("Root=1-6a113060-23456789abcdef0123456789".to_owned());
        let answer = invoke_in(app.app.clone(), event.to_string(), context).await;
        assert_eq!(assert_answered(&answer).status, 400, "{file}");
    }
}

#[tokio::test]
async fn deployed_function_answers_hostile_events() {
    let app = app().await;
    let mut environment = Environment::start(API, &app).await;
    let mut reported = Vec::new();
    for (place, value) in
        [("/headers/host", json!("a b")), ("/isBase64Encoded", json!(true)), ("/requestContext", json!(null))]
    {
        for event in changed(place, &value) {
            let event = serde_json::from_str(&event).expect("JSON");
            reported.push(assert_answered(&environment.invoke(event).await.expect("a response")).status);
        }
    }
    assert_eq!(reported, [200, 200, 400, 200, 400, 200]);
}
