//! Made-up repositories for people who try the service out.

use jiff::{SignedDuration, Timestamp};

use super::world::World;

/// Creates `acme/api`, `acme/web` and `acme/docs` in an empty world, with a dozen open issues, some of them
/// assigned, a few closed ones, and pull requests of the last weeks.
pub fn demo(world: &mut World) {
    let now = world.now();
    let ago = |hours: i64| now - SignedDuration::from_hours(hours);

    let mut api = Seeding::of(world, "acme/api");
    api.issue("Refuse uploads larger than the quota before reading them", ago(700), &["bug", "status/ready"]);
    api.issue("Retry webhooks with a growing pause", ago(620), &["enhancement", "status/backlog"]);
    api.closed("Health check answers 200 while the database is away", ago(600), "completed");
    api.issue("Orders of more than 999 items are shown twice", ago(410), &["bug", "status/in-progress"]);
    api.pull_request("Read the quota once per request", ago(96));
    api.issue("Page through invoices by date instead of by number", ago(52), &["status/ready"]);
    api.issue("Tokens with a trailing newline are refused", ago(5), &["bug"]);

    let mut web = Seeding::of(world, "acme/web");
    web.issue("The cart forgets its discount after a reload", ago(500), &["bug", "status/in-review"]);
    web.issue("Keyboard focus is lost when a dialog closes", ago(330), &["accessibility"]);
    web.closed("Support browsers that are ten years old", ago(300), "not_planned");
    web.issue("Show prices in the visitor's currency 💶", ago(120), &["enhancement", "status/backlog"]);
    web.pull_request("Keep the discount in the session", ago(30));
    web.issue("Search suggestions flicker on slow networks", ago(9), &["bug", "status/ready"]);

    let mut docs = Seeding::of(world, "acme/docs");
    docs.issue("Explain how to rotate a token", ago(260), &["status/ready"]);
    docs.issue("The quick start names a command that is gone", ago(77), &["bug"]);
    docs.pull_request("Correct the quick start", ago(70));
    docs.issue("Draw the path of a request", ago(20), &["status/backlog"]);

    for (repository, number, login) in [("acme/api", 4, "alpha-bot"), ("acme/web", 1, "hubert")] {
        world.edit_issue(repository, number, |issue| {
            issue.updated_at = issue.created_at;
            issue.assignees.push(login.to_owned());
        });
    }
}

/// Creates `acme/legacy`, with two open issues.
pub fn legacy(world: &mut World) {
    let ago = world.now() - SignedDuration::from_hours(2_000);
    let mut legacy = Seeding::of(world, "acme/legacy");
    legacy.issue("Print invoices in black and white", ago, &["status/backlog"]);
    legacy.issue("The old export omits the last day of a month", ago, &["bug"]);
}

/// What people did next in the worlds of [`demo`] and [`legacy`]: an issue each was closed, assigned, renamed and opened,
/// and `acme/legacy` has no issues any more. Issue 1 of `acme/api` stays open.
pub fn later(world: &mut World) {
    world.close_issue("acme/docs", 2);
    world.assign("acme/api", 6, "beta-bot");
    world.edit_issue("acme/web", 4, |issue| {
        issue.title = "Show prices in the visitor's own currency 💶".to_owned()
    });
    let number = world.open_issue("acme/web", "The price tag is upside down");
    world.edit_issue("acme/web", number, |issue| issue.labels.push("status/ready".to_owned()));
    world.disable_issues("acme/legacy");
}

struct Seeding<'a> {
    world: &'a mut World,
    repository: &'static str,
}

impl<'a> Seeding<'a> {
    fn of(world: &'a mut World, repository: &'static str) -> Self {
        world.create_repository(repository);
        Self { world, repository }
    }

    fn issue(&mut self, title: &str, at: Timestamp, labels: &[&str]) {
        let number = self.world.open_issue_at(self.repository, title, at);
        self.world.edit_issue(self.repository, number, |issue| {
            issue.labels = labels.iter().map(|&label| label.to_owned()).collect();
            issue.updated_at = at;
        });
    }

    fn closed(&mut self, title: &str, at: Timestamp, reason: &str) {
        let number = self.world.open_issue_at(self.repository, title, at);
        self.world.edit_issue(self.repository, number, |issue| {
            issue.close(at, reason);
            issue.updated_at = at;
        });
    }

    fn pull_request(&mut self, title: &str, at: Timestamp) {
        let number = self.world.open_pull_request(self.repository, title);
        self.world.edit_issue(self.repository, number, |issue| {
            issue.created_at = at;
            issue.updated_at = at;
        });
    }
}
