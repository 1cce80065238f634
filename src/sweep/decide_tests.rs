//! What sweeps decide, at each boundary and for any fleet.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::{AgentName, BeatRate, Declaration, Hold, Minute};

const HOUR: i64 = 3_600;

/// The time of the sweeps, in seconds. A multiple of a minute.
const NOW: i64 = 1_800_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

/// An agent that declared these members, and was last heard this many seconds ago.
fn agent(name: &str, heard_ago: i64, declared: &serde_json::Value) -> WatchedAgent {
    WatchedAgent {
        name: AgentName::parse(name).expect("a name"),
        last_beat_at: at(NOW - heard_ago),
        token: None,
        rate: None,
        declaration: serde_json::from_value::<Declaration>(declared.clone()).expect("a declaration"),
        silence: None,
        stall: None,
    }
}

/// An agent that promised a heartbeat each minute, with a minute of grace.
fn promising(name: &str, heard_ago: i64) -> WatchedAgent {
    agent(name, heard_ago, &json!({"intervalSeconds": 60, "graceSeconds": 60}))
}

/// One that works, and made its last progress this many seconds ago.
fn working(name: &str, progress_ago: i64) -> WatchedAgent {
    let declared = json!({
        "intervalSeconds": 60, "activeIssues": "a.1", "stalledAfterSeconds": 600,
        "progressAt": (NOW - progress_ago) * 1_000,
    });
    agent(name, 10, &declared)
}

/// What earlier sweeps kept.
fn watch(members: serde_json::Value) -> Option<WatchState> {
    let mut watch = json!({ "since": at(NOW - 24 * HOUR) });
    watch.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
    Some(serde_json::from_value(watch).expect("a watch"))
}

#[derive(Debug)]
struct Fleet {
    agents: Vec<WatchedAgent>,
    watch: Option<WatchState>,
    last_run: Option<Timestamp>,
    holds: Holds,
}

impl Fleet {
    /// A fleet that was heard all the time. An agent that promised nothing was heard just now.
    fn of(mut agents: Vec<WatchedAgent>) -> Self {
        agents.push(agent("zeta", 0, &json!({})));
        Self { agents, watch: watch(json!({})), last_run: Some(at(NOW - 300)), holds: Holds::default() }
    }

    fn silent(mut self) -> Self {
        self.agents.retain(|agent| agent.name.as_str() != "zeta");
        self
    }

    fn seen(&self, second: i64) -> Seen<'_> {
        Seen {
            agents: &self.agents,
            watch: self.watch,
            last_run: self.last_run,
            holds: &self.holds,
            rules: Rules {
                schedule: Duration::from_secs(300),
                suggested: Duration::from_secs(900),
                beats_per_minute: 60,
            },
            now: at(second),
        }
    }

    fn decide(&self) -> Decision {
        decide(&self.seen(NOW))
    }

    /// What is reported, as `down alpha`.
    fn reported(&self) -> Vec<String> {
        match self.decide() {
            Decision::Report(transitions) => transitions.iter().map(words).collect(),
            other => panic!("no report: {other:?}"),
        }
    }

    /// Marks what was reported.
    fn mark(&mut self, transitions: &[Transition]) {
        for transition in transitions {
            let agent =
                self.agents.iter_mut().find(|agent| agent.name == transition.agent).expect("an agent");
            let mark = if transition.change.is_of_silence() { &mut agent.silence } else { &mut agent.stall };
            *mark = Some(mark.map_or(transition.mark(), |known| known.max(transition.mark())));
        }
    }
}

fn words(transition: &Transition) -> String {
    let change = match transition.change {
        AgentChange::Down => "down",
        AgentChange::Up => "up",
        AgentChange::Stalled => "stalled",
        AgentChange::Moving => "moving",
    };
    format!("{change} {}", transition.agent)
}

#[test]
fn silence_is_reported_from_the_end_of_the_grace_on() {
    assert_eq!(Fleet::of(vec![promising("alpha", 119)]).decide(), Decision::Nothing);
    assert_eq!(Fleet::of(vec![promising("alpha", 120)]).reported(), ["down alpha"]);
}

