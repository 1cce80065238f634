//! Reports on standard error what the benchmark is doing, and ends a run that takes too long.

use std::time::{Duration, Instant};

/// The longest duration of a run: nobody waits longer for a benchmark.
const MAX_LENGTH: Duration = Duration::from_secs(600);

/// The time since the run began.
pub struct Progress(Instant);

impl Progress {
    /// Starts the clock.
    pub fn begin() -> Self {
        Self(Instant::now())
    }

    /// Prints the next piece of work.
    pub fn report(&self, what: &str) {
        let elapsed = self.elapsed();
        assert!(elapsed < MAX_LENGTH, "the benchmark takes longer than {MAX_LENGTH:?}; next was: {what}");
        eprintln!("{:4} s  {what}", elapsed.as_secs());
    }

    /// How long the run has taken so far.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
