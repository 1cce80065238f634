//! Random histories: whatever people do on GitHub, whatever fails, and whenever agents send heartbeats, in the end the
//! cached open issues equal GitHub's, and neither an agent nor a follower of the feed has missed a change.
//!
//! The same seed gives the same histories each time, and a history that fails is shrunk. It is printed completely, so
//! nothing is kept in files. `HISTORIES` (how many) and `HISTORIES_SEED` try others.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};
use serde_json::Value;
use test_world::dynamodb::{Fault as TableFault, On, Outcome};
use test_world::github::{Fault, Matching, Poison};
use test_world::scheduler::{Admission, Driven, Stop, Stopped};

use crate::simulation::histories_edits::{EXCLUDED, Edit, HOME, Names, Seen, edit};
use crate::simulation::histories_reports::Reports;
use crate::simulation::histories_verdicts::{assert_verdicts, at_work};
use crate::support::app::TestApp;
use crate::support::audits::INTERVAL;
use crate::support::backlogs::{catch_up, narrow};
use crate::support::cases::wish;
use crate::support::follower::Follower;

/// The most steps of a history.
const MAX_STEPS: usize = 40;

/// The longest configurable interval: no history lasts that long.
const NEVER: u64 = 30 * 24 * 3_600;

const AGENTS: [&str; 3] = ["alpha", "beta", "gamma"];

/// The one of them that works on issues.
const WORKER: &str = AGENTS[1];

/// An agent that sends a heartbeat at the beginning of a history, and then none before its end.
const ABSENT: &str = "absent";

const ALL: [&str; 4] = [AGENTS[0], AGENTS[1], AGENTS[2], ABSENT];

/// Longer than a lease lasts, longer than a pass is fresh, and longer than GitHub delays a change.
const A_WHILE: u64 = 150;

/// One event of a history.
#[derive(Clone, Debug)]
enum Step {
    /// Somebody does something on GitHub.
    Edit(Edit),
    /// This many seconds pass.
    Wait(u64),
    /// An agent sends a heartbeat.
    Beat(usize),
    /// An agent's heartbeat dies at one of its requests, if it sends that many.
    Die(usize, Stop),
    /// A program that follows the feed reads a page of at most this many changes.
    Follow(usize),
    /// The requests in flight of dead heartbeats arrive.
    Arrive,
    /// Copies of ten late writes arrive, before this many last ones: the network was slow.
    Again(usize),
    /// The service is configured to track the second repository, or not to.
    Track(bool),
    /// Requests to GitHub fail: from the first number on, as many as the second.
    GitHub(Trouble, u64, u64),
    /// GraphQL fails for every query that names a repository, for this many seconds; for good without a number.
    Poison(usize, Poison, Option<i64>),
    /// The token has this many requests left, and no more for ten minutes.
    Limit(u64),
    /// Requests to the table fail: from the first number on, as many as the second.
    Table(TableFault, u64, u64),
}

/// How GitHub fails.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Status(u16),
    Cut,
    HalfPage,
    Garbage,
    EmptyList,
    SecondaryLimit(Option<&'static str>),
    /// Pages of more issues than this fail.
    LongPages(u64),
    /// The last record of a listing's page cannot be read.
    OddRecord,
}

fn step(seen: Seen) -> impl Strategy<Value = Step> {
    let mut waits = vec![1, 10, 31, 31, 60, 121, A_WHILE];
    let mut troubles = vec![
        Trouble::Status(401),
        Trouble::Status(404),
        Trouble::Status(410),
        Trouble::Status(500),
        Trouble::Status(502),
        Trouble::Cut,
        Trouble::HalfPage,
        Trouble::Garbage,
        Trouble::SecondaryLimit(None),
        Trouble::SecondaryLimit(Some("90")),
        Trouble::LongPages(1),
        Trouble::LongPages(10),
        Trouble::OddRecord,
    ];
    if seen == Seen::ByAudits {
        // Nothing distinguishes a wrong empty listing from a right one.
        troubles.push(Trouble::EmptyList);
        waits.extend([600, INTERVAL / 2, INTERVAL, 2 * INTERVAL]);
    }
    let table_faults = vec![
        TableFault::LoseAnswer,
        TableFault::Throttle,
        TableFault::InternalError,
        TableFault::AccessDenied,
        TableFault::Cut,
    ];
    let agent = 0..AGENTS.len();
    let stop = prop_oneof![(1..50_usize).prop_map(Stop::Before), (1..50_usize).prop_map(Stop::After)];
    prop_oneof![
        12 => edit(seen).prop_map(Step::Edit),
        8 => prop::sample::select(waits).prop_map(Step::Wait),
        8 => agent.clone().prop_map(Step::Beat),
        2 => (agent, stop).prop_map(|(agent, stop)| Step::Die(agent, stop)),
        4 => (1..4_usize).prop_map(Step::Follow),
        1 => Just(Step::Arrive),
        1 => (0..30_usize).prop_map(Step::Again),
        1 => any::<bool>().prop_map(Step::Track),
        1 => (prop::sample::select(troubles), 1..10_u64, 1..5_u64)
            .prop_map(|(trouble, nth, times)| Step::GitHub(trouble, nth, times)),
        1 => (0..HOME.len(), prop::sample::select(vec![Poison::TimedOut, Poison::NotExecuted]), poison_seconds())
            .prop_map(|(repository, poison, seconds)| Step::Poison(repository, poison, seconds)),
        1 => (0..12_u64).prop_map(Step::Limit),
        1 => (prop::sample::select(table_faults), 1..30_u64, 1..5_u64)
            .prop_map(|(fault, nth, times)| Step::Table(fault, nth, times)),
    ]
}

