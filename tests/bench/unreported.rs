//! The rows of agents with unreported changes: many agents at once with one change, and one agent with many.

use tokio::runtime::Runtime;

use crate::chain::{Chain, To};
use crate::environment::{Environment, Sample};
use crate::progress::Progress;
use crate::row::Row;
use crate::world::World;

const SERVICE: &str = "service";

/// The most changes that are counted.
const MAX_COUNTED: u64 = 10_000;

/// How large the rows are.
#[derive(Debug)]
pub struct Sizes {
    /// Repositories of the fleet in which one issue changes.
    pub repositories: usize,
    /// Agents that then send heartbeats at once.
    pub agents: usize,
    /// The number of unreported changes of an agent, one entry per row.
    pub backlogs: &'static [u64],
}

/// Many agents with one change at once, and single agents with this many changes.
pub fn rows(runtime: &Runtime, progress: &Progress, sizes: &Sizes) -> Vec<Row> {
    let mut rows = vec![one_change(runtime, progress, sizes)];
    rows.extend(sizes.backlogs.iter().map(|changes| backlog(runtime, progress, *changes)));
    rows
}

fn one_change(runtime: &Runtime, progress: &Progress, sizes: &Sizes) -> Row {
    let Sizes { repositories, agents: count, .. } = *sizes;
    progress.report(&format!("{count} agents with a change at once, {repositories} repositories"));
    let world = World::start(runtime, repositories, 1);
    let agents: Vec<String> = (0..count).map(|n| format!("agent-{n:03}")).collect();
    let mut environment = Environment::start(&world, SERVICE);
    environment.catch_up("seed");
    world.outlive_settling();
    environment.catch_up("seed");
    for answer in environment.beat_at_once(&agents).answers {
        answer.expect_well();
    }
    world.outlive_freshness();
    world.edit(&world.repositories[repositories / 2], 1, "An issue that was renamed just now");
    environment.beat("alpha").ran_a_pass(1);
    world.move_away();
    let sample = environment.beat_at_once(&agents);
    for answer in &sample.answers {
        answer.expect_well();
        assert_eq!((answer.is_coalesced(), answer.touched()), (true, 1), "one issue changed: {answer:#?}");
    }
    let chain = Chain::of_a_heartbeat()
        .then(To::DynamoDb, 1, "the changes of the one repository that the state names")
        .ends_the_heartbeat();
    let what = format!("{count} agents with a change at once, {repositories} repositories");
    let row = Row::of(format!("news_{count}"), what, &[sample], chain);
    let reads = row.read_units / count as f64;
    row.at_most("RRU a heartbeat", reads, 10.0)
}

fn backlog(runtime: &Runtime, progress: &Progress, changes: u64) -> Row {
    progress.report(&format!("an agent with {changes} unreported changes"));
    let world = World::start(runtime, 1, 1);
    let mut environment = Environment::start(&world, SERVICE);
    environment.catch_up("seed");
    let agents: Vec<String> = (0..3).map(|n| format!("agent-{n}")).collect();
    for answer in environment.beat_at_once(&agents).answers {
        answer.expect_well();
    }
    world.outlive_freshness();
    world.edit(&world.repositories[0], 1, "An issue that was renamed just now");
    environment.beat("alpha").ran_a_pass(1);
    world.copy_changed_issue(&world.repositories[0], changes);
    world.move_away();
    // Its own process, so that the memory is that of the backlog.
    let mut environment = Environment::start(&world, SERVICE);
    let samples: Vec<Sample> = agents.iter().map(|agent| environment.beat(agent)).collect();
    for answer in samples.iter().flat_map(|sample| &sample.answers) {
        answer.expect_well();
        assert_eq!(
            (answer.is_coalesced(), answer.touched()),
            (true, changes.min(MAX_COUNTED)),
            "{answer:#?}"
        );
    }
    let chain = Chain::of_a_heartbeat()
        .then(To::DynamoDb, 2, "the first changes; the end of one read is the start of the next")
        .then(To::DynamoDb, 1, "the number of further changes")
        .ends_the_heartbeat();
    let what = format!("an agent with {changes} unreported changes");
    let row = Row::of(format!("backlog_{changes}"), what, &samples, chain);
    let (reads, peak) = (row.read_units, row.peak_rss_mb);
    row.at_most("RRU", reads, 40.0).at_most("RSS MB", peak, 96.0)
}
