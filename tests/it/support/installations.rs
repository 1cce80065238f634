//! A GitHub App that two owners installed.

use crate::support::app::{Answer, Setup, TestApp};
use crate::support::github_app::{APP, store};
use serde_json::{Value, json};
use test_world::github::APP_KEY;

pub const ACME: u64 = 7;
pub const GLOBEX: u64 = 8;

pub fn token_request(installation: u64) -> String {
    format!("/app/installations/{installation}/access_tokens")
}

pub fn credentials(installations: Value) -> Value {
    json!({ "appId": APP, "installations": installations, "privateKey": APP_KEY })
}

/// A world whose GitHub shows each installation its owner's repositories and nothing else.
pub async fn installed(setup: Setup) -> TestApp {
    let app = setup.start().await;
    app.world.github.arrange(|github| {
        github.install_app_at("acme", APP, ACME);
        github.install_app_at("globex", APP, GLOBEX);
        github.accept_only([]);
    });
    store(&app, &credentials(json!({ "acme": ACME, "Globex": GLOBEX.to_string() })));
    app
}

/// Two repositories of acme and one of globex, with an issue in each.
pub async fn two_owners() -> TestApp {
    let app = installed(TestApp::tracking(&["acme/api", "globex/web", "acme/web"])).await;
    open_one_in_each(&app);
    app
}

/// The same, read once, with a new issue in each.
pub async fn two_changed_owners() -> TestApp {
    let app = two_owners().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    open_one_in_each(&app);
    app.clear_requests();
    app
}

pub fn open_one_in_each(app: &TestApp) {
    app.world.github.arrange(|github| {
        for repository in ["acme/api", "globex/web", "acme/web"] {
            github.open_issues(repository, 1);
        }
    });
}

/// How many issues of acme/api, acme/web and globex/web are stored as open.
pub fn open(app: &TestApp) -> [usize; 3] {
    ["acme/api", "acme/web", "globex/web"].map(|repository| app.open_rows(repository).len())
}

/// How many repositories each probe for this owner names.
pub fn batches(app: &TestApp, owner: &str) -> Vec<usize> {
    let calls = app.world.github.requests().into_iter().filter_map(|request| request.graphql);
    calls
        .map(|call| call.repositories)
        .filter(|names| names[0].starts_with(owner))
        .map(|names| names.len())
        .collect()
}

/// The codes of the problems that are reported for globex alone.
pub fn codes_for_globex(answer: &Answer) -> Vec<&str> {
    let problems = answer.0["problems"].as_array().expect("a list").iter();
    let is_of_globex = |problem: &&Value| {
        assert_eq!(problem["repository"], Value::Null, "{problem:#}");
        problem["owners"] == json!(["globex"])
    };
    problems.filter(is_of_globex).map(|problem| problem["code"].as_str().expect("a code")).collect()
}

/// The answer is a warning with exactly these problems, all of them for globex alone.
pub fn assert_globex_alone(answer: &Answer, codes: &[&str]) {
    let reported = (answer.status(), answer.codes().len(), codes_for_globex(answer));
    assert_eq!(reported, ("warning", codes.len(), codes.to_vec()), "{:#}", answer.0);
}
