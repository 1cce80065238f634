//! Each boundary of presence and work, and what holds for all of them.

use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::{ActiveIssues, HeartbeatBody, JudgedIssues};

const SUGGESTED: Duration = Duration::from_secs(900);
const WEEK: i64 = 7 * 86_400;

fn at(second: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_000_000_000 + second)
}

fn declared(body: &serde_json::Value, issues: &str, second: i64) -> Declaration {
    let body = HeartbeatBody::read(body.as_object().expect("an object"));
    let issues = ActiveIssues::try_from(issues.to_owned()).expect("issues");
    Declaration::default().after(&body, Some(&JudgedIssues { issues, version: None }), at(second))
}

/// An agent that promised a heartbeat every 300 s, with a grace of 60 s, and sent the last one at 0.
fn watched() -> Declaration {
    declared(&json!({"intervalSeconds": 300, "graceSeconds": 60}), "", 0)
}

fn always() -> Listening {
    Listening { since: Some(at(-WEEK)), blind_since: None }
}

fn presence(declaration: &Declaration, listening: Listening, now: i64) -> Presence {
    Judged::of(declaration, at(0), listening, SUGGESTED, at(now)).presence
}

fn work_of(declaration: &Declaration, now: i64) -> Work {
    Judged::of(declaration, at(0), always(), SUGGESTED, at(now)).work
}

#[test]
fn watched_agent_is_late_and_down_to_the_second() {
    for (now, expected) in [
        (-5, Presence::Up),
        (0, Presence::Up),
        (299, Presence::Up),
        (300, Presence::Late),
        (359, Presence::Late),
        (360, Presence::Down),
        (WEEK - 1, Presence::Down),
        (WEEK, Presence::Left),
    ] {
        assert_eq!(presence(&watched(), always(), now), expected, "{now}");
    }
}

#[test]
fn agent_without_a_promise_is_quiet_and_leaves_but_is_never_down() {
    let unwatched = Declaration::default();
    let judged = |now| Judged::of(&unwatched, at(0), always(), SUGGESTED, at(now));
    assert_eq!((judged(1_799).is_quiet, judged(1_800).is_quiet, judged(-1).is_quiet), (false, true, false));
    assert_eq!((judged(WEEK - 1).presence, judged(WEEK).presence), (Presence::Unwatched, Presence::Left));
    assert!(!judged(WEEK).is_quiet);
}

#[test]
fn agent_that_says_it_leaves_has_left_at_once() {
    let leaving = declared(&json!({"intervalSeconds": 300, "leaving": true}), "", 0);
    assert_eq!(presence(&leaving, always(), 1), Presence::Left);
}

#[test]
fn slow_agent_has_left_after_ten_times_its_time() {
    let slow = declared(&json!({"intervalSeconds": 86_400, "graceSeconds": 86_400}), "", 0);
    assert_eq!(presence(&slow, always(), 20 * 86_400 - 1), Presence::Down);
    assert_eq!(presence(&slow, always(), 20 * 86_400), Presence::Left);
}

#[test]
fn after_an_outage_of_the_service_every_agent_has_its_whole_time() {
    let listening = Listening { since: Some(at(1_000)), blind_since: None };
    assert_eq!(presence(&watched(), listening, 1_359), Presence::Late);
    assert_eq!(presence(&watched(), listening, 1_360), Presence::Down);
    assert_eq!(
        presence(&watched(), Listening::default(), 100_000),
        Presence::Late,
        "nobody has listened yet"
    );
}

#[test]
fn what_happens_while_the_service_is_blind_counts_against_nobody() {
    let blind = |second| Listening { blind_since: Some(at(second)), ..always() };
    assert_eq!(presence(&watched(), blind(359), 10_000), Presence::Late);
    assert_eq!(presence(&watched(), blind(360), 10_000), Presence::Down, "it was down before");
    assert_eq!(presence(&watched(), blind(100), 200), Presence::Up);
}

#[test]
fn work_stalls_and_stops_are_ignored_to_the_second() {
    let body = json!({"intervalSeconds": 300, "stalledAfterSeconds": 60, "progress": "reading"});
    let working = declared(&body, "a.1", 0);
    assert_eq!((work_of(&working, 59), work_of(&working, 60)), (Work::Working, Work::Stalled));
    assert_eq!(work_of(&declared(&body, "", 0), 60), Work::Idle);
    assert_eq!(work_of(&declared(&json!({}), "a.1", 0), 100_000), Work::Working);
    let stopping = declared(&body, "a.1!", 0);
    assert_eq!((work_of(&stopping, 599), work_of(&stopping, 600)), (Work::Stalled, Work::IgnoresStop));
    let stopping = declared(&json!({}), "a.1!", 0);
    assert_eq!((work_of(&stopping, 1_799), work_of(&stopping, 1_800)), (Work::Working, Work::IgnoresStop));
}

#[test]
fn next_change_is_the_next_boundary_that_matters() {
    let next = |declaration: &Declaration, listening, now| {
        let next = Judged::next_change(declaration, at(0), listening, SUGGESTED, at(now));
        next.map(|next| next.as_second() - at(0).as_second())
    };
    let unwatched = Declaration::default();
    for (now, expected) in
        [(-5, Some(300)), (0, Some(300)), (300, Some(360)), (360, Some(WEEK)), (WEEK, None)]
    {
        assert_eq!(next(&watched(), always(), now), expected, "{now}");
    }
    for (now, expected) in [(0, Some(1_800)), (1_800, Some(WEEK)), (WEEK, None)] {
        assert_eq!(next(&unwatched, always(), now), expected, "{now}");
    }
    assert_eq!(next(&declared(&json!({"leaving": true}), "", 0), always(), 0), None);
    let blind = |second| Listening { blind_since: Some(at(second)), ..always() };
    assert_eq!(
        (next(&watched(), blind(359), 300), next(&watched(), blind(360), 300)),
        (Some(WEEK), Some(360))
    );
    let listening = Listening { since: Some(at(1_000)), blind_since: None };
    assert_eq!(next(&watched(), listening, 300), Some(1_360));
    assert_eq!(next(&watched(), Listening::default(), 300), Some(WEEK));
    let stopping = declared(&json!({"intervalSeconds": 300, "stalledAfterSeconds": 350}), "a.1!", 0);
    assert_eq!((next(&stopping, always(), 300), next(&stopping, always(), 360)), (Some(350), Some(600)));
}

