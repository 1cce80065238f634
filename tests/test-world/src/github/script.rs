//! The orders that tests give about requests to come: faults, edits just before an answer, holds.
//!
//! Orders are gone through in the order they were given. One request meets at most one fault, and every
//! edit and hold that matches it.

use super::faults::Fault;
use super::matching::Matching;
use super::target::Asked;
use super::world::World;
use crate::fault::{Gate, Held, Repeated};

/// A change of the state that is made just before a request is answered.
pub(super) type Edit = Box<dyn FnOnce(&mut World) + Send>;

/// The orders that are still to be met.
#[derive(Default)]
pub(super) struct Script {
    orders: Vec<Order>,
}

struct Order {
    matching: Matching,
    matched: u64,
    met: bool,
    action: Action,
}

enum Action {
    Fault(Repeated<Fault>),
    Edit(Option<Edit>),
    Hold(Gate),
}

/// What one request meets.
#[derive(Default)]
pub(super) struct Meeting {
    pub(super) gates: Vec<Gate>,
    pub(super) edits: Vec<Edit>,
    pub(super) fault: Option<Fault>,
}

impl Script {
    pub(super) fn fault(&mut self, matching: Matching, fault: Repeated<Fault>) {
        self.order(matching, Action::Fault(fault));
    }

    pub(super) fn edit(&mut self, matching: Matching, edit: Edit) {
        self.order(matching, Action::Edit(Some(edit)));
    }

    pub(super) fn hold(&mut self, matching: Matching) -> Held {
        let (gate, held) = Gate::new();
        self.order(matching, Action::Hold(gate));
        held
    }

    /// Takes back all faults.
    pub(super) fn heal(&mut self) {
        self.orders.retain(|order| !matches!(order.action, Action::Fault(_)));
    }

    /// The orders that no request has met yet.
    pub(super) fn unmet(&self) -> Vec<String> {
        self.orders.iter().filter(|order| !order.met).map(|order| format!("{:?}", order.matching)).collect()
    }

    /// What `asked` meets; orders that are used up are struck off.
    pub(super) fn meet(&mut self, asked: &Asked, world: &World) -> Meeting {
        let mut meeting = Meeting::default();
        self.orders.retain_mut(|order| {
            if !order.matching.covers(asked, world) {
                return true;
            }
            order.matched += 1;
            if order.matched < order.matching.nth {
                return true;
            }
            order.add_to(&mut meeting)
        });
        meeting
    }

    fn order(&mut self, matching: Matching, action: Action) {
        self.orders.push(Order { matching, matched: 0, met: false, action });
    }
}

impl Order {
    /// Adds what is ordered to a meeting, and returns whether the order remains.
    fn add_to(&mut self, meeting: &mut Meeting) -> bool {
        match &mut self.action {
            Action::Fault(_) if meeting.fault.is_some() => true,
            Action::Fault(repeated) => {
                self.met = true;
                meeting.fault = Some(repeated.fault.clone());
                repeated.meet()
            }
            Action::Edit(edit) => {
                meeting.edits.extend(edit.take());
                false
            }
            Action::Hold(gate) => {
                self.met = true;
                let holds = !gate.is_open();
                if holds {
                    meeting.gates.push(gate.clone());
                }
                holds
            }
        }
    }
}
