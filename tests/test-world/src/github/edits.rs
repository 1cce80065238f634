//! What people do to issues: open, edit, close, label, transfer, delete them.
//!
//! `updated_at` behaves as on GitHub: an edit of the issue itself moves it to now, a renamed label does not.

use jiff::Timestamp;

use super::issue::{Issue, State, Versions};
use super::repository::Numbered;
use super::world::{World, whole_seconds};

const AUTHOR: &str = "octavia";

impl World {
    /// Opens an issue now and returns its number.
    pub fn open_issue(&mut self, repository: &str, title: &str) -> u64 {
        self.open_issue_at(repository, title, self.now())
    }

    /// Opens an issue that was created and last updated at `at`.
    pub fn open_issue_at(&mut self, repository: &str, title: &str, at: Timestamp) -> u64 {
        self.open(repository, title, at, false)
    }

    /// Opens `count` issues now, titled by their numbers.
    pub fn open_issues(&mut self, repository: &str, count: u64) {
        for _ in 0..count {
            let number = self.repository(repository).next_number();
            self.open_issue(repository, &format!("Issue {number}"));
        }
    }

    /// Opens a pull request now and returns its number. Issues and pull requests share their numbers.
    pub fn open_pull_request(&mut self, repository: &str, title: &str) -> u64 {
        self.open(repository, title, self.now(), true)
    }

    /// An issue's current version, even if readers do not see it yet.
    pub fn issue(&self, repository: &str, number: u64) -> &Issue {
        match self.repository(repository).numbers.get(&number) {
            Some(Numbered::Issue(versions)) => &versions.current,
            other => panic!("{repository}#{number} is not an issue: {other:?}"),
        }
    }

    /// Changes an issue. `updated_at` moves to now first, so that `edit` may also set it.
    pub fn edit_issue(&mut self, repository: &str, number: u64, edit: impl FnOnce(&mut Issue)) {
        let now = self.now();
        let versions = self.repository_mut(repository).versions_mut(number);
        versions.change(|issue| {
            issue.updated_at = now;
            edit(issue);
            issue.updated_at = whole_seconds(issue.updated_at);
        });
        self.register_names_of(repository, number);
    }

    /// Closes an issue as completed.
    pub fn close_issue(&mut self, repository: &str, number: u64) {
        self.close_issue_as(repository, number, "completed");
    }

    /// Closes an issue for a reason: `completed`, `not_planned` or `duplicate`.
    pub fn close_issue_as(&mut self, repository: &str, number: u64, reason: &str) {
        let now = self.now();
        self.edit_issue(repository, number, |issue| issue.close(now, reason));
    }

    /// Reopens an issue.
    pub fn reopen_issue(&mut self, repository: &str, number: u64) {
        self.edit_issue(repository, number, Issue::reopen);
    }

    /// Comments on an issue: only the number of comments and `updated_at` change.
    pub fn comment(&mut self, repository: &str, number: u64) {
        self.edit_issue(repository, number, |issue| issue.comments += 1);
    }

    /// Adds a label to an issue. Creates the label if the repository does not have it.
    pub fn add_label(&mut self, repository: &str, number: u64, label: &str) {
        self.edit_issue(repository, number, |issue| {
            if !issue.labels.iter().any(|name| name == label) {
                issue.labels.push(label.to_owned());
            }
        });
    }

    /// Removes a label from an issue.
    pub fn remove_label(&mut self, repository: &str, number: u64, label: &str) {
        self.edit_issue(repository, number, |issue| issue.labels.retain(|name| name != label));
    }

    /// Assigns an issue to a user.
    pub fn assign(&mut self, repository: &str, number: u64, login: &str) {
        self.edit_issue(repository, number, |issue| issue.assignees.push(login.to_owned()));
    }

    /// Renames a label everywhere in a repository. No issue's `updated_at` moves.
    pub fn rename_label(&mut self, repository: &str, label: &str, new_name: &str) {
        let repository = self.repository_mut(repository);
        let id = repository.labels.remove(label).expect("the repository has the label to rename");
        repository.labels.insert(new_name.to_owned(), id);
        for numbered in repository.numbers.values_mut() {
            let Numbered::Issue(versions) = numbered else {
                continue;
            };
            for name in versions.all_mut().flat_map(|issue| &mut issue.labels) {
                if name == label {
                    name.replace_range(.., new_name);
                }
            }
        }
    }

    /// Deletes an issue: requests for it get 410.
    pub fn delete_issue(&mut self, repository: &str, number: u64) {
        self.take(repository, number, Numbered::Deleted);
    }

