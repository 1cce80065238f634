//! The rows of a whole fleet: 100 repositories with 10,000 open issues, and idle fleets of other sizes.

use tokio::runtime::Runtime;

use crate::chain::{Chain, To};
use crate::environment::{Environment, Sample};
use crate::progress::Progress;
use crate::row::Row;
use crate::scale::Scale;
use crate::world::World;

const SERVICE: &str = "service";

/// How many repositories the largest fleet has.
const LARGEST: usize = 10_000;

/// How often each burst is measured, each time in another repository.
const BURST_REPEATS: usize = 3;

/// How many repositories the fleet has.
const REPOSITORIES: usize = 100;

/// Coalesced heartbeats, idle passes, concurrent heartbeats and bursts, over 100 repositories.
pub fn rows(runtime: &Runtime, progress: &Progress, scale: &Scale) -> Vec<Row> {
    progress.report(&format!("{REPOSITORIES} repositories of {} issues: the first passes", scale.issues));
    let world = World::start(runtime, REPOSITORIES, scale.issues);
    prepare(&world, scale);
    world.move_away();
    progress.report("coalesced heartbeats");
    let coalesced = coalesced(&world, scale);
    progress.report("idle passes");
    let idle = idle(&world, scale);
    progress.report(&format!("{} concurrent heartbeats", scale.crowd));
    let crowd = crowd(&world, &idle, scale);
    let mut rows = vec![coalesced, idle.clone(), crowd];
    progress.report("agents at work");
    rows.extend(at_work(&world, scale));
    for (turn, &count) in scale.bursts.iter().enumerate() {
        progress.report(&format!("bursts of {count}"));
        rows.extend(bursts(&world, count, repositories_of_burst(&world, scale, turn), &idle));
    }
    rows
}

/// Reads everything for the first time. Then every issue that a burst will change changes once: changing an issue costs
/// more after its first reported change.
fn prepare(world: &World, scale: &Scale) {
    let mut environment = Environment::start(world, SERVICE);
    environment.catch_up("seed");
    let all = REPOSITORIES as u64 * scale.issues;
    assert_eq!(world.open_rows() as u64, all, "the first passes stored every issue");
    let changing = || (0..scale.bursts.len()).flat_map(|turn| repositories_of_burst(world, scale, turn));
    for repository in changing() {
        world.edit(repository, scale.issues, "An issue that was renamed earlier");
    }
    environment.catch_up("seed");
    world.outlive_settling();
    for repository in changing() {
        world.edit(repository, 1, "An issue that was renamed last");
    }
    environment.catch_up("seed");
    world.outlive_settling();
    environment.catch_up("seed");
}

fn coalesced(world: &World, scale: &Scale) -> Row {
    let mut environment = Environment::start(world, SERVICE);
    world.outlive_freshness();
    environment.beat("alpha").ran_a_pass(0);
    for _ in 0..5 {
        environment.beat("beta").was_coalesced();
    }
    let samples: Vec<Sample> =
        (0..scale.repeats(50)).map(|_| environment.beat("beta").was_coalesced()).collect();
    let row = Row::of(
        "coalesced_beat",
        "coalesced heartbeat, no changes",
        &samples,
        Chain::of_a_heartbeat().ends_the_heartbeat(),
    );
    let (requests, reads, writes, cpu) = (row.github_requests(), row.read_units, row.write_units, row.cpu_ms);
    row.at_most("GitHub requests", requests, 0.0)
        .at_most("RRU", reads, 2.0)
        .at_most("WRU", writes, 2.0)
        .takes_at_most("CPU ms", cpu, 1.2)
}