#[test]
fn silence_is_reported_once_until_the_agent_is_heard_again() {
    let mut fleet = Fleet::of(vec![promising("alpha", 500)]);
    let Decision::Report(transitions) = fleet.decide() else { panic!("a report") };
    fleet.mark(&transitions);
    assert_eq!(fleet.decide(), Decision::Nothing);
    fleet.agents[0].last_beat_at = at(NOW - 200);
    assert_eq!(fleet.reported(), ["down alpha"], "it was heard once, and is silent again");
    fleet.agents[0].last_beat_at = at(NOW - 70);
    assert_eq!(fleet.decide(), Decision::Nothing, "late is neither");
    fleet.agents[0].last_beat_at = at(NOW - 10);
    assert_eq!(fleet.reported(), ["up alpha"]);
    let Decision::Report(transitions) = fleet.decide() else { panic!("a report") };
    assert_eq!(transitions[0].since, at(NOW - 500), "the episode that ended");
    fleet.mark(&transitions);
    assert_eq!(fleet.decide(), Decision::Nothing);
    fleet.agents[0].last_beat_at = at(NOW - 120);
    assert_eq!(fleet.reported(), ["down alpha"], "another episode");
}

#[test]
fn return_is_reported_of_an_agent_that_says_goodbye() {
    let mut gone = agent("alpha", 10, &json!({"intervalSeconds": 60, "leaving": true}));
    assert_eq!(Fleet::of(vec![gone.clone()]).decide(), Decision::Nothing);
    gone.silence = Some(ReportMark::begun(at(NOW - 500)));
    assert_eq!(Fleet::of(vec![gone]).reported(), ["up alpha"]);
}

#[test]
fn agents_that_promised_nothing_or_left_are_never_reported() {
    let leaving = agent("alpha", 5_000, &json!({"intervalSeconds": 60, "leaving": true}));
    let silent = agent("beta", 5_000, &json!({}));
    let long_gone = promising("gamma", 8 * 24 * HOUR);
    assert_eq!(Fleet::of(vec![leaving, silent, long_gone]).decide(), Decision::Nothing);
}

#[test]
fn stall_is_reported_once_and_its_end_too() {
    assert_eq!(Fleet::of(vec![working("alpha", 599)]).decide(), Decision::Nothing);
    let mut fleet = Fleet::of(vec![working("alpha", 600)]);
    assert_eq!(fleet.reported(), ["stalled alpha"]);
    let Decision::Report(transitions) = fleet.decide() else { panic!("a report") };
    fleet.mark(&transitions);
    assert_eq!(fleet.decide(), Decision::Nothing);
    fleet.agents[0].declaration = working("alpha", 5).declaration;
    assert_eq!(fleet.reported(), ["moving alpha"]);
    let Decision::Report(transitions) = fleet.decide() else { panic!("a report") };
    fleet.mark(&transitions);
    assert_eq!(fleet.decide(), Decision::Nothing);
}

#[test]
fn silent_agent_is_down_and_not_stalled() {
    let mut silent = working("alpha", 5_000);
    silent.last_beat_at = at(NOW - 4_000);
    assert_eq!(Fleet::of(vec![silent]).reported(), ["down alpha"]);
}

#[test]
fn stall_counts_only_while_agents_could_be_heard() {
    let mut fleet = Fleet::of(vec![working("alpha", 5_000)]);
    fleet.watch = watch(json!({ "since": at(NOW - 599) }));
    assert_eq!(fleet.decide(), Decision::Nothing);
    fleet.watch = watch(json!({ "since": at(NOW - 600) }));
    assert_eq!(fleet.reported(), ["stalled alpha"]);
}

#[test]
fn hold_mutes_its_agents() {
    let mut fleet = Fleet::of(vec![promising("ci-1", 500), working("ci-2", 700), promising("dev", 500)]);
    fleet.holds =
        Holds::default().with(Hold::new("ci-*", "a freeze", at(NOW)).expect("a hold")).expect("holds");
    assert_eq!(fleet.reported(), ["down dev"]);
}

#[test]
fn first_sweep_and_a_gap_of_the_schedule_listen_from_now_on() {
    let mut fleet = Fleet::of(vec![promising("alpha", 5_000)]);
    fleet.watch = None;
    assert_eq!(fleet.decide(), Decision::Listen);
    fleet.watch = watch(json!({}));
    for (ran_ago, is_gap) in [(780, false), (781, true)] {
        fleet.last_run = Some(at(NOW - ran_ago));
        assert_eq!(fleet.decide() == Decision::Listen, is_gap, "{ran_ago}");
    }
    fleet.last_run = None;
    assert_eq!(fleet.decide(), Decision::Listen);
    fleet.watch = watch(json!({ "since": at(NOW - 300) }));
    assert_eq!(fleet.reported(), ["down alpha"], "the sweep that began to listen is a sign of life, too");
}

