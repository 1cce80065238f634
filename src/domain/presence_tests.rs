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
    let told = declared(&body, "a.1!", 0);
    assert_eq!((work_of(&told, 599), work_of(&told, 600)), (Work::Stalled, Work::IgnoresStop));
    let told = declared(&json!({}), "a.1!", 0);
    assert_eq!((work_of(&told, 1_799), work_of(&told, 1_800)), (Work::Working, Work::IgnoresStop));
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
