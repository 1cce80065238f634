//! The time of the local world: the system's, the system's and more, or one that a test moves by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Tells the time. Clones share it.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    /// So many milliseconds before the system's clock.
    Ahead(Arc<AtomicI64>),
    /// At this number of milliseconds since 1970.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that runs like the system's, and is ahead of it by what it is advanced.
    pub fn running() -> Self {
        Self(Source::Ahead(Arc::default()))
    }

    /// A clock that stays at `start` (to the millisecond) until it is moved.
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(start.as_millisecond()))))
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => Timestamp::now(),
            Source::Ahead(millis) => {
                Timestamp::now() + SignedDuration::from_millis(millis.load(Ordering::SeqCst))
            }
            Source::Manual(millis) => Timestamp::from_millisecond(millis.load(Ordering::SeqCst))
                .expect("a manual clock stays within the range of timestamps"),
        }
    }

    /// Moves the clock forward. Panics on the system's, which nobody moves.
    pub fn advance(&self, by: Duration) {
        let (Source::Ahead(millis) | Source::Manual(millis)) = &self.0 else {
            panic!("the system's clock cannot be moved");
        };
        let by = i64::try_from(by.as_millis()).expect("a step is shorter than the range of timestamps");
        millis.fetch_add(by, Ordering::SeqCst);
    }

    /// Moves the clock forward to then, unless it is later already. Panics on the system's, which nobody moves.
    pub fn advance_to(&self, then: Timestamp) {
        self.advance(Duration::try_from(then.duration_since(self.now())).unwrap_or_default());
    }

    /// By how much it is ahead of the system's clock, in milliseconds: what another process needs to show the same
    /// time. `None` if it is a stopped clock.
    pub fn ahead_millis(&self) -> Option<i64> {
        match &self.0 {
            Source::System => Some(0),
            Source::Ahead(millis) => Some(millis.load(Ordering::SeqCst)),
            Source::Manual(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_clock_is_ahead_by_what_it_was_advanced() {
        let clock = Clock::running();
        clock.clone().advance(Duration::from_secs(3_600));
        assert_eq!(clock.ahead_millis(), Some(3_600_000));
        let ahead = clock.now().duration_since(Timestamp::now());
        assert!((3_590..=3_600).contains(&ahead.as_secs()), "{ahead:?}");
    }
}
