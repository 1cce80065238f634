//! The benchmark's results: a table for people on standard output, and `bench/pass.json` in cargo's target folder for
//! programs.
//!
//! The JSON is one object: `profile` (how it was built), `cores`, `loadBefore` (the machine's load average of the
//! minute before: other work lengthens times), `delaysMs` (`rest`, `graphql`, `dynamodb`), `overheads` (what the
//! simulated world itself adds to them), `rows` (see [`Row`]) and `seconds` (the whole run). Names are stable; new ones
//! may be added.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::overhead::Overhead;
use crate::row::Row;
use crate::world::{DYNAMODB_DELAY, GRAPHQL_DELAY, REST_DELAY};

/// How this program is built; `Cargo.toml` says so.
const PROFILE: &str =
    "release (opt-level s), but thin local LTO and 16 codegen units instead of fat LTO and 1";

/// The whole run.
#[derive(Debug)]
pub struct Report {
    /// The [`load_average`] before the run.
    pub load_before: f64,
    /// What the simulated world adds to its delays.
    pub overheads: Vec<Overhead>,
    /// In the order they were measured.
    pub rows: Vec<Row>,
    /// How long it took.
    pub took: Duration,
}

/// The JSON, as the head of this file describes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    profile: &'static str,
    cores: usize,
    load_before: f64,
    delays_ms: Delays,
    overheads: &'a [Overhead],
    rows: &'a [Row],
    seconds: u64,
}

#[derive(Serialize)]
struct Delays {
    rest: u128,
    graphql: u128,
    dynamodb: u128,
}

const HEADINGS: [&str; 12] = [
    "work", "REST", "GraphQL", "points", "RRU", "WRU", "wall ms", "chain ms", "ratio", "CPU ms", "RSS MB",
    "target",
];

impl Report {
    /// Writes the JSON and returns its path.
    pub fn save(&self) -> io::Result<PathBuf> {
        let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let folder = target.parent().expect("it is a folder of cargo's target folder").join("bench");
        std::fs::create_dir_all(&folder)?;
        let file = folder.join("pass.json");
        let document = Document {
            profile: PROFILE,
            cores: cores(),
            load_before: self.load_before,
            delays_ms: Delays {
                rest: REST_DELAY.as_millis(),
                graphql: GRAPHQL_DELAY.as_millis(),
                dynamodb: DYNAMODB_DELAY.as_millis(),
            },
            overheads: &self.overheads,
            rows: &self.rows,
            seconds: self.took.as_secs(),
        };
        std::fs::write(&file, format!("{}\n", serde_json::to_string_pretty(&document)?))?;
        Ok(file)
    }

    /// Prints the table, and what is needed to read it.
    pub fn print(&self) {
        println!("Distances: REST {REST_DELAY:?}, GraphQL {GRAPHQL_DELAY:?}, DynamoDB {DYNAMODB_DELAY:?}.");
        println!(
            "{} cores, shared by the service and the simulated world; load average before: {}.",
            cores(),
            self.load_before
        );
        for overhead in &self.overheads {
            println!("{overhead}");
        }
        println!("Profile: {PROFILE}.");
        println!(
            "Counts are exact and the same in each repetition; times are medians. The chain consists of round trips \
             that depend on each other.\n"
        );
        print_table(&self.rows);
    }
}

/// Aborts the run if two rows have the same name: `infra/costs.py` finds rows by name.
pub fn assert_names_are_unique(rows: &[Row]) {
    let names: HashSet<&str> = rows.iter().map(|row| row.row.as_str()).collect();
    assert_eq!(names.len(), rows.len(), "two rows have the same name");
}

/// The table of a smoke run.
pub fn print_smoke(rows: &[Row]) {
    println!(
        "Smoke run: the smallest fleets, not optimised. Counts are exact; times and memory mean nothing.\n"
    );
    print_table(rows);
}

fn print_table(rows: &[Row]) {
    let rows = rows.iter().map(cells);
    let table: Vec<[String; 12]> = [HEADINGS.map(str::to_owned)].into_iter().chain(rows).collect();
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEADINGS.len()).map(width).collect();
    for row in &table {
        let cell = |(column, text): (usize, &String)| match column {
            0 => format!("{text:<0$}", widths[0]),
            11 => text.clone(),
            _ => format!("{text:>0$}", widths[column]),
        };
        println!("{}", row.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ").trim_end());
    }
}

fn cells(row: &Row) -> [String; 12] {
    [
        row.what.clone(),
        row.rest_requests.to_string(),
        row.graphql_requests.to_string(),
        row.graphql_points.to_string(),
        row.read_units.to_string(),
        row.write_units.to_string(),
        format!("{:.1}", row.wall_ms),
        format!("{:.0}", row.chain_ms),
        format!("{:.2}", row.ratio),
        format!("{:.2}", row.cpu_ms),
        format!("{:.1}", row.peak_rss_mb),
        row.verdict(),
    ]
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// How many programs wanted a core, on average over the last minute.
pub fn load_average() -> f64 {
    let loads = std::fs::read_to_string("/proc/loadavg").expect("Linux reports its load");
    loads.split(' ').next().and_then(|load| load.parse().ok()).expect("the first number is the last minute's")
}
