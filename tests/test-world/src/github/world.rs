//! GitHub's state: repositories, who may read them, and how pages are linked.
//!
//! It is plain data without HTTP or JSON. Tests arrange it through the methods here and in `edits.rs`. A method panics
//! if its repository or issue does not exist: the test is wrong.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::api_version::ClosingDown;
use super::apps::Apps;
use super::budget::Budgets;
use super::graphql::Service;
use super::repository::Repository;
use crate::clock::Clock;

/// GitHub's state.
pub struct World {
    /// How listings link their pages.
    pub links: LinkStyle,
    /// The URL of the web site, with which `html_url` begins: `https://github.com`, or the host of an Enterprise
    /// Server. GitHub docs: "Getting started with the REST API" (Enterprise Server), whose API is at
    /// `https://HOSTNAME/api/v3` and whose pages are at `https://HOSTNAME`.
    pub web: String,
    /// Budgets of REST requests.
    pub(super) budgets: Budgets,
    /// Budgets of GraphQL points.
    pub(super) points: Budgets,
    pub(super) graphql: Service,
    pub(super) apps: Apps,
    pub(super) accepted_tokens: Option<Vec<String>>,
    pub(super) closing_down: Option<ClosingDown>,
    pub(super) repositories: BTreeMap<u64, Repository>,
    pub(super) user_ids: HashMap<String, u64>,
    // Both by lower-case `owner/name`, as GitHub compares them.
    current_names: HashMap<String, u64>,
    former_names: HashMap<String, u64>,
    last_id: u64,
    pub(super) clock: Clock,
}

/// How a listing links to its other pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkStyle {
    /// By position (`page=2`), with `first`, `prev`, `next` and `last`.
    Pages,
    /// By an opaque `after=`, without `last`, as GitHub does for large repositories: `page=2` alone gets 422. Such a
    /// page starts behind the last issue of the one before, wherever that is now.
    After,
}

/// The repository that has a name.
pub(super) enum Named {
    Current(u64),
    /// This repository had the name before, and no other has it now.
    Former(u64),
    Unknown,
}

