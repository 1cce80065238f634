//! Faults and holds for requests to come, and which of them a request gets.
//!
//! The proxy applies them. A request gets at most one fault, one hold before it takes effect and one hold of its
//! answer.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::fault::{Gate, Held, Repeated};

/// Which requests a fault or a hold applies to.
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

    /// Requests of this operation, by AWS's name, such as `PutItem`.
    pub fn operation(name: &'static str) -> Self {
        Self { operation: Some(name), ..Self::anything() }
    }

    /// Only those whose JSON text, as sent, contains this fragment.
    pub fn containing(mut self, fragment: impl Into<String>) -> Self {
        self.fragments.push(fragment.into());
        self
    }

    /// Only the `n`th of those and later ones, counted from 1 since the fault was added.
    pub fn nth(mut self, n: u64) -> Self {
        self.nth = n;
        self
    }

    /// Whether this applies to a request. Counts the request if it matches.
    fn applies(&mut self, operation: &str, text: &str) -> bool {
        let covered = self.operation.is_none_or(|name| name == operation)
            && self.fragments.iter().all(|fragment| text.contains(fragment));
        if covered {
            self.nth = self.nth.saturating_sub(1);
        }
        covered && self.nth == 0
    }
}

/// How a request fails. It applies to one request, unless repeated by `times` or `forever`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This status with an empty body, as from a broken load balancer. The request has no effect.
    Status(u16),
    /// The service's throttling error: `ProvisionedThroughputExceededException` of DynamoDB, `ThrottlingException` of
    /// Secrets Manager, `Throttled` of SNS. The request has no effect.
    Throttle,
    /// The service's internal error, with status 500. The request has no effect.
    InternalError,
    /// `AccessDeniedException`; `AuthorizationError` of SNS. The request has no effect.
    AccessDenied,
    /// DynamoDB's error for a write that conflicts with a transaction on the same item. The request has no effect.
    Conflict,
    /// The connection is reset before the request takes effect.
    Cut,
    /// The request takes effect, then the connection is reset.
    LoseAnswer,
    /// The request takes effect after this much real time.
    Delay(Duration),
    /// No answer while the caller waits. The request has no effect.
    Hang,
}

impl Fault {
    /// Applies to the next `times` matching requests.
    pub fn times(self, times: u64) -> Repeated<Self> {
        Repeated { fault: self, times: Some(times) }
    }

    /// Applies to every matching request until [`Proxy::heal`](super::Proxy::heal).
    pub fn forever(self) -> Repeated<Self> {
        Repeated { fault: self, times: None }
    }
}

impl From<Fault> for Repeated<Fault> {
    fn from(fault: Fault) -> Self {
        fault.times(1)
    }
}

/// The fault and holds that one request gets.
#[derive(Debug, Default)]
pub(super) struct Matched {
    pub(super) hold: Option<Gate>,
    pub(super) fault: Option<Fault>,
    pub(super) hold_answer: Option<Gate>,
}

/// The pending faults and holds, in the order they were added.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<Vec<Entry>>);

#[derive(Debug)]
struct Entry {
    on: On,
    action: Action,
    used: bool,
}

#[derive(Debug)]
enum Action {
    Fault(Repeated<Fault>),
    Hold(Gate, When, HowMany),
}

/// When a request is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Arrived,
    Executed,
}

/// How many requests are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HowMany {
    One,
    Every,
}

impl Faults {
    pub(super) fn add(&self, on: On, fault: Repeated<Fault>) {
        self.push(on, Action::Fault(fault));
    }

    pub(super) fn hold(&self, on: On, when: When, how_many: HowMany) -> Held {
        let (gate, held) = Gate::new();
        self.push(on, Action::Hold(gate, when, how_many));
        held
    }

    /// Removes all faults.
    pub(super) fn heal(&self) {
        self.pending().retain(|entry| !matches!(entry.action, Action::Fault(_)));
    }

    /// Faults and holds that no request has used.
    pub(super) fn unused(&self) -> Vec<String> {
        let entries = self.pending();
        let unused = entries.iter().filter(|entry| !entry.used);
        unused.map(|Entry { on, action, .. }| format!("{action:?} {on:?}")).collect()
    }

    /// Takes the fault and holds of a request. Removes those that are used up.
    pub(super) fn take(&self, operation: &str, text: &str) -> Matched {
        let mut matched = Matched::default();
        self.pending().retain_mut(|entry| !entry.on.applies(operation, text) || entry.add_to(&mut matched));
        matched
    }

    fn push(&self, on: On, action: Action) {
        self.pending().push(Entry { on, action, used: false });
    }

    fn pending(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

impl Entry {
    /// Adds itself to `matched`, unless that has one of its kind. Returns whether it stays for later requests.
    fn add_to(&mut self, matched: &mut Matched) -> bool {
        match &mut self.action {
            Action::Fault(repeated) => {
                if matched.fault.is_some() {
                    return true;
                }
                matched.fault = Some(repeated.fault);
                self.used = true;
                repeated.hit()
            }
            Action::Hold(gate, _, _) if gate.is_open() => false,
            Action::Hold(gate, when, how_many) => {
                let place = match when {
                    When::Arrived => &mut matched.hold,
                    When::Executed => &mut matched.hold_answer,
                };
                if place.is_some() {
                    return true;
                }
                *place = Some(gate.clone());
                self.used = true;
                *how_many == HowMany::Every
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_apply_once_and_in_order() {
        let faults = Faults::default();
        faults.add(On::operation("PutItem").containing("ISSUE#"), Fault::Cut.into());
        faults.add(On::operation("PutItem"), Fault::Throttle.times(2));
        let fault = |operation, text| faults.take(operation, text).fault;
        assert_eq!(fault("GetItem", "ISSUE#1"), None);
        assert_eq!(fault("PutItem", "STATE"), Some(Fault::Throttle));
        assert_eq!(faults.unused().len(), 1);
        assert_eq!(fault("PutItem", "ISSUE#1"), Some(Fault::Cut));
        assert_eq!(fault("PutItem", "ISSUE#1"), Some(Fault::Throttle));
        assert_eq!(fault("PutItem", "ISSUE#1"), None);
    }

    #[test]
    fn nth_skips_earlier_requests_and_heal_removes_faults() {
        let faults = Faults::default();
        faults.add(On::anything().nth(3), Fault::Hang.forever());
        let failed: Vec<_> = (0..4).map(|_| faults.take("PutItem", "").fault.is_some()).collect();
        assert_eq!(failed, [false, false, true, true]);
        faults.heal();
        assert_eq!(faults.take("PutItem", "").fault, None);
    }

    #[test]
    fn hold_applies_to_one_or_every_request_until_it_is_released() {
        let faults = Faults::default();
        let holds = |_| faults.take("PutItem", "").hold.is_some();
        let _one = faults.hold(On::anything(), When::Arrived, HowMany::One);
        assert_eq!([(), ()].map(holds), [true, false]);
        let every = faults.hold(On::anything(), When::Arrived, HowMany::Every);
        assert_eq!([(), ()].map(holds), [true, true]);
        every.release();
        assert!(!holds(()));
    }
}
