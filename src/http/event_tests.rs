//! The URI and the cookies that a request gets of its event, in each form in which a sender passes them.

use std::collections::BTreeMap;

use axum::http::Uri;
use lambda_http::Request;
use proptest::prelude::*;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{Sender, read, with_uri_as_sent};
use crate::http::query::{self, InvalidQuery, text};
use crate::http::refusal::Refusal;

const PATH: &str = "/api/issues";

/// The values of each parameter, in their order.
type Meaning = BTreeMap<String, Vec<String>>;

fn uri(event: &Value) -> Result<Uri, Refusal> {
    let request = Request::from(read(event.clone(), Sender::of(event))?);
    Ok(with_uri_as_sent(request).uri().clone())
}

/// The query of the request's URI.
fn query(event: &Value) -> Option<String> {
    let uri = uri(event).expect("a request");
    assert_eq!(uri.path(), PATH);
    uri.query().map(str::to_owned)
}

/// Of an HTTP API with payload format 2.0, or a Function URL.
fn http_api(query: Value) -> Value {
    json!({"rawPath": PATH, "rawQueryString": query, "requestContext": {"http": {"method": "GET"}}})
}

/// Of a REST API, or an HTTP API with payload format 1.0.
fn rest_api(all: Value, last: Value) -> Value {
    json!({
        "httpMethod": "GET", "path": PATH, "requestContext": {},
        "multiValueQueryStringParameters": all, "queryStringParameters": last,
    })
}

fn load_balancer(all: Value, last: Value) -> Value {
    let mut event = rest_api(all, last);
    event["requestContext"]["elb"] = json!({});
    event
}

#[test]
fn query_in_each_form_means_what_the_client_sent() {
    // `?label=good first issue&label=c++,a:b&cursor=100%&label=🐛`, in a client's encoding and as each sender passes it.
    let sent = "label=good+first+issue&label=c%2B%2B,a:b&cursor=100%25&label=%F0%9F%90%9B";
    let by_function_url = "label=good first issue&label=c%2B%2B,a:b&cursor=100%25&label=%F0%9F%90%9B";
    let decoded = json!({"cursor": ["100%"], "label": ["good first issue", "c++,a:b", "🐛"]});
    let undecoded =
        json!({"cursor": ["100%25"], "label": ["good+first+issue", "c%2B%2B,a:b", "%F0%9F%90%9B"]});
    for (event, expected) in [
        (http_api(sent.into()), sent),
        (
            http_api(by_function_url.into()),
            "label=good%20first%20issue&label=c%2B%2B,a:b&cursor=100%25&label=%F0%9F%90%9B",
        ),
        (
            rest_api(decoded, json!({"cursor": "100%", "label": "🐛"})),
            "cursor=100%25&label=good%20first%20issue&label=c%2B%2B,a:b&label=%F0%9F%90%9B",
        ),
        (
            load_balancer(undecoded, json!(null)),
            "cursor=100%25&label=good+first+issue&label=c%2B%2B,a:b&label=%F0%9F%90%9B",
        ),
        // Without multi-value parameters only the last value arrives.
        (rest_api(json!(null), json!({"label": "c++ 🐛"})), "label=c%2B%2B%20%F0%9F%90%9B"),
        (load_balancer(json!(null), json!({"label": "c%2B%2b+%F0%9F%90%9B"})), "label=c%2B%2b+%F0%9F%90%9B"),
    ] {
        assert_eq!(query(&event).as_deref(), Some(expected), "{event}");
    }
}

#[test]
fn sample_events_mean_the_same_in_each_form() {
    for sample in [
        include_str!("../../events/issues.json"),
        include_str!("../../events/issues-rest-api.json"),
        include_str!("../../events/issues-function-url.json"),
    ] {
        let event = serde_json::from_str(sample).expect("JSON");
        let read = query::read(query(&event).as_deref(), |query| {
            (query.one("repository", text), query.all("label", text), query.limit())
        });
        let labels = ["good first issue", "area:c++"].map(str::to_owned);
        assert_eq!(read, Ok((Some("acme/api".to_owned()), labels.into(), 20)), "{sample}");
    }
}

