//! What is to go wrong with which requests, or to wait: orders, and who meets them.
//!
//! Only chooses; the proxy carries out. A request meets at most one fault, one
//! hold before it is carried out and one hold of its answer.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::fault::{Gate, Held, Repeated};

/// Which requests an order means.
#[derive(Clone, Debug)]
pub struct On {
    operation: Option<&'static str>,
    fragments: Vec<String>,
    nth: u64,
}

impl On {
    /// Every request.
    pub fn anything() -> Self {
        Self { operation: None, fragments: Vec::new(), nth: 1 }
    }

    /// Requests of this operation, by AWS's name for it, such as `PutItem`.
    pub fn operation(name: &'static str) -> Self {
        Self { operation: Some(name), ..Self::anything() }
    }

    /// Of those, only requests whose JSON text, as sent, has this in it.
    pub fn containing(mut self, fragment: impl Into<String>) -> Self {
        self.fragments.push(fragment.into());
        self
    }

    /// Of those, only the `n`th and what comes after it, counted from 1 since the order was given.
    pub fn nth(mut self, n: u64) -> Self {
        self.nth = n;
        self
    }

    /// Whether a request is meant; counts it if it is one of these.
    fn meets(&mut self, operation: &str, text: &str) -> bool {
        let covered = self.operation.is_none_or(|name| name == operation)
            && self.fragments.iter().all(|fragment| text.contains(fragment));
        if covered {
            self.nth = self.nth.saturating_sub(1);
        }
        covered && self.nth == 0
    }
}

/// One way for a request to go wrong. An order of it is met once, unless it says `times` or `forever`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This status with an empty body, as a broken load balancer answers. Not carried out.
    Status(u16),
    /// The service's word for "too many requests": `ProvisionedThroughputExceededException` of
    /// DynamoDB, `ThrottlingException` of Secrets Manager. Not carried out.
    Throttle,
    /// The service's word for its own failure, with status 500. Not carried out.
    InternalError,
    /// `AccessDeniedException`. Not carried out.
    AccessDenied,
    /// DynamoDB's word for a write that met a transaction on the same item. Not carried out.
    Conflict,
    /// The connection is reset before anything is carried out.
    Cut,
    /// The request is carried out, then the connection is reset.
    LoseAnswer,
    /// The request is carried out after so much of real time.
    Delay(Duration),
    /// No answer while the caller waits. Not carried out.
    Hang,
}

impl Fault {
    /// Meets the next `times` matching requests.
    pub fn times(self, times: u64) -> Repeated<Self> {
        Repeated { fault: self, times: Some(times) }
    }

    /// Meets every matching request, until the service is healed.
    pub fn forever(self) -> Repeated<Self> {
        Repeated { fault: self, times: None }
    }
}

impl From<Fault> for Repeated<Fault> {
    fn from(fault: Fault) -> Self {
        fault.times(1)
    }
}

/// What is in store for one request.
#[derive(Debug, Default)]
pub(super) struct Meeting {
    pub(super) hold: Option<Gate>,
    pub(super) fault: Option<Fault>,
    pub(super) hold_answer: Option<Gate>,
}

/// The orders that stand, in the order they were given.
#[derive(Debug, Default)]
pub(super) struct Orders(Mutex<Vec<Order>>);

#[derive(Debug)]
struct Order {
    on: On,
    action: Action,
    met: bool,
}

#[derive(Debug)]
enum Action {
    Fault(Repeated<Fault>),
    Hold(Gate, When, HowMany),
}

/// Where on its way a request is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Asked,
    CarriedOut,
}

/// How many requests a hold keeps waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HowMany {
    One,
    Every,
}

impl Orders {
    pub(super) fn fault(&self, on: On, fault: Repeated<Fault>) {
        self.give(on, Action::Fault(fault));
    }

    pub(super) fn hold(&self, on: On, when: When, how_many: HowMany) -> Held {
        let (gate, held) = Gate::new();
        self.give(on, Action::Hold(gate, when, how_many));
        held
    }

    /// Takes back all faults.
    pub(super) fn heal(&self) {
        self.standing().retain(|order| !matches!(order.action, Action::Fault(_)));
    }

    /// The orders that no request has met yet.
    pub(super) fn unmet(&self) -> Vec<String> {
        let orders = self.standing();
        let unmet = orders.iter().filter(|order| !order.met);
        unmet.map(|Order { on, action, .. }| format!("{action:?} {on:?}")).collect()
    }

    /// What a request meets. Orders that are used up are struck off.
    pub(super) fn meet(&self, operation: &str, text: &str) -> Meeting {
        let mut meeting = Meeting::default();
        self.standing().retain_mut(|order| !order.on.meets(operation, text) || order.add_to(&mut meeting));
        meeting
    }

    fn give(&self, on: On, action: Action) {
        self.standing().push(Order { on, action, met: false });
    }

    fn standing(&self) -> MutexGuard<'_, Vec<Order>> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

impl Order {
    /// Adds what is ordered to a meeting, if there is nothing of the kind in it. Returns whether the order remains.
    fn add_to(&mut self, meeting: &mut Meeting) -> bool {
        match &mut self.action {
            Action::Fault(repeated) => {
                if meeting.fault.is_some() {
                    return true;
                }
                meeting.fault = Some(repeated.fault);
                self.met = true;
                repeated.meet()
            }
            Action::Hold(gate, _, _) if gate.is_open() => false,
            Action::Hold(gate, when, how_many) => {
                let place = match when {
                    When::Asked => &mut meeting.hold,
                    When::CarriedOut => &mut meeting.hold_answer,
                };
                if place.is_some() {
                    return true;
                }
                *place = Some(gate.clone());
                self.met = true;
                *how_many == HowMany::Every
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_met_once_and_in_order() {
        let orders = Orders::default();
        orders.fault(On::operation("PutItem").containing("ISSUE#"), Fault::Cut.into());
        orders.fault(On::operation("PutItem"), Fault::Throttle.times(2));
        let meet = |operation, text| orders.meet(operation, text).fault;
        assert_eq!(meet("GetItem", "ISSUE#1"), None);
        assert_eq!(meet("PutItem", "STATE"), Some(Fault::Throttle));
        assert_eq!(orders.unmet().len(), 1);
        assert_eq!(meet("PutItem", "ISSUE#1"), Some(Fault::Cut));
        assert_eq!(meet("PutItem", "ISSUE#1"), Some(Fault::Throttle));
        assert_eq!(meet("PutItem", "ISSUE#1"), None);
    }

    #[test]
    fn the_first_ones_can_be_let_pass_and_healing_takes_faults_back() {
        let orders = Orders::default();
        orders.fault(On::anything().nth(3), Fault::Hang.forever());
        let met: Vec<_> = (0..4).map(|_| orders.meet("PutItem", "").fault.is_some()).collect();
        assert_eq!(met, [false, false, true, true]);
        orders.heal();
        assert_eq!(orders.meet("PutItem", "").fault, None);
    }

    #[test]
    fn a_hold_keeps_one_request_or_every_one_until_it_is_released() {
        let orders = Orders::default();
        let holds = |_| orders.meet("PutItem", "").hold.is_some();
        let _one = orders.hold(On::anything(), When::Asked, HowMany::One);
        assert_eq!([(), ()].map(holds), [true, false]);
        let every = orders.hold(On::anything(), When::Asked, HowMany::Every);
        assert_eq!([(), ()].map(holds), [true, true]);
        every.release();
        assert!(!holds(()));
    }
}