impl World {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            links: LinkStyle::Pages,
            web: "https://github.com".to_owned(),
            budgets: Budgets::new(clock.now() + SignedDuration::from_hours(1)),
            points: Budgets::new(clock.now() + SignedDuration::from_hours(1)),
            graphql: Service::default(),
            apps: Apps::default(),
            accepted_tokens: None,
            closing_down: None,
            repositories: BTreeMap::new(),
            user_ids: HashMap::new(),
            current_names: HashMap::new(),
            former_names: HashMap::new(),
            last_id: 1_000,
            clock,
        }
    }

    /// The time as GitHub writes it: whole seconds.
    pub fn now(&self) -> Timestamp {
        whole_seconds(self.clock.now())
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Accepts only these tokens and those of Apps. Other requests get 401. By default every token is accepted.
    pub fn accept_only<const N: usize>(&mut self, tokens: [&str; N]) {
        self.accepted_tokens = Some(tokens.map(str::to_owned).to_vec());
    }

    /// Gives every token a budget of `limit` REST requests, of which `remaining` are left until `reset`.
    pub fn set_budget(&mut self, limit: u64, remaining: u64, reset: Timestamp) {
        self.budgets.set(limit, remaining, reset);
    }

    /// Gives every token a budget of `limit` GraphQL points, of which `remaining` are left until `reset`.
    pub fn set_graphql_budget(&mut self, limit: u64, remaining: u64, reset: Timestamp) {
        self.points.set(limit, remaining, reset);
    }

    /// Creates a repository and returns its id. Its name may be another repository's former name.
    pub fn create_repository(&mut self, full_name: &str) -> u64 {
        assert!(full_name.split('/').count() == 2, "a repository is named owner/name, not {full_name:?}");
        let id = self.next_id();
        let taken = self.current_names.insert(key(full_name), id);
        assert!(taken.is_none(), "the repository {full_name} exists already");
        self.repositories.insert(id, Repository::new(id, full_name, self.now()));
        let owner = owner_of(full_name).to_owned();
        self.register_user(&owner);
        id
    }

    /// Renames a repository. Requests for the old name get 301, and GraphQL follows the rename, until another
    /// repository takes that name.
    pub fn rename_repository(&mut self, full_name: &str, new_name: &str) {
        let id = self.repository_id(full_name);
        let taken = self.current_names.insert(key(new_name), id);
        assert!(taken.is_none_or(|other| other == id), "the repository {new_name} exists already");
        if key(full_name) != key(new_name) {
            self.current_names.remove(&key(full_name));
            self.former_names.insert(key(full_name), id);
        }
        self.repository_mut(new_name).full_name = new_name.to_owned();
        let owner = owner_of(new_name).to_owned();
        self.register_user(&owner);
    }

    /// Renames an owner: the owner's repositories are renamed, and installed Apps stay installed.
    pub fn rename_owner(&mut self, login: &str, new_login: &str) {
        let is_owned = |full_name: &&String| owner_of(full_name).eq_ignore_ascii_case(login);
        let names = self.repositories.values().map(|repository| &repository.full_name);
        let names: Vec<String> = names.filter(is_owned).cloned().collect();
        for full_name in names {
            let (_, name) = full_name.split_once('/').expect("an owner and a name");
            self.rename_repository(&full_name, &format!("{new_login}/{name}"));
        }
        self.apps.rename_owner(login, new_login);
    }

    /// Makes a repository public: every installation of every App sees it. For other tokens nothing changes.
    pub fn publish_repository(&mut self, full_name: &str) {
        self.repository_mut(full_name).public = true;
    }

    /// Hides a repository: requests for it get 404, and GraphQL's error `NOT_FOUND`, as if the token had lost access.
    pub fn hide_repository(&mut self, full_name: &str) {
        self.repository_mut(full_name).visible = false;
    }

    /// Reverts [`World::hide_repository`].
    pub fn show_repository(&mut self, full_name: &str) {
        self.repository_mut(full_name).visible = true;
    }

    /// Disables the issues of a repository: requests for them get 410. GraphQL lists none and has `hasIssuesEnabled`.
    pub fn disable_issues(&mut self, full_name: &str) {
        self.repository_mut(full_name).has_issues = false;
    }

    /// Reverts [`World::disable_issues`].
    pub fn enable_issues(&mut self, full_name: &str) {
        self.repository_mut(full_name).has_issues = true;
    }

    /// Archives a repository: it stays readable and has `archived`.
    pub fn archive(&mut self, full_name: &str) {
        self.repository_mut(full_name).archived = true;
    }

    /// Disables a repository: it has `disabled`, and requests for its issues get 403. GraphQL lists none.
    pub fn disable(&mut self, full_name: &str) {
        self.repository_mut(full_name).disabled = true;
    }

    /// A repository by its current name.
    pub fn repository(&self, full_name: &str) -> &Repository {
        &self.repositories[&self.repository_id(full_name)]
    }

    /// The id of a repository by its current name.
    pub fn repository_id(&self, full_name: &str) -> u64 {
        *self
            .current_names
            .get(&key(full_name))
            .unwrap_or_else(|| panic!("the repository {full_name} does not exist: create it first"))
    }

    pub(super) fn repository_mut(&mut self, full_name: &str) -> &mut Repository {
        let id = self.repository_id(full_name);
        self.repositories.get_mut(&id).expect("a current name leads to a repository")
    }

    pub(super) fn named(&self, full_name: &str) -> Named {
        let key = key(full_name);
        match (self.current_names.get(&key), self.former_names.get(&key)) {
            (Some(&id), _) => Named::Current(id),
            (None, Some(&id)) => Named::Former(id),
            (None, None) => Named::Unknown,
        }
    }

    /// Whether two names mean the same repository, or are the same unknown name.
    pub(super) fn same_repository(&self, one: &str, other: &str) -> bool {
        match (self.named(one), self.named(other)) {
            (Named::Unknown, Named::Unknown) => key(one) == key(other),
            (Named::Current(one) | Named::Former(one), Named::Current(other) | Named::Former(other)) => {
                one == other
            }
            _ => false,
        }
    }

    /// A repository that the token may see.
    pub(super) fn visible_repository(&self, id: u64, token: Option<&str>) -> Option<&Repository> {
        self.repositories.get(&id).filter(|repository| self.shows(token, repository))
    }

    /// Ids come from one counter, so that the same edits give the same ids.
    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Gives a new login an id.
    pub(super) fn register_user(&mut self, login: &str) {
        if !self.user_ids.contains_key(login) {
            let id = self.next_id();
            self.user_ids.insert(login.to_owned(), id);
        }
    }
}

pub(super) fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).expect("a timestamp's own second is within its range")
}

pub(super) fn owner_of(full_name: &str) -> &str {
    full_name.split_once('/').map_or(full_name, |(owner, _)| owner)
}

fn key(full_name: &str) -> String {
    full_name.to_lowercase()
}
