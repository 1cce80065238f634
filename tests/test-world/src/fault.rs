//! Repeated faults and holds, which all simulated services share.
//!
//! Each service defines its own faults and how to match requests.

use std::time::Duration;

use tokio::sync::watch;

/// A fault and the number of requests that it hits. A plain fault hits one.
#[derive(Clone, Debug)]
pub struct Repeated<F> {
    pub(crate) fault: F,
    /// `None`: without limit.
    pub(crate) times: Option<u64>,
}

impl<F> Repeated<F> {
    /// Counts one hit. Returns whether the fault stays for further requests.
    pub(crate) fn hit(&mut self) -> bool {
        if let Some(times) = &mut self.times {
            *times = times.saturating_sub(1);
        }
        self.times != Some(0)
    }
}

/// Holds requests until it is released or dropped.
#[derive(Debug)]
pub struct Held {
    arrived: watch::Receiver<usize>,
    _closed: watch::Sender<()>,
}

/// A test whose request never arrives fails after this time of tokio's clock, instead of hanging.
const MAX_WAIT: Duration = Duration::from_secs(10);

impl Held {
    /// Waits until a request is held. Panics if none arrives within ten seconds.
    pub async fn arrived(&mut self) {
        self.all_arrived(1).await;
    }

    /// Waits until `count` requests are held. Panics if they do not arrive within ten seconds.
    pub async fn all_arrived(&mut self, count: usize) {
        let arrived = self.arrived.wait_for(|&arrived| arrived >= count);
        match tokio::time::timeout(MAX_WAIT, arrived).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => panic!("the server stopped before a request could be held"),
            Err(_) => panic!("no request to hold arrived within {MAX_WAIT:?}"),
        }
    }

    /// Lets the held requests continue. Later ones are not held.
    pub fn release(self) {}
}

/// The server's side of [`Held`]: requests wait here.
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

    /// Waits until the gate is open.
    pub(crate) async fn pass(mut self) {
        self.arrived.send_modify(|arrived| *arrived += 1);
        // Nothing is ever sent: the gate opens when the `Held` is dropped.
        let _ = self.closed.changed().await;
    }

    pub(crate) fn is_open(&self) -> bool {
        self.closed.has_changed().is_err()
    }
}
