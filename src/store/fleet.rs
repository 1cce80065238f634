//! The fleet's state: who may run the pass, and how the last one ended.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{AccountLimits, ProbeMemory, Status, millis, optional_millis};

use super::keys::Key;
use super::recent::RecentChanges;
use super::table::{Store, StoreError};

/// The fleet's state: who may run the pass, and how the last one ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetState {
    /// The number of the last claim. Each claim takes the next one.
    #[serde(default)]
    pub fence: u64,
    /// The pass that holds the claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) claim_owner: Option<Uuid>,
    /// When its claim runs out. A number, so that DynamoDB can compare it.
    #[serde(default, with = "millisecond::optional", skip_serializing_if = "Option::is_none")]
    pub(super) claim_until: Option<Timestamp>,
    /// How the last pass ended; none before the first one has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<LastPass>,
}

/// How a pass ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastPass {
    /// The pass.
    pub pass_id: Uuid,
    /// Its fence.
    pub fence: u64,
    /// When it ended.
    #[serde(with = "millis")]
    pub at: Timestamp,
    /// How it came out.
    pub status: Status,
    /// The first `Date` of the last pass in which every repository agreed with GitHub.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub fresh_at: Option<Timestamp>,
    /// For how long it serves every beat, in seconds.
    pub freshness_seconds: u64,
    /// The fence of the last pass that changed anything. An agent that has seen it has nothing to look up.
    pub last_change_fence: u64,
    /// The repositories that this pass and those before it changed.
    pub recent: RecentChanges,
    /// The fence of the last pass after which neither those nor the repositories' own `last_change_fence` may show all
    /// that changed: not all marks could be stored, or not every repository could be searched for what a dead pass
    /// changed. An agent behind it looks through every repository.
    pub search_all_fence: u64,
    /// Whether rows may have been written that no stored count knows of: the pass took over from a dead one, or could
    /// not store all marks. The next pass counts the open issues again.
    pub counts_lag: bool,
    /// The fence of the last pass that may have retired a repository that is no longer tracked: an agent behind it
    /// looks through those, too.
    #[serde(default)]
    pub retired_fence: u64,
    /// The pass whose record holds the problems; none when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problems_from: Option<Uuid>,
    /// The limits at GitHub that hold some account back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<AccountLimits>,
    /// What is remembered of the probe.
    #[serde(default, skip_serializing_if = "ProbeMemory::is_empty")]
    pub probe: ProbeMemory,
}

impl LastPass {
    /// Until when it serves every beat.
    pub fn fresh_until(&self) -> Timestamp {
        self.at.checked_add(Duration::from_secs(self.freshness_seconds)).unwrap_or(Timestamp::MAX)
    }
}

impl FleetState {
    /// Whether the last pass still serves every beat.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.ended.as_ref().is_some_and(|ended| now < ended.fresh_until())
    }

    /// Whether a pass is running.
    pub fn is_claimed(&self, now: Timestamp) -> bool {
        self.claimed_until(now).is_some()
    }

    /// When the claim of the running pass ends; none when no pass is running.
    pub fn claimed_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.claim_until.filter(|until| *until > now)
    }

    /// The limits at GitHub that held some account back when the last pass ended.
    pub fn limits(&self) -> &[AccountLimits] {
        self.ended.as_ref().map_or(&[], |ended| &ended.limits)
    }

    /// What the last pass remembered of the probe.
    pub fn probe(&self) -> ProbeMemory {
        self.ended.as_ref().map(|ended| ended.probe.clone()).unwrap_or_default()
    }

    /// The fence of the last pass that ended; 0 before the first.
    pub fn ended_fence(&self) -> u64 {
        self.ended.as_ref().map_or(0, |ended| ended.fence)
    }
}

impl Store {
    /// The fleet's state. One consistent read.
    pub async fn state(&self) -> Result<FleetState, StoreError> {
        Ok(self.get(&Key::state()).await?.unwrap_or_default())
    }
}
