//! The one way in to all servers of the local world: it knows the order of all requests, and can stop any of them.
//!
//! At first everybody walks through. While a beat is *led*, its requests are counted, and one of them can be
//! stopped on its way in, or on its way out when it has been carried out. Led one by one, requests wait in line,
//! and whenever nothing else moves the first in line goes in; who is first does not depend on who came first, so
//! that a beat makes the same requests in the same order each time. What a request means is not known here.
//!
//! It detects that nothing moves by letting all other tasks run for a while, which needs everything to be on one
//! thread: tokio's current-thread runtime.

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Notify, oneshot};

/// So many rounds of all tasks, without anything arriving or leaving, count as stillness. The longest way between
/// two requests that was seen, over a new connection, took 10.
const STILL: u32 = 25;

/// The turnstile. Clones are the same one.
#[derive(Clone, Default)]
pub struct Turnstile(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    moved: Notify,
}

#[derive(Default)]
struct State {
    /// None while nobody is led.
    led: Option<Leading>,
    /// All requests that ever arrived.
    arrived: u64,
    /// Those that are being carried out.
    inside: usize,
    /// Counts whatever happens, to detect stillness.
    moves: u64,
    /// Those that are let in one by one and had no turn yet.
    line: Vec<Waiting>,
    /// Those that were let in of who was led last.
    order: Vec<String>,
    stopped: Option<Waiting>,
}

struct Leading {
    admission: Admission,
    stop: Option<Stop>,
}

/// How the requests of who is led are let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Each when the one before it has been answered and the answer has had its effect.
    OneByOne,
    /// At once.
    AsTheyCome,
}

/// Where a request is stopped, counted from 1 in the order they are let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It has arrived and is not carried out.
    Before(usize),
    /// It has been carried out and is not answered.
    After(usize),
}

/// A request that waits to be let in or out.
struct Waiting {
    what: String,
    go: oneshot::Sender<Passage>,
}

/// How far a led future came.
pub enum Led<T> {
    /// To its end, which no stop prevented.
    ToItsEnd(T),
    /// To the request that was to be stopped.
    UpTo(Stopped),
}

/// The request that was stopped and those that waited in line behind it. They go on, as they left their caller
/// long ago, when this is dropped.
pub struct Stopped {
    what: String,
    _waiting: Vec<Waiting>,
}

impl Stopped {
    /// The request, for a person: `DynamoDB PutItem REPO#1001 ISSUE#0000000001`.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Lets them go on.
    pub fn let_go(self) {}
}

impl fmt::Debug for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Turnstile {
    /// Leads a future that makes requests to its end, or up to the request to stop at. To go on from there it is
    /// led again, or awaited.
    ///
    /// Nobody else may make requests meanwhile, and none may hang on order: it would never be still.
    pub async fn lead<T>(
        &self,
        admission: Admission,
        stop: Option<Stop>,
        future: &mut (impl Future<Output = T> + Unpin),
    ) -> Led<T> {
        let nobody = self.state().led.replace(Leading { admission, stop });
        assert!(nobody.is_none(), "one future is led at a time");
        let _end = EndOfLeading(self);
        self.state().order.clear();
        let stopped = pin!(self.until_stopped());
        tokio::select! {
            biased;
            end = future => Led::ToItsEnd(end),
            stopped = stopped => Led::UpTo(stopped),
        }
    }

    /// The requests of who was led last, in the order they were let in.
    pub fn order(&self) -> Vec<String> {
        self.state().order.clone()
    }

    /// All requests that ever arrived.
    pub fn arrived(&self) -> u64 {
        self.state().arrived
    }

    /// Waits until nothing is carried out and nothing arrives any more of what can arrive by itself.
    pub async fn stillness(&self) {
        let (mut calm, mut moves) = (0, None);
        while calm < STILL {
            tokio::task::yield_now().await;
            let state = self.state();
            let is_still = state.inside == 0 && moves == Some(state.moves);
            calm = if is_still { calm + 1 } else { 0 };
            moves = Some(state.moves);
        }
    }

    async fn until_stopped(&self) -> Stopped {
        loop {
            self.stillness().await;
            if let Some(stopped) = self.state().take_stopped() {
                return stopped;
            }
            if !self.let_one_in() {
                self.0.moved.notified().await;
            }
        }
    }

    /// Lets the first in line in, or stops it. Not when there is nobody in line.
    fn let_one_in(&self) -> bool {
        let mut state = self.state();
        // A caller that has gone from the line does not come back.
        state.line.retain(|waiting| !waiting.go.is_closed());
        let first = (0..state.line.len()).min_by(|a, b| state.line[*a].what.cmp(&state.line[*b].what));
        let Some(first) = first else { return false };
        let waiting = state.line.remove(first);
        let number = state.count(&waiting.what);
        if state.stops_at(Stop::Before(number)) {
            state.stopped = Some(waiting);
            return true;
        }
        let passage = self.passage(&mut state, number, waiting.what);
        // Unlocks first: a passage that nobody takes any more locks when it ends.
        drop(state);
        let _ = waiting.go.send(passage);
        true
    }

