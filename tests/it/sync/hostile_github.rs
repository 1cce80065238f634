//! Whatever GitHub, or something between, answers: the beat is answered, the pass ends, nothing panics, and only
//! issues' data gets through.

use std::time::Duration;

use agent_heartbeat::app::Timing;
use proptest::prelude::*;
use serde_json::Value::Null;
use test_world::TABLE_NAME;
use test_world::github::{Fault, Matching};

use crate::support::app::TestApp;
use crate::support::cases::{self, Mutation};
use crate::support::log::Log;

/// These take about ten seconds.
const CASES: u32 = 60;

/// A text in everything that is not GitHub's JSON.
const MARK: &str = "upstream-words";

/// A change of GitHub's answers.
#[derive(Clone, Debug)]
struct Garbling {
    on: On,
    /// The first answers, which are correct.
    after: u64,
    status: Option<u16>,
    headers: Vec<(&'static str, String)>,
    body: Body,
}

#[derive(Clone, Copy, Debug)]
enum On {
    Anything,
    GraphQl,
    Listings,
    Web,
}

#[derive(Clone, Debug)]
enum Body {
    Right,
    Mutated(Vec<Mutation>),
    Truncated(prop::sample::Index),
    Json(serde_json::Value),
    Text(String),
}

fn header() -> impl Strategy<Value = (&'static str, String)> {
    let names = [
        "link",
        "date",
        "retry-after",
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
        "location",
        "content-type",
        "content-encoding",
    ];
    let known = [
        "0",
        "1",
        "-1",
        "18446744073709551615",
        "99999999999999999999",
        "253402300799",
        "-377705116800",
        "NaN",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Sun, 22 Nov 2026 06:00:00 GMT",
        "gzip",
        "<https://elsewhere.example/x>; rel=\"next\"",
        "<>; rel=\"next\"",
        "<; rel=\"next\"",
        "<//>; rel=\"next\"",
        "https://elsewhere.example/repos/acme/api",
        "/repos/acme/api",
        "http://127.0.0.1:1/x",
        "http://[",
        "\t",
    ];
    let sendable = |text: &String| http::HeaderValue::from_str(text).is_ok() && text.len() < 8_000;
    let value = prop_oneof![
        2 => prop::sample::select(known.to_vec()).prop_map(str::to_owned),
        1 => cases::text().prop_filter("what a header can say", sendable),
    ];
    (prop::sample::select(names.to_vec()), value)
}

fn garbling() -> impl Strategy<Value = Garbling> {
    let on = prop::sample::select(vec![On::Anything, On::GraphQl, On::Listings, On::Web]);
    let status = prop::option::of(prop::sample::select(vec![
        200_u16, 201, 204, 206, 301, 302, 304, 307, 400, 401, 403, 404, 410, 422, 429, 451, 500, 502, 599,
    ]));
    let body = prop_oneof![
        2 => Just(Body::Right),
        4 => prop::collection::vec(cases::mutation(), 1..4).prop_map(Body::Mutated),
        1 => any::<prop::sample::Index>().prop_map(Body::Truncated),
        1 => cases::json().prop_map(Body::Json),
        1 => cases::text().prop_map(|text| Body::Text(format!("<html>{MARK}{text}"))),
    ];
    (on, 0..4_u64, prop_oneof![2 => Just(None), 1 => status], prop::collection::vec(header(), 0..3), body)
        .prop_map(|(on, after, status, headers, body)| Garbling { on, after, status, headers, body })
}

impl Garbling {
    fn order(self, app: &TestApp) {
        let Self { on, after, status, headers, body } = self;
        let matching = match on {
            On::Anything => Matching::anything(),
            On::GraphQl => Matching::graphql(),
            On::Listings => Matching::any_listing(),
            On::Web => Matching::any_of("acme/web"),
        };
        let garble = move |sent: &mut u16, reported: &mut Vec<(String, String)>, text: &mut Vec<u8>| {
            *sent = status.unwrap_or(*sent);
            reported.extend(headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
            match &body {
                Body::Right => {}
                Body::Mutated(mutations) => {
                    let mut document = serde_json::from_slice(text).expect("GitHub's JSON");
                    mutations.iter().for_each(|mutation| mutation.clone().carry_out(&mut document));
                    *text = document.to_string().into_bytes();
                }
                Body::Truncated(at) => text.truncate(at.index(text.len() + 1)),
                Body::Json(json) => *text = json.to_string().into_bytes(),
                Body::Text(words) => *text = words.clone().into_bytes(),
            }
        };
        app.world.github.fault(matching.nth(after + 1), Fault::changed(garble).forever());
    }
}

/// Sends a heartbeat while GitHub's answers are changed, and another one afterwards.
async fn live(has_beaten: bool, garbling: Garbling) {
    let setup = TestApp::tracking(&["acme/api", "acme/web"]).with("AUDIT_INTERVAL_SECONDS", "60");
    // An answer whose body does not match its status or headers may never end.
    let impatient = |timing: &mut Timing| {
        (timing.github.attempts, timing.github.attempt_timeout) = (2, Duration::from_millis(500));
    };
    let mut app = setup.timing(impatient).start().await;
    app.allows_unused_faults();
    app.world.github.arrange(|github| {
        github.open_issues("acme/api", 2);
        github.open_issues("acme/web", 2);
    });
    let log = Log::begin();
    if has_beaten {
        app.agent("alpha").beat().await;
        app.pass_time(150);
        app.world.github.arrange(|github| {
            github.edit_issue("acme/api", 1, |issue| issue.title = "Another title".into());
            github.transfer_issue("acme/web", 2, "acme/api");
        });
    }
    garbling.order(&app);
    let mut said = Vec::new();
    for _ in 0..2 {
        let answer = app.agent("alpha").beat().await;
        assert!(!answer.codes().contains(&"phase_crashed"), "{:#}", answer.0);
        let state = app.state();
        assert_eq!((&state["claimOwner"], &state["claimUntil"]), (&Null, &Null), "the pass ended: {state:#}");
        said.push(answer.0.to_string());
        app.pass_time(150);
    }
    said.extend(app.world.dynamodb.items(TABLE_NAME).iter().map(ToString::to_string));
    said.extend(log.text().lines().map(str::to_owned));
    for text in said {
        assert!(!text.contains(MARK) && !text.contains("elsewhere.example"), "{text}");
    }
}

#[test]
fn any_answer_of_githubs_lets_the_pass_end_and_the_beat_be_answered() {
    let runtime = cases::runtime();
    cases::try_cases(CASES, &(any::<bool>(), garbling()), |(has_beaten, garbling)| {
        runtime.block_on(live(has_beaten, garbling));
    });
}
