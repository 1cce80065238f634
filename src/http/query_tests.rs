//! The reader of queries: what each query means, and every sentence about a mistake.

use proptest::prelude::*;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{InvalidQuery, one_of, read, text, whole_number};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Closed,
}

const STATES: [(&str, State); 2] = [("open", State::Open), ("closed", State::Closed)];

#[derive(Debug, Default, PartialEq, Eq)]
struct Filters {
    labels: Vec<String>,
    state: Option<State>,
    limit: u16,
    cursor: Option<String>,
}

/// Reads a query as the handler of a list would.
fn filters(query: &str) -> Result<Filters, InvalidQuery> {
    read(Some(query), |query| Filters {
        labels: query.all("label", text),
        state: query.one("state", one_of(&STATES)),
        limit: query.limit(),
        cursor: query.one("cursor", text),
    })
}

fn labels(query: &str) -> Vec<String> {
    filters(query).expect("a valid query").labels
}

/// The mistakes of a query as JSON, as the client gets them.
fn mistakes(query: &str) -> Value {
    let invalid = filters(query).expect_err("an invalid query");
    serde_json::to_value(invalid.errors()).expect("JSON")
}

/// The only mistake of a query: its parameter and its detail.
fn mistake(query: &str) -> (String, String) {
    let mistakes = mistakes(query);
    assert_eq!(mistakes.as_array().map(Vec::len), Some(1), "{query}: {mistakes}");
    let member = |name: &str| mistakes[0][name].as_str().expect("a text").to_owned();
    (member("parameter"), member("detail"))
}

#[test]
fn query_without_parameters_has_the_defaults() {
    let defaults = Filters { limit: 50, ..Filters::default() };
    for query in ["", "&", "&&"] {
        assert_eq!(filters(query).as_ref(), Ok(&defaults), "{query:?}");
    }
    assert_eq!(read(None, |query| query.limit()), Ok(50));
}

#[test]
fn parameters_are_read_in_their_order_and_with_all_their_values() {
    let found = filters("label=b&limit=200&state=closed&&label=a&label=b&cursor=1.x_-~=");
    let expected = Filters {
        labels: ["b", "a", "b"].map(str::to_owned).into(),
        state: Some(State::Closed),
        limit: 200,
        cursor: Some("1.x_-~=".to_owned()),
    };
    assert_eq!(found, Ok(expected));
}

#[test]
fn values_are_decoded_as_forms_are() {
    for (value, meaning) in [
        ("good+first+issue", "good first issue"),
        ("good%20first%20issue", "good first issue"),
        ("c%2B%2b", "c++"),
        ("a,b:c/d", "a,b:c/d"),
        ("a%26b%3Dc", "a&b=c"),
        ("a=b", "a=b"),
        ("100%25", "100%"),
        ("%2520", "%20"),
        ("%F0%9F%90%9B", "🐛"),
        ("%D7%91%D7%90%D7%92", "באג"),
        ("%00", "\0"),
        ("+", " "),
    ] {
        assert_eq!(labels(&format!("label={value}")), [meaning], "{value}");
        assert_eq!(labels(&format!("l%61bel={value}")), [meaning], "{value}");
    }
}

#[test]
fn unknown_parameter_is_named_with_those_that_exist() {
    let takes = "unknown parameter; this route takes label, state, limit, cursor";
    for (query, name) in [
        ("lable=bug", "lable"),
        ("LABEL=bug", "LABEL"),
        ("label%5B%5D=bug", "label[]"),
        (" label=bug", " label"),
        ("=bug", ""),
        ("debug", "debug"),
        ("debug=", "debug"),
        ("debug=%zz", "debug"),
        ("a=1&a=2", "a"),
    ] {
        assert_eq!(mistake(query), (name.to_owned(), takes.to_owned()), "{query}");
    }
}

#[test]
fn name_of_an_unknown_parameter_is_repeated_short_and_without_controls() {
    let hostile = format!("a%0D%0Ab%00%1B%C2%85{}", "é".repeat(1_000));
    let expected = format!("a\u{fffd}\u{fffd}b\u{fffd}\u{fffd}\u{fffd}{}", "é".repeat(57));
    assert_eq!(mistake(&hostile).0, expected);
    assert_eq!(mistake(&format!("{}%zz=1", "x".repeat(100))).0, "x".repeat(64));
}

#[test]
fn each_kind_of_mistake_has_its_detail() {
    for (query, parameter, detail) in [
        ("state=open&state=closed", "state", "must be given once, not 2 times"),
        ("limit=1&limit=1&limit=x", "limit", "must be given once, not 3 times"),
        ("state=Open", "state", "must be one of open, closed"),
        ("label=", "label", "must not be empty; leave the parameter out instead"),
        ("label", "label", "must not be empty; leave the parameter out instead"),
        ("label=a&label=&label=", "label", "must not be empty; leave the parameter out instead"),
        ("label=%", "label", "must be valid percent-encoded UTF-8"),
        ("label=%4", "label", "must be valid percent-encoded UTF-8"),
        ("label=%zz", "label", "must be valid percent-encoded UTF-8"),
        ("label=%+1", "label", "must be valid percent-encoded UTF-8"),
        ("label=%FF", "label", "must be valid percent-encoded UTF-8"),
        ("label=%ED%A0%80", "label", "must be valid percent-encoded UTF-8"),
        ("label=a&lab%el=b", "lab%el", "the name of a parameter must be valid percent-encoded UTF-8"),
        ("%C3=b", "%C3", "the name of a parameter must be valid percent-encoded UTF-8"),
    ] {
        assert_eq!(mistake(query), (parameter.to_owned(), detail.to_owned()), "{query}");
    }
}