#[test]
fn event_without_parameters_has_no_query() {
    let events = [json!(null), json!("")].map(http_api).into_iter();
    let nothing = [json!(null), json!({})];
    let events = events.chain(nothing.iter().flat_map(|all| {
        nothing
            .iter()
            .flat_map(|last| [rest_api(all.clone(), last.clone()), load_balancer(all.clone(), last.clone())])
    }));
    for mut event in events {
        assert_eq!(query(&event), None, "{event}");
        let members = event.as_object_mut().expect("an object");
        members.retain(|name, _| !name.to_lowercase().contains("query"));
        assert_eq!(query(&event), None, "{event}");
    }
}

#[test]
fn characters_that_are_invalid_in_a_uri_are_encoded() {
    let everything: String = (0..=0x7f).map(char::from).chain(['é', '🐛', '\u{202e}']).collect();
    for event in [
        rest_api(json!({ &everything: [&everything] }), json!(null)),
        http_api(format!("{0}={0}", everything.replace(['&', '=', '%', '+'], "")).into()),
    ] {
        let query = query(&event).expect("a query");
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte);
        assert!(query.bytes().all(valid), "{query}");
    }
    // A fragment would be cut off, and what a load balancer has in one value stays in it.
    assert_eq!(query(&http_api("label=c#&limit=7".into())).as_deref(), Some("label=c%23&limit=7"));
    let event = load_balancer(json!({"a=b": ["c&d=e"]}), json!(null));
    assert_eq!(query(&event).as_deref(), Some("a%3Db=c%26d%3De"));
}

/// The reader of queries reports it with the parameter's name.
#[test]
fn invalid_percent_encoding_is_left_as_it_is() {
    for event in
        [http_api("label=%&x=%zz".into()), load_balancer(json!({"label": ["%"], "x": ["%zz"]}), json!(null))]
    {
        assert_eq!(query(&event).as_deref(), Some("label=%&x=%zz"));
    }
}

#[test]
fn query_of_an_unexpected_type_is_refused() {
    let mut events = Vec::new();
    for value in [json!(7), json!(true), json!([]), json!({})] {
        events.push(http_api(value));
    }
    for value in
        [json!(7), json!("a=b"), json!([]), json!({"a": 7}), json!({"a": null}), json!({"a": [["b"]]})]
    {
        for [all, last] in [[value.clone(), json!(null)], [json!(null), value]] {
            events.extend([rest_api(all.clone(), last.clone()), load_balancer(all, last)]);
        }
    }
    for event in events {
        assert_eq!(uri(&event), Err(Refusal::Event), "{event}");
    }
}

#[test]
fn query_that_does_not_fit_into_a_uri_is_refused() {
    let longest = "x".repeat(65_534 - PATH.len() - 1);
    assert_eq!(query(&http_api(longest.clone().into())), Some(longest.clone()));
    for query in [format!("{longest}x"), "é".repeat(1_000_000)] {
        assert_eq!(uri(&http_api(query.into())), Err(InvalidQuery::TooLong.into()));
    }
}

#[test]
fn path_is_the_same_with_and_without_a_query() {
    for (path, expected) in [
        ("/api/issues?label=a", "/api/issues%3Flabel=a"),
        ("/x/../api/issues", "/x/../api/issues"),
        ("//api//issues/", "/api/issues"),
    ] {
        for (query, expected) in
            [(json!(null), expected.to_owned()), ("b=c".into(), format!("{expected}?b=c"))]
        {
            let mut event = http_api(query);
            event["rawPath"] = path.into();
            assert_eq!(uri(&event).expect("a request"), expected.as_str());
        }
    }
}

