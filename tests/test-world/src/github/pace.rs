//! Pages that take their time by the world's clock: requests that are under way at once take it together.

use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::GitHub;
use super::server::lock;

/// The pages under way.
#[derive(Default)]
pub(super) struct Pages(Mutex<State>);

#[derive(Default)]
struct State {
    take: Option<Duration>,
    under_way: Vec<(Timestamp, oneshot::Sender<()>)>,
}

impl Pages {
    /// Waits until a page that is asked for now is due.
    pub(super) async fn wait(&self, now: Timestamp) {
        let due = {
            let mut state = lock(&self.0);
            let Some(take) = state.take else { return };
            let (out, due) = oneshot::channel();
            state.under_way.push((now + take, out));
            due
        };
        // Nothing is heard when the pages do not take their time any more.
        let _ = due.await;
    }
}

impl GitHub {
    /// From now on each page of a listing takes this long by the clock, which a test moves by
    /// [`GitHub::next_page_is_due`].
    pub fn pages_take(&self, time: Duration) {
        lock(&self.shared.pages.0).take = Some(time);
    }

    /// Moves the clock to when the next page is due, which then goes out. Does nothing while none is under way.
    pub fn next_page_is_due(&self) {
        let mut state = lock(&self.shared.pages.0);
        // Whoever has given up waits for nothing.
        state.under_way.retain(|(_, out)| !out.is_closed());
        let first = (0..state.under_way.len()).min_by_key(|place| state.under_way[*place].0);
        let Some(first) = first else { return };
        let (due, out) = state.under_way.remove(first);
        drop(state);
        let clock = self.world().clock().clone();
        clock.advance(Duration::try_from(due.duration_since(clock.now())).unwrap_or_default());
        let _ = out.send(());
    }
}