/// How much of an agent's unreported changes one heartbeat reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BacklogReads {
    /// More than a history contains.
    Usual,
    /// So little that each backlog is reported in many answers, both merged and repository by repository.
    Narrow,
}

fn poison_seconds() -> impl Strategy<Value = Option<i64>> {
    prop::option::weighted(0.7, prop::sample::select(vec![10, 100, 1_000, 10_000]))
}

/// The world in which a history happens.
struct Simulation {
    seen: Seen,
    app: TestApp,
    names: Names,
    reports: Reports,
    follower: Follower,
    /// The requests in flight of dead heartbeats.
    in_flight: Vec<Stopped>,
}

impl Simulation {
    async fn start(seen: Seen, reading: BacklogReads) -> Self {
        let interval = if seen == Seen::ByAudits { INTERVAL } else { NEVER };
        let tracking = TestApp::tracking(&HOME).with("AUDIT_INTERVAL_SECONDS", &interval.to_string());
        let tracking = if reading == BacklogReads::Narrow { tracking.timing(narrow) } else { tracking };
        let mut app = tracking.start().await;
        // Faults that a history sets may stay unused.
        app.allows_unused_faults();
        let names = Names::new(&app);
        let follower = Follower::new(&app, EXCLUDED);
        Self { seen, app, names, reports: Reports::default(), follower, in_flight: Vec::new() }
    }

    async fn apply(&mut self, step: &Step) {
        match step {
            Step::Edit(edit) => self.app.world.github.arrange(|github| self.names.carry_out(github, edit)),
            Step::Wait(seconds) => self.app.pass_time(*seconds),
            Step::Beat(agent) => {
                if AGENTS[*agent] == WORKER {
                    assert_verdicts(&self.app, &at_work(&self.app, WORKER).beat().await);
                } else {
                    self.app.agent(AGENTS[*agent]).beat().await;
                }
                if self.app.runs(ABSENT).is_empty() {
                    self.reports.observe(&self.app, &ALL);
                    self.app.agent(ABSENT).beat().await;
                }
            }
            Step::Die(agent, stop) => self.die(AGENTS[*agent], *stop).await,
            Step::Follow(limit) => {
                if let Some(page) = self.follower.page(&self.app, *limit).await {
                    self.reports.follow(&page);
                }
            }
            Step::Arrive => self.arrive().await,
            Step::Again(but) => {
                let writes = self.app.world.dynamodb.requests();
                let writes = writes.iter().rev().filter(|write| write.outcome == Outcome::Ok);
                writes.skip(*but).take(10).for_each(|write| self.app.world.dynamodb.replay_write(write));
            }
            Step::Track(both) => self.track(*both),
            Step::GitHub(trouble, nth, times) => {
                let fault = match trouble {
                    Trouble::Status(status) => Fault::Status(*status),
                    Trouble::Cut => Fault::Cut,
                    Trouble::HalfPage => Fault::HalfPage,
                    Trouble::Garbage => Fault::Garbage,
                    Trouble::EmptyList => Fault::EmptyList,
                    Trouble::SecondaryLimit(retry_after) => Fault::secondary_limit(*retry_after),
                    Trouble::LongPages(_) => Fault::Status(502),
                    Trouble::OddRecord => Fault::changed(|_, _, text| {
                        let Ok(mut records) = serde_json::from_slice::<Vec<Value>>(text) else { return };
                        if let Some(last) = records.last_mut() {
                            last["state"] = "archived".into();
                        }
                        *text = Value::from(records).to_string().into_bytes();
                    }),
                };
                let matching = match trouble {
                    Trouble::LongPages(limit) => Matching::anything().longer_than(*limit),
                    Trouble::OddRecord => Matching::any_listing(),
                    _ => Matching::anything(),
                };
                self.app.world.github.fault(matching.nth(*nth), fault.times(*times));
            }
            Step::Poison(repository, poison, seconds) => {
                let until = self.app.ago(-seconds.unwrap_or(i64::try_from(NEVER).expect("a month")));
                self.app.world.github.arrange(|github| {
                    github.poison_graphql(self.names.current(*repository), *poison, until);
                });
            }
            Step::Limit(left) => {
                let reset = self.app.ago(-600);
                self.app.world.github.arrange(|github| github.set_budget(5_000, *left, reset));
            }
            Step::Table(fault, nth, times) => {
                self.app.world.dynamodb.fault(On::anything().nth(*nth), fault.times(*times));
            }
        }
        self.reports.observe(&self.app, &ALL);
    }

