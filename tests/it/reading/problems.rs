//! The codes of problems, explained to programs.

use agent_heartbeat::domain::ProblemCode;
use serde_json::{Value, json};

use crate::support::app::{Reply, TestApp};
use crate::support::described::{Description, operation};

async fn get(app: &TestApp, query: &str, tag: Option<&str>) -> Reply {
    let changed = |event: &mut Value| {
        event["rawPath"] = "/api/problems".into();
        event["requestContext"]["http"]["path"] = "/api/problems".into();
        event["requestContext"]["http"]["method"] = "GET".into();
        event["rawQueryString"] = query.into();
        let headers = event["headers"].as_object_mut().expect("headers");
        headers.remove("authorization");
        headers.extend(tag.map(|tag| ("if-none-match".to_owned(), tag.into())));
    };
    app.stranger().sends_changed(changed).await
}

#[tokio::test]
async fn words_of_problems_are_public_and_cost_no_request() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    let mut description = Description::served(&app).await;
    let problems = get(&app, "", None).await;
    let known = get(&app, "", Some(&problems.headers["etag"])).await;
    let misspelt = get(&app, "code=stale", None).await;
    assert_eq!([problems.status, known.status, misspelt.status], [200, 304, 400]);
    let operation = operation("get", "/api/problems");
    for reply in [&problems, &known, &misspelt] {
        description.covers(&operation, reply);
    }
    description.assert_statuses_met(&operation);
    let stated = ProblemCode::ALL
        .map(|code| json!({ "code": code, "meaning": code.meaning(), "wayOut": code.way_out() }));
    assert_eq!(problems.body, json!({ "problems": stated }));
    assert_eq!(app.world.secrets.requests(), []);
    assert_eq!(app.world.dynamodb.requests(), []);
}