#[test]
fn limit_is_a_whole_number_from_1_to_200() {
    for (value, limit) in [("1", 1), ("200", 200), ("007", 7)] {
        assert_eq!(filters(&format!("limit={value}")).map(|filters| filters.limit), Ok(limit));
    }
    for value in ["0", "201", "-1", "%2B5", "5.0", "1e2", "0x10", "5%20", "٣", "18446744073709551616"] {
        let expected = ("limit".to_owned(), "must be a whole number from 1 to 200".to_owned());
        assert_eq!(mistake(&format!("limit={value}")), expected, "{value}");
    }
    let signed = read(Some("n=7"), |query| query.one("n", whole_number(-3..=7)));
    assert_eq!(signed, Ok(Some(7)));
}

#[test]
fn all_mistakes_are_reported_together() {
    let query = "limit=many&label=&lable=bug&state=open&state=open&state=&x%=1";
    assert_eq!(
        mistakes(query),
        json!([
            {"parameter": "x%", "detail": "the name of a parameter must be valid percent-encoded UTF-8"},
            {"parameter": "label", "detail": "must not be empty; leave the parameter out instead"},
            {"parameter": "state", "detail": "must be given once, not 3 times"},
            {"parameter": "limit", "detail": "must be a whole number from 1 to 200"},
            {"parameter": "lable", "detail": "unknown parameter; this route takes label, state, limit, cursor"},
        ])
    );
}

/// The sentences are logged too, so nothing that the client made up is in them.
#[test]
fn sentence_has_the_first_mistake_and_no_text_of_the_client() {
    let sentences =
        ["limit=many", "state=all&limit=many", "my-secret=1", "my-secret&state=my-secret&limit=x"]
            .map(|query| filters(query).expect_err("an invalid query").to_string());
    insta::assert_snapshot!(sentences.join("\n"), @"
    invalid query: limit must be a whole number from 1 to 200
    invalid query: state must be one of open, closed (and 1 more mistake, see errors)
    invalid query: unknown parameter; this route takes label, state, limit, cursor
    invalid query: state must be one of open, closed (and 2 more mistakes, see errors)
    ");
}

#[test]
fn query_with_too_many_bytes_or_parameters_is_not_read() {
    let longest = format!("label={}", "x".repeat(8 * 1024 - 6));
    assert_eq!(labels(&longest)[0].len(), 8 * 1024 - 6);
    assert_eq!(filters(&format!("{longest}x")), Err(InvalidQuery::TooLong));
    assert_eq!(labels(&"label=x&".repeat(50)).len(), 50);
    assert_eq!(filters(&"label=x&".repeat(51)), Err(InvalidQuery::TooManyParameters));
    assert_eq!(InvalidQuery::TooLong.errors(), []);
}

#[test]
fn route_without_parameters_says_so() {
    let invalid = read(Some("x=1"), |_| ()).expect_err("an unknown parameter");
    assert_eq!(invalid.to_string(), "invalid query: unknown parameter; this route takes none");
}

/// Any text, often made of what labels and queries trouble with.
fn any_text() -> impl Strategy<Value = String> {
    let parts = [
        "label",
        "state",
        "good first issue",
        ",",
        ":",
        "+",
        "&",
        "=",
        "%",
        "%2",
        "#",
        "🐛",
        "באג",
        "\0",
        " ",
    ];
    let part = prop_oneof![
        3 => prop::sample::select(parts.to_vec()).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    // A failing case is printed with its seed; no file of it is written into the tree.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_client_encodes_comes_back_equal(
        given in prop::collection::vec(any_text().prop_filter("a value", |text| !text.is_empty()), 0..20),
        percent_encodes_spaces in any::<bool>(),
    ) {
        let pairs = given.iter().map(|value| ("label", value));
        let mut query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        if percent_encodes_spaces {
            query = query.replace('+', "%20");
        }
        prop_assert_eq!(labels(&query), given);
    }

    #[test]
    fn any_query_is_read_or_has_mistakes_with_short_names(query in any_text(), bytes in any::<Vec<u8>>()) {
        for query in [&query, &*String::from_utf8_lossy(&bytes)] {
            match filters(query) {
                // A standard reader agrees.
                Ok(filters) => {
                    let pairs = form_urlencoded::parse(query.as_bytes());
                    let standard = pairs.filter(|(name, _)| name == "label").map(|(_, label)| label.into_owned());
                    prop_assert_eq!(filters.labels, standard.collect::<Vec<_>>());
                }
                Err(invalid) => {
                    prop_assert!(!invalid.errors().is_empty());
                    for error in invalid.errors() {
                        prop_assert!(error.parameter.chars().count() <= 64);
                        prop_assert!(!error.parameter.contains(char::is_control));
                    }
                }
            }
        }
    }
}
