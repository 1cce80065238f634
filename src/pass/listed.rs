//! What lists of issues show of the repositories beside their issues, and which repositories names refer to.

use std::fmt::Write as _;

use crate::domain::{Fingerprint, RepositoryName};

use super::work::Worklist;

/// Digests of what the table holds: a checkpoint or a name that could not be stored changes none of them yet.
pub(super) struct Digests {
    /// Of what lists show of the repositories. A list may have changed if it differs, or if an issue has changed.
    pub(super) listed: String,
    /// Of the repositories' ids and names.
    pub(super) named: String,
}

pub(super) fn digests(configured: &[RepositoryName], worklist: &Worklist) -> Digests {
    let (mut text, mut names) = (String::new(), String::new());
    for name in configured {
        let known = worklist.fleet.names.get(&name.key());
        let _ = write!(text, "{name} {:?}", known.map(|known| known.target));
        let _ = write!(names, "{name} {:?}", known.and_then(|known| known.id()));
        let id = known.and_then(|known| known.id());
        let in_fleet = || worklist.fleet.repositories.get(&id?);
        let stored = match id.and_then(|id| worklist.of(id)) {
            Some(work) => work.stored.as_ref(),
            None => in_fleet(),
        };
        if let Some(tracked) = stored {
            let _ = write!(names, " {}", tracked.name);
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
        names.push('\n');
    }
    let digest = |text: &str| Fingerprint::of(text).as_str().to_owned();
    Digests { listed: digest(&text), named: digest(&names) }
}
