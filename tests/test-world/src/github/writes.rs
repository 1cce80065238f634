//! The two edits over HTTP, for people who try the service out: opening an issue and changing one. Tests use the
//! methods of [`World`], which has more of them.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::answer::Answer;
use super::issue::State;
use super::render::About;
use super::world::World;

#[derive(Deserialize)]
struct NewIssue {
    title: String,
    body: Option<String>,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    assignees: Vec<String>,
}

/// Absent fields stay unchanged.
#[derive(Deserialize)]
struct Changes {
    title: Option<String>,
    body: Option<String>,
    state: Option<NewState>,
    state_reason: Option<String>,
    labels: Option<Vec<String>>,
    assignees: Option<Vec<String>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum NewState {
    Open,
    Closed,
}

impl World {
    /// Opens the issue that a request's `body` describes and returns its number.
    ///
    /// # Errors
    ///
    /// GitHub's answer to an invalid body.
    pub(super) fn open_described(&mut self, repository: &str, body: &[u8]) -> Result<u64, Answer> {
        let described: NewIssue = parse(body)?;
        let number = self.open_issue(repository, &described.title);
        self.edit_issue(repository, number, |issue| {
            issue.body = described.body;
            issue.labels = described.labels;
            issue.assignees = described.assignees;
        });
        Ok(number)
    }

    /// Changes an issue as a request's `body` describes.
    ///
    /// # Errors
    ///
    /// GitHub's answer to an invalid body.
    pub(super) fn change_described(
        &mut self,
        repository: &str,
        number: u64,
        body: &[u8],
    ) -> Result<(), Answer> {
        let changes: Changes = parse(body)?;
        let now = self.now();
        self.edit_issue(repository, number, |issue| {
            replace(&mut issue.title, changes.title);
            replace(&mut issue.labels, changes.labels);
            replace(&mut issue.assignees, changes.assignees);
            issue.body = changes.body.or(issue.body.take());
            match (changes.state, issue.state) {
                (Some(NewState::Closed), _) => {
                    issue.close(now, changes.state_reason.as_deref().unwrap_or("completed"));
                }
                (Some(NewState::Open), State::Closed) => issue.reopen(),
                (Some(NewState::Open), State::Open) | (None, _) => {}
            }
        });
        Ok(())
    }
}

fn replace<T>(value: &mut T, new: Option<T>) {
    if let Some(new) = new {
        *value = new;
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Answer> {
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => Answer::error(422, &format!("Invalid request.\n\n{error}"), &About::Issue),
        Category::Syntax | Category::Eof | Category::Io => {
            Answer::error(400, "Problems parsing JSON", &About::Issue)
        }
    })
}
