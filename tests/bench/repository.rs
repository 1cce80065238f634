//! The rows of one repository, which is read for the first time and audited, and of a few repositories with the largest
//! issues that GitHub allows.

use std::time::Duration;

use tokio::runtime::Runtime;

use crate::chain::{Chain, To};
use crate::environment::{Environment, Sample};
use crate::progress::Progress;
use crate::row::Row;
use crate::scale::Scale;
use crate::world::World;

const SERVICE: &str = "service";

/// GitHub's longest page.
const PAGE: u64 = 100;

/// Longer than the interval between audits.
const AUDIT_HOURS: u64 = 7;

/// A small and a large backfill, and audits of the latter.
pub fn rows(runtime: &Runtime, progress: &Progress, scale: &Scale) -> Vec<Row> {
    let (small, large) = scale.backfills;
    progress.report(&format!("backfills of {small} issues"));
    let samples: Vec<Sample> =
        (0..scale.repeats(3)).map(|_| first_pass(&away(runtime, small), small)).collect();
    let few = backfill(small, &samples);
    progress.report(&format!("backfill of {large} issues"));
    let world = away(runtime, large);
    let many = backfill(large, &[first_pass(&world, large)]);
    let (requests, ratio, peak) = (many.github_requests(), many.ratio, many.peak_rss_mb);
    let (reads, writes) = (many.read_units / large as f64, many.write_units / large as f64);
    let many = many
        .at_most("GitHub requests", requests, 1.02 * (large / PAGE) as f64 + 2.0)
        .at_most("RRU an issue", reads, 0.6)
        .at_most("WRU an issue", writes, 2.1)
        .takes_at_most("× its chain", ratio, 1.1)
        .takes_at_most("RSS MB", peak, 64.0);
    progress.report(&format!("audits of {large} issues"));
    let [idle, audit] = audits(&world, large, scale.repeats(3));
    vec![few, many, idle, audit]
}

/// The first passes over repositories whose issues have the largest body that GitHub allows: 262,144 control
/// characters, each of which takes six bytes in JSON. The memory is that of all these passes.
pub fn largest_bodies(runtime: &Runtime, progress: &Progress, scale: &Scale) -> Row {
    let (repositories, issues) = scale.largest_bodies;
    progress.report(&format!(
        "backfills of {repositories} repositories of {issues} issues with the largest bodies"
    ));
    let body = "\u{1}".repeat(262_144);
    let world = World::start_with_answers_given_up(runtime, repositories, issues, &body);
    let mut environment = Environment::start(&world, SERVICE);
    environment.catch_up("alpha");
    assert_eq!(world.open_rows() as u64, repositories as u64 * issues, "rows of the backfills");
    world.outlive_freshness();
    let idle = environment.beat("alpha").ran_a_pass(0);
    let chain = Chain::of_a_pass().ends_the_pass().ends_the_heartbeat();
    let what = format!("idle pass after reading {repositories} × {issues} issues of 262,144 bytes");
    Row::of("largest_bodies", what, &[idle], chain)
}

/// A world with one repository, at its distance.
fn away(runtime: &Runtime, issues: u64) -> World {
    let world = World::start(runtime, 1, issues);
    world.move_away();
    world
}

/// The first heartbeat of a new process, with an empty table.
fn first_pass(world: &World, issues: u64) -> Sample {
    let sample = Environment::start(world, SERVICE).beat("alpha").ran_a_pass(0);
    assert_eq!(world.open_rows() as u64, issues, "rows of the backfill");
    sample
}

fn backfill(issues: u64, samples: &[Sample]) -> Row {
    let what = format!("backfill of {issues} issues");
    Row::of(format!("backfill_{issues}"), what, samples, backfill_chain(issues))
}

fn backfill_chain(issues: u64) -> Chain {
    let pages = u32::try_from(issues.div_ceil(PAGE)).expect("few enough");
    Chain::of_a_pass()
        .then(To::Rest, pages, "each page begins where the previous one ended")
        .then(To::DynamoDb, 1, "the cached rows of the last page")
        .then(To::DynamoDb, 1, "the new rows of the last page, all at once")
        .then(To::DynamoDb, 1, "the repository's checkpoint follows its rows")
        .ends_the_pass()
        .ends_the_heartbeat()
        .but_no_shorter_than(
            Duration::from_millis(issues),
            "DynamoDB allows 1,000 writes a second in one partition",
        )
}

/// An idle pass over the large repository, and the pass in which its audit is due.
fn audits(world: &World, issues: u64, repeats: usize) -> [Row; 2] {
    let mut environment = Environment::start(world, SERVICE);
    world.outlive_settling();
    environment.beat("alpha").ran_a_pass(0);
    let (mut idles, mut audits) = (Vec::new(), Vec::new());
    for _ in 0..repeats {
        world.outlive_freshness();
        idles.push(environment.beat("alpha").ran_a_pass(0));
        world.pass_hours(AUDIT_HOURS);
        let audit = environment.beat("alpha").ran_a_pass(0);
        assert!(audit.counted.github_requests() >= issues / PAGE, "no audit was due");
        audits.push(audit);
    }
    let chain = Chain::of_a_pass().ends_the_pass().ends_the_heartbeat();
    let what = format!("idle pass, 1 repository, {issues} issues");
    let idle = Row::of(format!("idle_1_of_{issues}"), what, &idles, chain);
    let pages = u32::try_from(issues / PAGE).expect("few enough");
    let chain = Chain::of_a_pass()
        .then(To::GraphQl, pages, "each page begins where the previous one ended")
        .then(To::DynamoDb, 1, "the repository's checkpoint; the index was read meanwhile")
        .ends_the_pass()
        .ends_the_heartbeat();
    let name = format!("audit_{issues}");
    let audit = Row::of(name, "  and the audit of them, nothing vanished", &audits, chain);
    let requests = audit.github_requests() - idle.github_requests();
    let (reads, writes) = (audit.read_units - idle.read_units, audit.write_units - idle.write_units);
    let audit = audit
        .at_most("GitHub requests beyond an idle pass", requests, f64::from(pages))
        // The index of open issues holds what lists show, so an audit reads up to 286 bytes of each issue.
        .at_most("RRU beyond an idle pass", reads, 0.07 * issues as f64)
        .at_most("WRU beyond an idle pass", writes, 1.0);
    [idle, audit]
}
