//! What lists of issues show of the repositories beside their issues.

use std::fmt::Write as _;

use crate::domain::Fingerprint;

use super::work::Worklist;

/// A digest of it. A list may have changed if it differs, or if an issue has changed.
pub(super) fn digest(worklist: &Worklist) -> String {
    let mut text = String::new();
    for work in &worklist.work {
        let tracked = &work.tracked;
        let is_whole = tracked.backfill.is_none() && !tracked.cut_short && !tracked.has_drifted();
        let _ = writeln!(
            text,
            "{} {} {} {:?} {is_whole} {} {:?}",
            work.name, tracked.id, tracked.name, tracked.failure, tracked.open_count, tracked.unread
        );
    }
    for unknown in &worklist.unknown {
        let _ = writeln!(text, "{} {:?}", unknown.name, unknown.result.problem().map(|problem| problem.code));
    }
    Fingerprint::of(&text).as_str().to_owned()
}
