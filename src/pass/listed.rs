//! What lists of issues show of the repositories beside their issues.

use std::fmt::Write as _;

use crate::domain::{Fingerprint, RepositoryName};

use super::work::Worklist;

/// A digest of it, as the table holds it: a checkpoint or a name that could not be stored changes no list yet. A list may
/// have changed if the digest differs, or if an issue has changed.
pub(super) fn digest(configured: &[RepositoryName], worklist: &Worklist) -> String {
    let mut text = String::new();
    for name in configured {
        let known = worklist.fleet.names.get(&name.key());
        let _ = write!(text, "{name} {:?}", known.map(|known| known.target));
        let id = known.and_then(|known| known.id());
        let in_fleet = || worklist.fleet.repositories.get(&id?);
        let stored = match id.and_then(|id| worklist.of(id)) {
            Some(work) => work.stored.as_ref(),
            None => in_fleet(),
        };
        if let Some(tracked) = stored {
            let _ = write!(
                text,
                " {} {:?} {} {} {} {} {}",
                tracked.name,
                tracked.failure,
                tracked.backfill.is_some(),
                tracked.cut_short,
                tracked.has_drifted(),
                tracked.open_count,
                tracked.unread.is_empty()
            );
        }
        text.push('\n');
    }
    Fingerprint::of(&text).as_str().to_owned()
}
