//! The rows of the board (`src/board`): what a browser reads when it opens the page of 500 agents, and at each look
//! after that. `make board` measures the browser's own work.

use tokio::runtime::Runtime;

use crate::chain::{Chain, To};
use crate::environment::{Environment, Sample};
use crate::progress::Progress;
use crate::row::Row;
use crate::scale::Scale;
use crate::world::World;

const SERVICE: &str = "service";

/// How often each later look is measured.
const REPEATS: usize = 20;

/// A smoke run has as many, since the targets depend on them.
const AGENTS: usize = 500;

/// The most that the board's files may have together, in bytes.
const MAX_FILES: f64 = 45.0 * 1_024.0;

/// The size of an agent's largest item, in bytes; `tests/it/api/declarations.rs` builds it.
const LARGEST: usize = 1_000;

/// The board's files.
const FILES: [&str; 3] = ["/api/board", "/api/board/board.css", "/api/board/board.js"];

const STATUS: &str = "/api/status";

/// What the board reads at the same time in a look at the agents.
const LOOK: [&str; 2] = [STATUS, "/api/agents?limit=500"];

/// All rows of the board. A browser sends a cookie instead of a token. Neither costs a read of the table.
pub fn rows(runtime: &Runtime, progress: &Progress, scale: &Scale) -> Vec<Row> {
    let mut rows = Vec::from(with_typical_items(runtime, progress, scale));
    rows.extend(with_the_largest_items(runtime, progress));
    rows
}

fn with_typical_items(runtime: &Runtime, progress: &Progress, scale: &Scale) -> [Row; 3] {
    progress.report(&format!("the board with {AGENTS} agents"));
    let world = World::start(runtime, 1, 10);
    let mut environment = fleet(&world, None);
    let after_a_pass: Vec<Sample> =
        (0..scale.repeats(REPEATS)).map(|_| look(&mut environment, [None; 2], 200)).collect();
    // Longer than heartbeats can join the pass and write: see `src/views/agents_tag.rs`.
    world.outlive_settling();
    let (opened, bytes) = open(&mut environment);
    let [.., status, agents] = &opened.answers[..] else { panic!("a look has two answers") };
    let (status, agents) = (status.tag(), agents.tag());
    let again = |_| look(&mut environment, [Some(&status), Some(&agents)], 304);
    let again: Vec<Sample> = (0..scale.repeats(REPEATS)).map(again).collect();

    let opened = row("board_opened", format!("the board is opened on {AGENTS} agents"), &[opened], opening());
    let look = row("board_after_a_pass", "  a look soon after a pass", &after_a_pass, a_look());
    let unchanged = row("board_unchanged", "  a look later, while nothing changes", &again, states());
    [
        reads_at_most(opened, 70.0).at_most("bytes of files", bytes as f64, MAX_FILES),
        reads_at_most(look, 70.0),
        reads_at_most(unchanged, 3.0),
    ]
}

/// A consistent read costs twice as much. It is sent only if its answer has a tag that makes the next looks cheap.
fn with_the_largest_items(runtime: &Runtime, progress: &Progress) -> [Row; 2] {
    progress.report(&format!("the board with {AGENTS} agents, largest items"));
    let world = World::start(runtime, 1, 10);
    let mut environment = fleet(&world, Some(LARGEST));
    let after_a_pass = look(&mut environment, [None; 2], 200);
    world.outlive_settling();
    let (opened, _) = open(&mut environment);
    let what = format!("the board is opened on {AGENTS} agents with the largest items");
    let opened = row("board_opened_largest", what, &[opened], opening());
    let look = row("board_after_a_pass_largest", "  a look soon after a pass", &[after_a_pass], a_look());
    [reads_at_most(opened, 130.0), reads_at_most(look, 70.0)]
}

/// A fleet whose agents have declared what agents usually do. Their items have this size in bytes, or that of the
/// declaration.
fn fleet(world: &World, item_size: Option<usize>) -> Environment<'_> {
    let mut environment = Environment::start(world, SERVICE);
    environment.catch_up("agent-000");
    world.outlive_settling();
    environment.catch_up("agent-000");
    let page = |number| format!("https://github.com/{}/issues/{number}", world.repositories[0]);
    let declaration = serde_json::json!({
        "intervalSeconds": 600,
        "stalledAfterSeconds": 3_600,
        "activeIssueUrls": [page(1), page(2)],
        "progress": "runs the tests of the second fix",
        "login": "acme-agent-000",
        "client": "agent-runner/1.12.0",
    });
    environment.beat_with("agent-000", &declaration).was_coalesced();
    world.copy_agent("agent-000", AGENTS, item_size);
    world.move_away();
    environment
}

/// What the board reads from its start to the first look, and the bytes of its files.
fn open(environment: &mut Environment<'_>) -> (Sample, u64) {
    let files = environment.read_at_once(&FILES, &[None; 3]);
    assert!(files.answers.iter().all(|file| file.status() == 200), "{:#?}", files.answers);
    let bytes = files.answers.iter().map(|file| file.number("bytes")).sum();
    // It reads the status alone until it knows that the session is valid.
    let session = environment.read("/api/problems", None).and(environment.read(STATUS, None));
    (files.and(session).and(look(environment, [None; 2], 200)), bytes)
}

/// A look of a client that has the versions with these tags.
fn look(environment: &mut Environment<'_>, tags: [Option<&str>; 2], expected: u64) -> Sample {
    let sample = environment.read_at_once(&LOOK, &tags);
    for answer in &sample.answers {
        assert_eq!(answer.status(), expected, "{answer:#?}");
    }
    if expected == 200 {
        let shown = sample.answers[1].member("agents").as_array().map(Vec::len);
        assert_eq!(shown, Some(AGENTS), "agents on the page");
    }
    sample
}

fn states() -> Chain {
    Chain::default().then(
        To::DynamoDb,
        1,
        "the state, for both; whether agents could be heard, at the same time",
    )
}

fn a_look() -> Chain {
    states().then(To::DynamoDb, 1, "all agents, in one query")
}

fn opening() -> Chain {
    Chain::default()
        .then(To::DynamoDb, 1, "the status shows whether the session is valid")
        .then(To::DynamoDb, 1, "the state, for both; whether agents could be heard, at the same time")
        .then(To::DynamoDb, 1, "all agents, in one query")
}

fn row(name: &str, what: impl Into<String>, samples: &[Sample], chain: Chain) -> Row {
    let row = Row::of(name, what, samples, chain);
    let (requests, writes) = (row.github_requests(), row.write_units);
    row.at_most("GitHub requests", requests, 0.0).at_most("WRU", writes, 0.0)
}

fn reads_at_most(row: Row, limit: f64) -> Row {
    let reads = row.read_units;
    row.at_most("RRU", reads, limit)
}