#[test]
fn after_a_gap_each_agent_gets_its_whole_time() {
    let mut fleet = Fleet::of(vec![promising("alpha", 5_000)]);
    fleet.watch = watch(json!({ "since": at(NOW - 119) }));
    assert_eq!(fleet.decide(), Decision::Nothing);
    fleet.watch = watch(json!({ "since": at(NOW - 120) }));
    assert_eq!(fleet.reported(), ["down alpha"]);
}

#[test]
fn messages_are_at_least_fifteen_minutes_apart() {
    let mut fleet = Fleet::of(vec![promising("alpha", 500)]);
    fleet.watch = watch(json!({ "sentAt": at(NOW - 899) }));
    assert_eq!(fleet.decide(), Decision::Nothing);
    fleet.watch = watch(json!({ "sentAt": at(NOW - 900) }));
    assert_eq!(fleet.reported(), ["down alpha"]);
    fleet.watch = watch(json!({ "sentAt": at(NOW + HOUR) }));
    assert_eq!(fleet.reported(), ["down alpha"], "the clock went back");
}

#[test]
fn service_checks_itself_when_nobody_was_heard_since_the_last_one_went_down() {
    let fleet = Fleet::of(vec![promising("alpha", 500), promising("beta", 200)]).silent();
    let Decision::Check { blind_since, is_known: false, transitions } = fleet.decide() else {
        panic!("a check")
    };
    assert_eq!((blind_since, transitions.len()), (at(NOW - 200), 2));
    let mut heard = Fleet::of(vec![promising("alpha", 500)]);
    heard.agents[1].last_beat_at = at(NOW - 380);
    assert_eq!(heard.reported(), ["down alpha"], "somebody was heard at the very time");
    heard.agents[1].last_beat_at = at(NOW - 381);
    assert!(matches!(heard.decide(), Decision::Check { .. }));
    let mut back = Fleet::of(vec![promising("alpha", 10)]).silent();
    back.agents[0].silence = Some(ReportMark::begun(at(NOW - 500)));
    assert_eq!(back.reported(), ["up alpha"], "a return needs no check");
}

#[test]
fn service_that_could_not_be_reached_checks_itself_until_it_can() {
    let mut fleet = Fleet::of(vec![promising("alpha", 500)]).silent();
    fleet.watch = watch(json!({ "blindSince": at(NOW - 500) }));
    let known = Decision::Check { blind_since: at(NOW - 500), is_known: true, transitions: Vec::new() };
    assert_eq!(fleet.decide(), known);
    fleet.agents[0].last_beat_at = at(NOW - 499);
    assert_eq!(fleet.decide(), Decision::Listen, "an agent was heard");
}

#[test]
fn agent_at_its_rate_limit_counts_as_heard_until_the_minute_ends() {
    let impatient = |beats| {
        let mut agent = agent("alpha", 55, &json!({"intervalSeconds": 30, "graceSeconds": 0}));
        agent.rate = Some(BeatRate { minute: Minute::of(at(NOW - 55)), beats });
        Fleet::of(vec![agent])
    };
    assert_eq!(impatient(59).reported(), ["down alpha"]);
    assert_eq!(impatient(60).decide(), Decision::Nothing);
    let later = impatient(60);
    assert_eq!(decide(&later.seen(NOW + 29)), Decision::Nothing);
    assert!(matches!(decide(&later.seen(NOW + 30)), Decision::Report(_) | Decision::Check { .. }));
}

#[test]
fn agents_are_counted_by_presence() {
    let fleet =
        Fleet::of(vec![promising("a", 1), promising("b", 70), promising("c", 130), promising("d", 140)]);
    let counted = count(&fleet.seen(NOW));
    assert_eq!(counted, Counted { up: 1, late: 1, down: 2 });
    assert_eq!(counted.watched(), 4);
}

