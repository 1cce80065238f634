//! Slow pages: each takes a fixed time of the world's clock, concurrent ones at the same time.

use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::GitHub;
use super::server::lock;

/// The pages that are being generated.
#[derive(Default)]
pub(super) struct Pages(Mutex<State>);

#[derive(Default)]
struct State {
    take: Option<Duration>,
    running: Vec<(Timestamp, oneshot::Sender<()>)>,
}

impl Pages {
    /// Waits until a page requested at `now` is due.
    pub(super) async fn wait(&self, now: Timestamp) {
        let due = {
            let mut state = lock(&self.0);
            let Some(take) = state.take else { return };
            let (out, due) = oneshot::channel();
            state.running.push((now + take, out));
            due
        };
        // The sender is dropped when its request has ended: then nothing is left to wait for.
        let _ = due.await;
    }
}

impl GitHub {
    /// From now on each page of a listing takes this long by the world's clock. [`GitHub::next_page_is_due`] advances
    /// it.
    pub fn pages_take(&self, time: Duration) {
        lock(&self.shared.pages.0).take = Some(time);
    }

    /// Advances the clock to when the next page is due and sends that page. Does nothing if there is none.
    pub fn next_page_is_due(&self) {
        let mut state = lock(&self.shared.pages.0);
        // The callers of these have given up.
        state.running.retain(|(_, out)| !out.is_closed());
        let first = (0..state.running.len()).min_by_key(|place| state.running[*place].0);
        let Some(first) = first else { return };
        let (due, out) = state.running.remove(first);
        drop(state);
        let clock = self.world().clock().clone();
        clock.advance(Duration::try_from(due.duration_since(clock.now())).unwrap_or_default());
        let _ = out.send(());
    }
}
