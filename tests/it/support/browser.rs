//! A browser that shows the board.

use serde_json::{Value, json};

use crate::support::app::{Reply, TestApp};

/// The name of the session's cookie.
pub const COOKIE: &str = "__Host-board";

/// A browser at the board's page. It keeps one cookie.
pub struct Browser<'a> {
    test: &'a TestApp,
    /// The name and the value of its session's cookie, if it has one.
    pub cookie: Option<String>,
}

impl<'a> Browser<'a> {
    /// A browser without a session.
    pub fn new(test: &'a TestApp) -> Self {
        Self { test, cookie: None }
    }

    /// A browser whose user signed in with this token.
    pub async fn signed_in(test: &'a TestApp, token: &str) -> Self {
        let mut browser = Self::new(test);
        let reply = browser.signs_in(token).await;
        assert_eq!(reply.status, 200, "{reply:#?}");
        browser
    }

    /// Signs in with this token, and keeps the cookie of the answer.
    pub async fn signs_in(&mut self, token: &str) -> Reply {
        let reply = self.sends(self.sign_in(token)).await;
        if let [cookie] = &reply.cookies[..] {
            self.cookie = cookie.split(';').next().map(str::to_owned);
        }
        reply
    }

    /// Requests a path with its query.
    pub async fn get(&self, target: &str) -> Reply {
        self.sends(self.request("GET", target)).await
    }

    /// Sends an event to the service.
    pub async fn sends(&self, event: Value) -> Reply {
        self.test.stranger().sends(&event).await
    }

    /// The value of its session's cookie.
    pub fn value(&self) -> &str {
        let cookie = self.cookie.as_deref().expect("a session");
        cookie.strip_prefix(COOKIE).and_then(|rest| rest.strip_prefix('=')).expect("its cookie")
    }

    /// The event of a request of the board's page for a path with its query.
    pub fn request(&self, method: &str, target: &str) -> Value {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut event = TestApp::event("issues.json");
        event["rawPath"] = path.into();
        event["rawQueryString"] = query.into();
        event["requestContext"]["http"]["path"] = path.into();
        event["requestContext"]["http"]["method"] = method.into();
        let headers = event["headers"].as_object_mut().expect("headers");
        headers.remove("authorization");
        headers.insert("sec-fetch-site".to_owned(), "same-origin".into());
        if let Some(cookie) = &self.cookie {
            event["cookies"] = json!([cookie]);
        }
        event
    }

    /// The event of a sign-in with this token.
    pub fn sign_in(&self, token: &str) -> Value {
        let mut event = self.request("POST", "/api/session");
        event["headers"]["content-type"] = "application/json".into();
        event["body"] = json!({ "token": token }).to_string().into();
        event
    }
}
