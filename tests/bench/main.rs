//! `make bench`: what a beat and a pass cost, counted and timed, against the targets and beside the way of working
//! that this service replaces.
//!
//! The service runs in a process of its own, so that processor time and memory are its own, and is called with Lambda's
//! events. The world around it (GitHub, DynamoDB, Secrets Manager) runs in this process, at a stated distance: every
//! request is answered later, each by itself. The clock of both is the system's, moved ahead where something has to
//! run out. A row that does not do what it claims ends the run.
//!
//! It measures neither a cold start nor a real network, and judges only what stands as a target.

#![allow(unreachable_pub, reason = "a program has no outside")]
#![allow(
    clippy::disallowed_methods,
    reason = "the service must not ask the system's clock; who measures it has to"
)]

mod chain;
mod comparison;
mod fleet;
mod news;
mod overhead;
mod peer;
mod progress;
mod report;
mod repository;
mod row;
mod sandbox;
mod service;
mod wire;
mod world;

use progress::Progress;
use report::Report;
use world::World;

fn main() {
    // Cargo itself says `--bench`.
    match std::env::args().nth(1).as_deref() {
        Some("service") => service::run(),
        Some("peer") => peer::run(),
        _ => measure(),
    }
}

fn measure() {
    let load_before = report::load_average();
    let progress = Progress::begin();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    progress.tell("the local world itself");
    let overheads = {
        let world = World::start(&runtime, 100, 100);
        world.move_away();
        overhead::measure(&runtime, &world)
    };
    overheads.iter().for_each(|overhead| progress.tell(&overhead.to_string()));
    let mut rows = fleet::rows(&runtime, &progress);
    rows.extend(fleet::idle_by_size(&runtime, &progress));
    rows.extend(news::rows(&runtime, &progress, &news::Sizes::FULL));
    rows.extend(repository::rows(&runtime, &progress));
    rows.extend(comparison::rows(&runtime, &progress));
    let report = Report { load_before, overheads, rows, took: progress.elapsed() };
    report.print();
    let file = report.save().expect("cargo's target folder can be written to");
    progress.tell(&format!("done: {}", file.display()));
}
