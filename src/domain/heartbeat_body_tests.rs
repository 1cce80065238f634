//! The limits of each member, and what any body becomes.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn read(body: &Value) -> HeartbeatBody {
    HeartbeatBody::read(body.as_object().expect("an object"))
}

/// The limit that a body with this one wrong member learns.
fn wrong(body: &Value) -> String {
    let read = read(body);
    let [wrong] = &read.wrong[..] else { panic!("{body} has one wrong member: {read:?}") };
    assert_eq!(read, HeartbeatBody { wrong: vec![wrong.clone()], ..HeartbeatBody::default() });
    wrong.to_string()
}

#[test]
fn every_wrong_member_has_its_sentence() {
    let sentences = [
        json!({"intervalSeconds": 29}),
        json!({"graceSeconds": "60"}),
        json!({"activeIssueUrls": "https://github.com/acme/api/issues/1"}),
        json!({"activeIssueUrls": ["https://github.com/acme/api/issues/1", 7]}),
        json!({"progress": "two\nlines"}),
        json!({"stalledAfterSeconds": 604_801}),
        json!({"login": ""}),
        json!({"client": "cliënt"}),
        json!({"leaving": "yes"}),
    ]
    .map(|body| wrong(&body));
    insta::assert_snapshot!(sentences.join("\n"), @"
    /intervalSeconds must be a whole number from 30 to 86400; this heartbeat does not change it
    /graceSeconds must be a whole number from 0 to 86400; this heartbeat does not change it
    /activeIssueUrls must be a list of at most 50 addresses; this heartbeat does not change it
    /activeIssueUrls/1 must be an address of at most 300 bytes without control characters; this heartbeat does not change it
    /progress must be a text of at most 80 bytes without control characters; this heartbeat does not change it
    /stalledAfterSeconds must be a whole number from 60 to 604800; this heartbeat does not change it
    /login must be a login at GitHub, 1 to 39 of the characters A-Z a-z 0-9 - _ [ ]; this heartbeat does not change it
    /client must be a text of 1 to 40 printable ASCII characters; this heartbeat does not change it
    /leaving must be true or false; this heartbeat does not change it
    ");
}

#[test]
fn limits_are_inclusive() {
    let url = |length: usize| json!({"activeIssueUrls": ["x".repeat(length)]});
    let urls =
        |count: usize| json!({"activeIssueUrls": (0..count).map(|n| n.to_string()).collect::<Vec<_>>()});
    for (good, bad) in [
        (json!({"intervalSeconds": 30}), json!({"intervalSeconds": 29})),
        (json!({"intervalSeconds": 86_400}), json!({"intervalSeconds": 86_401})),
        (json!({"graceSeconds": 0}), json!({"graceSeconds": -1})),
        (json!({"graceSeconds": 86_400}), json!({"graceSeconds": 86_401})),
        (json!({"stalledAfterSeconds": 60}), json!({"stalledAfterSeconds": 59})),
        (json!({"stalledAfterSeconds": 604_800}), json!({"stalledAfterSeconds": 604_801})),
        (json!({"progress": "é".repeat(40)}), json!({"progress": "é".repeat(41)})),
        (json!({"progress": ""}), json!({"progress": "\u{202e}"})),
        (json!({"login": "x".repeat(39)}), json!({"login": "x".repeat(40)})),
        (json!({"login": "octo-app[bot]"}), json!({"login": "octo app"})),
        (json!({"client": "x".repeat(40)}), json!({"client": "x".repeat(41)})),
        (json!({"client": "a client/1.0 (~)"}), json!({"client": "\u{7f}"})),
        (url(300), url(301)),
        (urls(50), urls(51)),
        (json!({"leaving": false}), json!({"leaving": 1})),
    ] {
        assert_eq!(read(&good).wrong, [], "{good}");
        wrong(&bad);
    }
}

#[test]
fn null_forgets_and_a_value_replaces() {
    let body = read(&json!({"intervalSeconds": 300, "graceSeconds": null, "leaving": true}));
    assert_eq!((body.interval_seconds, body.grace_seconds), (Member::Value(300), Member::Null));
    assert_eq!((body.progress, body.is_leaving), (Member::Absent, true));
    assert!(!read(&json!({"leaving": null})).is_leaving);
}

#[test]
fn unknown_members_are_named_within_limits() {
    let names = (0..25).map(|n| (format!("{n:02}\u{1b}{}", "x".repeat(70)), json!(n)));
    let ignored = HeartbeatBody::read(&names.collect()).ignored;
    assert_eq!(ignored.len(), 20);
    assert_eq!(ignored[0], format!("00\u{fffd}{}", "x".repeat(61)));
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0_u64..700_000).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[a-z]{0,90}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 80, 60, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..60).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,3}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

const KNOWN: [&str; 8] = [
    "intervalSeconds",
    "graceSeconds",
    "activeIssueUrls",
    "progress",
    "stalledAfterSeconds",
    "login",
    "client",
    "leaving",
];

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![4 => prop::sample::select(&KNOWN[..]).prop_map(str::to_owned), 1 => any::<String>()]
}

proptest! {
    #[test]
    fn any_body_declares_something_within_the_limits(
        members in prop::collection::btree_map(any_name(), any_value(), 0..12)
    ) {
        let members: Map<String, Value> = members.into_iter().collect();
        let body = HeartbeatBody::read(&members);
        let is_in = |member: &Member<u64>, range: RangeInclusive<u64>| match member {
            Member::Value(seconds) => range.contains(seconds),
            Member::Absent | Member::Null => true,
        };
        prop_assert!(is_in(&body.interval_seconds, 30..=86_400));
        prop_assert!(is_in(&body.grace_seconds, 0..=86_400));
        prop_assert!(is_in(&body.stalled_after_seconds, 60..=604_800));
        if let Member::Value(text) = &body.progress {
            prop_assert!(text.len() <= 80 && !text.chars().any(char::is_control));
        }
        for (text, longest) in [(&body.login, 39), (&body.client, 40)] {
            if let Member::Value(text) = text {
                prop_assert!(text.is_ascii() && (1..=longest).contains(&text.len()));
            }
        }
        if let Member::Value(urls) = &body.active_issue_urls {
            prop_assert!(urls.len() <= 50 && urls.iter().all(|url| url.len() <= 300));
        }
        // Each member is read, wrong or ignored, and the answer repeats nothing of a value.
        prop_assert!(body.wrong.len() <= 8 && body.ignored.len() <= 20);
        prop_assert!(body.wrong.iter().all(|wrong| wrong.to_string().len() < 200));
        prop_assert!(body.ignored.iter().all(|name| name.chars().count() <= 64));
    }
}
