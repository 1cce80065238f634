//! What tests arrange for requests to come: faults, holds, and edits just before an answer.
//!
//! They apply in the order they were added. One request gets at most one fault, and every matching edit and hold.

use super::faults::Fault;
use super::matching::Matching;
use super::target::IncomingRequest;
use super::world::World;
use crate::fault::{Gate, Held, Repeated};

/// A change of the state that is made just before a request is answered.
pub(super) type Edit = Box<dyn FnOnce(&mut World) + Send>;

/// The pending faults, edits and holds.
#[derive(Default)]
pub(super) struct Script {
    entries: Vec<Entry>,
}

struct Entry {
    matching: Matching,
    matched: u64,
    used: bool,
    action: Action,
}

enum Action {
    Fault(Repeated<Fault>),
    Edit(Option<Edit>),
    Hold(Gate),
}

/// The faults, edits and holds of one request.
#[derive(Default)]
pub(super) struct Matched {
    pub(super) gates: Vec<Gate>,
    pub(super) edits: Vec<Edit>,
    pub(super) fault: Option<Fault>,
}

impl Script {
    pub(super) fn fault(&mut self, matching: Matching, fault: Repeated<Fault>) {
        self.push(matching, Action::Fault(fault));
    }

    pub(super) fn edit(&mut self, matching: Matching, edit: Edit) {
        self.push(matching, Action::Edit(Some(edit)));
    }

    pub(super) fn hold(&mut self, matching: Matching) -> Held {
        let (gate, held) = Gate::new();
        self.push(matching, Action::Hold(gate));
        held
    }

    /// Removes all faults.
    pub(super) fn heal(&mut self) {
        self.entries.retain(|entry| !matches!(entry.action, Action::Fault(_)));
    }

    /// Faults, edits and holds that no request has used.
    pub(super) fn unused(&self) -> Vec<String> {
        self.entries.iter().filter(|entry| !entry.used).map(|entry| format!("{:?}", entry.matching)).collect()
    }

    /// Takes the faults, edits and holds of a request. Removes those that are used up.
    pub(super) fn take(&mut self, request: &IncomingRequest, world: &World) -> Matched {
        let mut matched = Matched::default();
        self.entries.retain_mut(|entry| {
            if !entry.matching.covers(request, world) {
                return true;
            }
            entry.matched += 1;
            if entry.matched < entry.matching.nth {
                return true;
            }
            entry.add_to(&mut matched)
        });
        matched
    }

    fn push(&mut self, matching: Matching, action: Action) {
        self.entries.push(Entry { matching, matched: 0, used: false, action });
    }
}

impl Entry {
    /// Adds itself to `matched`. Returns whether it stays for later requests.
    fn add_to(&mut self, matched: &mut Matched) -> bool {
        match &mut self.action {
            Action::Fault(_) if matched.fault.is_some() => true,
            Action::Fault(repeated) => {
                self.used = true;
                matched.fault = Some(repeated.fault.clone());
                repeated.hit()
            }
            Action::Edit(edit) => {
                matched.edits.extend(edit.take());
                false
            }
            Action::Hold(gate) => {
                self.used = true;
                let holds = !gate.is_open();
                if holds {
                    matched.gates.push(gate.clone());
                }
                holds
            }
        }
    }
}
