//! A deterministic scheduler for the requests to all servers of the test world.
//!
//! By default it admits each request at once. While a test *drives* a heartbeat, the scheduler counts its requests and
//! can stop one of them, before it takes effect or before it is answered. One by one, requests wait in a queue, and
//! the scheduler admits the first one whenever the world is idle. The queue is sorted by what the requests are about,
//! not by their arrival, so a heartbeat sends the same requests in the same order each time. The scheduler does not
//! interpret requests.
//!
//! To find out whether the world is idle it lets all other tasks run for a while. That works only with all tasks on one
//! thread: tokio's current-thread runtime.

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Notify, oneshot};

/// The world is idle after this many rounds of all tasks in which no request arrived or left. The longest measured
/// time between two requests, over a new connection, was 10 rounds.
const IDLE_ROUNDS: u32 = 25;

/// The scheduler. Clones share it.
#[derive(Clone, Default)]
pub struct Scheduler(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// `None` while no future is driven.
    driving: Option<Driving>,
    /// All requests since the start.
    arrived: u64,
    /// Admitted requests that are not finished.
    running: usize,
    /// Counts arrivals and departures: the world is idle while it does not change.
    events: u64,
    /// Requests that wait to be admitted one by one.
    queue: Vec<Waiting>,
    /// The admitted requests of the future that was driven last.
    order: Vec<String>,
    stopped: Option<Waiting>,
}

struct Driving {
    admission: Admission,
    stop: Option<Stop>,
}

/// How the requests of a driven future are admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Each one after the answer to the one before it has had its effect.
    OneByOne,
    /// Each one when it arrives.
    Concurrent,
}

/// Which request is stopped, by its number (from 1) in order of admission, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Before it takes effect.
    Before(usize),
    /// After it has taken effect and before it is answered.
    After(usize),
}

/// A request that waits to be admitted or answered.
struct Waiting {
    what: String,
    go: oneshot::Sender<Passage>,
}

/// How driving a future ended.
pub enum Driven<T> {
    /// The future finished without reaching the stop.
    Finished(T),
    /// The request at the stop is waiting.
    Stopped(Stopped),
}

/// The stopped request and those in the queue behind it. They continue when this is dropped, even if the caller is
/// gone: they were sent already.
pub struct Stopped {
    what: String,
    _waiting: Vec<Waiting>,
}

impl Stopped {
    /// The request in words: `DynamoDB PutItem REPO#1001 ISSUE#0000000001`.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Lets the requests continue.
    pub fn resume(self) {}
}

impl fmt::Debug for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Scheduler {
    /// Drives a future that sends requests until it finishes or reaches `stop`. To continue after a stop, drive it
    /// again or await it.
    ///
    /// Meanwhile nothing else may send requests, and no fault may hang one: the world would never be idle. Panics if
    /// another future is being driven.
    pub async fn drive<T>(
        &self,
        admission: Admission,
        stop: Option<Stop>,
        future: &mut (impl Future<Output = T> + Unpin),
    ) -> Driven<T> {
        let other = self.state().driving.replace(Driving { admission, stop });
        assert!(other.is_none(), "only one future can be driven at a time");
        let _end = EndOfDriving(self);
        self.state().order.clear();
        let stopped = pin!(self.until_stopped());
        tokio::select! {
            biased;
            end = future => Driven::Finished(end),
            stopped = stopped => Driven::Stopped(stopped),
        }
    }

    /// The requests of the future that was driven last, in order of admission.
    pub fn order(&self) -> Vec<String> {
        self.state().order.clone()
    }

    /// How many requests have arrived since the start.
    pub fn arrived(&self) -> u64 {
        self.state().arrived
    }

