//! The figures of the runs and their targets: a table for people, JSON for programs.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::trace::Touched;

/// The service's init may cost at most this many times that of the hello function.
const MAX_TIMES_HELLO: f64 = 3.0;

/// The Node peer's init must cost at least this many times the service's.
const LEAST_TIMES_CHEAPER_THAN_NODE: f64 = 25.0;

/// DynamoDB, Secrets Manager and GitHub: one connection to each is enough.
const HOSTS: f64 = 3.0;

/// One run of one function.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    /// CPU time until the request for the first event.
    pub(crate) init: Duration,
    /// CPU time of the first heartbeat, from its event to the request for the next event.
    pub(crate) first_request: Duration,
    /// Peak resident memory, in MB.
    pub(crate) peak_resident_megabytes: f64,
    /// Connections opened in init.
    pub(crate) connections_in_init: usize,
    /// Connections opened in the first request.
    pub(crate) connections_in_first_request: usize,
}

/// A figure over all runs.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Figure {
    median: f64,
    least: f64,
    most: f64,
}

/// The figures of one function's runs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    name: &'static str,
    runs: usize,
    init_cpu_ms: Figure,
    first_request_cpu_ms: Figure,
    peak_resident_mb: Figure,
    connections_in_init: Figure,
    connections_in_first_request: Figure,
}

/// A target and its measured figure. `atMost` or `atLeast` is the bound.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Target {
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_most: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_least: Option<f64>,
    measured: f64,
    met: bool,
}

/// All results.
#[derive(Serialize)]
pub(crate) struct Report {
    machine: &'static str,
    rows: [Row; 3],
    targets: Vec<Target>,
}

impl Figure {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let (Some(least), Some(most)) = (values.first(), values.last()) else {
            panic!("a figure of no runs");
        };
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Self { median: low.midpoint(high), least: *least, most: *most }
    }
}

impl Row {
    /// Summarizes a function's runs.
    pub(crate) fn of(name: &'static str, runs: &[Run]) -> Self {
        let figure = |of: fn(&Run) -> f64| Figure::of(runs.iter().map(of).collect());
        Self {
            name,
            runs: runs.len(),
            init_cpu_ms: figure(|run| run.init.as_secs_f64() * 1_000.0),
            first_request_cpu_ms: figure(|run| run.first_request.as_secs_f64() * 1_000.0),
            peak_resident_mb: figure(|run| run.peak_resident_megabytes),
            connections_in_init: figure(|run| run.connections_in_init as f64),
            connections_in_first_request: figure(|run| run.connections_in_first_request as f64),
        }
    }
}

impl Target {
    fn at_most(what: &'static str, bound: f64, measured: f64) -> Self {
        Self { what, at_most: Some(bound), at_least: None, measured, met: measured <= bound }
    }

    fn at_least(what: &'static str, bound: f64, measured: f64) -> Self {
        Self { what, at_most: None, at_least: Some(bound), measured, met: measured >= bound }
    }
}

impl Report {
    /// The service beside the hello function and the Node peer, and what its init touched, if that was traced. A smoke
    /// run has no targets of time.
    pub(crate) fn new(smoke: bool, hello: Row, service: Row, node: Row, touched: Option<&Touched>) -> Self {
        let init = |row: &Row| row.init_cpu_ms.median;
        let mut targets = Vec::new();
        if !smoke {
            let times_hello = init(&service) / init(&hello);
            targets.push(Target::at_most(
                "init CPU, times the hello function's",
                MAX_TIMES_HELLO,
                times_hello,
            ));
            targets.push(Target::at_least(
                "the Node peer's init CPU, times the service's",
                LEAST_TIMES_CHEAPER_THAN_NODE,
                init(&node) / init(&service),
            ));
        }
        targets.push(Target::at_most("connections opened in init", HOSTS, service.connections_in_init.most));
        targets.push(Target::at_most(
            "connections opened in the first request",
            0.0,
            service.connections_in_first_request.most,
        ));
        if let Some(touched) = touched {
            let (files, metadata) = (touched.certificate_files as f64, touched.metadata_connections as f64);
            targets.push(Target::at_most("files opened among the system's certificates", 0.0, files));
            targets.push(Target::at_most("connections to the metadata service", 0.0, metadata));
        }
        Self { machine: std::env::consts::ARCH, rows: [hello, service, node], targets }
    }

    /// Whether no target was missed.
    pub(crate) fn meets_its_targets(&self) -> bool {
        self.targets.iter().all(|target| target.met)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { median, least, most } = self;
        let text = format!("{median:.1} ({least:.1} to {most:.1})");
        f.pad(&text)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Process CPU time, user and system, in ms: the median of {} runs each (the least to the most), {}\n",
            self.rows[0].runs, self.machine
        )?;
        let names = ["", "init", "first request", "peak RSS, MB", "connections"];
        writeln!(f, "{:<16}{:<26}{:<22}{:<24}{}", names[0], names[1], names[2], names[3], names[4])?;
        for row in &self.rows {
            writeln!(
                f,
                "{:<16}{:<26}{:<22}{:<24}{} + {}",
                row.name,
                row.init_cpu_ms,
                row.first_request_cpu_ms,
                row.peak_resident_mb,
                row.connections_in_init.median,
                row.connections_in_first_request.median
            )?;
        }
        writeln!(f)?;
        for target in &self.targets {
            let (word, bound) = match (target.at_most, target.at_least) {
                (Some(bound), _) => ("at most", bound),
                (None, bound) => ("at least", bound.unwrap_or_default()),
            };
            let verdict = if target.met { "met" } else { "MISSED" };
            writeln!(f, "{:<48}{:>6.1}   {word} {bound}: {verdict}", target.what, target.measured)?;
        }
        Ok(())
    }
}
