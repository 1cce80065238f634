//! The time of the local world: the system's, or one that a test moves by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

/// Tells the time. Clones share it.
#[derive(Clone, Debug)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands at `start` (to the millisecond) until it is moved.
    pub fn manual(start: Timestamp) -> Self {
        Self(Some(Arc::new(AtomicI64::new(start.as_millisecond()))))
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            None => Timestamp::now(),
            Some(millis) => Timestamp::from_millisecond(millis.load(Ordering::SeqCst))
                .expect("a manual clock stays within the range of timestamps"),
        }
    }

    /// Moves a manual clock forward. Panics on the system's clock, which nobody moves.
    pub fn advance(&self, by: Duration) {
        let millis = self.0.as_ref().expect("only a manual clock can be moved");
        let by = i64::try_from(by.as_millis()).expect("a step is shorter than the range of timestamps");
        millis.fetch_add(by, Ordering::SeqCst);
    }
}
