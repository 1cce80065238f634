//! The rows of reads: lists of issues, the list that has not changed, the status, all agents, and the feed of changes.

use tokio::runtime::Runtime;

use crate::chain::{Chain, To};
use crate::environment::{Environment, Sample};
use crate::progress::Progress;
use crate::row::Row;
use crate::scale::Scale;
use crate::world::World;

const SERVICE: &str = "service";

/// How often each read is measured.
const REPEATS: usize = 20;

/// The issues of a page.
const PAGE: usize = 100;

/// All rows of reads.
pub fn rows(runtime: &Runtime, progress: &Progress, scale: &Scale) -> Vec<Row> {
    let mut rows = of_one_repository(runtime, progress, scale);
    rows.push(of_twenty_repositories(runtime, progress, scale));
    rows.push(all_agents(runtime, progress, scale));
    rows.push(changes(runtime, progress, scale));
    rows
}

fn state() -> Chain {
    Chain::default().then(To::DynamoDb, 1, "the state decides whether the client has the list already")
}

/// A page of a list of one repository, the same page for a client that has it, and the status.
fn of_one_repository(runtime: &Runtime, progress: &Progress, scale: &Scale) -> Vec<Row> {
    progress.report("reads of one repository");
    let world = World::start(runtime, 1, 150);
    let mut environment = settled(&world);
    let target = format!("/api/issues?repository={}&limit={PAGE}", world.repositories[0]);
    let first = environment.read(&target, None);
    let tag = first.answer().tag();
    let samples: Vec<Sample> =
        (0..scale.repeats(REPEATS)).map(|_| shows(environment.read(&target, None), "issues", PAGE)).collect();
    let chain = state().then(To::DynamoDb, 1, "the configured name leads to the repository").then(
        To::DynamoDb,
        1,
        "its issues; how it stands is read at the same time",
    );
    let row = Row::of("read_issues_1", "a page of 100 open issues of one repository", &samples, chain);
    let (reads, ratio) = (row.read_units, row.ratio);
    let page = row.at_most("RRU", reads, 15.0).takes_at_most("× its chain", ratio, 1.3);
    let unchanged = |_| {
        let sample = environment.read(&target, Some(&tag));
        assert_eq!(sample.answer().status(), 304);
        sample
    };
    let samples: Vec<Sample> = (0..scale.repeats(REPEATS)).map(unchanged).collect();
    let row = Row::of("read_issues_unchanged", "the same page for a client that has it", &samples, state());
    let reads = row.read_units;
    let unchanged = row.at_most("RRU", reads, 1.0);
    let samples: Vec<Sample> =
        (0..scale.repeats(REPEATS)).map(|_| environment.read("/api/status", None)).collect();
    let row = Row::of("read_status", "the status", &samples, state());
    let reads = row.read_units;
    vec![page, unchanged, row.at_most("RRU", reads, 2.0)]
}

fn of_twenty_repositories(runtime: &Runtime, progress: &Progress, scale: &Scale) -> Row {
    progress.report("reads of twenty repositories");
    let world = World::start(runtime, 20, 5);
    let mut environment = settled(&world);
    let target = format!("/api/issues?limit={PAGE}");
    let samples: Vec<Sample> =
        (0..scale.repeats(REPEATS)).map(|_| shows(environment.read(&target, None), "issues", PAGE)).collect();
    let chain = state().then(To::DynamoDb, 1, "all repositories, from one partition").then(
        To::DynamoDb,
        1,
        "their issues, at the same time",
    );
    let row = Row::of("read_issues_20", "the first 100 open issues of 20 repositories", &samples, chain);
    let (reads, ratio) = (row.read_units, row.ratio);
    row.at_most("RRU", reads, 40.0).takes_at_most("× its chain", ratio, 1.3)
}

fn all_agents(runtime: &Runtime, progress: &Progress, scale: &Scale) -> Row {
    let count = scale.crowd;
    progress.report(&format!("reads of {count} agents"));
    let world = World::start(runtime, 1, 1);
    let agents: Vec<String> = (0..count).map(|n| format!("agent-{n:03}")).collect();
    let mut environment = Environment::start(&world, SERVICE);
    environment.catch_up("agent-000");
    for answer in environment.beat_at_once(&agents).answers {
        answer.expect_well();
    }
    world.move_away();
    let mut sample = environment.read("/api/agents?limit=200", None);
    let mut seen = items(&sample, "agents");
    let mut pages = 1;
    while let Some(cursor) = sample.answers.last().and_then(|last| last.member("nextCursor").as_str()) {
        let target = format!("/api/agents?limit=200&cursor={cursor}");
        let page = environment.read(&target, None);
        seen += items(&page, "agents");
        pages += 1;
        sample = sample.and(page);
    }
    assert_eq!(seen, count, "all agents are listed");
    let chain = Chain::default().then(To::DynamoDb, pages, "a page after the other");
    let row =
        Row::of(format!("read_agents_{count}"), format!("all pages of {count} agents"), &[sample], chain);
    let reads = row.read_units;
    row.at_most("RRU", reads, 70.0)
}

/// A hundred changes of three repositories among many.
fn changes(runtime: &Runtime, progress: &Progress, scale: &Scale) -> Row {
    const CHANGED: [(usize, u64); 3] = [(0, 34), (1, 33), (2, 33)];
    let repositories = scale.unreported.repositories;
    progress.report(&format!("the feed of {repositories} repositories"));
    let world = World::start(runtime, repositories, 1);
    let mut environment = settled(&world);
    let start = environment.read("/api/changes", None).answer().member("nextCursor").clone();
    let start = start.as_str().expect("a pass has ended").to_owned();
    world.outlive_freshness();
    for (repository, _) in CHANGED {
        world.edit(&world.repositories[repository], 1, "An issue that was renamed just now");
    }
    world.move_near();
    environment.beat("alpha").ran_a_pass(3);
    for (repository, changes) in CHANGED {
        world.copy_changed_issue(&world.repositories[repository], changes);
    }
    world.move_away();
    let target = format!("/api/changes?after={start}&limit={PAGE}");
    let samples: Vec<Sample> = (0..scale.repeats(REPEATS))
        .map(|_| shows(environment.read(&target, None), "changes", PAGE))
        .collect();
    let chain = state().then(To::DynamoDb, 1, "the changes of the three repositories that the state names");
    let what = format!("100 changes of three among {repositories} repositories");
    let row = Row::of("read_changes", what, &samples, chain);
    let reads = row.read_units;
    row.at_most("RRU", reads, 12.0)
}

/// A service that has read everything in a world that is then moved away.
fn settled(world: &World) -> Environment<'_> {
    let mut environment = Environment::start(world, SERVICE);
    environment.catch_up("alpha");
    world.outlive_settling();
    environment.catch_up("alpha");
    world.move_away();
    environment
}

/// The only answer shows this many items.
fn shows(sample: Sample, items: &str, count: usize) -> Sample {
    assert_eq!(self::items(&sample, items), count, "{:#?}", sample.answer());
    sample
}

fn items(sample: &Sample, items: &str) -> usize {
    let answer = sample.answer();
    assert_eq!(answer.status(), 200, "{answer:#?}");
    answer.member(items).as_array().map(Vec::len).unwrap_or_default()
}
