//! A row of the table: what was counted, what was measured, and whether both meet the targets.

use std::time::Duration;

use serde::Serialize;

use crate::chain::Chain;
use crate::environment::Sample;
use crate::world::Counted;

/// One kind of work. Serialized, it is an entry of `rows` in the JSON, with stable names.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Its stable name.
    pub row: String,
    /// The work, in words for people.
    pub what: String,
    /// How often it was measured: times are medians, counts were the same each time.
    pub repeats: usize,
    /// Requests to GitHub's REST API.
    pub rest_requests: u64,
    /// Requests to its GraphQL API.
    pub graphql_requests: u64,
    /// The points that those cost.
    pub graphql_points: u64,
    /// DynamoDB's read request units.
    pub read_units: f64,
    /// DynamoDB's write request units.
    pub write_units: f64,
    /// Milliseconds from the first event to the last answer.
    pub wall_ms: f64,
    /// Milliseconds of round trips that cannot be avoided.
    pub chain_ms: f64,
    /// Wall time divided by the chain's time.
    pub ratio: f64,
    /// Milliseconds of processor time in the process that answered.
    pub cpu_ms: f64,
    /// The most memory of that process, in MiB.
    pub peak_rss_mb: f64,
    /// The row's limits. Without any, it is there for comparison.
    pub targets: Vec<Target>,
    /// The chain's steps.
    pub chain: Chain,
}

/// A figure and its limit.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The figure, with its unit.
    what: String,
    limit: f64,
    measured: f64,
    met: bool,
    /// Whether it is the same in every run, unlike times and memory.
    counted: bool,
}

impl Row {
    /// The row for samples of the same work. Aborts the run if their counts differ.
    pub fn of(row: impl Into<String>, what: impl Into<String>, samples: &[Sample], chain: Chain) -> Self {
        let (row, what) = (row.into(), what.into());
        let [first, others @ ..] = samples else { panic!("{row} was not measured") };
        for other in others {
            assert_eq!(
                other.counted, first.counted,
                "{row}: two runs of the same work have different counts"
            );
        }
        let Counted { rest_requests, graphql_requests, graphql_points, read_units, write_units, .. } =
            first.counted;
        let wall = median(samples.iter().map(|sample| sample.wall));
        let peak = samples.iter().map(|sample| sample.peak_rss_kib).max().unwrap_or_default();
        Self {
            row,
            what,
            repeats: samples.len(),
            rest_requests,
            graphql_requests,
            graphql_points,
            read_units,
            write_units,
            wall_ms: rounded(wall * 1_000.0, 10.0),
            chain_ms: chain.duration().as_secs_f64() * 1_000.0,
            ratio: rounded(wall / chain.duration().as_secs_f64(), 100.0),
            cpu_ms: rounded(median(samples.iter().map(|sample| sample.cpu)) * 1_000.0, 100.0),
            peak_rss_mb: rounded(peak as f64 / 1_024.0, 10.0),
            targets: Vec::new(),
            chain,
        }
    }

    /// Requests to GitHub by either API.
    pub fn github_requests(&self) -> f64 {
        (self.rest_requests + self.graphql_requests) as f64
    }

    /// Adds a target for a count: `measured`, named `what`, is at most `limit`.
    pub fn at_most(self, what: &str, measured: f64, limit: f64) -> Self {
        self.with_target(what, measured, limit, true)
    }

    /// Adds a target for a time or for memory, which differ from run to run.
    pub fn takes_at_most(self, what: &str, measured: f64, limit: f64) -> Self {
        self.with_target(what, measured, limit, false)
    }

    fn with_target(mut self, what: &str, measured: f64, limit: f64, counted: bool) -> Self {
        let measured = rounded(measured, 1_000.0);
        self.targets.push(Target { what: what.to_owned(), limit, measured, met: measured <= limit, counted });
        self
    }

    /// Drops the targets for time and memory.
    pub fn forget_times(&mut self) {
        self.targets.retain(|target| target.counted);
    }

    /// Whether no target was missed.
    pub fn meets_its_targets(&self) -> bool {
        self.targets.iter().all(|target| target.met)
    }

    /// Whether it meets its targets, in words.
    pub fn verdict(&self) -> String {
        if self.targets.is_empty() {
            return "–".to_owned();
        }
        let missed: Vec<String> = self.targets.iter().filter_map(Target::missed).collect();
        if missed.is_empty() { "met".to_owned() } else { format!("missed by {}", missed.join(", ")) }
    }
}

impl Target {
    fn missed(&self) -> Option<String> {
        let excess = rounded(self.measured - self.limit, 100.0);
        (!self.met).then(|| format!("{excess} {} ({} of at most {})", self.what, self.measured, self.limit))
    }
}

/// In seconds.
fn median(durations: impl Iterator<Item = Duration>) -> f64 {
    let mut durations: Vec<Duration> = durations.collect();
    durations.sort_unstable();
    let upper = durations[durations.len() / 2];
    let lower = durations[(durations.len() - 1) / 2];
    (lower + upper).as_secs_f64() / 2.0
}

/// Rounds to a multiple of `1 / parts`.
fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}
