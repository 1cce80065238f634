//! Instants are stored as in answers, in RFC 3339 with milliseconds. Those that an older version stored without
//! decimals are still read.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;
use test_world::TABLE_NAME;
use test_world::github::Fault;

use crate::support::app::TestApp;
use crate::support::audits::{self, audited_page, open_and_settled};
use crate::support::checked::Checked;
use crate::support::samples;

const API: &str = "acme/api";

/// Calls `with` for each instant in a JSON document, with the name of its field.
fn with_instants(name: &str, value: &mut Value, with: &mut impl FnMut(&str, &mut String)) {
    match value {
        Value::String(text) if text.parse::<Timestamp>().is_ok() => with(name, text),
        Value::Array(values) => values.iter_mut().for_each(|value| with_instants(name, value, with)),
        Value::Object(fields) => {
            fields.iter_mut().for_each(|(name, value)| with_instants(name, value, with));
        }
        _ => {}
    }
}

/// The names of the fields that hold instants, which have exactly three decimals.
fn checked_instants(item: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    with_instants("", &mut item.clone(), &mut |name, text| {
        let at: Timestamp = text.parse().expect("an instant");
        assert_eq!(*text, format!("{at:.3}"), "{name} of {item:#}");
        names.insert(name.to_owned());
    });
    names
}

#[test]
fn stored_instant_of_each_type_has_milliseconds() {
    let names: BTreeSet<String> = samples::all().iter().flat_map(checked_instants).collect();
    assert!(names.len() > 15, "the instants were found: {names:?}");
}

/// A world with an item of every kind: a request with a key, a name without a repository, an unfinished audit.
async fn every_kind_of_item() -> TestApp {
    let app = open_and_settled(&[API, "acme/gone"], 250).await;
    app.world.github.arrange(|github| {
        github.delete_issue(API, 5);
        github.hide_repository("acme/gone");
    });
    app.world.github.fault(audited_page(3), Fault::Status(500).times(3));
    app.pass_time(audits::INTERVAL);
    app.agent("alpha").with_key("a-key").beat().await;
    app
}

#[tokio::test]
async fn stored_instant_of_every_kind_of_item_has_milliseconds() {
    let app = every_kind_of_item().await;
    let items = app.items("", "");
    let kind = |item: &Checked| {
        let start = |key: &str| item[key].as_str().and_then(|key| key.split('#').next()).unwrap_or_default();
        let sk = start("sk").to_owned();
        let has_word = sk.len() > 1 && sk.bytes().all(|byte| byte.is_ascii_uppercase());
        format!("{} {}", start("pk"), if has_word { sk } else { String::new() })
    };
    let kinds: BTreeSet<String> = items.iter().map(kind).collect();
    let all = [
        "AGENT KEY",
        "AGENT RUN",
        "AGENTS ",
        "FLEET NAME",
        "FLEET REPO",
        "FLEET STATE",
        "PASSES ",
        "REPO AUDIT",
        "REPO ISSUE",
    ];
    assert_eq!(kinds, all.map(str::to_owned).into());
    let names: BTreeSet<String> = items.iter().flat_map(|item| checked_instants(item)).collect();
    for name in ["startedAt", "finishedAt", "endedAt", "at", "lastBeatAt", "cursor", "since", "beganAt"] {
        assert!(names.contains(name), "{name}: {names:?}");
    }
}

#[tokio::test]
async fn table_with_instants_of_an_older_version_behaves_alike() {
    let mut ends = Vec::new();
    for is_older in [false, true] {
        let app = every_kind_of_item().await;
        if is_older {
            for item in app.world.dynamodb.items(TABLE_NAME) {
                let mut older = item.clone();
                with_instants("", &mut older, &mut |_, text| *text = text.replace(".000Z", "Z"));
                app.world.dynamodb.put_item(TABLE_NAME, &older);
            }
            let state = app.state()["ended"]["at"].as_str().expect("an instant").to_owned();
            assert!(!state.contains('.'), "{state}");
        }
        let mut seen = Vec::new();
        let coalesced = app.agent("beta").beat().await;
        seen.push((coalesced.is_coalesced(), coalesced.0["freshAt"].clone(), coalesced.touched()));
        app.outlive_freshness();
        for agent in ["alpha", "beta", "gamma"] {
            let answer = app.agent(agent).beat().await;
            seen.push((answer.is_coalesced(), answer.0["freshAt"].clone(), answer.touched()));
            app.pass_time(40);
            app.world.github.arrange(|github| github.open_issue(API, "New"));
        }
        let replayed = app.agent("alpha").with_key("a-key").knock().await;
        assert!(replayed.headers.contains_key("idempotency-replayed"), "{replayed:#?}");
        assert_eq!(seen[1].2, ["deleted acme/api#5"], "the audit resumed");
        let rows = app.items("REPO#", "").into_iter().chain(app.items("FLEET", "REPO#"));
        let mut rows: Vec<Value> = rows.map(Checked::into_value).collect();
        rows.iter_mut()
            .for_each(|row| with_instants("", row, &mut |_, text| *text = text.replace(".000Z", "Z")));
        ends.push((seen, rows));
    }
    let [newer, older] = &ends[..] else { unreachable!("two") };
    assert_eq!(newer.0, older.0);
    assert_eq!(newer.1, older.1);
}
