//! What the benchmark is doing, on standard error, and an end to a run that takes too long.

use std::time::{Duration, Instant};

/// A run may take no longer: nobody waits for a benchmark that does.
const MAX_LENGTH: Duration = Duration::from_secs(600);

/// The time since the run began.
pub struct Progress(Instant);

impl Progress {
    /// Begins now.
    pub fn begin() -> Self {
        Self(Instant::now())
    }

    /// Tells what comes next.
    pub fn tell(&self, what: &str) {
        let elapsed = self.elapsed();
        assert!(
            elapsed < MAX_LENGTH,
            "the benchmark takes longer than {MAX_LENGTH:?}: it got as far as {what}"
        );
        eprintln!("{:4} s  {what}", elapsed.as_secs());
    }

    /// How long the run has taken so far.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