    /// Waits until no request is running and none arrives by itself.
    pub async fn idle(&self) {
        let (mut quiet_rounds, mut events) = (0, None);
        while quiet_rounds < IDLE_ROUNDS {
            tokio::task::yield_now().await;
            let state = self.state();
            let is_quiet = state.running == 0 && events == Some(state.events);
            quiet_rounds = if is_quiet { quiet_rounds + 1 } else { 0 };
            events = Some(state.events);
        }
    }

    async fn until_stopped(&self) -> Stopped {
        loop {
            self.idle().await;
            if let Some(stopped) = self.state().take_stopped() {
                return stopped;
            }
            if !self.admit_next() {
                self.0.changed.notified().await;
            }
        }
    }

    /// Admits or stops the first request of the queue. Returns false if the queue is empty.
    fn admit_next(&self) -> bool {
        let mut state = self.state();
        // The callers of these have given up.
        state.queue.retain(|waiting| !waiting.go.is_closed());
        let first = (0..state.queue.len()).min_by(|a, b| state.queue[*a].what.cmp(&state.queue[*b].what));
        let Some(first) = first else { return false };
        let waiting = state.queue.remove(first);
        let number = state.count(&waiting.what);
        if state.stops_at(Stop::Before(number)) {
            state.stopped = Some(waiting);
            return true;
        }
        let passage = self.passage(&mut state, number, waiting.what);
        // Unlocks first: if the receiver is gone, the passage is dropped here, and that locks.
        drop(state);
        let _ = waiting.go.send(passage);
        true
    }

    /// Waits until the request is admitted. `what`, its description, is called only while a future is driven.
    pub(crate) async fn enter(&self, what: impl FnOnce() -> String) -> Passage {
        let turn = {
            let mut state = self.state();
            state.arrived += 1;
            state.events += 1;
            let Some(admission) = state.driving.as_ref().map(|driving| driving.admission) else {
                return self.passage(&mut state, 0, String::new());
            };
            let what = what();
            let (go, turn) = oneshot::channel();
            if admission == Admission::OneByOne {
                state.queue.push(Waiting { what, go });
            } else {
                let number = state.count(&what);
                if !state.stops_at(Stop::Before(number)) {
                    return self.passage(&mut state, number, what);
                }
                state.stopped = Some(Waiting { what, go });
            }
            turn
        };
        self.0.changed.notify_one();
        // The driving has ended: the request continues uncounted.
        turn.await.unwrap_or_else(|_| self.passage(&mut self.state(), 0, String::new()))
    }

    fn passage(&self, state: &mut State, number: usize, what: String) -> Passage {
        state.running += 1;
        state.events += 1;
        Passage { scheduler: self.clone(), number, what, is_running: true }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("nothing panics while it holds this lock")
    }
}

impl State {
    fn count(&mut self, what: &str) -> usize {
        self.order.push(what.to_owned());
        self.order.len()
    }

    fn stops_at(&self, place: Stop) -> bool {
        self.driving.as_ref().is_some_and(|driving| driving.stop == Some(place))
    }

    fn take_stopped(&mut self) -> Option<Stopped> {
        let stopped = self.stopped.take()?;
        let what = stopped.what.clone();
        let mut waiting = vec![stopped];
        self.queue.sort_by(|a, b| a.what.cmp(&b.what));
        waiting.append(&mut self.queue);
        Some(Stopped { what, _waiting: waiting })
    }
}

/// An admitted request. It is finished when this is dropped.
pub(crate) struct Passage {
    scheduler: Scheduler,
    /// From 1; 0 if it is not counted.
    number: usize,
    what: String,
    is_running: bool,
}

impl Passage {
    /// The request has taken effect. Waits until it may be answered.
    pub(crate) async fn executed(mut self) {
        let turn = {
            let mut state = self.scheduler.state();
            if self.number == 0 || !state.stops_at(Stop::After(self.number)) {
                return;
            }
            let (go, turn) = oneshot::channel();
            state.stopped = Some(Waiting { what: self.what.clone(), go });
            state.running -= 1;
            state.events += 1;
            turn
        };
        self.is_running = false;
        self.scheduler.0.changed.notify_one();
        // Nothing is ever sent: this ends when the `Stopped` is dropped.
        let _ = turn.await;
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        let mut state = self.scheduler.state();
        state.running -= usize::from(self.is_running);
        state.events += 1;
        drop(state);
        self.scheduler.0.changed.notify_one();
    }
}