/// What agents declare, and when their work and their listener changed.
fn any_agent() -> impl Strategy<Value = (Declaration, Listening)> {
    let seconds = |range: std::ops::Range<i64>| prop::option::of(range);
    let promised = (seconds(30..1_000), seconds(0..1_000), seconds(60..3_000), any::<bool>());
    let work = (prop::sample::select(vec!["", "a.1", "a.1!"]), -2_000_i64..1, seconds(-2_000..1));
    let heard = (seconds(-2_000..3_000), seconds(-2_000..3_000));
    (promised, work, heard).prop_map(
        |((interval, grace, stalled, leaves), (issues, progress, stop), (since, blind))| {
            let body = json!({
                "intervalSeconds": interval, "graceSeconds": grace, "stalledAfterSeconds": stalled,
                "leaving": leaves && interval.is_some_and(|interval| interval % 8 == 0),
            });
            let mut declaration = declared(&body, issues, progress);
            declaration.stop_at = stop.map(at);
            (declaration, Listening { since: since.map(at), blind_since: blind.map(at) })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn nothing_changes_before_the_next_change_and_something_does_at_it(
        (agent, listening) in any_agent(),
        now in -3_000_i64..5_000,
        suggested in 1_u64..2_000,
        steps in prop::collection::vec((0_u32..21, 0.0..1.0), 30),
    ) {
        let suggested = Duration::from_secs(suggested);
        let judged = |at| Judged::of(&agent, self::at(0), listening, suggested, at);
        let next = Judged::next_change(&agent, at(0), listening, suggested, at(now));
        let Steady { since, until } = Judged::steady(&agent, at(0), listening, suggested, at(now));
        prop_assert!(since <= at(now) && until == next.unwrap_or(Timestamp::MAX));
        for (_, part) in &steps {
            let ago = now as f64 - (since.as_second() - at(0).as_second()) as f64;
            let earlier = at(now - (ago * part) as i64);
            prop_assert_eq!(judged(earlier), judged(at(now)), "{} after {}", earlier, since);
        }
        prop_assert_eq!(judged(since), judged(at(now)));
        let last_same = next.map(|next| next - SignedDuration::from_millis(1));
        // Moments that are near as often as they are far.
        let moments = steps.iter().map(|(power, part)| at(now + (f64::from(1 << power) * part) as i64));
        for moment in moments.filter(|at| next.is_none_or(|next| *at < next)).chain(last_same) {
            prop_assert_eq!(judged(moment), judged(at(now)), "{} of {:?}", moment, next);
        }
        if let Some(next) = next {
            prop_assert!(next > at(now) && judged(next) != judged(at(now)));
        }
    }
}

proptest! {
    /// Each presence is one interval of time, in one order, whatever was promised and heard.
    #[test]
    fn time_only_moves_an_agent_from_up_to_left(
        interval in 30_i64..86_400,
        grace in 0_i64..86_400,
        since in prop::option::of(-100_000_i64..200_000),
        blind in prop::option::of(-100_000_i64..200_000),
        moments in prop::collection::vec(-1_000_i64..3_000_000, 2..20),
    ) {
        let agent = declared(&json!({"intervalSeconds": interval, "graceSeconds": grace}), "", 0);
        let listening = Listening { since: since.map(at), blind_since: blind.map(at) };
        let mut moments = moments;
        moments.sort_unstable();
        let order = |presence| Presence::ALL.iter().position(|known| *known == presence);
        let seen: Vec<_> = moments.iter().map(|now| presence(&agent, listening, *now)).collect();
        prop_assert!(seen.iter().map(|presence| order(*presence)).is_sorted(), "{seen:?}");
    }

    /// The rule of the word `down`, said in another way.
    #[test]
    fn agent_is_down_exactly_if_it_could_be_heard_for_its_whole_time(
        interval in 30_i64..1_000,
        grace in 0_i64..1_000,
        since in -2_000_i64..2_000,
        blind in prop::option::of(-2_000_i64..4_000),
        now in -100_i64..5_000,
    ) {
        let agent = declared(&json!({"intervalSeconds": interval, "graceSeconds": grace}), "", 0);
        let listening = Listening { since: Some(at(since)), blind_since: blind.map(at) };
        let heard = (since.max(0)..now.min(blind.unwrap_or(i64::MAX))).count() as i64;
        let whole = heard >= interval + grace && now >= interval;
        prop_assert_eq!(presence(&agent, listening, now) == Presence::Down, whole);
    }

    /// An interval that is changed counts from the heartbeat that changed it.
    #[test]
    fn new_interval_counts_from_the_last_heartbeat(first in 30_u64..86_400, second in 30_i64..86_400) {
        let body = |interval: serde_json::Value| {
            HeartbeatBody::read(json!({"intervalSeconds": interval}).as_object().expect("an object"))
        };
        let declaration = Declaration::default().after(&body(first.into()), None, at(-50));
        let declaration = declaration.after(&body(second.into()), None, at(0));
        prop_assert_eq!(presence(&declaration, always(), second - 1), Presence::Up);
        prop_assert_eq!(presence(&declaration, always(), second), Presence::Late);
    }
}