    async fn die(&mut self, agent: &str, stop: Stop) {
        let agent = self.app.agent(agent);
        let mut heartbeat = Box::pin(agent.beat());
        let scheduler = &self.app.world.scheduler;
        if let Driven::Stopped(stopped) =
            scheduler.drive(Admission::Concurrent, Some(stop), &mut heartbeat).await
        {
            drop(heartbeat);
            self.in_flight.push(stopped);
            if let Stop::After(_) = stop {
                self.arrive().await;
            }
        }
    }

    fn track(&mut self, both: bool) {
        let names = if both { HOME.join(",") } else { HOME[0].to_owned() };
        self.app.restart_with("REPOSITORIES", &names);
    }

    async fn arrive(&mut self) {
        self.in_flight.clear();
        self.app.world.scheduler.idle().await;
    }

    /// Ends all faults, except GraphQL's for the second repository, which the service reads without it. One pass reads
    /// the changes, another settles them, and an audit, if the history has any, finds the rest. Then all agents send a
    /// heartbeat.
    async fn end(&mut self) {
        self.arrive().await;
        self.track(true);
        self.app.world.dynamodb.heal();
        self.app.world.github.heal();
        let reset = self.app.ago(-3_600);
        self.app.world.github.arrange(|github| {
            github.set_budget(5_000, 5_000, reset);
            self.names.show(github);
            github.poison_graphql(self.names.current(0), Poison::TimedOut, github.now());
        });
        // No limit is remembered for longer than an hour.
        let passes = [3_601, A_WHILE, 2 * INTERVAL];
        let passes = if self.seen == Seen::ByAudits { &passes[..] } else { &passes[..2] };
        for seconds in passes.iter().copied() {
            self.app.pass_time(seconds);
            let answer = self.app.agent(AGENTS[0]).beat().await;
            assert_eq!((answer.status(), answer.is_coalesced()), ("ok", false), "{:#}", answer.0);
            self.reports.observe(&self.app, &ALL);
        }
        for agent in ALL {
            catch_up(&self.app, agent).await;
        }
        self.reports.observe(&self.app, &ALL);
        loop {
            let page = self.follower.page(&self.app, 2).await.expect("nothing fails");
            self.reports.follow(&page);
            if !page.has_more {
                break;
            }
        }
    }

    /// Sends one more heartbeat of each agent: nothing is reported. Nor does the follower receive anything: its cursor
    /// stays the same.
    async fn assert_quiet(&mut self) {
        let cursor = self.follower.cursor.clone();
        self.app.pass_time(A_WHILE);
        for agent in ALL {
            assert_eq!(
                self.app.agent(agent).beat().await.touched(),
                [""; 0],
                "a change was reported to {agent} again"
            );
        }
        assert_verdicts(&self.app, &at_work(&self.app, WORKER).beat().await);
        let page = self.follower.page(&self.app, 2).await.expect("nothing fails");
        assert_eq!((page.changes, &page.next_cursor), (Vec::new(), &cursor));
    }
}

async fn live(seen: Seen, reading: BacklogReads, steps: &[Step]) {
    let mut simulation = Simulation::start(seen, reading).await;
    for step in steps {
        simulation.apply(step).await;
    }
    simulation.end().await;
    simulation.names.assert_in_sync(&simulation.app);
    let is_gone = |issue: &_| simulation.names.lacks_issue(&simulation.app, issue);
    simulation.reports.assert_nothing_missed(&simulation.follower, is_gone);
    simulation.assert_quiet().await;
}

/// Tries this many histories, or as many as `HISTORIES` says.
fn try_histories(seen: Seen, reading: BacklogReads, histories: u32) {
    let config = Config {
        cases: wish("HISTORIES").and_then(|cases| u32::try_from(cases).ok()).unwrap_or(histories),
        rng_seed: RngSeed::Fixed(wish("HISTORIES_SEED").unwrap_or(20_261_122)),
        failure_persistence: None,
        max_shrink_iters: 500,
        ..Config::default()
    };
    let history = prop::collection::vec(step(seen), 1..=MAX_STEPS);
    let tried = TestRunner::new(config).run(&history, |steps| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(live(seen, reading, &steps));
        Ok(())
    });
    match tried {
        Ok(()) => {}
        Err(TestError::Fail(why, steps)) => panic!("{why}\nafter {steps:#?}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

#[test]
fn random_history_ends_in_sync_with_github_and_all_agents() {
    try_histories(Seen::ByAudits, BacklogReads::Usual, 48);
}

#[test]
fn random_history_visible_to_listings_ends_in_sync_without_audits() {
    try_histories(Seen::ByListings, BacklogReads::Usual, 32);
}

#[test]
fn random_history_reported_in_small_pages_ends_in_sync() {
    try_histories(Seen::ByAudits, BacklogReads::Narrow, 48);
}
