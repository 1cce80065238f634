//! A GitHub App with one installation.

use crate::support::app::{Setup, TestApp};
use serde_json::{Value, json};
use test_world::GITHUB_CREDENTIALS_SECRET_ID;
use test_world::github::APP_KEY;

pub const TOKEN_REQUEST: &str = "/app/installations/7/access_tokens";

/// The App and its installation, in every test.
pub const APP: u64 = 4_711;
pub const INSTALLATION: u64 = 7;

/// The secret that names the App.
pub fn credentials() -> Value {
    json!({ "appId": APP, "installationId": INSTALLATION, "privateKey": APP_KEY })
}

pub fn store(app: &TestApp, credentials: &Value) {
    app.world.secrets.put_secret(GITHUB_CREDENTIALS_SECRET_ID, &credentials.to_string());
}

/// A world whose GitHub accepts nothing but the tokens of the App's installation.
pub async fn installed(setup: Setup) -> TestApp {
    let app = setup.start().await;
    app.world.github.arrange(|github| {
        github.install_app(APP, INSTALLATION);
        github.accept_only([]);
    });
    store(&app, &credentials());
    app
}

pub async fn two_repositories() -> TestApp {
    let app = installed(TestApp::tracking(&["acme/api", "acme/web"])).await;
    app.world.github.arrange(|github| {
        github.open_issues("acme/api", 1);
        github.open_issues("acme/web", 150);
    });
    app
}

/// The number of token requests since the records were cleared.
pub fn token_requests(app: &TestApp) -> usize {
    app.asked().iter().filter(|path| *path == TOKEN_REQUEST).count()
}
