//! Words that every simulated service shares for what is ordered of requests to come.
//!
//! Which requests an order means, and what can go wrong with them, each service
//! says itself.

use std::time::Duration;

use tokio::sync::watch;

/// A fault, and how many requests meet it. A fault by itself is met once.
#[derive(Clone, Debug)]
pub struct Repeated<F> {
    pub(crate) fault: F,
    /// `None` is for ever.
    pub(crate) times: Option<u64>,
}

impl<F> Repeated<F> {
    /// Met by one request. Returns whether the order remains after it.
    pub(crate) fn meet(&mut self) -> bool {
        if let Some(times) = &mut self.times {
            *times = times.saturating_sub(1);
        }
        self.times != Some(0)
    }
}

/// Requests that are kept waiting until this is released or dropped.
#[derive(Debug)]
pub struct Held {
    arrived: watch::Receiver<usize>,
    _closed: watch::Sender<()>,
}

/// So long, by tokio's clock, until a test whose request never comes says so instead of hanging.
const PATIENCE: Duration = Duration::from_secs(10);

impl Held {
    /// Waits until a request is held. Panics when none comes within ten seconds.
    pub async fn arrived(&mut self) {
        self.all_arrived(1).await;
    }

    /// Waits until `count` requests are held. Panics when they do not come within ten seconds.
    pub async fn all_arrived(&mut self, count: usize) {
        let arrived = self.arrived.wait_for(|&arrived| arrived >= count);
        match tokio::time::timeout(PATIENCE, arrived).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => panic!("the service that was to hold requests is gone"),
            Err(_) => panic!("no request to hold came within {PATIENCE:?}"),
        }
    }

    /// Lets the requests go on. Later ones are not held any more.
    pub fn release(self) {}
}

/// The service's side of [`Held`]: where requests wait.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    arrived: watch::Sender<usize>,
    closed: watch::Receiver<()>,
}

impl Gate {
    pub(crate) fn new() -> (Self, Held) {
        let (arrived, arrivals) = watch::channel(0);
        let (closing, closed) = watch::channel(());
        let held = Held { arrived: arrivals, _closed: closing };
        (Self { arrived, closed }, held)
    }

    /// Waits here until it is open.
    pub(crate) async fn pass(mut self) {
        self.arrived.send_modify(|arrived| *arrived += 1);
        // Nothing is ever sent: it opens when the `Held` is gone.
        let _ = self.closed.changed().await;
    }

    pub(crate) fn is_open(&self) -> bool {
        self.closed.has_changed().is_err()
    }
}
