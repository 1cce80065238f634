//! A program that follows the changes with a cursor of its own. Each page that it reads is checked: it is in order,
//! short enough, without excluded issues, and reading it wrote nothing.

use std::sync::Arc;

use agent_heartbeat::app::App;
use agent_heartbeat::domain::{IssueNumber, RepositoryId};
use agent_heartbeat::feed::{self, FeedPage, FollowError, ReportedChange};
use serde_json::Value;
use test_world::TABLE_NAME;

use crate::support::app::TestApp;

/// A program that follows the changes.
pub struct Follower {
    environment: Arc<App>,
    /// An issue with this label is excluded in its execution environment.
    excluded: &'static str,
    pub cursor: Option<String>,
    /// Every change that it received, the first one first.
    pub received: Vec<ReportedChange>,
}

impl Follower {
    /// It has no cursor yet: its first page gives it the present one.
    pub fn new(app: &TestApp, excluded: &'static str) -> Self {
        let mut variables = app.variables.clone();
        variables.insert("EXCLUDED_LABELS".to_owned(), excluded.to_owned());
        let environment = app.environment_with(&variables);
        Self { environment, excluded, cursor: None, received: Vec::new() }
    }

    /// Reads one page and keeps its cursor. `None` if the table could not be read.
    pub async fn page(&mut self, app: &TestApp, limit: usize) -> Option<FeedPage> {
        let before = app.world.dynamodb.capacity().write_units;
        let page = feed::follow(&self.environment, self.cursor.as_deref(), limit).await;
        assert_eq!(
            app.world.dynamodb.capacity().write_units,
            before,
            "a read takes no lease and writes nothing"
        );
        let page = match page {
            Ok(page) => page,
            Err(FollowError::Store(_)) => return None,
            Err(error) => panic!("{:?}: {error}", self.cursor),
        };
        let places = page.changes.iter().map(|change| (change.fence, change.repository, change.number));
        assert!(places.is_sorted() && page.changes.len() <= limit, "{limit}: {page:#?}");
        for change in &page.changes {
            let row = row_of(app, change.repository, change.number);
            assert!(!self.excludes(&row["labels"]), "{change:#?} of {row:#}");
            let issue = (change.repository, change.number);
            assert!(self.last_received(issue).is_none_or(|last| last.fence <= change.fence), "{change:#?}");
        }
        self.received.extend(page.changes.iter().cloned());
        self.cursor.clone_from(&page.next_cursor);
        Some(page)
    }

    /// Reads pages until there are no more.
    pub async fn catch_up(&mut self, app: &TestApp, limit: usize) -> Vec<ReportedChange> {
        let (before, mut pages) = (self.received.len(), 0);
        while self.page(app, limit).await.expect("nothing fails").has_more {
            pages += 1;
            assert!(pages < 500, "it does not end: {:?}", self.cursor);
        }
        self.received[before..].to_vec()
    }

    /// The last change of an issue that it received.
    pub fn last_received(&self, issue: (RepositoryId, IssueNumber)) -> Option<&ReportedChange> {
        self.received.iter().rev().find(|change| (change.repository, change.number) == issue)
    }

    /// The last change of every changed issue that is not excluded was received.
    pub fn assert_has_latest(&self, app: &TestApp) {
        for row in app.items("REPO#", "ISSUE#") {
            let Some(fence) = row["changeFence"].as_u64().filter(|_| !self.excludes(&row["labels"])) else {
                continue;
            };
            let id = row["pk"].as_str().and_then(|key| key.strip_prefix("REPO#")?.parse().ok());
            let number = row["number"].as_u64().expect("a number");
            let last = self.last_received((RepositoryId(id.expect("an id")), IssueNumber(number)));
            assert_eq!(last.map(|change| change.fence), Some(fence), "{row:#}");
        }
    }

    /// Whether an issue with these labels is excluded for it.
    pub fn excludes(&self, labels: &Value) -> bool {
        labels.as_array().is_some_and(|labels| labels.contains(&self.excluded.into()))
    }
}

/// The row of a changed issue.
fn row_of(app: &TestApp, repository: RepositoryId, number: IssueNumber) -> Value {
    let (pk, sk) = (format!("REPO#{repository}"), format!("ISSUE#{:010}", number.0));
    app.world.dynamodb.item(TABLE_NAME, &pk, &sk).expect("a changed issue has a row")
}

/// Changes in the form `edited acme/api#2`.
pub fn as_words(changes: &[ReportedChange]) -> Vec<String> {
    let words = changes.iter().map(|ReportedChange { issue, .. }| {
        let change = serde_json::to_value(issue.change).expect("JSON");
        let issue = issue.url.replace("https://github.com/", "").replace("/issues/", "#");
        format!("{} {issue}", change.as_str().expect("a word"))
    });
    words.collect()
}
