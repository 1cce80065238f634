//! The sizes of everything measured: the fleets of the targets, or the smallest ones with the same counts
//! (`make bench-smoke`).

use crate::unreported;

/// The sizes of the rows.
#[derive(Debug)]
pub struct Scale {
    /// Whether this is a smoke run, which is not optimised: times and memory have no targets.
    pub smoke: bool,
    /// The most measurements of a row.
    repeats: usize,
    /// The numbers of requests in sequence and at once that measure the simulated world itself.
    pub overhead: (u32, u32),
    /// Issues in each of the fleet's 100 repositories.
    pub issues: u64,
    /// How many agents send heartbeats at once.
    pub crowd: usize,
    /// How many issues change at once, one entry per row.
    pub bursts: &'static [u64],
    /// Repositories of the further idle fleets.
    pub idle_fleets: &'static [usize],
    /// The sizes of the rows of agents with unreported changes.
    pub unreported: unreported::Sizes,
    /// Issues of the two repositories that are read for the first time; the larger one is audited.
    pub backfills: (u64, u64),
    /// Repositories, and issues in each, with the largest bodies that GitHub allows.
    pub largest_bodies: (usize, u64),
    /// Repositories, and issues in each, of the fleet that the peer also serves.
    pub compared: (usize, u64),
}

impl Scale {
    /// `make bench`.
    pub const FULL: Self = Self {
        smoke: false,
        repeats: usize::MAX,
        overhead: (30, 300),
        issues: 100,
        crowd: 500,
        bursts: &[1, 10, 100],
        idle_fleets: &[1, 20, 500, 1_000],
        unreported: unreported::Sizes { repositories: 500, agents: 500, backlogs: &[1_000, 20_000, 320_000] },
        backfills: (500, 5_000),
        largest_bodies: (8, 300),
        compared: (20, 100),
    };

    /// `make bench-smoke`. The fleet has the full number of repositories, since the targets of passes depend on them,
    /// and most rows are measured twice, since their counts have to be the same.
    pub const SMALLEST: Self = Self {
        smoke: true,
        repeats: 2,
        overhead: (2, 10),
        issues: 10,
        crowd: 20,
        bursts: &[1, 10],
        idle_fleets: &[1],
        unreported: unreported::Sizes { repositories: 100, agents: 20, backlogs: &[300] },
        backfills: (200, 300),
        largest_bodies: (2, 12),
        compared: (2, 20),
    };

    /// How often to measure a row that `make bench` measures `full` times.
    pub fn repeats(&self, full: usize) -> usize {
        full.min(self.repeats)
    }
}
