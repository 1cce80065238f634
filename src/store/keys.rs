//! The layout of the table, explained once.
//!
//! One table, keys `pk` and `sk`, time to live in `expiresAt` (epoch seconds).
//!
//! | item | pk | sk |
//! | --- | --- | --- |
//! | the fleet's state, with the lease and the table's generation | `FLEET` | `STATE` |
//! | a message about agents that is being sent | `FLEET` | `UNSENT`, which sorts after `STATE`: passes do not read it |
//! | since when agents could be heard without a gap, and when the last message about agents was sent | `FLEET` |
//! `WATCH`, likewise |
//! | the number of issues by the fence of their last change | `FLEET` | `COUNTS` |
//! | a tracked repository | `FLEET` | `REPO#<id>` |
//! | a configured name: its id, or why it has none and since when; until when it is looked up by REST | `FLEET` |
//! `NAME#<owner/name in lower case>` |
//! | a repository that is no longer tracked, until it expires | `UNTRACKED` | `REPO#<id>` |
//! | the progress of an unfinished audit | `REPO#<id>` | `AUDIT` |
//! | an issue | `REPO#<id>` | `ISSUE#<number, ten digits>` |
//! | a pass that changed something or met a problem | `PASSES` | `<uuid v7>` |
//! | an agent: its delivery cursor, its last heartbeat, its heartbeats of the latest minute, what it declared, what was
//! reported of it | `AGENTS` | `<name>` |
//! | an AgentRun | `AGENT#<name>` | `RUN#<uuid v7>` |
//! | a request with an `Idempotency-Key`, and its response | `AGENT#<name>` | `KEY#<SHA-256 of the key>` |
//!
//! Issues have two local secondary indexes. Both are sparse and read consistently.
//!
//! - `OpenIssues` is sorted by `openNumber`, an issue's number, which only open issues have. Lists and audits read it,
//!   and it counts the open issues. A number never changes, so paging by it is strictly consistent, and an edit
//!   replaces the entry in its place. The index holds what a list shows, so that a list reads no row. The template
//!   explains both decisions, and `docs/benchmarks.md` has their figures.
//! - `Changes` is sorted by `changeOrder`, which only issues have that changed after their backfill. It lists what
//!   changed since an agent's last heartbeat. The sort key is the fence of the last change and the issue's number,
//!   because DynamoDB guarantees no order among equal sort keys.
//!
//! Some attributes keep names that are older than the terms of the code: `claimOwner` and `claimUntil` are the lease,
//! `told` is a delivery cursor, `closedUntil` is until when an API is blocked, and `believed` is whether an operator
//! has confirmed an audit on hold.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use uuid::Uuid;

use crate::domain::{AgentName, IdempotencyKey, IssueNumber, RepositoryId};

/// An item of the table.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The partition that every pass reads as a whole.
pub(super) const FLEET: &str = "FLEET";
/// The partition of repositories that are no longer tracked. It is read for agents that were away for a long time.
pub(super) const UNTRACKED: &str = "UNTRACKED";
/// The partition of the agents.
pub(super) const AGENTS: &str = "AGENTS";
/// The partition of the passes' records.
pub(super) const PASSES: &str = "PASSES";
/// The start of an AgentRun's sort key.
pub(super) const RUN_PREFIX: &str = "RUN#";
/// The sort key of the fleet's state.
pub(super) const STATE: &str = "STATE";
/// The sort key of the counts of changes.
pub(super) const CHANGE_COUNTS: &str = "COUNTS";
/// The start of a repository's sort key.
pub(super) const REPOSITORY_PREFIX: &str = "REPO#";
/// The start of a configured name's sort key.
pub(super) const NAME_PREFIX: &str = "NAME#";
/// The index of open issues.
pub(super) const OPEN_ISSUES: &str = "OpenIssues";
/// Its sort key: the number of an open issue.
pub(super) const OPEN_NUMBER: &str = "openNumber";
/// The index of changes.
pub(super) const CHANGES: &str = "Changes";
/// Its sort key: the fence of an issue's last change, then the issue's number.
pub(super) const CHANGE_ORDER: &str = "changeOrder";
/// When DynamoDB may delete the item, in epoch seconds.
pub(super) const EXPIRES_AT: &str = "expiresAt";