#[test]
fn outdated_and_marked_transitions_are_not_sent() {
    let mut fleet = Fleet::of(vec![promising("alpha", 500), promising("beta", 500), promising("gamma", 500)]);
    let Decision::Report(transitions) = fleet.decide() else { panic!("a report") };
    fleet.agents[0].last_beat_at = at(NOW);
    fleet.mark(&transitions[1..2]);
    let (sent, outdated) = recheck(transitions, &fleet.agents);
    let words = |of: &[Transition]| of.iter().map(words).collect::<Vec<_>>();
    assert_eq!(
        (words(&sent), words(&outdated)),
        (vec!["down gamma".to_owned()], vec!["down alpha".to_owned()])
    );
}

fn any_agent() -> impl Strategy<Value = WatchedAgent> {
    let mark = || prop::option::of((0..2_000_i64, any::<bool>()));
    let seconds = || prop::option::of(30..1_000_u64);
    (
        0..40_u8,
        0..2_000_i64,
        seconds(),
        seconds(),
        prop::option::of(0..2_000_i64),
        any::<bool>(),
        mark(),
        mark(),
    )
        .prop_map(|(name, heard_ago, interval, stalled, progress_ago, is_leaving, silence, stall)| {
            let mut declared = json!({ "leaving": is_leaving, "activeIssues": "a.1" });
            let members = declared.as_object_mut().expect("an object");
            members.extend(interval.map(|seconds| ("intervalSeconds".to_owned(), seconds.into())));
            members.extend(stalled.map(|seconds| ("stalledAfterSeconds".to_owned(), seconds.into())));
            members.extend(progress_ago.map(|ago| ("progressAt".to_owned(), ((NOW - ago) * 1_000).into())));
            let mark = |mark: (i64, bool)| {
                let since = at(NOW - mark.0);
                if mark.1 { ReportMark::ended(since) } else { ReportMark::begun(since) }
            };
            WatchedAgent {
                silence: silence.map(mark),
                stall: stall.map(mark),
                ..agent(&format!("agent-{name}"), heard_ago, &declared)
            }
        })
}

fn any_fleet() -> impl Strategy<Value = Fleet> {
    (prop::collection::vec(any_agent(), 0..12), 0..4_000_i64).prop_map(|(mut agents, since_ago)| {
        agents.sort_by(|one, other| one.name.cmp(&other.name));
        agents.dedup_by(|one, other| one.name == other.name);
        let mut fleet = Fleet::of(agents);
        fleet.watch = watch(json!({ "since": at(NOW - since_ago) }));
        fleet
    })
}

proptest! {
    #[test]
    fn what_was_reported_is_not_reported_again(fleet in any_fleet()) {
        let mut fleet = fleet;
        if let Decision::Report(transitions) = fleet.decide() {
            fleet.mark(&transitions);
            // A mark can end one episode of an agent whose next one is reported then.
            let again = fleet.decide();
            if let Decision::Report(again) = &again {
                prop_assert!(again.iter().all(|one| !transitions.contains(one)), "{again:?}");
            }
        }
    }

    #[test]
    fn agent_that_is_reported_as_down_had_its_whole_time(fleet in any_fleet()) {
        if let Decision::Report(transitions) | Decision::Check { transitions, .. } = fleet.decide() {
            for down in transitions.iter().filter(|one| one.change == AgentChange::Down) {
                let agent = fleet.agents.iter().find(|agent| agent.name == down.agent).expect("an agent");
                let promise = agent.declaration.promise().expect("a promise");
                let since = fleet.seen(NOW).listening().since.expect("a time");
                prop_assert!(promise.down_at(agent.last_beat_at.max(since)) <= at(NOW));
                prop_assert!(!agent.declaration.is_leaving);
                prop_assert_eq!(down.since, agent.last_beat_at);
            }
        }
    }

    #[test]
    fn end_is_reported_only_of_what_was_reported(fleet in any_fleet()) {
        if let Decision::Report(transitions) | Decision::Check { transitions, .. } = fleet.decide() {
            for end in &transitions {
                let agent = fleet.agents.iter().find(|agent| agent.name == end.agent).expect("an agent");
                let mark = if end.change.is_of_silence() { agent.silence } else { agent.stall };
                let is_end = matches!(end.change, AgentChange::Up | AgentChange::Moving);
                prop_assert!(!is_end || mark.and_then(ReportMark::open_since) == Some(end.since));
                prop_assert!(mark.is_none_or(|mark| mark < end.mark()));
            }
        }
    }
}
