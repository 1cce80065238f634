//! `make bench`: the cost of a heartbeat and of a pass, counted and timed, against the targets and beside the way of
//! working that this service replaces.
//!
//! The service runs in its own process, so that processor time and memory are its own, and receives Lambda's events.
//! The simulated world (GitHub, DynamoDB, Secrets Manager) runs in this process, at a stated distance: the answer to
//! every request is delayed by itself. Both use the system's clock, moved ahead where something has to expire. A row
//! that does not do the work that it represents ends the run.
//!
//! `make bench-smoke` (`--smoke`) runs every row in its smallest form, unoptimised. A row that does not do its work, or
//! a count above its target, ends it with status 1. Times are not judged.
//!
//! The benchmark measures neither a cold start nor a real network, and judges only figures with a target.

#![allow(unreachable_pub, reason = "nothing uses a program's items from outside")]
#![allow(
    clippy::disallowed_methods,
    reason = "the service must not read the system's clock; its benchmark has to"
)]

mod board;
mod chain;
mod comparison;
mod environment;
mod fleet;
#[path = "../it/support/item_size.rs"]
mod item_size;
mod overhead;
mod peer;
mod progress;
mod reads;
mod report;
mod repository;
mod row;
mod scale;
mod service;
mod unreported;
mod wire;
mod world;

use std::process::ExitCode;

use progress::Progress;
use report::Report;
use row::Row;
use scale::Scale;
use world::World;

/// The most memory that any row of the service may take.
const MAX_RSS_MB: f64 = 96.0;

fn main() -> ExitCode {
    // `cargo bench` itself passes `--bench`.
    match std::env::args().nth(1).as_deref() {
        Some("service") => service::run(),
        Some("peer") => peer::run(),
        Some("--smoke") => return measure(&Scale::SMALLEST),
        _ => return measure(&Scale::FULL),
    }
    ExitCode::SUCCESS
}

fn measure(scale: &Scale) -> ExitCode {
    let load_before = report::load_average();
    let progress = Progress::begin();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    progress.report("the simulated world itself");
    let overheads = {
        let world = World::start(&runtime, 100, scale.issues);
        world.move_away();
        overhead::measure(&runtime, &world, scale)
    };
    overheads.iter().for_each(|overhead| progress.report(&overhead.to_string()));
    // `ROW=idle_10000` or `ROW=largest_bodies` measures that row alone.
    let only = std::env::var("ROW").unwrap_or_default();
    let mut rows = Vec::new();
    if only == "largest_bodies" {
        rows.push(repository::largest_bodies(&runtime, &progress, scale));
    } else if only != "idle_10000" {
        rows.extend(fleet::rows(&runtime, &progress, scale));
        rows.extend(fleet::idle_by_size(&runtime, &progress, scale));
        rows.extend(unreported::rows(&runtime, &progress, &scale.unreported));
        rows.extend(reads::rows(&runtime, &progress, scale));
        rows.extend(board::rows(&runtime, &progress, scale));
        rows.extend(repository::rows(&runtime, &progress, scale));
        rows.push(repository::largest_bodies(&runtime, &progress, scale));
        // The function has 256 MB, and needs some of them for what is not measured here.
        rows = rows
            .into_iter()
            .map(|row| {
                let peak = row.peak_rss_mb;
                row.takes_at_most("RSS MB", peak, MAX_RSS_MB)
            })
            .collect();
        rows.extend(comparison::rows(&runtime, &progress, scale));
    }
    if !scale.smoke && only != "largest_bodies" {
        rows.push(fleet::idle_of_the_largest(&runtime, &progress));
    }
    report::assert_names_are_unique(&rows);
    if scale.smoke {
        rows.iter_mut().for_each(Row::forget_times);
        report::print_smoke(&rows);
        progress.report("done");
        return if rows.iter().all(Row::meets_its_targets) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let report = Report { load_before, overheads, rows, took: progress.elapsed() };
    report.print();
    let file = report.save().expect("cargo's target folder can be written to");
    progress.report(&format!("done: {}", file.display()));
    ExitCode::SUCCESS
}
