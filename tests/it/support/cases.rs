//! Property tests: how many generated cases run, and what happens to one that fails.
//!
//! Each property names the number of cases for everyday runs. The same seed gives the same cases each time; `CASES` and
//! `CASES_SEED` choose others, as `make fuzz` does. A case that fails is shrunk and printed completely, so no file
//! stores it.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};
use serde_json::Value;
use tokio::runtime::Runtime;

/// Runs this many cases, or the number in `CASES`.
pub fn try_cases<S: Strategy>(cases: u32, strategy: &S, holds: impl Fn(S::Value)) {
    let config = Config {
        cases: wish("CASES").and_then(|cases| u32::try_from(cases).ok()).unwrap_or(cases),
        rng_seed: RngSeed::Fixed(wish("CASES_SEED").unwrap_or(20_261_122)),
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..Config::default()
    };
    let tried = TestRunner::new(config).run(strategy, |case| {
        holds(case);
        Ok(())
    });
    match tried {
        Ok(()) => {}
        Err(TestError::Fail(why, case)) => panic!("{why}\nwith {case:#?}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

/// The runtime for the cases of one property.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A number from the environment of this test run.
#[expect(clippy::disallowed_methods, reason = "the variable is for the tests, not for the service")]
pub fn wish(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|number| number.parse().expect("a number"))
}

/// Any text: random characters, or text that is known to cause trouble.
pub fn text() -> impl Strategy<Value = String> {
    let known = [
        "",
        " ",
        "a b",
        "%",
        "%zz",
        "%00",
        "%FF",
        "/",
        "//",
        "//a/b",
        "/../..",
        "\\",
        "?",
        "#",
        "@",
        ":",
        ":99999/",
        "[::1",
        "a:b@c",
        "http://",
        "\0",
        "\r\n",
        "\u{7f}",
        "é",
        "агент",
        "\u{202e}",
        "𝄞",
        "\u{fffd}",
        "null",
        "{}",
        "[]",
        "{",
        "e30",
        "e30=",
        "====",
        "-1",
        "0",
        "18446744073709551616",
        "1e999",
        "NaN",
        "GET",
        "G T",
        "Bearer ",
        "chunked",
        "<script>",
        "'; --",
        "$default",
        "9999-99-99T99:99:99Z",
        "+262142-12-31T23:59:59Z",
    ];
    let any = prop::collection::vec(any::<char>(), 0..12).prop_map(|chars| chars.into_iter().collect());
    prop_oneof![
        4 => prop::sample::select(known.to_vec()).prop_map(str::to_owned),
        2 => any,
        1 => (prop::sample::select(vec!["a", "%", "é", "/", "\0"]), 1..40_000_usize)
            .prop_map(|(part, times)| part.repeat(times)),
    ]
}

/// Any JSON.
pub fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        prop::num::f64::NORMAL.prop_map(Into::into),
        text().prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec((text(), inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// A change somewhere in a JSON document.
#[derive(Clone, Debug)]
pub enum Mutation {
    Drop(prop::sample::Index),
    Replace(prop::sample::Index, Value),
}

pub fn mutation() -> impl Strategy<Value = Mutation> {
    let place = any::<prop::sample::Index>();
    prop_oneof![
        1 => place.clone().prop_map(Mutation::Drop),
        2 => (place.clone(), json()).prop_map(|(place, value)| Mutation::Replace(place, value)),
        2 => (place, text()).prop_map(|(place, text)| Mutation::Replace(place, text.into())),
    ]
}

impl Mutation {
    pub fn carry_out(self, document: &mut Value) {
        let mut places = Vec::new();
        list_places(document, &mut String::new(), &mut places);
        match self {
            Self::Drop(place) => {
                let place = &places[place.index(places.len())];
                let (parent, key) = place.rsplit_once('/').unwrap_or_default();
                match document.pointer_mut(parent) {
                    Some(Value::Object(fields)) => drop(fields.remove(&unescaped(key))),
                    Some(Value::Array(items)) => {
                        key.parse().ok().filter(|n| *n < items.len()).map(|n: usize| items.remove(n));
                    }
                    _ => {}
                }
            }
            Self::Replace(place, value) => {
                if let Some(at) = document.pointer_mut(&places[place.index(places.len())]) {
                    *at = value;
                }
            }
        }
    }
}

/// The JSON pointers of all values in a document.
fn list_places(document: &Value, at: &mut String, places: &mut Vec<String>) {
    places.push(at.clone());
    let children: Vec<(String, &Value)> = match document {
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Value::Array(items) => items.iter().enumerate().map(|(n, value)| (n.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (key, value) in children {
        let length = at.len();
        at.push('/');
        at.push_str(&key);
        list_places(value, at, places);
        at.truncate(length);
    }
}

fn unescaped(key: &str) -> String {
    key.replace("~1", "/").replace("~0", "~")
}
