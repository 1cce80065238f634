//! What a pass notes of each account that it asks GitHub as.

use std::collections::BTreeMap;
use std::sync::Mutex;

use jiff::Timestamp;

use crate::domain::Fingerprint;
use crate::github::NoGraphql;

/// What a pass meets that bears on each account's budgets.
#[derive(Debug, Default)]
pub(super) struct AccountNotes(Mutex<BTreeMap<Fingerprint, Met>>);

/// What it meets of one account.
#[derive(Clone, Debug, Default)]
pub(super) struct Met {
    /// What the probe cost, in points.
    pub(super) probe_points: u64,
    /// How many pages of changes were read.
    pub(super) delta_pages: u64,
    /// Why there was no probe.
    pub(super) no_probe: Option<NoGraphql>,
    /// How many repositories were looked up by REST because GraphQL did not answer for them.
    pub(super) looked_up: u64,
    /// When the budget is granted anew for which something was put off.
    pub(super) put_off_until: Option<Timestamp>,
    /// Until when all its repositories are left out, so that what is left lasts.
    pub(super) throttled_until: Option<Timestamp>,
    /// Until when they are not looked up one by one, though the probe was refused.
    pub(super) no_lookups_until: Option<Timestamp>,
}

impl AccountNotes {
    /// Notes what was met while this account was used.
    pub(super) fn note(&self, account: Fingerprint, note: impl FnOnce(&mut Met)) {
        let mut met = self.0.lock().expect("nothing panics while noting");
        note(met.entry(account).or_default());
    }

    /// What was met of this account.
    pub(super) fn of(&self, account: &Fingerprint) -> Met {
        self.0.lock().expect("nothing panics while noting").get(account).cloned().unwrap_or_default()
    }
}