/// Coalesced heartbeats of an agent that works on five issues: which it has declared before, which are new, and after a
/// change in the fleet.
fn at_work(world: &World, scale: &Scale) -> Vec<Row> {
    let mut environment = Environment::start(world, SERVICE);
    world.outlive_freshness();
    environment.catch_up("alpha");
    let page = |number: u64| format!("https://github.com/{}/issues/{number}", world.repositories[0]);
    let five: Vec<String> = (1..=5).map(page).collect();
    // The execution environment learns the name of their repository.
    environment.beat_at_work("beta", &[page(1)]).was_coalesced();
    environment.beat_at_work("beta", &[]).was_coalesced();
    let new = environment.beat_at_work("beta", &five).was_coalesced();
    let known = |_| environment.beat_at_work("beta", &five).was_coalesced();
    let known: Vec<Sample> = (0..scale.repeats(50)).map(known).collect();
    world.edit(&world.repositories[1], 1, "An issue that was renamed meanwhile");
    world.outlive_settling();
    environment.catch_up("alpha");
    let changed = environment.beat_at_work("beta", &five);
    assert!(changed.answer().is_coalesced(), "the heartbeat ran a pass");
    let reading = || {
        let verdicts = Chain::of_a_heartbeat().then(To::DynamoDb, 1, "the rows of the agent's issues");
        verdicts.ends_the_heartbeat()
    };
    let rows = [
        (
            "at_work",
            "coalesced heartbeat of an agent at work on 5 issues",
            known,
            Chain::of_a_heartbeat().ends_the_heartbeat(),
            2.0,
        ),
        (
            "at_work_new",
            "the same, which declares the 5 issues for the first time",
            vec![new],
            reading(),
            7.0,
        ),
        ("at_work_changed", "the same, after a change of another issue", vec![changed], reading(), 10.0),
    ];
    let rows = rows.into_iter().map(|(name, title, samples, chain, limit)| {
        let row = Row::of(name, title, &samples, chain);
        let (reads, writes) = (row.read_units, row.write_units);
        row.at_most("RRU", reads, limit).at_most("WRU", writes, 2.0)
    });
    rows.collect()
}

fn idle_chain() -> Chain {
    Chain::of_a_pass().ends_the_pass().ends_the_heartbeat()
}

/// Idle passes in a process with open connections.
fn idle_samples(world: &World, repeats: usize) -> Vec<Sample> {
    let mut environment = Environment::start(world, SERVICE);
    world.outlive_freshness();
    environment.beat("alpha").ran_a_pass(0);
    let sample = |_| {
        world.outlive_freshness();
        environment.beat("alpha").ran_a_pass(0)
    };
    (0..repeats).map(sample).collect()
}

fn idle(world: &World, scale: &Scale) -> Row {
    let what = format!("idle pass, {REPOSITORIES} repositories of {} issues", scale.issues);
    let samples = idle_samples(world, scale.repeats(5));
    let row = Row::of(format!("idle_{REPOSITORIES}"), what, &samples, idle_chain());
    let (requests, points, ratio) = (row.github_requests(), row.graphql_points as f64, row.ratio);
    let (reads, writes) = (row.read_units, row.write_units);
    row.at_most("GitHub requests", requests, 1.0)
        .at_most("points", points, 2.0)
        .at_most("RRU", reads, 8.0)
        .at_most("WRU", writes, 5.0)
        .takes_at_most("× its chain", ratio, 1.25)
}

/// One of the heartbeats runs the pass. How many others try to acquire the lease before they see that it is held
/// varies, and each refused attempt is billed. So this is measured once, and its units are bounds instead of constants.
fn crowd(world: &World, idle: &Row, scale: &Scale) -> Row {
    let count = scale.crowd;
    let agents: Vec<String> = (0..count).map(|n| format!("agent-{n:03}")).collect();
    let mut environment = Environment::start(world, SERVICE);
    world.outlive_freshness();
    environment.beat("alpha").ran_a_pass(0);
    world.move_near();
    // An agent's first heartbeat costs more than its later ones.
    for answer in environment.beat_at_once(&agents).answers {
        answer.expect_well();
    }
    world.move_away();
    world.outlive_freshness();
    let sample = environment.beat_at_once(&agents);
    for answer in &sample.answers {
        answer.expect_well();
        assert_eq!(answer.touched(), 0, "nothing changed: {answer:#?}");
    }
    let passes = sample.answers.iter().filter(|answer| !answer.is_coalesced()).count();
    assert_eq!(passes, 1, "passes of {count} concurrent heartbeats");
    let row = Row::of(
        format!("beats_{count}"),
        format!("{count} concurrent heartbeats, one of them runs the pass"),
        &[sample],
        idle_chain(),
    );
    let (requests, reads, writes) = (row.github_requests(), row.read_units, row.write_units);
    let beats = count as f64;
    row.at_most("GitHub requests", requests, idle.github_requests())
        .at_most("RRU", reads, idle.read_units + 2.0 * beats)
        .at_most("WRU", writes, idle.write_units + 3.0 * beats)
}

/// The repositories of one burst size. Each size has its own.
fn repositories_of_burst<'w>(world: &'w World, scale: &Scale, turn: usize) -> &'w [String] {
    let repeats = scale.repeats(BURST_REPEATS);
    &world.repositories[turn * repeats..(turn + 1) * repeats]
}