    /// Converts an issue to a pull request, as `POST /repos/{owner}/{repo}/pulls` with `issue` does: number, title and
    /// text stay. GitHub docs: "Create a pull request", parameter `issue`.
    pub fn convert_to_pull_request(&mut self, repository: &str, number: u64) {
        self.edit_issue(repository, number, |issue| {
            assert!(!issue.is_pull_request, "{repository}#{number} is a pull request already");
            (issue.is_pull_request, issue.state_reason) = (true, None);
        });
    }

    /// Restores the version before an issue's last edit, with its `updated_at`, as GitHub does in a restore from a
    /// backup. Returns whether there was such a version.
    pub fn restore_issue(&mut self, repository: &str, number: u64) -> bool {
        self.repository_mut(repository).versions_mut(number).restore()
    }

    /// Hides an issue: requests for it get 404, and listings leave it out.
    pub fn hide_issue(&mut self, repository: &str, number: u64) {
        self.repository_mut(repository).versions_mut(number).hidden = true;
    }

    /// Reverts [`World::hide_issue`]. `updated_at` does not move.
    pub fn show_issue(&mut self, repository: &str, number: u64) {
        self.repository_mut(repository).versions_mut(number).hidden = false;
    }

    /// Transfers an issue to another repository and returns its number there. Requests for the old number get 301.
    ///
    /// An issue that is transferred back gets a new number and id too, and its first number redirects to the newest
    /// one: people who moved issues there and back report one entry for each move, and gaps in the numbers.
    pub fn transfer_issue(&mut self, repository: &str, number: u64, target: &str) -> u64 {
        let (id, now) = (self.next_id(), self.now());
        let (target_id, new_number) = (self.repository_id(target), self.repository(target).next_number());
        let moved = Numbered::Transferred { repository: target_id, number: new_number };
        let mut issue = self.take(repository, number, moved);
        assert!(
            !issue.is_pull_request,
            "GitHub transfers no pull requests, and {repository}#{number} is one"
        );
        (issue.id, issue.number, issue.updated_at) = (id, new_number, now);
        self.put(target, issue);
        new_number
    }

    /// Shows an issue's last edit late: until the clock reaches `until`, readers get the version before it, or nothing
    /// if the last edit opened the issue. Later edits appear at the same time.
    pub fn show_late(&mut self, repository: &str, number: u64, until: Timestamp) {
        self.repository_mut(repository).versions_mut(number).show_late(until);
    }

    /// The web address of an issue, as the service reports it.
    pub fn html_url(&self, repository: &str, number: u64) -> String {
        super::render::html_url(self, self.repository(repository), self.issue(repository, number))
    }

    fn open(&mut self, repository: &str, title: &str, at: Timestamp, is_pull_request: bool) -> u64 {
        let at = whole_seconds(at);
        let id = self.next_id();
        let number = self.repository(repository).next_number();
        let issue = Issue {
            id,
            number,
            title: title.to_owned(),
            body: None,
            user: Some(AUTHOR.to_owned()),
            labels: Vec::new(),
            assignees: Vec::new(),
            state: State::Open,
            state_reason: None,
            locked: false,
            comments: 0,
            created_at: at,
            updated_at: at,
            closed_at: None,
            is_pull_request,
        };
        self.put(repository, issue);
        number
    }

    fn put(&mut self, repository: &str, issue: Issue) {
        let number = issue.number;
        let versions = Numbered::Issue(Box::new(Versions::new(issue)));
        self.repository_mut(repository).numbers.insert(number, versions);
        self.register_names_of(repository, number);
    }

    /// Replaces an issue by `instead` and returns it.
    fn take(&mut self, repository: &str, number: u64, instead: Numbered) -> Issue {
        match self.repository_mut(repository).numbers.insert(number, instead) {
            Some(Numbered::Issue(versions)) => versions.current,
            other => panic!("{repository}#{number} is not an issue: {other:?}"),
        }
    }

    /// Gives ids to an edit's new users and labels.
    fn register_names_of(&mut self, repository: &str, number: u64) {
        let issue = self.issue(repository, number);
        let logins: Vec<String> = issue.user.iter().chain(&issue.assignees).cloned().collect();
        let known = &self.repository(repository).labels;
        let new_labels: Vec<String> =
            issue.labels.iter().filter(|name| !known.contains_key(*name)).cloned().collect();
        for login in logins {
            self.register_user(&login);
        }
        for name in new_labels {
            let id = self.next_id();
            self.repository_mut(repository).labels.insert(name, id);
        }
    }
}
