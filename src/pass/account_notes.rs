//! What a pass learns about the budgets of each account that it uses.

use std::collections::BTreeMap;
use std::sync::Mutex;

use jiff::Timestamp;

use crate::domain::Fingerprint;
use crate::github::NoGraphql;

/// What a pass has learned, by account.
#[derive(Debug, Default)]
pub(super) struct AccountNotes(Mutex<BTreeMap<Fingerprint, AccountNote>>);

/// What it has learned about one account.
#[derive(Clone, Debug, Default)]
pub(super) struct AccountNote {
    /// The cost of the probe, in GraphQL points.
    pub(super) probe_points: u64,
    /// How many pages of changes it read.
    pub(super) delta_pages: u64,
    /// Why it could not use GraphQL.
    pub(super) no_probe: Option<NoGraphql>,
    /// How many repositories it looked up by REST because GraphQL failed for them.
    pub(super) looked_up: u64,
    /// When the budget resets for which some work waits.
    pub(super) waits_until: Option<Timestamp>,
    /// Until when passes leave out all its repositories, so that the rest of its budget lasts.
    pub(super) throttled_until: Option<Timestamp>,
    /// Until when its repositories are not looked up by REST although GitHub rejects the probe.
    pub(super) no_lookups_until: Option<Timestamp>,
}

impl AccountNotes {
    /// Changes the note about an account.
    pub(super) fn note(&self, account: Fingerprint, note: impl FnOnce(&mut AccountNote)) {
        let mut notes = self.0.lock().expect("nothing panics while noting");
        note(notes.entry(account).or_default());
    }

    /// The note about an account; an empty one if there is none.
    pub(super) fn of(&self, account: &Fingerprint) -> AccountNote {
        self.0.lock().expect("nothing panics while noting").get(account).cloned().unwrap_or_default()
    }
}