/// The keys of one item.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) pk: String,
    pub(super) sk: String,
}

impl Key {
    fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self { pk: pk.into(), sk: sk.into() }
    }

    pub(super) fn state() -> Self {
        Self::new(FLEET, STATE)
    }

    pub(super) fn watch() -> Self {
        Self::new(FLEET, "WATCH")
    }

    pub(super) fn unsent() -> Self {
        Self::new(FLEET, "UNSENT")
    }

    pub(super) fn change_counts() -> Self {
        Self::new(FLEET, CHANGE_COUNTS)
    }

    pub(super) fn repository(id: RepositoryId) -> Self {
        Self::new(FLEET, format!("{REPOSITORY_PREFIX}{id}"))
    }

    pub(super) fn untracked(id: RepositoryId) -> Self {
        Self::new(UNTRACKED, format!("{REPOSITORY_PREFIX}{id}"))
    }

    /// The key of a configured name, given in lower case.
    pub(super) fn name(key: &str) -> Self {
        Self::new(FLEET, format!("{NAME_PREFIX}{key}"))
    }

    pub(super) fn audit(id: RepositoryId) -> Self {
        Self::new(issues_of(id), "AUDIT")
    }

    pub(super) fn issue(id: RepositoryId, number: IssueNumber) -> Self {
        Self::new(issues_of(id), issue_sort_key(number))
    }

    pub(super) fn pass(id: Uuid) -> Self {
        Self::new(PASSES, id.to_string())
    }

    pub(super) fn agent(name: &AgentName) -> Self {
        Self::new(AGENTS, name.as_str())
    }

    pub(super) fn run(name: &AgentName, id: Uuid) -> Self {
        Self::new(agent_partition(name), format!("{RUN_PREFIX}{id}"))
    }

    pub(super) fn request(name: &AgentName, key: &IdempotencyKey) -> Self {
        Self::new(agent_partition(name), format!("KEY#{}", key.as_str()))
    }

    pub(super) fn attributes(&self) -> Item {
        HashMap::from([
            ("pk".to_owned(), AttributeValue::S(self.pk.clone())),
            ("sk".to_owned(), AttributeValue::S(self.sk.clone())),
        ])
    }

    /// Removes the item with this key from `items` and returns it, if it is there.
    pub(super) fn take_from(&self, items: &mut Vec<Item>) -> Option<Item> {
        let is_ours = |item: &Item| {
            let has = |name, text: &String| item.get(name).and_then(|of| of.as_s().ok()) == Some(text);
            has("pk", &self.pk) && has("sk", &self.sk)
        };
        items.iter().position(is_ours).map(|place| items.swap_remove(place))
    }
}

/// The partition of a repository's issues.
pub(super) fn issues_of(id: RepositoryId) -> String {
    format!("REPO#{id}")
}

/// The partition of an agent's AgentRuns and requests with a key.
pub(super) fn agent_partition(name: &AgentName) -> String {
    format!("AGENT#{name}")
}

/// The sort keys between which a repository's issues after this number are, or all of them.
pub(super) fn issues_after(number: Option<IssueNumber>) -> [String; 2] {
    let first = number.map_or(0, |IssueNumber(number)| number.saturating_add(1));
    // `~` sorts after each digit.
    [issue_sort_key(IssueNumber(first)), "ISSUE#~".to_owned()]
}

/// The digits make the order of the text the order of the numbers.
fn issue_sort_key(number: IssueNumber) -> String {
    format!("ISSUE#{:010}", number.0)
}

/// The number in an issue's sort key.
pub(super) fn issue_number(sk: &str) -> Option<IssueNumber> {
    sk.strip_prefix("ISSUE#")?.parse().ok().map(IssueNumber)
}
