//! The same fleet of 20 repositories of 100 issues, served by this service and by its predecessor's way of working.

use tokio::runtime::Runtime;

use crate::chain::{Chain, To};
use crate::progress::Progress;
use crate::row::Row;
use crate::sandbox::{Sample, Sandbox};
use crate::world::World;

const REPOSITORIES: usize = 20;
const ISSUES: u64 = 100;

/// First pass and idle pass of either. The chains are those of the service: what the result needs, whoever brings it.
pub fn rows(runtime: &Runtime, progress: &Progress) -> Vec<Row> {
    progress.tell("20 repositories of 100 issues, by this service");
    let [first, idle] = ours(runtime);
    progress.tell("20 repositories of 100 issues, by the peer: a minute or two");
    let [peer_first, peer_again] = peer(runtime);
    vec![first, peer_first, idle, peer_again]
}

fn away(runtime: &Runtime) -> World {
    let world = World::start(runtime, REPOSITORIES, ISSUES);
    world.move_away();
    world
}

fn first_chain() -> Chain {
    Chain::of_a_pass()
        .then(To::Rest, 1, "the only page of each repository, all at once")
        .then(To::DynamoDb, 1, "the rows as they are")
        .then(To::DynamoDb, 1, "the rows as they become, all at once")
        .then(To::DynamoDb, 1, "the repositories' marks follow their rows")
        .ends_the_pass()
        .ends_the_beat()
}

fn idle_chain() -> Chain {
    Chain::of_a_pass().ends_the_pass().ends_the_beat()
}

fn ours(runtime: &Runtime) -> [Row; 2] {
    let world = away(runtime);
    let mut sandbox = Sandbox::start(&world, "service");
    let first = sandbox.beat("alpha").ran_a_pass(0);
    assert_eq!(world.open_rows(), REPOSITORIES * 100, "the first pass stored every issue");
    let again = |_| {
        world.outlive_freshness();
        sandbox.beat("alpha").ran_a_pass(0)
    };
    let idle: Vec<Sample> = (0..5).map(again).collect();
    [
        Row::of("first_pass_20", "20 repositories of 100 issues: first pass", &[first], first_chain()),
        Row::of("idle_20", "20 repositories of 100 issues: idle pass", &idle, idle_chain()),
    ]
}

fn peer(runtime: &Runtime) -> [Row; 2] {
    let world = away(runtime);
    let mut sandbox = Sandbox::start(&world, "peer");
    let mut pass = || {
        let sample = sandbox.beat("alpha");
        let [answer] = &sample.answers[..] else { panic!("one answer to one beat") };
        assert_eq!(answer.number("issues"), 2_000, "issues that the peer read");
        assert_eq!(answer.number("active"), 300, "active issues that the peer asked for");
        // As many as the predecessor makes of each.
        assert_eq!((sample.counted.rest_requests, sample.counted.dynamodb_requests), (340, 4_083));
        sample
    };
    let [first, again] = [pass(), pass()];
    [
        Row::of("peer_first_pass_20", "  the same by the peer", &[first], first_chain()),
        Row::of("peer_idle_20", "  the same by the peer", &[again], idle_chain()),
    ]
}
