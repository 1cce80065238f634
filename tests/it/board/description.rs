//! The description of the session's routes compared with their answers, in both directions.

use serde_json::json;
use test_world::secrets::{Fault, On};
use test_world::{AGENT_TOKEN, AGENT_TOKENS_SECRET_ID};

use crate::support::app::TestApp;
use crate::support::browser::Browser;
use crate::support::described::{Description, operation};

const ALPHAS: &str = "alphas-token-not-a-secret-0123456789";

#[tokio::test]
async fn session_routes_answer_as_described_and_with_each_described_status() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    let tokens = json!({"tokens": [
        {"token": AGENT_TOKEN, "agents": ["*"], "may": ["read"]},
        {"token": ALPHAS, "agents": ["alpha"]},
    ]});
    app.world.secrets.put_secret(AGENT_TOKENS_SECRET_ID, &tokens.to_string());
    let mut description = Description::served(&app).await;
    let browser = Browser::new(&app);
    let [begin, end] = ["post", "delete"].map(|method| operation(method, "/api/session"));
    let changed = |place: &str, value: &str| {
        let mut event = browser.sign_in(AGENT_TOKEN);
        *event.pointer_mut(place).expect("a place") = value.into();
        event
    };
    for (event, status) in [
        (browser.sign_in(AGENT_TOKEN), 200),
        (changed("/body", "{}"), 400),
        (browser.sign_in("wrong"), 401),
        (browser.sign_in(ALPHAS), 403),
        (changed("/headers/sec-fetch-site", "cross-site"), 403),
        (changed("/body", &" ".repeat(64 * 1024 + 1)), 413),
        (changed("/headers/content-type", "text/plain"), 415),
    ] {
        let reply = browser.sends(event).await;
        assert_eq!(reply.status, status);
        description.covers(&begin, &reply);
    }
    description.covers(&end, &browser.sends(browser.request("DELETE", "/api/session")).await);
    let mut by_another = browser.request("DELETE", "/api/session");
    by_another["headers"]["sec-fetch-site"] = "cross-site".into();
    description.covers(&end, &browser.sends(by_another).await);
    app.world.secrets.fault(On::anything(), Fault::AccessDenied.forever());
    app.pass_time(3_600);
    description.covers(&begin, &browser.sends(browser.sign_in(AGENT_TOKEN)).await);
    for operation in [begin, end] {
        description.assert_statuses_met(&operation);
    }
    let body = &description.document.pointer(&operation("post", "/api/session")).expect("it is described")["requestBody"];
    assert_eq!(body["required"], true);
}