/// Ends the driving and admits the queue.
struct EndOfDriving<'a>(&'a Scheduler);

impl Drop for EndOfDriving<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.driving = None;
        let waiting = (std::mem::take(&mut state.queue), state.stopped.take());
        drop(state);
        drop(waiting);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join3;
    use serde_json::json;

    use super::*;
    use crate::clock::Clock;
    use crate::proxy::caller;
    use crate::{TABLE_NAME, TestWorld};

    /// Writes an item and queries GitHub and Secrets Manager, concurrently.
    async fn query_all(world: &TestWorld) {
        let item = json!({ "TableName": TABLE_NAME, "Item": { "pk": { "S": "a" }, "sk": { "S": "b" } } });
        let secret = json!({ "SecretId": "tokens" });
        let (put, got, shown) = join3(
            caller::call(world.dynamodb.url(), "DynamoDB_20120810.PutItem", &item),
            caller::call(world.secrets.url(), "secretsmanager.GetSecretValue", &secret),
            caller::call(world.github.url(), "", &json!(null)),
        )
        .await;
        put.and(got).and(shown).expect("all answer");
    }

    #[tokio::test]
    async fn requests_to_all_servers_are_admitted_one_by_one_in_the_same_order() {
        let world = TestWorld::start(Clock::system()).await;
        for _ in 0..3 {
            let mut queries = Box::pin(query_all(&world));
            let driven = world.scheduler.drive(Admission::OneByOne, None, &mut queries).await;
            assert!(matches!(driven, Driven::Finished(())));
            let order = ["DynamoDB PutItem a b", "GitHub POST /", "Secrets Manager GetSecretValue tokens"];
            assert_eq!(world.scheduler.order(), order);
        }
        assert_eq!(world.scheduler.arrived(), 9);
    }

    #[tokio::test]
    async fn request_is_stopped_before_or_after_it_takes_effect() {
        for (admission, behind) in [(Admission::OneByOne, 0), (Admission::Concurrent, 2)] {
            for stop in [Stop::Before(1), Stop::After(1)] {
                let world = TestWorld::start(Clock::system()).await;
                let mut queries = Box::pin(query_all(&world));
                let Driven::Stopped(stopped) =
                    world.scheduler.drive(admission, Some(stop), &mut queries).await
                else {
                    panic!("there is a first request");
                };
                let item = || world.dynamodb.item(TABLE_NAME, "a", "b");
                let is_put = stopped.what() == "DynamoDB PutItem a b";
                assert_eq!(item().is_some(), !is_put || stop == Stop::After(1), "{admission:?} {stop:?}");
                assert_eq!(world.scheduler.order().len(), behind + 1);
                // The stopped request takes effect without its caller, too.
                drop(queries);
                stopped.resume();
                world.scheduler.idle().await;
                assert!(item().is_some(), "{admission:?} {stop:?}");
            }
        }
    }

    #[tokio::test]
    async fn stopped_future_can_be_driven_to_its_end() {
        let world = TestWorld::start(Clock::system()).await;
        let mut queries = Box::pin(query_all(&world));
        let stop = Some(Stop::Before(2));
        let Driven::Stopped(stopped) = world.scheduler.drive(Admission::OneByOne, stop, &mut queries).await
        else {
            panic!("there is a second request");
        };
        assert_eq!(stopped.what(), "GitHub POST /");
        stopped.resume();
        assert!(matches!(
            world.scheduler.drive(Admission::OneByOne, stop, &mut queries).await,
            Driven::Finished(())
        ));
    }
}
