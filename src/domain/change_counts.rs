//! The number of issues by the fence of their last change, to count undelivered changes without reading them.
//!
//! The counts are exact while every pass ends properly. After a pass that crashed, or that does not know which rows it
//! wrote, counting starts again.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use super::issue::labels_digest;

/// The highest reported count of changes. Above it, the count only means "more".
pub const MAX_COUNTED: u64 = 10_000;

/// The maximum number of entries. It keeps the item under 1 KB.
const MAX_ENTRIES: usize = 64;

/// The maximum number of issues of an entry that covers several fences: one heartbeat can count them by reading them,
/// to learn how many are on each side of a fence between. Neighbours with more issues together are not merged, so the
/// entries hold at least [`MAX_COUNTED`] issues before the oldest is dropped.
const MAX_MERGED: u64 = 400;

/// The number of issues whose last change is under one of the fences `from` to `upto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    from: u64,
    upto: u64,
    issues: u64,
}

/// The counts over all repositories. Issues with an excluded label are not counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeCounts {
    /// The fence of the last counted pass that changed anything.
    pub upto: u64,
    /// Changes up to and including this fence are not counted.
    pub floor: u64,
    /// The digest of the excluded labels.
    excluded: String,
    /// Ascending by fence.
    #[serde(with = "flat")]
    entries: Vec<Entry>,
}

/// A pass's effect on the counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recount {
    /// The number of issues that the pass changed, including those that had changed before.
    pub changed: u64,
    /// Of those, the number of issues by the fence of their previous change.
    pub before: BTreeMap<u64, u64>,
}

impl Recount {
    /// Adds another effect of the same pass.
    pub fn add(&mut self, other: &Self) {
        self.changed += other.changed;
        for (fence, issues) in &other.before {
            *self.before.entry(*fence).or_default() += issues;
        }
    }
}

/// The number of issues whose last change is after a fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountedAfter {
    /// The counted issues.
    pub issues: u64,
    /// If set, there may be more issues, with a last change up to and including this fence.
    pub unknown_upto: Option<u64>,
}

impl ChangeCounts {
    /// Empty counts that start after the fence `floor`.
    pub fn after(floor: u64, excluded: &HashSet<String>) -> Self {
        Self { upto: floor, floor, excluded: digest(excluded), entries: Vec::new() }
    }

    /// Whether exactly these labels were excluded from the counts.
    pub fn excludes(&self, excluded: &HashSet<String>) -> bool {
        self.excluded == digest(excluded)
    }

    /// The counts after the pass with this fence.
    pub fn with(mut self, fence: u64, recount: &Recount) -> Self {
        self.upto = fence;
        self.entries.push(Entry { from: fence, upto: fence, issues: recount.changed });
        for (before, issues) in &recount.before {
            if let Some(entry) = self.entries.iter_mut().find(|entry| entry.upto >= *before)
                && entry.from <= *before
            {
                entry.issues = entry.issues.saturating_sub(*issues);
            }
        }
        while self.entries.len() > MAX_ENTRIES {
            let sum = |at: usize| self.entries[at].issues + self.entries[at + 1].issues;
            match (0..self.entries.len() - 1).find(|at| sum(*at) <= MAX_MERGED) {
                Some(at) => {
                    let later = self.entries.remove(at + 1);
                    let merged = &mut self.entries[at];
                    *merged = Entry { upto: later.upto, issues: merged.issues + later.issues, ..*merged };
                }
                None => self.floor = self.entries.remove(0).upto,
            }
        }
        self
    }

    /// The number of issues whose last change is after the fence `after`, up to and including `upto`.
    pub fn between(&self, after: u64, upto: u64) -> CountedAfter {
        let entries = self.entries.iter().filter(|entry| entry.from > after && entry.from <= upto);
        let split = self.entries.iter().find(|entry| entry.from <= after && after < entry.upto);
        let unknown_upto = if after < self.floor { Some(self.floor) } else { split.map(|entry| entry.upto) };
        CountedAfter { issues: entries.map(|entry| entry.issues).sum(), unknown_upto }
    }
}

fn digest(labels: &HashSet<String>) -> String {
    labels_digest(&labels.iter().cloned().collect::<Vec<_>>())
}

/// Stores three plain numbers per entry: a third of the size of maps with names.
mod flat {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use super::Entry;

    pub(super) fn serialize<S: Serializer>(entries: &[Entry], serializer: S) -> Result<S::Ok, S::Error> {
        let numbers: Vec<u64> =
            entries.iter().flat_map(|entry| [entry.from, entry.upto - entry.from, entry.issues]).collect();
        numbers.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Entry>, D::Error> {
        let numbers = Vec::<u64>::deserialize(deserializer)?;
        let entries = numbers.chunks_exact(3);
        Ok(entries.map(|of| Entry { from: of[0], upto: of[0] + of[1], issues: of[2] }).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recount(changed: u64, before: &[(u64, u64)]) -> Recount {
        Recount { changed, before: before.iter().copied().collect() }
    }

    fn after(counts: &ChangeCounts, fence: u64) -> (u64, Option<u64>) {
        let counted = counts.between(fence, u64::MAX);
        (counted.issues, counted.unknown_upto)
    }

    #[test]
    fn an_issue_counts_where_it_changed_last() {
        let counts = ChangeCounts::after(3, &HashSet::new());
        let counts = counts.with(4, &recount(10, &[])).with(6, &recount(5, &[(2, 1), (4, 3), (6, 1)]));
        assert_eq!(
            [3, 4, 5, 6].map(|fence| after(&counts, fence)),
            [(11, None), (4, None), (4, None), (0, None)]
        );
        assert_eq!(after(&counts, 2), (11, Some(3)), "changes up to the floor are not counted");
        assert_eq!(counts.between(3, 5).issues, 7);
    }

    #[test]
    fn old_small_entries_merge_and_counts_within_them_are_unknown() {
        let mut counts = ChangeCounts::after(0, &HashSet::new());
        for fence in 1..=100 {
            counts = counts.with(fence, &recount(3, &[]));
        }
        assert_eq!((counts.entries.len(), after(&counts, 0)), (MAX_ENTRIES, (300, None)));
        let (issues, unknown_upto) = after(&counts, 5);
        let upto = unknown_upto.expect("it lies within an entry");
        assert_eq!(issues, 3 * (100 - upto));
        assert_eq!(after(&counts, 99), (3, None));
    }

    #[test]
    fn dropped_entries_leave_at_least_the_maximum_count() {
        let mut counts = ChangeCounts::after(0, &HashSet::new());
        for fence in 1..=1_000 {
            counts = counts.with(fence, &recount(fence * 37 % 301, &[]));
            assert!(counts.floor == 0 || counts.between(counts.floor, u64::MAX).issues >= MAX_COUNTED);
            assert!(counts.entries.len() <= MAX_ENTRIES);
        }
        assert!(counts.floor > 0);
    }
}
