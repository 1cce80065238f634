//! The same fleet, served by this service and by a peer that works as its predecessor did.

use tokio::runtime::Runtime;

use crate::chain::{Chain, To};
use crate::environment::{Environment, Sample};
use crate::progress::Progress;
use crate::row::Row;
use crate::scale::Scale;
use crate::world::World;

/// The first pass and an idle pass of each. All chains are the service's: what the result needs, whoever computes it.
pub fn rows(runtime: &Runtime, progress: &Progress, scale: &Scale) -> Vec<Row> {
    let (repositories, issues) = scale.compared;
    let fleet = format!("{repositories} repositories of {issues} issues");
    progress.report(&format!("{fleet}, by this service"));
    let [first, idle] = ours(runtime, scale, &fleet);
    progress.report(&format!("{fleet}, by the peer"));
    let [peer_first, peer_again] = peer(runtime, scale);
    vec![first, peer_first, idle, peer_again]
}

fn away(runtime: &Runtime, scale: &Scale) -> World {
    let (repositories, issues) = scale.compared;
    let world = World::start(runtime, repositories, issues);
    world.move_away();
    world
}

fn first_chain() -> Chain {
    Chain::of_a_pass()
        .then(To::Rest, 1, "the only page of each repository, all at once")
        .then(To::DynamoDb, 1, "the cached rows")
        .then(To::DynamoDb, 1, "the new rows, all at once")
        .then(To::DynamoDb, 1, "the repositories' checkpoints follow their rows")
        .ends_the_pass()
        .ends_the_heartbeat()
}

fn idle_chain() -> Chain {
    Chain::of_a_pass().ends_the_pass().ends_the_heartbeat()
}

fn ours(runtime: &Runtime, scale: &Scale, fleet: &str) -> [Row; 2] {
    let (repositories, issues) = scale.compared;
    let world = away(runtime, scale);
    let mut environment = Environment::start(&world, "service");
    let first = environment.beat("alpha").ran_a_pass(0);
    let all = repositories as u64 * issues;
    assert_eq!(world.open_rows() as u64, all, "the first pass stored every issue");
    let again = |_| {
        world.outlive_freshness();
        environment.beat("alpha").ran_a_pass(0)
    };
    let idle: Vec<Sample> = (0..scale.repeats(5)).map(again).collect();
    [
        Row::of(
            format!("first_pass_{repositories}"),
            format!("{fleet}: first pass"),
            &[first],
            first_chain(),
        ),
        Row::of(
            format!("idle_{repositories}_of_{issues}"),
            format!("{fleet}: idle pass"),
            &idle,
            idle_chain(),
        ),
    ]
}

fn peer(runtime: &Runtime, scale: &Scale) -> [Row; 2] {
    let repositories = scale.compared.0 as u64;
    let issues = repositories * scale.compared.1;
    // Every issue of a repository is on one page, and three of twenty are being worked on.
    let active = issues / 20 * 3;
    let world = away(runtime, scale);
    let mut environment = Environment::start(&world, "peer");
    let mut pass = || {
        let sample = environment.beat("alpha");
        let [answer] = &sample.answers[..] else { panic!("one answer to one heartbeat") };
        assert_eq!(answer.number("issues"), issues, "issues that the peer read");
        assert_eq!(answer.number("active"), active, "active issues that the peer requested");
        // The predecessor's number of requests; see peer.rs.
        let expected = (2 * repositories + active, 2 * issues + 4 * repositories + 3);
        assert_eq!((sample.counted.rest_requests, sample.counted.dynamodb_requests), expected);
        sample
    };
    let [first, again] = [pass(), pass()];
    [
        Row::of(format!("peer_first_pass_{repositories}"), "  the same by the peer", &[first], first_chain()),
        Row::of(format!("peer_idle_{repositories}"), "  the same by the peer", &[again], idle_chain()),
    ]
}