/// The values of the request's `cookie` headers.
fn cookies(event: &Value) -> Vec<String> {
    let request = Request::from(read(event.clone(), Sender::of(event)).expect("a request"));
    let values = request.headers().get_all("cookie").iter();
    values.map(|value| value.to_str().expect("a text").to_owned()).collect()
}

#[test]
fn cookies_arrive_once_from_each_sender() {
    let list = json!(["a=1", "b=2"]);
    let mut by_http_api = http_api(json!(null));
    by_http_api["cookies"] = list.clone();
    let mut by_function_url = by_http_api.clone();
    by_function_url["headers"] = json!({"cookie": "a=1; b=2"});
    assert_eq!([cookies(&by_http_api), cookies(&by_function_url)], [["a=1", "b=2"], ["a=1", "b=2"]]);
    for mut event in [rest_api(json!(null), json!(null)), load_balancer(json!(null), json!(null))] {
        event["headers"] = json!({"Cookie": "a=1; b=2"});
        event["cookies"] = json!(["not=theirs"]);
        assert_eq!(cookies(&event), ["a=1; b=2"], "{event}");
        event["multiValueHeaders"] = json!({"cookie": ["a=1", "b=2"]});
        assert_eq!(cookies(&event), ["a=1", "b=2"], "{event}");
    }
}

#[test]
fn cookies_of_any_type_and_content_are_a_request() {
    let mut event = http_api(json!(null));
    event["headers"] = json!({"cookie": "a=1"});
    for value in [json!(null), json!(7), json!("a=2"), json!({"a": "2"}), json!(true)] {
        event["cookies"] = value;
        assert_eq!(cookies(&event), ["a=1"], "{event}");
    }
    event["cookies"] = json!([]);
    assert_eq!(cookies(&event), [""; 0]);
    event["cookies"] = json!(["a=1", 7, null, ["b"], "b=\n", "c=\u{0}", "", "d=2"]);
    assert_eq!(cookies(&event), ["a=1", "", "", "", "", "", "", "d=2"]);
}

/// The events of all senders for the query that a client sends, with the client's meaning of it.
fn events(sent: &str) -> (Meaning, [Value; 4]) {
    let (mut meaning, mut undecoded) = (Meaning::new(), Meaning::new());
    for (name, value) in form_urlencoded::parse(sent.as_bytes()) {
        meaning.entry(name.into_owned()).or_default().push(value.into_owned());
    }
    for part in sent.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        undecoded.entry(name.to_owned()).or_default().push(value.to_owned());
    }
    let events = [
        http_api(sent.into()),
        http_api(sent.replace('+', " ").into()),
        rest_api(json!(meaning), json!(null)),
        load_balancer(json!(undecoded), json!(null)),
    ];
    (meaning, events)
}

proptest! {
    // A failing case is printed with its seed; no file of it is written into the tree.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_query_means_the_same_through_each_sender(
        pairs in prop::collection::vec((prop::sample::select(vec!["label", "a b", "ü"]), any::<String>()), 0..8),
        percent_encodes_spaces in any::<bool>(),
    ) {
        let mut sent = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
        if percent_encodes_spaces {
            sent = sent.replace('+', "%20");
        }
        let (meaning, events) = events(&sent);
        for event in events {
            let mut found = Meaning::new();
            for (name, value) in form_urlencoded::parse(query(&event).unwrap_or_default().as_bytes()) {
                found.entry(name.into_owned()).or_default().push(value.into_owned());
            }
            prop_assert_eq!(&found, &meaning, "{}", event);
        }
    }

    #[test]
    fn labels_of_any_text_reach_the_reader_through_each_sender(
        labels in prop::collection::vec("[ ,:+&%=#a-z🐛ב]{1,9}|\\PC{1,9}", 1..8),
    ) {
        let pairs = labels.iter().map(|label| ("label", label));
        let sent = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        for event in events(&sent).1 {
            let uri = uri(&event).expect("a request");
            let read = query::read(uri.query(), |query| query.all("label", text));
            prop_assert_eq!(read.as_ref(), Ok(&labels));
        }
    }
}