    /// Comes to the turnstile, and is let in when it is time. `what` the request is, is asked only when it counts.
    pub(crate) async fn enter(&self, what: impl FnOnce() -> String) -> Passage {
        let turn = {
            let mut state = self.state();
            state.arrived += 1;
            state.moves += 1;
            let Some(admission) = state.led.as_ref().map(|led| led.admission) else {
                return self.passage(&mut state, 0, String::new());
            };
            let what = what();
            let (go, turn) = oneshot::channel();
            if admission == Admission::OneByOne {
                state.line.push(Waiting { what, go });
            } else {
                let number = state.count(&what);
                if !state.stops_at(Stop::Before(number)) {
                    return self.passage(&mut state, number, what);
                }
                state.stopped = Some(Waiting { what, go });
            }
            turn
        };
        self.0.moved.notify_one();
        // Those that nobody leads any more go on uncounted.
        turn.await.unwrap_or_else(|_| self.passage(&mut self.state(), 0, String::new()))
    }

    fn passage(&self, state: &mut State, number: usize, what: String) -> Passage {
        state.inside += 1;
        state.moves += 1;
        Passage { turnstile: self.clone(), number, what, is_inside: true }
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
        self.led.as_ref().is_some_and(|led| led.stop == Some(place))
    }

    fn take_stopped(&mut self) -> Option<Stopped> {
        let stopped = self.stopped.take()?;
        let what = stopped.what.clone();
        let mut waiting = vec![stopped];
        self.line.sort_by(|a, b| a.what.cmp(&b.what));
        waiting.append(&mut self.line);
        Some(Stopped { what, _waiting: waiting })
    }
}

/// One request's way in and out. It is over when this is dropped.
pub(crate) struct Passage {
    turnstile: Turnstile,
    /// 0 when it is not counted.
    number: usize,
    what: String,
    is_inside: bool,
}

impl Passage {
    /// The request has been carried out: its answer goes out when it is time.
    pub(crate) async fn carried_out(mut self) {
        let turn = {
            let mut state = self.turnstile.state();
            if self.number == 0 || !state.stops_at(Stop::After(self.number)) {
                return;
            }
            let (go, turn) = oneshot::channel();
            state.stopped = Some(Waiting { what: self.what.clone(), go });
            state.inside -= 1;
            state.moves += 1;
            turn
        };
        self.is_inside = false;
        self.turnstile.0.moved.notify_one();
        // Nothing is ever sent: it goes out when the `Stopped` is gone.
        let _ = turn.await;
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        let mut state = self.turnstile.state();
        state.inside -= usize::from(self.is_inside);
        state.moves += 1;
        drop(state);
        self.turnstile.0.moved.notify_one();
    }
}

/// Nobody is led any more: what waits in line is let in.
struct EndOfLeading<'a>(&'a Turnstile);

impl Drop for EndOfLeading<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.led = None;
        let waiting = (std::mem::take(&mut state.line), state.stopped.take());
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

    /// Puts an item, and asks GitHub and Secrets Manager, all at once.
    async fn ask_all(stack: &TestWorld) {
        let item = json!({ "TableName": TABLE_NAME, "Item": { "pk": { "S": "a" }, "sk": { "S": "b" } } });
        let secret = json!({ "SecretId": "tokens" });
        let (put, got, shown) = join3(
            caller::call(stack.dynamodb.url(), "DynamoDB_20120810.PutItem", &item),
            caller::call(stack.secrets.url(), "secretsmanager.GetSecretValue", &secret),
            caller::call(stack.github.url(), "", &json!(null)),
        )
        .await;
        put.and(got).and(shown).expect("all answer");
    }

    #[tokio::test]
    async fn requests_to_all_servers_are_let_in_one_by_one_in_the_same_order() {
        let stack = TestWorld::start(Clock::system()).await;
        for _ in 0..3 {
            let mut asking = Box::pin(ask_all(&stack));
            let led = stack.turnstile.lead(Admission::OneByOne, None, &mut asking).await;
            assert!(matches!(led, Led::ToItsEnd(())));
            let order = ["DynamoDB PutItem a b", "GitHub POST /", "Secrets Manager GetSecretValue tokens"];
            assert_eq!(stack.turnstile.order(), order);
        }
        assert_eq!(stack.turnstile.arrived(), 9);
    }

    #[tokio::test]
    async fn a_request_is_stopped_before_it_is_carried_out_or_after_it() {
        for (admission, behind) in [(Admission::OneByOne, 0), (Admission::AsTheyCome, 2)] {
            for stop in [Stop::Before(1), Stop::After(1)] {
                let stack = TestWorld::start(Clock::system()).await;
                let mut asking = Box::pin(ask_all(&stack));
                let Led::UpTo(stopped) = stack.turnstile.lead(admission, Some(stop), &mut asking).await
                else {
                    panic!("there is a first request");
                };
                let item = || stack.dynamodb.item(TABLE_NAME, "a", "b");
                let is_put = stopped.what() == "DynamoDB PutItem a b";
                assert_eq!(item().is_some(), !is_put || stop == Stop::After(1), "{admission:?} {stop:?}");
                assert_eq!(stack.turnstile.order().len(), behind + 1);
                // Whether or not anybody waits for it.
                drop(asking);
                stopped.let_go();
                stack.turnstile.stillness().await;
                assert!(item().is_some(), "{admission:?} {stop:?}");
            }
        }
    }

    #[tokio::test]
    async fn who_was_stopped_can_be_led_to_its_end() {
        let stack = TestWorld::start(Clock::system()).await;
        let mut asking = Box::pin(ask_all(&stack));
        let stop = Some(Stop::Before(2));
        let Led::UpTo(stopped) = stack.turnstile.lead(Admission::OneByOne, stop, &mut asking).await else {
            panic!("there is a second request");
        };
        assert_eq!(stopped.what(), "GitHub POST /");
        stopped.let_go();
        assert!(matches!(
            stack.turnstile.lead(Admission::OneByOne, stop, &mut asking).await,
            Led::ToItsEnd(())
        ));
    }
}
