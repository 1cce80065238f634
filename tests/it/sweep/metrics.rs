//! What a sweep counts and measures, as the schedule function writes it.

use serde_json::{Value, json};
use test_world::{api, notifications};

use super::{SCHEDULE, beat};
use crate::support::app::TestApp;
use crate::support::environment::{Environment, SCHEDULE as FUNCTION, ago};

/// A fleet of two in the system's time. Its schedule ran five minutes ago; alpha has been silent since.
async fn present() -> TestApp {
    let app = ago(TestApp::tracking(&["acme/api"]), SCHEDULE).start().await;
    app.schedule().beat().await.expect("a good beat");
    beat(&app, "alpha").await;
    app.pass_time(SCHEDULE);
    app
}

async fn invoked(app: &TestApp) -> (bool, Vec<(&'static str, Value)>) {
    let mut environment = Environment::start(FUNCTION, app).await;
    let is_good = environment.invoke(TestApp::event("schedule.json")).await.is_ok();
    let log = environment.end().await;
    let line = log.metrics(1);
    let names = ["AgentsUp", "AgentsLate", "AgentsDown", "ApiUnreachable", "AgentsMessageFailed"];
    (is_good, names.map(|name| (name, line[name].clone())).to_vec())
}

#[tokio::test]
async fn agents_are_counted_by_presence_in_each_sweep() {
    let app = present().await;
    beat(&app, "beta").await;
    let (is_good, values) = invoked(&app).await;
    assert!(is_good);
    let expected = [json!([1.0]), json!([0.0]), json!([1.0]), Value::Null, Value::Null];
    assert_eq!(values.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>(), expected);
    assert_eq!(app.messages().len(), 1);
}

#[tokio::test]
async fn unreachable_api_is_counted() {
    let app = present().await;
    app.world.api.fault(api::On::operation("GET /api/health"), api::Fault::Status(503).times(2));
    let (is_good, values) = invoked(&app).await;
    assert_eq!((is_good, &values[3]), (true, &("ApiUnreachable", json!(1))));
}

#[tokio::test]
async fn message_that_is_not_sent_is_counted_and_fails_the_invocation() {
    let app = present().await;
    let on = notifications::On::operation("Publish");
    app.world.notifications.fault(on, notifications::Fault::AccessDenied);
    let (is_good, values) = invoked(&app).await;
    assert_eq!((is_good, &values[4]), (false, &("AgentsMessageFailed", json!(1))));
}