/// A burst of changes in one repository, and the pass that reads it again when no late change can follow.
fn bursts(world: &World, count: u64, repositories: &[String], idle: &Row) -> [Row; 2] {
    let mut environment = Environment::start(world, SERVICE);
    world.outlive_freshness();
    environment.beat("alpha").ran_a_pass(0);
    let (mut changes, mut settlings) = (Vec::new(), Vec::new());
    for repository in repositories {
        world.outlive_freshness();
        world.edit(repository, count, "An issue that was renamed just now");
        changes.push(environment.beat("alpha").ran_a_pass(count));
        world.outlive_settling();
        settlings.push(environment.beat("alpha").ran_a_pass(0));
        calm(&mut environment, world, repository);
    }
    let changed = Chain::of_a_pass()
        .then(To::Rest, 1, "the listing of the repository that the probe names")
        .then(To::DynamoDb, 1, "the cached rows of the listed issues")
        .then(To::DynamoDb, 1, "the new rows, all at once")
        .then(
            To::DynamoDb,
            1,
            "the repository's checkpoint follows its rows; the pass's record is concurrent",
        )
        .ends_the_pass()
        .then(To::DynamoDb, 1, "the changes are read for the agent after the pass")
        .ends_the_heartbeat();
    let settled = Chain::of_a_pass()
        .then(To::Rest, 1, "the listing of the repository that settles")
        .then(To::DynamoDb, 1, "the cached rows")
        .then(To::DynamoDb, 1, "the repository's checkpoint")
        .ends_the_pass()
        .ends_the_heartbeat();
    let issues = if count == 1 { "issue" } else { "issues" };
    let keeps_to = |row: Row| {
        let (requests, reads, writes) = (row.github_requests(), row.read_units, row.write_units);
        let changed = count as f64;
        row.at_most("GitHub requests", requests, 2.0)
            .at_most("RRU beyond an idle pass", reads - idle.read_units, 2.0 * changed)
            // The row, its entry among the open issues, and a deletion and a put among the changes; 45 bytes of the
            // AgentRun, which lists the issue.
            .at_most("WRU beyond an idle pass", writes - idle.write_units, 4.045 * changed + 4.0)
    };
    let (row, what) = (format!("changed_{count}"), format!("{count} {issues} of one repository changed"));
    [
        keeps_to(Row::of(row.clone(), what, &changes, changed)),
        keeps_to(Row::of(format!("{row}_settling"), "  and the pass that settles it", &settlings, settled)),
    ]
}

/// Leaves only one issue in a repository's newest second: the next listing reads that second again.
fn calm(environment: &mut Environment<'_>, world: &World, repository: &str) {
    world.edit(repository, 1, "An issue that was renamed last");
    environment.catch_up("alpha");
    world.outlive_settling();
    environment.catch_up("alpha");
}

/// Idle fleets of other sizes, with ten issues per repository: the input of `infra/costs.py`.
pub fn idle_by_size(runtime: &Runtime, progress: &Progress, scale: &Scale) -> Vec<Row> {
    let row = |&repositories: &usize| {
        progress.report(&format!("idle passes over {repositories} repositories of ten issues"));
        let world = World::start(runtime, repositories, 10);
        Environment::start(&world, SERVICE).catch_up("seed");
        assert_eq!(world.open_rows(), 10 * repositories, "the first passes stored every issue");
        world.move_away();
        let what = format!("idle pass over {repositories} of ten issues");
        Row::of(format!("idle_{repositories}"), what, &idle_samples(&world, scale.repeats(3)), idle_chain())
    };
    scale.idle_fleets.iter().map(row).collect()
}

/// A hundred concurrent queries, and the whole partition of the fleet to read meanwhile.
pub fn idle_of_the_largest(runtime: &Runtime, progress: &Progress) -> Row {
    progress.report(&format!("idle passes over {LARGEST} repositories"));
    let mut world = World::start(runtime, 1, 1);
    Environment::start(&world, SERVICE).catch_up("seed");
    world.grow(LARGEST);
    world.move_away();
    let what = format!("idle pass over {LARGEST} of one issue");
    let row = Row::of(format!("idle_{LARGEST}"), what, &idle_samples(&world, 3), idle_chain());
    let (requests, ratio, peak) = (row.github_requests(), row.ratio, row.peak_rss_mb);
    let (reads, writes) = (row.read_units, row.write_units);
    row.at_most("GitHub requests", requests, 100.0)
        .at_most("RRU", reads, 600.0)
        .at_most("WRU", writes, 5.0)
        .at_most("× its chain", ratio, 1.6)
        .at_most("MB of memory", peak, 96.0)
}
