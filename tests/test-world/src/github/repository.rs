//! One repository: its flags, its labels, and what each issue number stands for.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::issue::{Issue, State, Versions};

/// A repository as GitHub keeps it.
#[derive(Clone, Debug)]
pub struct Repository {
    /// GitHub's id, which a rename keeps.
    pub id: u64,
    /// The current `owner/name`.
    pub full_name: String,
    /// Whether it is visible: if not, all requests for it get 404.
    pub visible: bool,
    /// Whether every installation of every App sees it.
    pub public: bool,
    /// Whether it has issues: if not, requests for them get 410.
    pub has_issues: bool,
    /// Whether it is archived (read-only, but readable).
    pub archived: bool,
    /// Whether GitHub disabled it: it can be read, and requests for its issues get 403.
    pub disabled: bool,
    /// When it was created.
    pub created_at: Timestamp,
    pub(super) labels: BTreeMap<String, u64>,
    pub(super) numbers: BTreeMap<u64, Numbered>,
}

/// What an issue number stands for.
#[derive(Clone, Debug)]
pub(super) enum Numbered {
    Issue(Box<Versions>),
    Deleted,
    Transferred { repository: u64, number: u64 },
}

impl Repository {
    pub(super) fn new(id: u64, full_name: &str, created_at: Timestamp) -> Self {
        Self {
            id,
            full_name: full_name.to_owned(),
            visible: true,
            public: false,
            has_issues: true,
            archived: false,
            disabled: false,
            created_at,
            labels: BTreeMap::new(),
            numbers: BTreeMap::new(),
        }
    }

    /// The current versions of all issues and pull requests, by number, including those that readers do not see.
    /// Deleted and transferred ones are left out.
    pub fn issues(&self) -> impl Iterator<Item = &Issue> {
        self.numbers.values().filter_map(|numbered| match numbered {
            Numbered::Issue(versions) => Some(&versions.current),
            Numbered::Deleted | Numbered::Transferred { .. } => None,
        })
    }

    /// Issues and pull requests as a reader sees them at `now`, by number.
    pub fn visible_issues(&self, now: Timestamp) -> impl Iterator<Item = &Issue> {
        self.numbers.values().filter_map(move |numbered| match numbered {
            Numbered::Issue(versions) => versions.visible(now),
            Numbered::Deleted | Numbered::Transferred { .. } => None,
        })
    }

    /// How many issues and pull requests are open: `open_issues_count` counts both.
    pub(super) fn open_count(&self, now: Timestamp) -> usize {
        self.visible_issues(now).filter(|issue| issue.state == State::Open).count()
    }

    /// The next number. Numbers of deleted and transferred issues are not used again.
    pub(super) fn next_number(&self) -> u64 {
        self.numbers.last_key_value().map_or(1, |(number, _)| number + 1)
    }

    pub(super) fn versions_mut(&mut self, number: u64) -> &mut Versions {
        let name = &self.full_name;
        match self.numbers.get_mut(&number) {
            Some(Numbered::Issue(versions)) => versions,
            other => panic!("{name}#{number} is not an issue: {other:?}"),
        }
    }
}
