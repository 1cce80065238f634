//! The fleet's state: the lease of the pass, and the result of the last pass.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{AccountLimits, Holds, PassHours, ProbeMemory, Status, millis, optional_millis};

use super::keys::Key;
use super::recent::RecentChanges;
use super::table::{Store, StoreError};

/// The fleet's state: the lease of the pass, and the result of the last pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetState {
    /// The fencing token of the last lease. Each lease takes a higher one.
    #[serde(default)]
    pub fence: u64,
    /// The pass that holds the lease.
    #[serde(default, rename = "claimOwner", skip_serializing_if = "Option::is_none")]
    pub(super) lease_owner: Option<Uuid>,
    /// When the lease expires, in epoch milliseconds: a number, so that DynamoDB can compare it.
    #[serde(
        default,
        rename = "claimUntil",
        with = "millisecond::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) lease_until: Option<Timestamp>,
    /// The generation of the table: when its first lease was taken, in epoch milliseconds. Every later write keeps it. A
    /// new table gets another one, so that a client's cursor of the previous table is recognized. `None` before the
    /// first lease, and in a table of an older version before its next lease. A number takes a fifth of a pass's id: the
    /// item stays below 1 KB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// The operator's holds. No pass writes them.
    #[serde(default, skip_serializing_if = "Holds::is_empty")]
    pub holds: Holds,
    /// The result of the last pass; `None` before the first one ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<LastPass>,
}

/// The result of a pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastPass {
    /// The pass.
    pub pass_id: Uuid,
    /// Its fencing token.
    pub fence: u64,
    /// When it ended.
    #[serde(with = "millis")]
    pub at: Timestamp,
    /// Its status.
    pub status: Status,
    /// GitHub's first `Date` header in the last pass that left every repository in sync.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub fresh_at: Option<Timestamp>,
    /// For how many seconds after `at` heartbeats are answered from this pass.
    pub freshness_seconds: u64,
    /// The fence of the last pass that changed anything. An agent whose cursor is at it has no undelivered changes.
    pub last_change_fence: u64,
    /// The repositories that this pass and earlier ones changed.
    pub recent: RecentChanges,
    /// The fence of the last pass after which `recent` and the repositories' own `last_change_fence` may be incomplete:
    /// not all checkpoints could be stored, or not every repository could be searched for the changes of a crashed
    /// pass. For an agent whose cursor is behind it, every repository is searched.
    pub search_all_fence: u64,
    /// Whether stored counts may miss written rows: the pass took over from a crashed one, or could not store all
    /// checkpoints. The next pass recounts the open issues.
    pub counts_lag: bool,
    /// The fence of the last pass that may have retired a repository that is no longer tracked. For an agent whose
    /// cursor is behind it, retired repositories are searched, too.
    #[serde(default)]
    pub retired_fence: u64,
    /// A digest of what lists of issues show of the repositories: their names, their failures, how many issues are open.
    /// Together with `last_change_fence` it tells whether a list may have changed.
    #[serde(default)]
    pub listed: String,
    /// Whether repositories are kept that are no longer configured. No pass reads them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_untracked: bool,
    /// A digest of the tracked repositories' ids and names. While it stays, a name refers to the same repository.
    #[serde(default)]
    pub named: String,
    /// The pass whose record holds the current problems; `None` if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problems_from: Option<Uuid>,
    /// How the passes of the last 24 hours ended, this one included.
    #[serde(default, skip_serializing_if = "PassHours::is_empty")]
    pub hours: PassHours,
    /// GitHub's rate limits that throttle or block an account.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<AccountLimits>,
    /// What later passes need to know about the probe.
    #[serde(default, skip_serializing_if = "ProbeMemory::is_empty")]
    pub probe: ProbeMemory,
}

impl LastPass {
    /// Until when heartbeats are answered from this pass.
    pub fn fresh_until(&self) -> Timestamp {
        self.at.checked_add(Duration::from_secs(self.freshness_seconds)).unwrap_or(Timestamp::MAX)
    }
}

impl FleetState {
    /// Whether heartbeats are still answered from the last pass.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.ended.as_ref().is_some_and(|ended| now < ended.fresh_until())
    }

    /// Whether a pass is running.
    pub fn is_leased(&self, now: Timestamp) -> bool {
        self.leased_until(now).is_some()
    }

    /// When the running pass's lease expires; `None` if no pass is running.
    pub fn leased_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.lease_until.filter(|until| *until > now)
    }

    /// Until when heartbeats could be answered from the last pass, or from one that was running, without a change of this
    /// state; `None` if that is not known: a pass is running, has died or has failed, or none has ended yet.
    pub fn joinable_until(&self) -> Option<Timestamp> {
        let ended = self.ended.as_ref()?;
        (self.fence == ended.fence && self.lease_until.is_none()).then(|| ended.fresh_until())
    }

    /// GitHub's rate limits that throttled or blocked an account when the last pass ended.
    pub fn limits(&self) -> &[AccountLimits] {
        self.ended.as_ref().map_or(&[], |ended| &ended.limits)
    }

    /// What the last pass stored about the probe.
    pub fn probe(&self) -> ProbeMemory {
        self.ended.as_ref().map(|ended| ended.probe.clone()).unwrap_or_default()
    }

    /// The fence of the last pass that ended; 0 before the first one ends.
    pub fn ended_fence(&self) -> u64 {
        self.ended.as_ref().map_or(0, |ended| ended.fence)
    }
}

impl Store {
    /// The fleet's state. One consistent read.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or the item cannot be read.
    pub async fn state(&self) -> Result<FleetState, StoreError> {
        Ok(self.get(&Key::state()).await?.unwrap_or_default())
    }
}
