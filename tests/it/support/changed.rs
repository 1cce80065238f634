//! Two repositories that were read once, and what changed in them since.

use crate::support::app::{Answer, Setup, TestApp};

/// The repositories of these fixtures.
pub const BOTH: [&str; 2] = ["acme/api", "acme/web"];

/// One open issue in acme/api, two pages of them in acme/web; nothing was read yet.
pub async fn two_repositories() -> TestApp {
    let app = TestApp::tracking(&BOTH).start().await;
    app.world.github.arrange(|github| {
        github.open_issues("acme/api", 1);
        github.open_issues("acme/web", 150);
    });
    app
}

/// Each repository has two issues, which were read. The first of each was closed afterwards.
pub async fn one_closed_in_each() -> TestApp {
    let app = TestApp::tracking(&BOTH).start().await;
    app.world.github.arrange(|github| BOTH.iter().for_each(|name| github.open_issues(name, 2)));
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| BOTH.iter().for_each(|name| github.close_issue(name, 1)));
    app.clear_requests();
    app
}

/// Each repository was empty when it was read. One issue was opened in each afterwards.
pub async fn one_opened_in_each(setup: Setup) -> TestApp {
    let app = setup.start().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| BOTH.iter().for_each(|name| github.open_issues(name, 1)));
    app.clear_requests();
    app
}

/// The answer is `ok` and has no problems.
pub fn assert_ok(answer: &Answer) {
    assert_eq!((answer.status(), answer.codes().len()), ("ok", 0), "{:#}", answer.0);
}

/// Alpha's next heartbeat is `ok` and has no problems.
pub async fn assert_next_is_ok(app: &TestApp) {
    assert_ok(&app.agent("alpha").beat().await);
}

/// How many REST requests were sent.
pub fn rest_requests(app: &TestApp) -> usize {
    app.asked().iter().filter(|path| *path != "/graphql").count()
}
